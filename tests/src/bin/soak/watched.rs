//! A capture that is looked at while it runs.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use aya::maps::{Map, MapData, MapInfo, PerCpuArray};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::pair::NEAR_INTERFACE;
use tests::process::Held;
use tests::{Namespace, kflow};
use tracer_common::counters::{Counters, InterfaceState};

use crate::Failure;

/// The map that the programs count in (`tracer-ebpf/src/maps.rs`).
const COUNTERS: &str = "INTERFACES";

/// A running capture; dropped without being stopped it is killed.
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    child: Child,
    stderr: BufReader<ChildStderr>,
    counters: PerCpuArray<MapData, InterfaceState>,
}

/// What was found at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Seconds since the beginning.
    pub(crate) at: f64,
    pub(crate) held: Held,
    /// What the programs counted so far.
    pub(crate) counters: Counters,
    /// Bytes handed to the kernel to be written so far (`wchar`).
    pub(crate) output: u64,
}

/// What it said at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) captured: u64,
    pub(crate) received: u64,
    pub(crate) dropped: u64,
    pub(crate) code: Option<i32>,
}

impl Watched {
    /// Starts `kflow capture` on the near interface with these words, and waits until it captures.
    pub(crate) fn start(
        name: &'static str,
        program: &PathBuf,
        near: &Namespace,
        words: &[String],
    ) -> Result<Self, Failure> {
        let mut command = Command::new(program);
        command.args(["capture", "-i", NEAR_INTERFACE, "--netns"]).arg(near.path()).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|source| kflow::KflowError::Start { program: program.clone(), source })?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no pipe")?);
        let mut said = String::new();
        while !said.contains("capturing on") {
            if stderr.read_line(&mut said)? == 0 {
                child.wait()?;
                return Err(kflow::KflowError::NotReady(said).into());
            }
        }
        let counters = counters(child.id())?;
        Ok(Self { name, child, stderr, counters })
    }

    /// What it holds and has counted now.
    pub(crate) fn sample(&self, at: f64) -> Result<Sample, Failure> {
        let held = Held::of(self.child.id())
            .map_err(|error| format!("{} ended before its time: {error}", self.name))?;
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let output = io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
        let mut counters = Counters::default();
        for slot in 0..self.counters.len() {
            for state in self.counters.get(&slot, 0)?.iter() {
                counters = state.directions.iter().fold(counters, |sum, one| sum.plus(one));
            }
        }
        Ok(Sample { at, held, counters, output: output.unwrap_or_default() })
    }

    /// Ends it by SIGINT.
    pub(crate) fn stop(mut self) -> Result<Told, Failure> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        let code = self.child.wait()?.code();
        let number = |what: &str| {
            let line = said.lines().find(|line| line.contains(what));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.ok_or_else(|| format!("{}: no line about {what} in:\n{said}", self.name))
        };
        Ok(Told {
            captured: number("captured")?,
            received: number("received by filter")?,
            dropped: number("dropped by kernel")?,
            code,
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The counters of a capture, among the maps that it holds.
fn counters(process: u32) -> Result<PerCpuArray<MapData, InterfaceState>, Failure> {
    for id in Held::of(process)?.maps {
        if MapInfo::from_id(id)?.name_as_str() == Some(COUNTERS) {
            return Ok(PerCpuArray::try_from(Map::PerCpuArray(MapData::from_id(id)?))?);
        }
    }
    Err(format!("kflow has no map {COUNTERS}").into())
}
