//! Whether what kflow tells is true: simulated networks and the lab, each as a table per condition and protocol.

use anyhow::Result;

use crate::setup::setup;
use crate::step::{run, step};
use crate::workspace::{Workspace, require_root};

/// Compares what is told with what happened, and fails if either table misses a requirement.
///
/// Both tables are printed even if the first one fails.
pub(crate) fn accuracy(workspace: &Workspace) -> Result<()> {
    require_root("the lab makes network namespaces and loads eBPF programs")?;
    step("setup", || setup(workspace))?;
    step("build (release)", || {
        let programs = "build --release --package tracer --package tests --bin kflow --bin ground_truth";
        run(&mut workspace.cargo(programs))?;
        run(workspace.cargo("test --release --no-run --quiet").args(SIMULATION))
    })?;
    let simulated = step("simulated networks", || {
        let mut cargo = workspace.cargo("test --release --quiet");
        run(cargo.args(SIMULATION).args(["--", "--exact", "accuracy", "--ignored", "--nocapture"]))
    });
    let measured = step("the lab", || {
        let release = workspace.target().join("release");
        run(&mut workspace.command(release.join("ground_truth")))
    });
    simulated.and(measured)
}

const SIMULATION: [&str; 4] = ["--package", "tracer-core", "--test", "simulation"];
