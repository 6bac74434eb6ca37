//! Many nodes that stream to one client, which has one core.

mod run;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use self::run::{HEAD, Run, What};
use super::Rounds;
use super::figure::{Figure, Outcome};
use super::growth::Growth;
use super::measure::Built;
use crate::step::step;
use crate::workspace::{Workspace, require_root};

/// Nodes, and what each sees in a second.
const NODES: u64 = 64;
const RATE: u64 = 20_000;
/// Rates that are tried until one is kept up with.
const LOWER: [u64; 6] = [14_000, 10_000, 7_000, 5_000, 3_500, 2_500];
const SECONDS: u64 = 4;
/// MiB.
const MOST_MEMORY: f64 = 512.0;
/// Numbers of nodes, which see little each.
const GROWTH: [u64; 5] = [2, 8, 16, 32, 64];
const GROWTH_RATE: u64 = 2_000;
const ALL: [What; 3] = [What::Lines, What::File, What::Trace];

pub(super) fn bench(workspace: &Workspace, rounds: Rounds) -> Result<Outcome> {
    require_root("the client is preferred to other processes")?;
    let bench = step("build (release)", || Bench::new(workspace, rounds))?;
    let mut outcome = Outcome::default();
    let mut lines = Vec::new();
    for what in ALL {
        let required = bench.measure(what, NODES, RATE, rounds.few())?;
        lines.push(required.line());
        outcome.missed.extend(required.missed(MOST_MEMORY));
        let sustained =
            if required.keeps_up() { Some(required) } else { bench.sustained(what, &mut lines)? };
        outcome.figures.extend(sustained.iter().flat_map(Run::figures));
    }
    outcome.table("Nodes that stream to one client", HEAD, &lines);
    let growths = bench.growth(&mut outcome.figures)?;
    outcome.table(
        "Growth with nodes",
        super::growth::HEAD,
        &growths.iter().map(Growth::line).collect::<Vec<_>>(),
    );
    outcome.missed.extend(growths.iter().filter_map(Growth::missed));
    Ok(outcome)
}

struct Bench {
    nodes: PathBuf,
    kflow: PathBuf,
    folder: PathBuf,
    rounds: Rounds,
}

impl Bench {
    fn new(workspace: &Workspace, rounds: Rounds) -> Result<Self> {
        let built = Built::new(workspace, &["nodes"])?;
        let folder = workspace.target().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { nodes: built.program("nodes"), kflow: built.kflow, folder, rounds })
    }

    fn measure(&self, what: What, nodes: u64, rate: u64, rounds: usize) -> Result<Run> {
        step(&format!("{}, {nodes} nodes of {rate}/s", what.name()), || {
            let runs = (0..rounds).map(|_| self.once(what, nodes, rate)).collect::<Result<Vec<_>>>()?;
            Run::of(what, nodes, rate, SECONDS, &runs).context("nodes said something else")
        })
    }

    fn once(&self, what: What, nodes: u64, rate: u64) -> Result<serde_json::Value> {
        let mut command = std::process::Command::new(&self.nodes);
        command.args(["--nodes", &nodes.to_string(), "--rate", &rate.to_string()]);
        command.args(["--seconds", &SECONDS.to_string(), "--what", what.name()]);
        command.arg("--folder").arg(&self.folder).arg("--kflow").arg(&self.kflow);
        let line = crate::step::output(&mut command)?;
        serde_json::from_str(&line).with_context(|| format!("nodes said {line:?}"))
    }

    /// The highest of the lower rates that is kept up with.
    fn sustained(&self, what: What, lines: &mut Vec<String>) -> Result<Option<Run>> {
        for rate in LOWER {
            let mut run = self.measure(what, NODES, rate, 1)?;
            if run.keeps_up() {
                run = self.measure(what, NODES, rate, self.rounds.few())?;
            }
            lines.push(run.line());
            if run.keeps_up() {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    fn growth(&self, figures: &mut Vec<Figure>) -> Result<Vec<Growth>> {
        let mut growths = Vec::new();
        for what in [What::Lines, What::Trace] {
            let runs = GROWTH
                .iter()
                .map(|nodes| self.measure(what, *nodes, GROWTH_RATE, 1))
                .collect::<Result<Vec<_>>>()?;
            let points = |of: fn(&Run) -> f64| runs.iter().map(|run| (run.count(), of(run))).collect();
            let name = what.command();
            growths.push(Growth {
                what: format!("processor, {name}"),
                with: "nodes",
                unit: "ms",
                points: points(|run| run.processor * 1e3),
            });
            growths.push(Growth {
                what: format!("memory, {name}"),
                with: "nodes",
                unit: "MiB",
                points: points(|run| run.memory),
            });
            let last = runs.last().map(Run::each_runs).unwrap_or_default();
            figures.extend(Figure::of(
                format!("nodes: {name}, {GROWTH_RATE}/s each, an observation"),
                "ns",
                &last,
            ));
        }
        Ok(growths)
    }
}
