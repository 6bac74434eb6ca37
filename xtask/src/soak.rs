//! Whether kflow stays what it is while packets pass for an hour.

use anyhow::Result;

use crate::setup::setup;
use crate::step::{run, step};
use crate::workspace::{Workspace, require_root};

/// Captures for so long, prints what was taken meanwhile, and fails if memory, descriptors or kernel memory grew.
pub(crate) fn soak(workspace: &Workspace, seconds: u32) -> Result<()> {
    require_root("packets are sent between network namespaces and captured")?;
    step("setup", || setup(workspace))?;
    step("build (release)", || {
        let programs = "build --release --package tracer --package tests --bin kflow --bin soak";
        run(&mut workspace.cargo(programs))
    })?;
    let release = workspace.target().join("release");
    let folder = workspace.target().join("soak");
    step(&format!("soak for {seconds} s"), || {
        let mut command = workspace.command(release.join("soak"));
        command.args(["--seconds", &seconds.to_string(), "--folder"]).arg(&folder);
        run(command.arg("--kflow").arg(release.join("kflow")))
    })
}
