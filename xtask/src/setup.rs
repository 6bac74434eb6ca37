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

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use ebpf_build::Toolchain;

use self::apt::Apt;
use self::report::Report;
use crate::workspace::{Workspace, find_program};

/// Provides all parts, prints a line for each, and fails when one is missing.
pub(crate) fn setup(workspace: &Workspace) -> Result<()> {
    let apt = Apt::new();
    let mut report = Report::default();
    tools::provide(&apt, &mut report);
    provide_toolchain(workspace, &apt, &mut report)?;
    report.finish()
}

/// Provides one program, for a command that calls no other.
pub(crate) fn program(name: &str, package: &str, purpose: &str) -> Result<PathBuf> {
    if let Some(path) = find_program(name) {
        return Ok(path);
    }
    let remedy = || format!("{purpose}: apt-get install {package}, or your system's package of {name}");
    Apt::new().install(&[package], purpose).with_context(remedy)?;
    find_program(name).with_context(remedy)
}

/// Makes sure that a file of a package is there, which no program on the path stands for.
pub(crate) fn file(path: &Path, package: &str, purpose: &str) -> Result<()> {
    let remedy =
        || format!("{purpose}: apt-get install {package}, or your system's package of {}", path.display());
    if !path.exists() {
        Apt::new().install(&[package], purpose).with_context(remedy)?;
    }
    ensure!(path.exists(), "{}", remedy());
    Ok(())
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
