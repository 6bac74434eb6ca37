//! What can be built for, and with what.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::output;
use crate::workspace::find_program;

/// A platform that kflow runs on. All are Linux with the C library musl, linked statically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    X86_64,
    Aarch64,
}

/// What builds the parts that are written in C and assembly, and links.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// The compiler, which is the linker as well.
    pub(crate) compiler: PathBuf,
}

impl Target {
    /// All.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// By the triple.
    pub(crate) fn named(triple: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.triple() == triple)
    }

    /// By the architecture, as Kubernetes names it.
    pub(crate) fn of(architecture: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.architecture() == architecture)
    }

    /// As Rust names it.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// As images, Kubernetes and Go name it.
    pub(crate) const fn architecture(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// As the kernel, compilers and QEMU name it.
    pub(crate) const fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Whether its programs run here as they are.
    pub(crate) fn is_native(self) -> bool {
        std::env::consts::ARCH == self.machine()
    }

    /// What builds for it here. The error says what is missing and how to get it.
    pub(crate) fn toolchain(self) -> Result<Toolchain> {
        self.has_standard_library()?;
        // musl's own wrapper first. Any other compiler of the machine does: what is in C here includes no header that
        // differs between the C libraries, and is linked to the musl that comes with Rust.
        let mut names = vec![format!("{}-linux-musl-gcc", self.machine())];
        if self.is_native() {
            names.extend(["musl-gcc".to_owned(), "cc".to_owned()]);
        }
        names.push(format!("{}-linux-gnu-gcc", self.machine()));
        let Some(compiler) = names.iter().find_map(|name| find_program(name)) else {
            let package = if self.is_native() { "gcc" } else { self.package() };
            bail!("no C compiler for it ({}): apt-get install {package}", names.join(", "));
        };
        Ok(Toolchain { compiler })
    }

    /// What runs its programs here; none where they run as they are.
    pub(crate) fn emulator(self) -> Result<Option<PathBuf>> {
        if self.is_native() {
            return Ok(None);
        }
        let names = [format!("qemu-{}-static", self.machine()), format!("qemu-{}", self.machine())];
        let found = names.iter().find_map(|name| find_program(name));
        found.map(Some).with_context(|| format!("{} is not here: apt-get install qemu-user-static", names[0]))
    }

    fn has_standard_library(self) -> Result<()> {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let path = output(rustc.args(["--print", "target-libdir", "--target", self.triple()]))?;
        let is_there = std::fs::read_dir(path.trim()).is_ok_and(|mut files| files.next().is_some());
        ensure!(is_there, "no standard library for it: rustup target add {}", self.triple());
        Ok(())
    }

    const fn package(self) -> &'static str {
        match self {
            Self::X86_64 => "gcc-x86-64-linux-gnu",
            Self::Aarch64 => "gcc-aarch64-linux-gnu",
        }
    }
}

impl Toolchain {
    /// Makes cargo, and the `cc` of build scripts, use it.
    pub(crate) fn configure(&self, cargo: &mut Command, target: Target) {
        let name = target.triple().replace('-', "_");
        cargo.env(format!("CC_{name}"), &self.compiler);
        cargo.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), &self.compiler);
        // One place for its sources in the messages of panics, whoever builds it.
        cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.triple())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_known_by_their_triples() {
        for target in Target::ALL {
            assert_eq!(Target::named(target.triple()), Some(target));
        }
        assert_eq!(Target::named("x86_64-unknown-linux-gnu"), None);
    }

    #[test]
    fn cargo_is_told_which_compiler() {
        let mut cargo = Command::new("cargo");
        Toolchain { compiler: "/bin/x".into() }.configure(&mut cargo, Target::Aarch64);
        let told: Vec<_> = cargo.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        for name in ["CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "CC_aarch64_unknown_linux_musl"] {
            assert!(told.contains(&(name.as_ref(), "/bin/x".as_ref())), "{told:?}");
        }
    }
}
