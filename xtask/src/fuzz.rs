//! Bytes of anybody's making: the targets of `tracer-core/fuzz`, each for some time of the processor.
//!
//! They are built as `cargo fuzz` builds them, by the toolchain of everything else: a release compiler takes the
//! flags that are unstable where `RUSTC_BOOTSTRAP` is set. So a fresh machine needs neither a nightly nor
//! cargo-fuzz, with which the targets run as well.

mod corpus;
mod fuzzer;
mod log;
mod target;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow, bail};

use self::fuzzer::{Fuzzer, Outcome, manifest};
use self::target::{TARGETS, Target};
use crate::setup::program;
use crate::step::{run, step};
use crate::workspace::Workspace;

/// Seconds of the processor that a target gets if none are said.
const SECONDS: u32 = 60;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Of the processor, for each target.
    seconds: u32,
    /// None means every one.
    targets: Vec<&'static Target>,
    /// Whether the repository's corpora become those of this run.
    is_kept: bool,
}

impl Options {
    /// From the words after `fuzz`; none if they make no sense.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self { seconds: SECONDS, targets: Vec::new(), is_kept: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--target" => options.targets.push(Target::named(words.next()?)?),
                "--keep" => options.is_kept = true,
                number => options.seconds = number.parse().ok().filter(|seconds| *seconds > 0)?,
            }
        }
        if options.targets.is_empty() {
            options.targets = TARGETS.iter().collect();
        }
        Some(options)
    }
}

/// Formats and clippy: what is a workspace of its own is in no check of the other one.
pub(crate) fn lint(workspace: &Workspace) -> Result<()> {
    provide_compiler()?;
    let fuzz = |words: &str| {
        let mut cargo = workspace.cargo(words);
        cargo.arg("--manifest-path").arg(manifest(workspace));
        cargo.env("CARGO_TARGET_DIR", workspace.target().join("lint"));
        cargo
    };
    run(fuzz("fmt").arg("--check"))?;
    run(fuzz("clippy --locked --all-targets").args(["--", "-D", "warnings"]))
}

/// Builds the targets and runs them, one on each processor at a time.
pub(crate) fn fuzz(workspace: &Workspace, options: &Options) -> Result<()> {
    step("setup", provide_compiler)?;
    let fuzzer = Fuzzer::new(workspace)?;
    step("build the fuzz targets", || fuzzer.build(workspace))?;
    step("make their seeds", || fuzzer.seeds(workspace))?;
    let names: Vec<&str> = options.targets.iter().map(|target| target.name).collect();
    let what = format!("fuzz {}, each for {} s of the processor", names.join(", "), options.seconds);
    step(&what, || {
        options.targets.iter().try_for_each(|target| fuzzer.unpack(workspace, target))?;
        run_all(&fuzzer, options)
    })?;
    if options.is_kept {
        step("keep the corpora", || {
            options.targets.iter().try_for_each(|target| fuzzer.keep(workspace, target))
        })?;
    }
    Ok(())
}

fn provide_compiler() -> Result<()> {
    program("c++", "g++", "libFuzzer is built with it").map(|_path| ())
}

fn run_all(fuzzer: &Fuzzer, options: &Options) -> Result<()> {
    let waiting: Mutex<VecDeque<&Target>> = Mutex::new(options.targets.iter().copied().collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || -> Result<Vec<&str>> {
        let mut found = Vec::new();
        while let Some(target) = next() {
            let outcome = fuzzer.run(target, options.seconds)?;
            eprintln!("{}", summary(target.name, &outcome));
            if let Some((status, log)) = &outcome.found {
                found.push(target.name);
                fuzzer.tell(target, *status, log);
            }
        }
        Ok(found)
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<Vec<&str>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a thread ended"))))
            .collect()
    });
    let found = results.into_iter().collect::<Result<Vec<_>>>()?.concat();
    if found.is_empty() {
        return Ok(());
    }
    bail!("{} found something", found.join(", "))
}

/// How many inputs were tried, how much of the program they reached, how many of them are worth keeping.
fn summary(target: &str, outcome: &Outcome) -> String {
    let Outcome { seconds, inputs, covered, corpus, memory, found: _ } = outcome;
    format!(
        "{target}: {inputs} inputs in {seconds:.0} s, {covered} edges covered, corpus {corpus}, {memory} MB"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_command() {
        let all: Vec<&Target> = TARGETS.iter().collect();
        let parsed = |words: &[&str]| Options::parse(words);
        assert_eq!(parsed(&[]), Some(Options { seconds: 60, targets: all, is_kept: false }));
        let some = Options { seconds: 5, targets: vec![&TARGETS[1], &TARGETS[0]], is_kept: true };
        assert_eq!(parsed(&["5", "--target", "correlate", "--keep", "--target", "answers"]), Some(some));
        for wrong in [&["0"][..], &["x"], &["--target"], &["--target", "none"]] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_outcome_in_a_line() {
        let outcome = Outcome {
            seconds: 59.6,
            inputs: 99,
            covered: "321".to_owned(),
            corpus: "20/4Kb".to_owned(),
            memory: 31,
            found: None,
        };
        let line = "decode: 99 inputs in 60 s, 321 edges covered, corpus 20/4Kb, 31 MB";
        assert_eq!(summary("decode", &outcome), line);
    }
}
