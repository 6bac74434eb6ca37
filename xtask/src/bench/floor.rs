//! What nothing can be cheaper than on this machine: a look at the clock, and copies of bytes.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::figure::{Figure, Outcome};
use super::measure::Built;
use crate::step::{output, step};
use crate::workspace::Workspace;

const HEAD: &str = "\
| at least | near: in the caches | far: into a buffer larger than them |
| --- | ---: | ---: |";

pub(super) fn bench(workspace: &Workspace) -> Result<Outcome> {
    let built = step("build (release)", || Built::new(workspace, &["load"]))?;
    let line = step("clock and copies", || output(Command::new(built.program("load")).arg("floor")))?;
    let told: Value = serde_json::from_str(&line).with_context(|| format!("load said {line:?}"))?;
    let mut outcome = Outcome::default();
    let clock = told["clock"].as_f64().context("no clock")?;
    let mut lines = vec![format!("| reading the clock | {clock:.1} ns | |")];
    outcome.figures.extend(Figure::of("floor: reading the clock", "ns", &[clock]));
    for copy in told["copies"].as_array().into_iter().flatten() {
        let (Some(bytes), Some(near), Some(far)) =
            (copy["bytes"].as_u64(), copy["cached"].as_f64(), copy["memory"].as_f64())
        else {
            continue;
        };
        lines.push(format!("| copying {bytes} bytes | {near:.1} ns | {far:.1} ns |"));
        outcome.figures.extend(Figure::of(format!("floor: copying {bytes} bytes, far"), "ns", &[far]));
    }
    outcome.table("What this machine takes at least", HEAD, &lines);
    Ok(outcome)
}
