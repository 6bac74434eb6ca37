//! Filters over files beside those of `tcpdump -r`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use tests::expressions::TABLE;
use tracer::libpcap::{Libpcap, OfflineFilter};
use tracer_core::capture::{CaptureReader, Item};
use tracer_core::units::Timestamp;

use crate::files::{Directory, corpus};

/// Each file is read with one in so many of the expressions by the command.
const SHARE: usize = 4;

/// The packets of a capture by their times, which tell them apart.
fn times(capture: impl Read) -> Vec<Timestamp> {
    let mut reader = CaptureReader::new(capture).unwrap();
    let mut times = Vec::new();
    while reader.advance().unwrap() {
        times.extend(reader.packet_time());
    }
    times
}

/// The packets that tcpdump picks; absent where it refuses the expression.
fn picked_by_tcpdump(file: &Path, expression: &str) -> Option<Vec<Timestamp>> {
    let output =
        Command::new("tcpdump").arg("-r").arg(file).args(["-w", "-", "--", expression]).output().unwrap();
    output.status.success().then(|| times(output.stdout.as_slice()))
}

/// The packets that `kflow capture -r` picks; absent where it refuses the expression.
fn picked_by_kflow(file: &Path, expression: &str) -> Option<Vec<Timestamp>> {
    /// No packet matched, which is said.
    const NONE: i32 = 3;
    let mut command = Command::new(tests::kflow::program());
    command.args(["capture", "--pcap", "-w", "-", "-r"]).arg(file).args(["-f", expression]);
    let output = command.output().unwrap();
    matches!(output.status.code(), Some(0 | NONE)).then(|| times(output.stdout.as_slice()))
}

/// The packets that its library picks; absent where the expression is refused.
fn picked_by_us(libpcap: &Libpcap, file: &Path, expression: &str) -> Option<Vec<Timestamp>> {
    let mut filter = OfflineFilter::new(libpcap, expression);
    let mut reader = CaptureReader::new(File::open(file).unwrap()).unwrap().with_raw();
    let mut picked = Vec::new();
    while reader.advance().unwrap() {
        let (Some(raw), Item::Frame(frame)) = (reader.raw(), reader.item()) else { continue };
        if filter.matches(&raw, frame.direction).ok()? {
            picked.push(frame.time);
        }
    }
    Some(picked)
}

#[test]
fn the_same_packets_are_picked_as_by_tcpdump() {
    let libpcap = Libpcap::load().unwrap();
    let directory = Directory::new();
    let mut differing = Vec::new();
    let mut picked = 0;
    for capture in corpus(&directory) {
        for expression in TABLE {
            let theirs = picked_by_tcpdump(&capture.path, expression.text);
            let ours = picked_by_us(&libpcap, &capture.path, expression.text);
            assert_eq!(theirs.is_some(), expression.is_for(capture.link), "{}", expression.text);
            picked += theirs.as_ref().map_or(0, Vec::len);
            let name = capture.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // In files of another byte order, the address family is turned around before the filter sees it.
            let is_turned = name == "0-big.pcap" && expression.text.starts_with("link[");
            if ours != theirs && !is_turned {
                differing.push(format!("{name}: {}\n  {ours:?}\n  {theirs:?}", expression.text));
            }
        }
    }
    assert!(picked > 50_000, "{picked} packets");
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn the_command_picks_the_same_packets() {
    let directory = Directory::new();
    let mut picked = 0;
    for (number, capture) in corpus(&directory).into_iter().enumerate() {
        let name = capture.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // A process each: of every file another share of the table.
        for expression in TABLE.iter().skip(number % SHARE).step_by(SHARE) {
            let is_turned = name == "0-big.pcap" && expression.text.starts_with("link[");
            let ours = picked_by_kflow(&capture.path, expression.text);
            let theirs = picked_by_tcpdump(&capture.path, expression.text);
            picked += theirs.as_ref().map_or(0, Vec::len);
            // What tcpdump refuses for this link type matches nothing, or is refused as well.
            let agree = ours == theirs || (theirs.is_none() && ours.as_ref().is_none_or(Vec::is_empty));
            assert!(agree || is_turned, "{name}: {}\n  {ours:?}\n  {theirs:?}", expression.text);
        }
    }
    assert!(picked > 5_000, "{picked} packets");
}
