//! A Rust toolchain that builds for the BPF target: it needs the sources of its own standard library.
//!
//! In this order, the first that works:
//! 1. The toolchain that cargo runs with here, which `rust-toolchain.toml` pins. One toolchain for both sides.
//! 2. What the setup before this one chose, when the first needs an installation that failed then.
//! 3. The first, with the sources installed.
//! 4. A nightly.
//! 5. The distribution's packages, where rustup cannot fetch.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, ensure};
use ebpf_build::Toolchain;

use super::apt::Apt;
use super::report::Provided;
use crate::step::output;

/// On the path, rustup's stand-in, which reads `rust-toolchain.toml`, or the only one of a machine without.
const PINNED: &str = "rustc";

/// A compiler and its cargo.
#[derive(Debug)]
pub(crate) struct Rust {
    /// As the compiler says it: `rustc 1.95.0 (59807616e 2026-04-14)`.
    pub(crate) version: String,
    /// Of the LLVM in it.
    pub(crate) llvm: u32,
    /// Whether unstable options need `RUSTC_BOOTSTRAP=1`.
    pub(crate) bootstrap: bool,
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    sysroot: PathBuf,
}

/// Finds one, adding the sources where they are missing. The error names the remedy.
pub(crate) fn provide(apt: &Apt, previous: Option<&Toolchain>) -> Result<Provided<Rust>> {
    let ready = |rustc: &Path| Rust::ask(rustc).ok().filter(Rust::has_sources).map(Provided::found);
    ready(Path::new(PINNED))
        .or_else(|| ready(&previous?.rustc))
        .map_or_else(pinned, Ok)
        .or_else(|error| {
            say_not("the pinned toolchain", &error);
            nightly()
        })
        .or_else(|error| {
            say_not("a nightly", &error);
            distribution(apt)
        })
        .with_context(|| {
            format!(
                "rustup component add rust-src; without rustup, your system's packages of rustc {}, cargo and \
                 rust-src",
                env!("CARGO_PKG_RUST_VERSION")
            )
        })
}

fn say_not(what: &str, error: &anyhow::Error) {
    eprintln!("Rust for BPF: not {what}: {error:#}");
}

fn pinned() -> Result<Provided<Rust>> {
    with_sources(Rust::ask(Path::new(PINNED))?)
}

fn nightly() -> Result<Provided<Rust>> {
    let rustc = output(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]))?;
    with_sources(Rust::ask(Path::new(rustc.trim()))?)
}

fn distribution(apt: &Apt) -> Result<Provided<Rust>> {
    let rustc = Path::new("/usr/bin/rustc");
    if let Some(rust) = Rust::ask(rustc).ok().filter(Rust::has_sources) {
        return Ok(Provided::found(rust));
    }
    apt.install(&["rustc-web", "cargo-web", "rust-web-src"], "builds the eBPF object")?;
    let rust = Rust::ask(rustc)?;
    ensure!(rust.has_sources(), "its packages bring no sources of the standard library");
    Ok(Provided::installed(rust))
}

/// Adds the component by the name of the toolchain's directory: the name in use may be a link to it, for which
/// rustup adds none.
fn with_sources(rust: Rust) -> Result<Provided<Rust>> {
    if rust.has_sources() {
        return Ok(Provided::found(rust));
    }
    let sysroot = rust.sysroot.canonicalize().unwrap_or_else(|_| rust.sysroot.clone());
    let toolchain = sysroot.file_name().context("it is in no directory")?;
    eprintln!("rustup component add rust-src --toolchain {} (builds `core` for BPF)", toolchain.display());
    output(Command::new("rustup").args(["component", "add", "rust-src", "--toolchain"]).arg(toolchain))?;
    ensure!(rust.has_sources(), "rustup added rust-src, but not below {}", sysroot.display());
    Ok(Provided::installed(rust))
}

impl Rust {
    /// Asks a `rustc`, or rustup's stand-in for one, which toolchain it is.
    fn ask(rustc: &Path) -> Result<Self> {
        let answer = output(Command::new(rustc).arg("-vV"))?;
        let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))?;
        let rust = Self::parse(&answer, Path::new(sysroot.trim()))
            .ok_or_else(|| anyhow!("{} does not say what it is: {answer}", rustc.display()))?;
        ensure!(rust.cargo.is_file(), "{} has no cargo", rust.sysroot.display());
        ensure!(
            version(&rust.version) >= version(env!("CARGO_PKG_RUST_VERSION")),
            "{} is older than {}",
            rust.version,
            env!("CARGO_PKG_RUST_VERSION")
        );
        Ok(rust)
    }

    fn parse(answer: &str, sysroot: &Path) -> Option<Self> {
        let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key));
        Some(Self {
            version: answer.lines().next()?.to_owned(),
            llvm: value("LLVM version: ")?.split('.').next()?.parse().ok()?,
            bootstrap: !value("release: ")?.contains("-nightly"),
            cargo: sysroot.join("bin/cargo"),
            rustc: sysroot.join("bin/rustc"),
            sysroot: sysroot.to_owned(),
        })
    }

    fn has_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
    }
}

/// Major and minor version in a text like `1.95` or `rustc 1.95.0 (59807616e 2026-04-14)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches("rustc ").split(['.', '-', ' ']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl Display for Rust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with rust-src, LLVM {} ({})", self.version, self.llvm, self.sysroot.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n\
                          release: 1.95.0\nLLVM version: 22.1.2\n";

    #[test]
    fn reads_what_a_compiler_says_of_itself() {
        let stable = Rust::parse(STABLE, Path::new("/sysroot")).expect("a stable release");
        assert_eq!((stable.llvm, stable.bootstrap), (22, true));
        assert_eq!(stable.cargo, Path::new("/sysroot/bin/cargo"));

        let nightly = STABLE.replace("1.95.0", "1.97.0-nightly");
        assert!(!Rust::parse(&nightly, Path::new("/")).expect("a nightly").bootstrap);
        assert!(Rust::parse("rustc 1.95.0\n", Path::new("/")).is_none());
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("1.95"), Some((1, 95)));
        assert_eq!(version("rustc 1.100.0-nightly (e50aa6fba 2026-05-19)"), Some((1, 100)));
        assert!(version("rustc 1.100.0") > version("1.95"));
        assert_eq!(version("clang"), None);
    }
}
