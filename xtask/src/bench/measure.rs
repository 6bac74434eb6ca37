//! What a program takes, on one core.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::{output, run};
use crate::workspace::Workspace;

/// Programs as they are released.
#[derive(Clone, Debug)]
pub(super) struct Built {
    /// The one of `KFLOW` in the environment, where it names one.
    pub(super) kflow: PathBuf,
    folder: PathBuf,
}

impl Built {
    /// Builds kflow, unless another one is to be measured, and programs of the package `tests`.
    pub(super) fn new(workspace: &Workspace, programs: &[&str]) -> Result<Self> {
        let other = env::var_os("KFLOW").map(PathBuf::from);
        let mut cargo = workspace.cargo("build --locked --release --package tests");
        if other.is_none() {
            cargo.args(["--package", "tracer", "--bin", "kflow"]);
        }
        run(cargo.args(programs.iter().flat_map(|program| ["--bin", program])))?;
        let folder = workspace.target().join("release");
        Ok(Self { kflow: other.unwrap_or_else(|| folder.join("kflow")), folder })
    }

    /// One of the programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// One run of a program, or the median of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Run {
    /// On the wall.
    pub(super) seconds: f64,
    /// Of the processor.
    pub(super) processor: f64,
    /// Greatest resident memory, in KiB.
    pub(super) memory: f64,
    pub(super) exit_code: i32,
}

/// The program that runs and measures another one: what a process has used is known to its parent alone.
pub(super) struct Meter {
    pub(super) program: PathBuf,
}

impl Meter {
    /// Runs `command`, its output going to a file.
    pub(super) fn run(&self, command: &Command, to: &Path) -> Result<Run> {
        let mut measured = Command::new(&self.program);
        measured.arg(to).arg(command.get_program()).args(command.get_args());
        let line = output(&mut measured)?;
        Run::parse(&line).with_context(|| format!("measure said {line:?}"))
    }
}

impl Run {
    fn parse(line: &str) -> Option<Self> {
        let [seconds, processor, memory, exit_code] =
            line.split_whitespace().collect::<Vec<_>>().try_into().ok()?;
        Some(Self {
            seconds: seconds.parse().ok()?,
            processor: processor.parse().ok()?,
            memory: memory.parse().ok()?,
            exit_code: exit_code.parse().ok()?,
        })
    }

    /// The median of each figure, and the greatest exit code; absent where there was no run.
    pub(super) fn median(runs: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        Some(Self {
            seconds: of(|run| run.seconds)?,
            processor: of(|run| run.processor)?,
            memory: of(|run| run.memory)?,
            exit_code: runs.iter().map(|run| run.exit_code).max()?,
        })
    }
}

/// The middle one, or the lower of the two in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_a_median() {
        let run = |line: &str| Run::parse(line).expect("four figures");
        let runs = [run("1.5 1.4 300 0\n"), run("9 8 100 3"), run("2.5 2.4 200 0")];
        assert_eq!(
            Run::median(&runs),
            Some(Run { seconds: 2.5, processor: 2.4, memory: 200.0, exit_code: 3 })
        );
        assert_eq!(Run::parse("1.5 1.4 300"), None);
        assert_eq!(Run::median(&[]), None);
    }
}
