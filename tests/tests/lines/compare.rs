//! The same file printed by both.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use tests::wireshark;
use tracer_core::{
    capture::{CaptureReader, Item},
    output::line::{LineOptions, LinePrinter},
    units::Timestamp,
};

pub(crate) type Test<T = ()> = Result<T, Box<dyn std::error::Error>>;

pub(crate) const ETHERNET: u32 = 1;
pub(crate) const RAW: u32 = 101;
/// As tcpdump takes them.
const FLAGS: [&str; 6] = ["", "-v", "-e", "-X", "-ve", "-veX"];

/// Asserts that a file is printed as tcpdump prints it, with every combination of flags that matters.
pub(crate) fn assert_same_lines(file: &Path) -> Test {
    for flags in FLAGS {
        let (ours, theirs) = (ours(file, flags)?, theirs(file, flags)?);
        let (mut our_lines, mut their_lines) = (ours.lines(), theirs.lines());
        for number in 1.. {
            let (our_line, their_line) = (our_lines.next(), their_lines.next());
            assert_eq!(our_line, their_line, "line {number} of {} {flags}", file.display());
            if our_line.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// What tcpdump prints.
pub(crate) fn theirs(file: &Path, flags: &str) -> Test<String> {
    let mut command = Command::new("tcpdump");
    command.env("TZ", "UTC").args(["-Z", "root", "-n"]).args(flags.split_whitespace()).arg("-r").arg(file);
    Ok(wireshark::accepted("tcpdump", file, command.output()?)?)
}

fn ours(file: &Path, flags: &str) -> Test<String> {
    let has = |flag| flags.contains(flag);
    let mut printer =
        LinePrinter::new(LineOptions { verbose: has('v'), hex: has('X'), link: has('e'), label: false });
    let mut reader = CaptureReader::new(fs::File::open(file)?)?;
    let mut interfaces = Vec::new();
    let mut out = Vec::new();
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Interface(_, interface) => interfaces.push(interface.link),
            Item::Frame(frame) => {
                let link = interfaces[usize::try_from(frame.interface.0)?];
                printer.print(&mut out, &clock(frame.time), "", &frame, link)?;
            }
            _ => {}
        }
    }
    Ok(String::from_utf8(out)?)
}

/// The time of day in UTC, to the microsecond.
fn clock(time: Timestamp) -> String {
    let (seconds, microseconds) = (time.0 / 1_000_000_000, time.0 / 1_000 % 1_000_000);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{microseconds:06}", seconds % 60)
}

/// A file that goes with this value.
pub(crate) struct File(PathBuf);

impl File {
    /// A pcap file of packets, each cut to its number of captured bytes.
    pub(crate) fn write(link: u32, packets: &[(&[u8], usize)]) -> Test<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("kflow-lines-{}-{number}.pcap", process::id()));
        let mut bytes = Vec::new();
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link] {
            bytes.extend(u32::to_le_bytes(word));
        }
        for (second, (packet, captured)) in packets.iter().enumerate() {
            let words = [1_700_000_000 + second, second % 1_000_000, *captured, packet.len()];
            for word in words {
                bytes.extend(u32::try_from(word)?.to_le_bytes());
            }
            bytes.extend(&packet[..*captured]);
        }
        fs::write(&path, bytes)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
