//! The main job, shown on real packets.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::setup::setup;
use crate::step::{run, step};
use crate::workspace::{Workspace, require_root};

/// Builds the released `kflow` and becomes the program that raises the lab and calls it.
///
/// Becomes, not starts: signals of every kind reach the one process that knows what to clean up, and its exit
/// code is ours.
pub(crate) fn demo(workspace: &Workspace) -> Result<()> {
    require_root("the demo makes network namespaces and loads eBPF programs")?;
    step("setup", || setup(workspace))?;
    step("build (release)", || {
        run(&mut workspace.cargo("build --release --package tracer --package tests --bin kflow --bin demo"))
    })?;
    let release = workspace.target().join("release");
    let error = workspace
        .command(release.join("demo"))
        .args([release.join("kflow"), workspace.target().join("demo")])
        .exec();
    Err(error).context("cannot run the demo")
}
