//! A node with the interfaces of 1,000 pods.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Rounds;
use super::figure::{Figure, Outcome};
use super::growth::{self, Growth};
use super::measure::{Built, median};
use crate::setup;
use crate::step::{output, step};
use crate::workspace::{Workspace, require_root};

/// Pods of a node.
const COUNTS: [u32; 4] = [10, 100, 300, 1000];
/// What watches, as `load` takes it, and what one types.
const WATCHERS: [(&str, &str); 4] = [
    ("any", "kflow capture -i any"),
    ("tcpdump", "tcpdump -i any"),
    ("way-of-one", "agent of a trace of one pod"),
    ("trace", "kflow trace --local, one pod"),
];
/// Packets of a flood, as `load` takes them: where all match, and where none does.
const FLOODS: [(&str, &[&str]); 2] = [
    ("96 bytes", &["--count", "200000", "--snap", "96"]),
    ("no match", &["--count", "500000", "--filter", "udp port 53"]),
];

const HEAD: &str = "\
| watching | pods | from its start to its readiness | from SIGINT to its end | processor in all | memory |
| --- | ---: | ---: | ---: | ---: | ---: |";
const COST_HEAD: &str = "\
| what is added to a packet's way | attached to its interface alone | to those of 1,000 pods as well |
| --- | ---: | ---: |";

pub(super) fn bench(workspace: &Workspace, rounds: Rounds) -> Result<Outcome> {
    require_root("interfaces are made")?;
    setup::program("tcpdump", "tcpdump", "kflow is measured beside it")?;
    let bench = step("build (release)", || Bench::new(workspace, rounds))?;
    let (mut outcome, mut lines, mut growths) = (Outcome::default(), Vec::new(), Vec::new());
    for (what, name) in WATCHERS {
        let mut rows = Vec::new();
        for pods in COUNTS {
            rows.push(step(&format!("{name}, {pods} pods"), || bench.watch(what, name, pods))?);
        }
        lines.extend(rows.iter().map(Watch::line));
        if let Some(last) = rows.last() {
            outcome.figures.extend(last.figures());
        }
        if what != "tcpdump" {
            growths.extend(grow(name, &rows));
        }
    }
    outcome.table("A node of many pods", HEAD, &lines);
    let mut costs = Vec::new();
    for (name, words) in FLOODS {
        costs.push(step(&format!("flood beside 1,000 pods, {name}"), || {
            bench.cost(name, words, &mut outcome.figures)
        })?);
    }
    outcome.table("A packet on a node of many pods", COST_HEAD, &costs);
    outcome.table(
        "Growth with interfaces",
        growth::HEAD,
        &growths.iter().map(Growth::line).collect::<Vec<_>>(),
    );
    outcome.missed.extend(growths.iter().filter_map(Growth::missed));
    Ok(outcome)
}

/// Medians of some runs.
struct Watch {
    name: &'static str,
    pods: u32,
    start: Vec<f64>,
    stop: Vec<f64>,
    processor: Vec<f64>,
    /// MiB.
    memory: Vec<f64>,
}

impl Watch {
    fn line(&self) -> String {
        let Self { name, pods, .. } = self;
        let of = |runs: &[f64]| median(runs.to_vec()).unwrap_or_default();
        let (start, stop, processor) = (of(&self.start), of(&self.stop), of(&self.processor));
        let memory = of(&self.memory);
        format!("| {name} | {pods} | {start:.3} s | {stop:.3} s | {processor:.3} s | {memory:.1} MiB |")
    }

    fn figures(&self) -> Vec<Figure> {
        let Self { name, pods, start, stop, memory, .. } = self;
        let figure = |what: &str, unit, runs: &[f64]| {
            Figure::of(format!("pods: {name}, {pods} pods, {what}"), unit, runs)
        };
        // tcpdump is there to be compared with by eye.
        let figures =
            [figure("start", "s", start), figure("end", "s", stop), figure("memory", "MiB", memory)];
        figures.into_iter().flatten().filter(|_| !name.starts_with("tcpdump")).collect()
    }
}

fn grow(name: &str, rows: &[Watch]) -> [Growth; 3] {
    let growth = |what: &str, unit, of: fn(&Watch) -> &[f64], factor: f64| Growth {
        what: format!("{what}, {name}"),
        with: "pods",
        unit,
        points: rows
            .iter()
            .filter_map(|row| Some((f64::from(row.pods), median(of(row).to_vec())? * factor)))
            .collect(),
    };
    [
        growth("start", "µs", |row| &row.start, 1e6),
        growth("end", "µs", |row| &row.stop, 1e6),
        growth("memory", "KiB", |row| &row.memory, 1024.0),
    ]
}

struct Bench {
    load: PathBuf,
    kflow: PathBuf,
    folder: PathBuf,
    rounds: Rounds,
}

impl Bench {
    fn new(workspace: &Workspace, rounds: Rounds) -> Result<Self> {
        let built = Built::new(workspace, &["load"])?;
        let folder = workspace.target().join("bench");
        Ok(Self { load: built.program("load"), kflow: built.kflow, folder, rounds })
    }

    fn load(&self, words: &[&str]) -> Result<Value> {
        let line = output(Command::new(&self.load).args(words).arg("--kflow").arg(&self.kflow))?;
        serde_json::from_str(&line).with_context(|| format!("load said {line:?}"))
    }

    fn watch(&self, what: &str, name: &'static str, pods: u32) -> Result<Watch> {
        let words = ["pods", "--pods", &pods.to_string(), "--what", what];
        let told = (0..self.rounds.few()).map(|_| self.load(&words)).collect::<Result<Vec<_>>>()?;
        let of = |what: &str, factor: f64| -> Result<Vec<f64>> {
            let runs = told.iter().map(|run| Some(run[what].as_f64()? * factor)).collect::<Option<Vec<_>>>();
            runs.with_context(|| format!("no {what}"))
        };
        let (start, stop, processor) = (of("start", 1.0)?, of("stop", 1.0)?, of("processor", 1.0)?);
        Ok(Watch { name, pods, start, stop, processor, memory: of("memory", 1.0 / 1024.0)? })
    }

    /// What kflow adds on one interface, and on that one among many; runs of both in turn.
    fn cost(&self, name: &str, words: &[&str], figures: &mut Vec<Figure>) -> Result<String> {
        let folder = self.folder.to_string_lossy();
        let (mut alone, mut among) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds.many() {
            for (pods, runs) in [("0", &mut alone), ("1000", &mut among)] {
                let all = [&["flood", "--folder", &folder, "--pods", pods], words].concat();
                let told = self.load(&all)?;
                runs.push(told["kflow"]["added"].as_f64().context("no figure")?);
            }
        }
        let ratios: Vec<f64> = alone.iter().zip(&among).map(|(one, many)| many / one).collect();
        let name = format!("pods: a packet among 1,000, {name}");
        figures.extend(Figure::of(&*name, "ratio", &ratios));
        let of = |runs: Vec<f64>| median(runs).unwrap_or_default();
        let (one, many) = (of(alone), of(among));
        let what = name.rsplit(", ").next().unwrap_or_default();
        Ok(format!("| {what} | {one:.0} ns | {many:.0} ns |"))
    }
}
