//! What a live capture costs, beside tcpdump doing the same in the same run.

mod cost;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use self::cost::{Cost, HEAD, Loss};
use super::Rounds;
use super::figure::{Figure, Outcome};
use super::measure::{Built, median};
use crate::setup;
use crate::step::{output, step};
use crate::workspace::{Workspace, require_root};

/// Matches nothing of what is sent.
const MISS: &str = "udp port 53";
/// The most that kflow may add, as a part of what tcpdump adds.
const MOST_ON_MATCH: f64 = 0.5;
const MOST_ON_MISS: f64 = 0.35;
/// KiB of resident memory.
const MOST_MEMORY: u64 = 48 << 10;
/// Interfaces, and seconds in which programs are on all of them or off.
const INTERFACES: &str = "250";
const MOST_SECONDS: f64 = 1.0;

/// Packets, and where they are captured.
struct Load {
    name: &'static str,
    /// As `load` takes it, where packets match and where none does. In the latter case little is done: what a capture
    /// takes without any packet would weigh in if there were few.
    words: [&'static [&'static str]; 2],
}

const LOADS: [Load; 3] = [
    Load { name: "flood sent", words: [&["flood", "--count", "200000"], &["flood", "--count", "1000000"]] },
    Load {
        name: "flood received",
        words: [
            &["flood", "--side", "receiver", "--count", "200000"],
            &["flood", "--side", "receiver", "--count", "1000000"],
        ],
    },
    Load { name: "stream received", words: [&["stream", "--side", "receiver"]; 2] },
];

/// Snap lengths as both tools take them, 0 being all; absent for a filter that nothing passes.
const SNAPS: [Option<&str>; 4] = [Some("96"), Some("256"), Some("0"), None];

/// Measures all of it.
pub(super) fn bench(workspace: &Workspace, rounds: Rounds) -> Result<Outcome> {
    require_root("a live capture is measured")?;
    let bench = step("setup and build (release)", || Bench::new(workspace, rounds))?;
    let mut outcome = Outcome::default();
    let mut rows = Vec::new();
    for load in &LOADS {
        for snap in SNAPS {
            let name = format!("{}, {}", load.name, name(snap));
            rows.push(step(&name, || bench.cost(&name, load, snap))?);
        }
    }
    outcome.table("What a capture costs", HEAD, &rows.iter().map(Cost::line).collect::<Vec<_>>());
    outcome.figures.extend(rows.iter().filter_map(Cost::figure));
    outcome.missed.extend(rows.iter().filter_map(Cost::missed));
    let losses = step("flood at full rate", || bench.losses())?;
    outcome.table("Losses", cost::LOSS_HEAD, &losses.iter().map(Loss::line).collect::<Vec<_>>());
    outcome.figures.extend(losses.iter().flat_map(Loss::figures));
    outcome.missed.extend(losses.iter().flat_map(Loss::missed));
    let programs = step("the programs alone", || programs::measure(workspace))?;
    let lines: Vec<_> = programs.iter().map(programs::Program::line).collect();
    outcome.table("The programs alone", programs::HEAD, &lines);
    outcome.figures.extend(programs.iter().filter_map(programs::Program::figure));
    outcome.missed.extend(programs.iter().filter_map(programs::Program::missed));
    let times = step("begin and end", || bench.times())?;
    outcome.table("Begin and end", TIME_HEAD, &times.iter().map(Time::line).collect::<Vec<_>>());
    outcome.figures.extend(times.iter().filter_map(Time::figure));
    outcome.missed.extend(times.iter().filter_map(Time::missed));
    Ok(outcome)
}

fn name(snap: Option<&str>) -> String {
    match snap {
        None => "no match".to_owned(),
        Some("0") => "all bytes".to_owned(),
        Some(bytes) => format!("{bytes} bytes"),
    }
}

struct Bench {
    kflow: PathBuf,
    load: PathBuf,
    folder: PathBuf,
    rounds: Rounds,
}

/// How long something took.
struct Time {
    what: &'static str,
    /// Of each run.
    runs: Vec<f64>,
    /// Those of the rival at the same.
    rival: Option<Vec<f64>>,
    most: Option<f64>,
}

const TIME_HEAD: &str = "\
| | time | required |
| --- | ---: | ---: |";

impl Time {
    fn line(&self) -> String {
        let most = self.most.map_or_else(String::new, |most| format!("{most} s"));
        format!("| {} | {:.3} s | {most} |", self.what, self.seconds())
    }

    fn missed(&self) -> Option<String> {
        let most = self.most.filter(|most| self.seconds() > *most)?;
        Some(format!("{} took {:.2} s, more than {most}", self.what, self.seconds()))
    }

    fn seconds(&self) -> f64 {
        median(self.runs.clone()).unwrap_or_default()
    }

    /// Beside a rival its part of what that one takes; absent for the rival itself.
    fn figure(&self) -> Option<Figure> {
        let name = format!("time: {}", self.what);
        match &self.rival {
            Some(rival) => {
                let ratios: Vec<_> =
                    self.runs.iter().zip(rival).map(|(ours, theirs)| ours / theirs).collect();
                Figure::of(format!("{name} / tcpdump"), "ratio", &ratios)
            }
            None if self.what.starts_with("tcpdump") => None,
            None => Figure::of(name, "s", &self.runs),
        }
    }
}

impl Bench {
    fn new(workspace: &Workspace, rounds: Rounds) -> Result<Self> {
        setup::program("tcpdump", "tcpdump", "kflow is measured beside it")?;
        setup::program("iperf3", "iperf3", "it makes a stream to capture")?;
        let built = Built::new(workspace, &["load"])?;
        let folder = workspace.target().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { load: built.program("load"), kflow: built.kflow, folder, rounds })
    }

    /// What `load` says, given these words.
    fn load(&self, words: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.load);
        command.args(words).arg("--kflow").arg(&self.kflow);
        let line = output(&mut command)?;
        serde_json::from_str(&line).with_context(|| format!("load said {line:?}"))
    }

    fn captured(&self, load: &[&str], snap: Option<&str>) -> Result<Value> {
        let folder = self.folder.to_string_lossy();
        let mut words = load.to_vec();
        words.extend(["--folder", &folder]);
        match snap {
            Some(snap) => words.extend(["--snap", snap]),
            None => words.extend(["--filter", MISS]),
        }
        self.load(&words)
    }

    fn cost(&self, name: &str, load: &Load, snap: Option<&str>) -> Result<Cost> {
        let words = load.words[usize::from(snap.is_none())];
        let mut runs = Vec::new();
        for _ in 0..self.rounds.many() {
            runs.push(self.captured(words, snap)?);
        }
        let most = if snap.is_some() { MOST_ON_MATCH } else { MOST_ON_MISS };
        Cost::of(name, &runs, most).context("load said something else")
    }

    fn losses(&self) -> Result<Vec<Loss>> {
        let snaps = SNAPS.iter().flatten();
        let measure = |snap: &&str| {
            let mut runs = Vec::new();
            for _ in 0..self.rounds.many() {
                runs.push(self.captured(&["flood", "--alone", "--count", "500000"], Some(snap))?);
            }
            Loss::of(&name(Some(snap)), &runs, MOST_MEMORY).context("load said something else")
        };
        snaps.map(measure).collect()
    }

    fn times(&self) -> Result<Vec<Time>> {
        let runs = |words: &[&str], runs: usize, of: [&str; 2]| -> Result<[Vec<f64>; 2]> {
            let told = (0..runs).map(|_| self.load(words)).collect::<Result<Vec<_>>>()?;
            let all = |what: &str| {
                let values = told.iter().map(|one| one[what].as_f64()).collect::<Option<Vec<_>>>();
                values.with_context(|| format!("no {what}"))
            };
            Ok([all(of[0])?, all(of[1])?])
        };
        let many = self.rounds.many();
        let [ours, theirs] = runs(&["start"], many, ["kflow", "tcpdump"])?;
        let attach = ["attach", "--interfaces", INTERFACES, "--mode"];
        let of = ["start", "stop"];
        let [on, off] = runs(&[&attach[..], &["auto"]].concat(), many, of)?;
        let [tcx_on, tcx_off] = runs(&[&attach[..], &["tcx"]].concat(), 1, of)?;
        let time = |what, runs, most| Time { what, runs, rival: None, most };
        let start = "kflow on lo, from its start to its readiness";
        Ok(vec![
            Time { what: start, runs: ours, rival: Some(theirs.clone()), most: None },
            time("tcpdump on lo, likewise", theirs, None),
            time("kflow on 250 interfaces, from its start to its readiness", on, Some(MOST_SECONDS)),
            time("kflow on 250 interfaces, from SIGINT to its end", off, Some(MOST_SECONDS)),
            time("kflow on 250 interfaces by TCX, from its start to its readiness", tcx_on, None),
            time("kflow on 250 interfaces by TCX, from SIGINT to its end", tcx_off, None),
        ])
    }
}
