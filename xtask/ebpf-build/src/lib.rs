//! Builds eBPF objects from the build scripts of the crates that embed them.
//!
//! The kernel side compiles for another target, with a standard library built from its sources and a linker of
//! its own. `cargo xtask setup` finds what can do that and writes it down ([`Toolchain`]); a build script reads
//! it and calls that cargo. Where nothing is written down the object is empty and the build succeeds, so that
//! `cargo check`, clippy and the unit tests need no eBPF toolchain.
#![forbid(unsafe_code)]

mod compile;
mod toolchain;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};

pub use toolchain::{Toolchain, target_dir};

/// Set to `1` or `true`, leaves the object empty whatever the machine has. The name is aya's.
const SKIP: &str = "AYA_BUILD_SKIP";

/// What a build script embeds.
#[derive(Debug)]
pub struct Object<'a> {
    /// The package whose binary of the same name is the object; a member of this workspace.
    pub package: &'a str,
    /// What the object is made of: files and directories, relative to the package that embeds it.
    pub sources: &'a [&'a str],
}

/// Builds `object` into `OUT_DIR/<package>`, as the whole work of a build script.
///
/// The file is empty when there is no toolchain for it. A compile error ends in a failure with the compiler's
/// words on stderr, where cargo shows them.
pub fn embed(object: &Object<'_>) -> ExitCode {
    match try_embed(object) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} does not build: {error:#}", object.package);
            ExitCode::FAILURE
        }
    }
}

fn try_embed(object: &Object<'_>) -> Result<()> {
    for source in object.sources {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed={SKIP}");

    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let destination = out_dir.join(object.package);
    if let Some((toolchain, target_dir)) = toolchain(&out_dir)? {
        let built = compile::compile(object.package, &toolchain, target_dir)?;
        copy(&built, &destination)
    } else {
        println!("cargo::warning=built without eBPF: run `cargo xtask setup`");
        fs::write(&destination, []).with_context(|| format!("cannot write {}", destination.display()))
    }
}

/// The toolchain to build with and cargo's target directory; none where the build goes without.
fn toolchain(out_dir: &Path) -> Result<Option<(Toolchain, &Path)>> {
    if env::var_os(SKIP).is_some_and(|skip| skip == "1" || skip.eq_ignore_ascii_case(OsStr::new("true"))) {
        return Ok(None);
    }
    let Some(target_dir) = target_dir(out_dir) else { return Ok(None) };
    let file = Toolchain::file_to_watch(target_dir)?;
    println!("cargo::rerun-if-changed={}", file.display());
    let toolchain = Toolchain::read(target_dir)?.filter(Toolchain::is_present);
    Ok(toolchain.map(|toolchain| (toolchain, target_dir)))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(|_bytes| ())
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}
