//! Makes the captures that `cargo xtask bench` reads: `make_capture FILE FRAMES [FRAMES-PER-SECOND [REQUESTS]]`. It says
//! how many frames of how many connections there are: a few more than were asked for, since every packet goes all its way.
//!
//! Two Calico-like nodes with pods, as one pcapng of what `kflow capture` sees there: TCP connections from pods of
//! one node to services with endpoints on the other, through DNAT and IPIP, eight hops there and eight back. The
//! bytes come from a generator with a fixed seed: the same arguments make the same file.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::process::ExitCode;

use tests::synthetic::{REQUESTS, SNAP, Schedule, Traffic, interfaces};
use tracer_core::capture::{CaptureError, CaptureWriter, Frame, InterfaceId, Section, Statistics};
use tracer_core::units::Timestamp;

/// Frames seen in a second of the capture, unless the command line says otherwise.
const RATE: u64 = 50_000;
/// When the capture begins, in nanoseconds since the epoch.
const BEGIN: Timestamp = Timestamp(1_700_000_000_000_000_000);
/// How long the recorders run on after the last packet, in nanoseconds.
const SETTLE: i64 = 1_000_000_000;
const BUFFER: usize = 1 << 20;

/// Fewest and most frames, and frames a second: a file of few flows, and one that fills no disk.
const FRAMES: std::ops::RangeInclusive<u64> = 1_000..=1_000_000_000;
/// Most requests of a connection.
const MOST_REQUESTS: u32 = 1_000_000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((path, traffic)) = parse(&args) else { return usage() };
    match make(Path::new(path), &traffic) {
        Ok((frames, connections)) => {
            println!("{frames} frames of {connections} connections");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make_capture: cannot write {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Option<(&String, Traffic)> {
    let number = |text: &String| text.parse().ok().filter(|number| FRAMES.contains(number));
    let requests = |text: &String| text.parse().ok().filter(|number| *number <= MOST_REQUESTS);
    let (path, frames, rate, requests) = match args {
        [path, frames] => (path, number(frames)?, RATE, REQUESTS),
        [path, frames, rate] => (path, number(frames)?, number(rate)?, REQUESTS),
        [path, frames, rate, each] => (path, number(frames)?, number(rate)?, requests(each)?),
        _ => return None,
    };
    Some((path, Traffic { pair: 0, frames, rate, begin: BEGIN, requests, open: None }))
}

fn usage() -> ExitCode {
    let (least, most) = (FRAMES.start(), FRAMES.end());
    eprintln!(
        "usage: make_capture FILE FRAMES [FRAMES-PER-SECOND [REQUESTS]], both from {least} to {most}, at most \
         {MOST_REQUESTS} requests of a connection"
    );
    ExitCode::from(2)
}

/// Returns how many frames and how many connections are in it.
fn make(path: &Path, traffic: &Traffic) -> Result<(u64, u32), Box<dyn std::error::Error>> {
    let mut capture = Capture::begin(File::create(path)?)?;
    let mut schedule = Schedule::new(traffic);
    while let Some(frame) = schedule.next_frame() {
        capture.frame(&frame)?;
    }
    capture.end(schedule.now().offset(SETTLE))?;
    Ok((schedule.made(), schedule.connections()))
}

/// The file, and how many frames it has of each interface.
struct Capture {
    writer: CaptureWriter<BufWriter<File>>,
    counts: Vec<u64>,
}

impl Capture {
    /// Describes all interfaces and says that their programs are attached.
    fn begin(file: File) -> Result<Self, CaptureError> {
        let section = Section { application: Some("kflow make_capture".to_owned()), ..Section::default() };
        let mut writer = CaptureWriter::new(BufWriter::with_capacity(BUFFER, file), &section, SNAP)?;
        let interfaces = interfaces();
        for interface in &interfaces {
            let id = writer.interface(interface)?;
            writer.statistics(id, BEGIN, &Statistics::default())?;
        }
        Ok(Self { writer, counts: vec![0; interfaces.len()] })
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), CaptureError> {
        self.counts[frame.interface.0 as usize] += 1;
        self.writer.frame(frame)
    }

    /// Counts what was written: nothing was lost.
    fn end(mut self, time: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
        for (id, count) in (0..).zip(self.counts) {
            let statistics = Statistics { seen: count, matched: count, lost: 0, written: count };
            self.writer.statistics(InterfaceId(id), time, &statistics)?;
        }
        self.writer.into_inner().into_inner().map_err(io::IntoInnerError::into_error)?.flush()?;
        Ok(())
    }
}
