//! Packages of Debian and its descendants.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::step::output;
use crate::workspace::find_program;

/// The package manager, as far as this process may use it.
pub(crate) struct Apt {
    is_root: bool,
    is_present: bool,
}

impl Apt {
    pub(crate) fn new() -> Self {
        Self { is_root: rustix::process::geteuid().is_root(), is_present: find_program("apt-get").is_some() }
    }

    /// Installs `packages` and says that it does and what for. Removes none.
    ///
    /// The lists are fetched only if it fails without: they may be missing or name versions that are gone.
    pub(crate) fn install(&self, packages: &[&str], purpose: &str) -> Result<()> {
        ensure!(self.is_present, "there is no apt-get");
        ensure!(self.is_root, "apt-get needs root");
        eprintln!("apt-get install {} ({purpose})", packages.join(" "));
        if install(packages).is_ok() {
            return Ok(());
        }
        eprintln!("apt-get update (the lists at hand do not do)");
        output(&mut apt_get(&["update"]))?;
        install(packages).map(|_output| ())
    }
}

fn install(packages: &[&str]) -> Result<String> {
    let mut command = apt_get(&["install", "--yes", "--no-install-recommends", "--no-remove"]);
    output(command.args(packages))
}

fn apt_get(words: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(words);
    command
}
