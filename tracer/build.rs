//! Embeds the kernel side as `OUT_DIR/tracer-ebpf`, which is empty on a machine without an eBPF toolchain, and tells
//! what this build is made of: `KFLOW_COMMIT` and `KFLOW_OBJECT` in the environment of the compiler.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use ebpf_build::Object;
use sha2::{Digest as _, Sha256};

/// What kflow is made of, relative to this package: a change of these makes a build differ from its commit.
const SOURCES: &[&str] =
    &["../Cargo.lock", "../Cargo.toml", "../tracer", "../tracer-common", "../tracer-core", "../tracer-ebpf"];

/// Tells the commit where there is no checkout to ask, as in an archive of the sources.
const COMMIT: &str = "KFLOW_COMMIT";

fn main() -> ExitCode {
    let embedded = ebpf_build::embed(&Object {
        package: "tracer-ebpf",
        sources: &[
            "../Cargo.lock",
            "../Cargo.toml",
            "../tracer-common/Cargo.toml",
            "../tracer-common/src",
            "../tracer-ebpf/Cargo.toml",
            "../tracer-ebpf/src",
        ],
    });
    for source in ["build.rs", "Cargo.toml", "src", "../tracer-core/Cargo.toml", "../tracer-core/src"] {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let commit = env::var(COMMIT).ok().filter(|commit| !commit.is_empty()).or_else(checked_out);
    println!("cargo::rustc-env={COMMIT}={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo::rustc-env=KFLOW_OBJECT={}", object().as_deref().unwrap_or("none"));
    embedded
}

/// SHA-256 of the object, in hexadecimal; none where it is empty.
fn object() -> Option<String> {
    let object = fs::read(PathBuf::from(env::var_os("OUT_DIR")?).join("tracer-ebpf")).ok()?;
    if object.is_empty() {
        return None;
    }
    Some(Sha256::digest(&object).iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

/// The commit of this checkout, with `-dirty` if what kflow is made of differs from it. None where this is no checkout
/// of its own: an archive of the sources below some other repository is not of that repository's commit.
fn checked_out() -> Option<String> {
    let root = Path::new("..").canonicalize().ok()?;
    if Path::new(&git(&["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != root {
        return None;
    }
    watch_head();
    let commit = git(&["rev-parse", "HEAD"])?;
    let mut status = vec!["--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--"];
    status.extend(SOURCES);
    let is_dirty = !git(&status)?.is_empty();
    Some(if is_dirty { format!("{commit}-dirty") } else { commit })
}

/// Runs this script again when another commit is checked out, or made. Files that are not there are not watched, since
/// cargo takes a missing file for one that has changed.
fn watch_head() {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).is_file());
        if let Some(path) = path {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}

/// What git prints, asked in this package; none where it fails or is not there.
fn git(words: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // Set inside of hooks, for the repository of the hook.
    for name in ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"] {
        git.env_remove(name);
    }
    let output = git.args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
