//! What is not as it should be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::wireshark;

use crate::Failure;
use crate::flat::{Slope, settled};
use crate::watched::{Sample, Told};

/// The most that the ring of files may take, bytes.
const MOST_DISK: u64 = 1 << 30;

/// Of one capture.
pub(crate) fn of(name: &str, samples: &[Sample], told: Told, sent: u64) -> Vec<String> {
    let slope = Slope::of(samples);
    println!(
        "resident memory grew by {:.3} MiB an hour, of {:.3} that count as flat; {} packets captured, {} received by filter, {} dropped by kernel, exit {:?}",
        slope.found, slope.bound, told.captured, told.received, told.dropped, told.code
    );
    let mut wrong = Vec::new();
    let mut check = |is_right: bool, what: String| {
        if !is_right {
            wrong.push(format!("{name}: {what}"));
        }
    };
    check(slope.is_flat(), format!("resident memory grows by {:.3} MiB an hour", slope.found));
    for (what, figure) in FLAT {
        let (before, after) = halves(samples, figure);
        check(after <= before, format!("{what}: {before} in the first half, {after} in the second"));
    }
    check(told.received == sent, format!("{sent} packets were sent, {} passed", told.received));
    check(
        told.captured + told.dropped == told.received,
        format!("{} captured and {} dropped are not {}", told.captured, told.dropped, told.received),
    );
    let expected = if told.dropped > 0 { 3 } else { 0 };
    check(told.code == Some(expected), format!("exit code {:?}, {} dropped", told.code, told.dropped));
    wrong
}

type Figure = fn(&Sample) -> u64;

/// What does not grow by anything.
const FLAT: [(&str, Figure); 4] = [
    ("descriptors", |one| one.held.descriptors as u64),
    ("bytes of maps", |one| one.held.map_bytes),
    ("programs", |one| one.held.programs.len() as u64),
    ("links", |one| one.held.links.len() as u64),
];

/// The middle figure of the first half, and of the second, after the first tenth: while one file takes the place of
/// another there is a descriptor less.
fn halves(samples: &[Sample], figure: Figure) -> (u64, u64) {
    let settled = settled(samples);
    let (first, second) = settled.split_at(settled.len() / 2);
    let middle = |part: &[Sample]| {
        let mut figures: Vec<u64> = part.iter().map(figure).collect();
        figures.sort_unstable();
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    (middle(first), middle(second))
}

/// Of the files that are left.
pub(crate) fn files(folder: &Path, kflow: &Path) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::new();
    if disk(folder)? > MOST_DISK {
        wrong.push(format!("the files take {} bytes", disk(folder)?));
    }
    let paths = paths(folder)?;
    for path in &paths {
        let info = wireshark::capinfos(path)?;
        let read = Command::new(kflow).args(["capture", "-w", "/dev/null", "-r"]).arg(path).output()?;
        if !info.contains("Number of packets:") || !read.status.success() {
            wrong.push(format!("{}: {}", path.display(), String::from_utf8_lossy(&read.stderr)));
        }
    }
    println!("{} files left, read by capinfos and kflow", paths.len());
    if paths.is_empty() {
        wrong.push("no file is left".to_owned());
    }
    Ok(wrong)
}

/// Bytes of all files in a folder.
pub(crate) fn disk(folder: &Path) -> Result<u64, Failure> {
    let lengths = paths(folder)?.into_iter().filter_map(|path| fs::metadata(path).ok());
    Ok(lengths.map(|metadata| metadata.len()).sum())
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}
