//! Whether kflow names what goes wrong: faults injected into the lab, as a table per fault.

use anyhow::Result;

use crate::setup::setup;
use crate::step::{run, step};
use crate::workspace::{Workspace, require_root};

/// Injects faults, compares what is told, and fails if a requirement is missed. `words` go to the program that does it:
/// `[FAULT...] [--variants N] [--jobs N] [--healthy N]`.
pub(crate) fn diagnose(workspace: &Workspace, words: &[String]) -> Result<()> {
    require_root("the lab makes network namespaces and loads eBPF programs")?;
    step("setup", || setup(workspace))?;
    step("build (release)", || {
        let programs = "build --release --package tracer --package tests --bin kflow --bin diagnose";
        run(&mut workspace.cargo(programs))
    })?;
    step("the lab", || {
        let program = workspace.target().join("release").join("diagnose");
        run(workspace.command(program).args(words))
    })
}
