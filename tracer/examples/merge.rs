//! Streams of many nodes as files: `merge split N FILE PREFIX` deals the packets of a capture out to N captures in turn,
//! `merge join OUTPUT FILE...` merges captures as `kflow capture` merges its streams on a cluster.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use tracer::capture::remote::replay::replay;
use tracer_core::capture::{
    CaptureReader, CaptureWriter, Frame, Interface, InterfaceId, Item, LinkLayer, SNAP_WHOLE, Section,
    Statistics,
};
use tracer_core::units::Timestamp;

type Failure = Box<dyn std::error::Error>;
type Writer = CaptureWriter<BufWriter<File>>;

const BUFFER: usize = 1 << 20;
/// A capture tells its counters four times a second, of the packets' time here.
const TELL: u64 = 250_000_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["split", count, from, prefix] => {
            count.parse().map_err(Failure::from).and_then(|count| split(count, from, prefix))
        }
        ["join", to, .., _] => join(to, &args[2..]),
        _ => {
            eprintln!("usage: merge split N FILE PREFIX | merge join OUTPUT FILE...");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("merge: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn join(to: &str, files: &[String]) -> Result<String, Failure> {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let replayed = replay(&files, to.as_ref())?;
    let seconds = replayed.took.as_secs_f64();
    Ok(format!("{} packets, {} late, {seconds} s", replayed.packets, replayed.late))
}

fn split(count: usize, from: &str, prefix: &str) -> Result<String, Failure> {
    let mut writers = (0..count).map(|number| open(prefix, number)).collect::<Result<Vec<_>, _>>()?;
    let mut reader = CaptureReader::new(File::open(from)?)?;
    let (mut packets, mut told) = (0, 0);
    while let Some(item) = reader.next_item()? {
        let Item::Frame(frame) = item else { continue };
        if frame.time.0 >= told + TELL {
            told = frame.time.0;
            tell(&mut writers, frame.time)?;
        }
        writers[packets % count].frame(&Frame { interface: InterfaceId(0), ..frame })?;
        packets += 1;
    }
    for mut writer in writers {
        writer.get_mut().flush()?;
    }
    Ok(format!("{packets} packets"))
}

fn open(prefix: &str, number: usize) -> Result<Writer, Failure> {
    let sink = BufWriter::with_capacity(BUFFER, File::create(format!("{prefix}{number}.pcapng"))?);
    let section = Section { node: Some(format!("node{number}")), ..Section::default() };
    let mut writer = CaptureWriter::new(sink, &section, SNAP_WHOLE)?;
    writer.interface(&Interface {
        name: format!("cali{number}"),
        node: None,
        pod: None,
        ifindex: Some(2),
        link: LinkLayer::Ethernet,
        mac: None,
    })?;
    Ok(writer)
}

fn tell(writers: &mut [Writer], time: Timestamp) -> Result<(), Failure> {
    for writer in writers {
        writer.statistics(InterfaceId(0), time, &Statistics::default())?;
    }
    Ok(())
}
