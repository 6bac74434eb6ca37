//! Finds or installs what the project needs besides Rust.
//!
//! 1. The programs that demo and tests call.
//! 2. A Rust toolchain that builds for the BPF target.
//! 3. A linker that understands what that toolchain emits.
//!
//! What it finds of the last two goes into a file for the build scripts. A second run changes nothing.

mod apt;
mod linker;
mod report;
mod rust;
mod tools;

use anyhow::Result;
use ebpf_build::Toolchain;

use self::apt::Apt;
use self::report::Report;
use crate::workspace::Workspace;

/// Provides all parts, prints a line for each, and fails when one is missing.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    let apt = Apt::new();
    let mut report = Report::default();
    tools::provide(&apt, &mut report);
    provide_toolchain(workspace, &apt, &mut report)?;
    report.finish()
}

fn provide_toolchain(workspace: &Workspace, apt: &Apt, report: &mut Report) -> Result<()> {
    let previous = Toolchain::read(workspace.target())?;
    let Some(rust) = report.part("Rust for BPF", rust::provide(apt, previous.as_ref())) else {
        return Ok(());
    };
    let directory = workspace.target().join("ebpf");
    let Some(linker) = report.part("bpf-linker", linker::provide(&rust, apt, &directory)) else {
        return Ok(());
    };
    Toolchain {
        description: rust.version,
        cargo: rust.cargo,
        rustc: rust.rustc,
        bootstrap: rust.bootstrap,
        linker: linker.path,
    }
    .write(workspace.target())
}
