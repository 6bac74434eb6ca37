//! How fast captures are traced, and in how much memory, beside tshark on the same files in the same run.

mod capture;
mod result;
mod table;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use self::capture::{Capture, Kind};
use self::table::{HEAD, Row};
use super::Rounds;
use super::figure::{Figure, Outcome};
use super::growth::{self, Growth};
use super::measure::{Built, Meter, Run, median};
use crate::setup;
use crate::step::step;
use crate::workspace::Workspace;

/// Frames of the captures that show how time and memory grow.
const GROWTH: [u64; 5] = [100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
/// Frames of the capture that the requirements are about.
const MAIN: u64 = 5_000_000;
/// Flows of the captures that show how time and memory grow with them: no request is made in these. The last has not many
/// fewer than a trace remembers: six tuples each of 500,000 (`Budget::headers` of `tracer-core`).
const FLOWS: [u64; 4] = [100, 1_000, 10_000, 80_000];

/// What the main capture must do: observations a second and times as fast as tshark, both by the processor's time, and
/// MiB.
const LEAST_RATE: f64 = 1e6;
const LEAST_RATIO: f64 = 10.0;
const MOST_MEMORY: f64 = 512.0;
/// How many times as much time or memory per observation the largest capture may take as one of a third of it.
const LINEAR: f64 = 1.5;

/// Measures all of it.
pub(super) fn bench(workspace: &Workspace, rounds: Rounds) -> Result<Outcome> {
    let bench = step("setup and build (release)", || Bench::new(workspace))?;
    let mut outcome = Outcome::default();
    let mut rows = Vec::new();
    for frames in rounds.some(&GROWTH) {
        let kind = Kind { frames: *frames, requests: None };
        let figures = &mut outcome.figures;
        rows.push(step(&format!("{frames} observations"), || bench.measure(kind, rounds.few(), 0, figures))?);
    }
    if rounds == Rounds::Whole {
        let kind = Kind { frames: MAIN, requests: None };
        let figures = &mut outcome.figures;
        let (runs, theirs) = (rounds.many(), rounds.few());
        let main = step(&format!("{MAIN} observations"), || bench.measure(kind, runs, theirs, figures))?;
        outcome.missed.extend(missed_by_main(&main));
        outcome.missed.extend(missed_by_growth(&rows));
        rows.push(main);
    }
    outcome.table("Tracing files", HEAD, &rows.iter().map(Row::line).collect::<Vec<_>>());
    let mut flows = Vec::new();
    for count in rounds.some(&FLOWS) {
        /// A handshake and a close, three packets each, at eight hops.
        const EACH: u64 = 48;
        let kind = Kind { frames: count * EACH, requests: Some(0) };
        let figures = &mut outcome.figures;
        flows.push(step(&format!("{count} flows"), || bench.measure(kind, rounds.few(), 0, figures))?);
    }
    outcome.table("Tracing files of many flows", HEAD, &flows.iter().map(Row::line).collect::<Vec<_>>());
    let growths = [
        grow("processor, kflow trace -r", "µs", &flows, |row| row.kflow.processor * 1e6),
        grow("memory, kflow trace -r", "KiB", &flows, |row| row.kflow.memory),
    ];
    outcome.table("Growth with flows", growth::HEAD, &growths.each_ref().map(Growth::line));
    outcome.missed.extend(growths.iter().filter_map(Growth::missed));
    Ok(outcome)
}

#[expect(clippy::cast_precision_loss, reason = "no capture has 2^53 flows")]
fn grow(what: &str, unit: &'static str, rows: &[Row], of: fn(&Row) -> f64) -> Growth {
    let points = rows.iter().map(|row| (row.connections as f64, of(row))).collect();
    Growth { what: what.to_owned(), with: "flows", unit, points }
}

struct Bench {
    kflow: PathBuf,
    maker: PathBuf,
    tshark: PathBuf,
    meter: Meter,
    folder: PathBuf,
}

impl Bench {
    fn new(workspace: &Workspace) -> Result<Self> {
        let tshark = setup::program("tshark", "tshark", "kflow is measured beside it")?;
        let built = Built::new(workspace, &["make_capture", "measure"])?;
        let folder = workspace.target().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self {
            kflow: built.kflow.clone(),
            maker: built.program("make_capture"),
            tshark,
            meter: Meter { program: built.program("measure") },
            folder,
        })
    }

    /// Runs both programs in turn.
    fn measure(&self, kind: Kind, runs: usize, tshark_runs: usize, figures: &mut Vec<Figure>) -> Result<Row> {
        let capture = capture::provide(&self.maker, &self.folder, kind)?;
        capture.warm()?;
        let (mut kflow, mut tshark, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..runs {
            let ours = self.kflow(&capture)?;
            kflow.push(ours);
            if number < tshark_runs {
                let theirs = self.tshark(&capture)?;
                tshark.push(theirs);
                ratios.push(theirs.processor / ours.processor);
            }
        }
        let name = kind.name();
        let count = capture.count();
        let times: Vec<_> = kflow.iter().map(|run| run.processor * 1e9 / count).collect();
        let memories: Vec<_> = kflow.iter().map(|run| run.memory / 1024.0).collect();
        figures.extend(Figure::of(format!("trace: {name}, an observation"), "ns", &times));
        figures.extend(Figure::of(format!("trace: {name}, memory"), "MiB", &memories));
        let parts: Vec<_> = ratios.iter().map(|ratio| 1.0 / ratio).collect();
        figures.extend(Figure::of(format!("trace: {name} / tshark"), "ratio", &parts));
        Ok(Row {
            frames: capture.frames,
            connections: capture.connections,
            kflow: Run::median(&kflow).context("no run")?,
            tshark: Run::median(&tshark).zip(median(ratios)),
        })
    }

    fn kflow(&self, capture: &Capture) -> Result<Run> {
        let told = self.folder.join("kflow.jsonl");
        let mut command = Command::new(&self.kflow);
        command.arg("trace").arg("-r").arg(&capture.path).args(["-o", "json"]);
        let run = self.meter.run(&command, &told)?;
        ensure!(run.exit_code == 0, "kflow ended with code {}", run.exit_code);
        result::check(&told, capture)?;
        Ok(run)
    }

    /// Its output goes nowhere: it does not have to wait for a disk either.
    fn tshark(&self, capture: &Capture) -> Result<Run> {
        let mut command = Command::new(&self.tshark);
        command.arg("-r").arg(&capture.path).args(["-T", "fields"]);
        command
            .args(["frame.time_epoch", "ip.src", "ip.dst", "tcp.seq"].iter().flat_map(|field| ["-e", field]));
        let run = self.meter.run(&command, "/dev/null".as_ref())?;
        ensure!(run.exit_code == 0, "tshark ended with code {}", run.exit_code);
        Ok(run)
    }
}

fn missed_by_main(row: &Row) -> Vec<String> {
    let mut missed = Vec::new();
    let rate = row.observations_per_second();
    if rate < LEAST_RATE {
        missed.push(format!("{rate:.0} observations/s, less than {LEAST_RATE:.0}"));
    }
    if let Some((_, ratio)) = row.tshark.filter(|(_, ratio)| *ratio < LEAST_RATIO) {
        missed.push(format!("{ratio:.1} times as fast as tshark, less than {LEAST_RATIO:.0}"));
    }
    if row.memory() > MOST_MEMORY {
        missed.push(format!("{:.0} MiB, more than {MOST_MEMORY:.0}", row.memory()));
    }
    missed
}

/// The growth from a third of the largest capture to the whole of it: in smaller ones the window is never full, and
/// what every run takes weighs in.
fn missed_by_growth(rows: &[Row]) -> Vec<String> {
    let Some(last) = rows.last() else { return Vec::new() };
    let Some(third) = rows.iter().min_by_key(|row| (row.frames * 3).abs_diff(last.frames)) else {
        return Vec::new();
    };
    let mut missed = Vec::new();
    let mut compare = |what: &str, small: f64, large: f64| {
        if large > LINEAR * small {
            missed.push(format!("{what} grows from {small:.0} to {large:.0}, which is not linear"));
        }
    };
    compare("nanoseconds per observation", third.time_each(), last.time_each());
    compare("bytes per observation", third.memory_each(), last.memory_each());
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(frames: u64, seconds: f64, mebibytes: f64) -> Row {
        let kflow = Run { seconds, processor: seconds, memory: mebibytes * 1024.0, exit_code: 0 };
        Row { frames, connections: 1, kflow, tshark: Some((Run { seconds: seconds * 20.0, ..kflow }, 20.0)) }
    }

    #[test]
    fn requirements() {
        assert!(missed_by_main(&row(5_000_000, 4.9, 500.0)).is_empty());
        assert_eq!(missed_by_main(&row(5_000_000, 5.1, 513.0)).len(), 2);
        let slow = Row { tshark: Some((row(1, 1.0, 1.0).kflow, 9.9)), ..row(5_000_000, 4.9, 500.0) };
        assert_eq!(missed_by_main(&slow).len(), 1);
    }

    #[test]
    fn growth_is_measured_from_a_third() {
        let rows = |seconds: f64, mebibytes: f64| {
            [row(100_000, 9.0, 9.0), row(3_000_006, 3.0, 180.0), row(10_000_001, seconds, mebibytes)]
        };
        assert!(missed_by_growth(&rows(14.0, 400.0)).is_empty());
        assert_eq!(missed_by_growth(&rows(16.0, 1000.0)).len(), 2);
    }
}
