//! What a live capture costs, beside tcpdump doing the same in the same run.

mod cost;
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use self::cost::{Cost, HEAD, Loss};
use super::measure::median;
use crate::setup;
use crate::step::{output, run, step};
use crate::workspace::{Workspace, require_root};

/// Rounds of which the median counts.
const ROUNDS: usize = 5;
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

/// Measures, prints tables, and tells which requirements are missed.
pub(super) fn bench(workspace: &Workspace) -> Result<Vec<String>> {
    require_root("a live capture is measured")?;
    let bench = step("setup and build (release)", || Bench::new(workspace))?;
    let mut rows = Vec::new();
    for load in &LOADS {
        for snap in SNAPS {
            let name = format!("{}, {}", load.name, name(snap));
            rows.push(step(&name, || bench.cost(&name, load, snap))?);
        }
    }
    let losses = step("flood at full rate", || bench.losses())?;
    let programs = step("the programs alone", || programs::measure(workspace))?;
    let times = step("begin and end", || bench.times())?;
    println!("\n{}", bench.versions()?);
    print(HEAD, &rows.iter().map(Cost::line).collect::<Vec<_>>());
    print(cost::LOSS_HEAD, &losses.iter().map(Loss::line).collect::<Vec<_>>());
    print(programs::HEAD, &programs.iter().map(programs::Program::line).collect::<Vec<_>>());
    print(TIME_HEAD, &times.iter().map(Time::line).collect::<Vec<_>>());
    let missed = [
        rows.iter().filter_map(Cost::missed).collect::<Vec<_>>(),
        losses.iter().flat_map(Loss::missed).collect(),
        programs.iter().filter_map(programs::Program::missed).collect(),
        times.iter().filter_map(Time::missed).collect(),
    ];
    Ok(missed.concat())
}

fn print(head: &str, lines: &[String]) {
    println!("\n{head}\n{}", lines.join("\n"));
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
    tcpdump: PathBuf,
    load: PathBuf,
    folder: PathBuf,
}

/// How long something took.
struct Time {
    what: &'static str,
    seconds: f64,
    most: Option<f64>,
}

const TIME_HEAD: &str = "\
| | time | required |
| --- | ---: | ---: |";

impl Time {
    fn line(&self) -> String {
        let most = self.most.map_or_else(String::new, |most| format!("{most} s"));
        format!("| {} | {:.3} s | {most} |", self.what, self.seconds)
    }

    fn missed(&self) -> Option<String> {
        let most = self.most.filter(|most| self.seconds > *most)?;
        Some(format!("{} took {:.2} s, more than {most}", self.what, self.seconds))
    }
}

impl Bench {
    fn new(workspace: &Workspace) -> Result<Self> {
        let tcpdump = setup::program("tcpdump", "tcpdump", "kflow is measured beside it")?;
        setup::program("iperf3", "iperf3", "it makes a stream to capture")?;
        let what = "--package tracer --package tests --bin kflow --bin load";
        run(&mut workspace.cargo(&format!("build --locked --release {what}")))?;
        let release = workspace.target().join("release");
        let folder = workspace.target().join("bench");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { kflow: release.join("kflow"), tcpdump, load: release.join("load"), folder })
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
        for _ in 0..ROUNDS {
            runs.push(self.captured(words, snap)?);
        }
        let most = if snap.is_some() { MOST_ON_MATCH } else { MOST_ON_MISS };
        Cost::of(name, &runs, most).context("load said something else")
    }

    fn losses(&self) -> Result<Vec<Loss>> {
        let snaps = SNAPS.iter().flatten();
        let measure = |snap: &&str| {
            let mut runs = Vec::new();
            for _ in 0..ROUNDS {
                runs.push(self.captured(&["flood", "--alone", "--count", "500000"], Some(snap))?);
            }
            Loss::of(&name(Some(snap)), &runs, MOST_MEMORY).context("load said something else")
        };
        snaps.map(measure).collect()
    }

    fn times(&self) -> Result<Vec<Time>> {
        let medians = |words: &[&str], runs: usize, of: [&str; 2]| -> Result<[f64; 2]> {
            let told = (0..runs).map(|_| self.load(words)).collect::<Result<Vec<_>>>()?;
            let median_of = |what: &str| {
                let values = told.iter().map(|one| one[what].as_f64()).collect::<Option<Vec<_>>>();
                values.and_then(median).with_context(|| format!("no {what}"))
            };
            Ok([median_of(of[0])?, median_of(of[1])?])
        };
        let [ours, theirs] = medians(&["start"], ROUNDS, ["kflow", "tcpdump"])?;
        let attach = ["attach", "--interfaces", INTERFACES, "--mode"];
        let of = ["start", "stop"];
        let [on, off] = medians(&[&attach[..], &["auto"]].concat(), ROUNDS, of)?;
        let [tcx_on, tcx_off] = medians(&[&attach[..], &["tcx"]].concat(), 1, of)?;
        let time = |what, seconds, most| Time { what, seconds, most };
        Ok(vec![
            time("kflow on lo, from its start to its readiness", ours, None),
            time("tcpdump on lo, likewise", theirs, None),
            time("kflow on 250 interfaces, from its start to its readiness", on, Some(MOST_SECONDS)),
            time("kflow on 250 interfaces, from SIGINT to its end", off, Some(MOST_SECONDS)),
            time("kflow on 250 interfaces by TCX, from its start to its readiness", tcx_on, None),
            time("kflow on 250 interfaces by TCX, from SIGINT to its end", tcx_off, None),
        ])
    }

    fn versions(&self) -> Result<String> {
        let first_line = |program: &PathBuf| {
            let text = output(Command::new(program).arg("--version"))?;
            anyhow::Ok(text.lines().next().unwrap_or_default().to_owned())
        };
        Ok(format!("{}; {}; medians of {ROUNDS}", first_line(&self.kflow)?, first_line(&self.tcpdump)?))
    }
}
