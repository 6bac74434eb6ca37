//! `bpf-linker`, which links LLVM bitcode and so must understand the bitcode of the compiler.

use std::fmt::{self, Display};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context as _, Result, bail, ensure};

use super::apt::Apt;
use super::report::Provided;
use super::rust::Rust;
use crate::step::{output, run};
use crate::workspace::find_program;

/// What is built when the path has none that works.
const VERSION: &str = "0.13.0";
/// What that version can be built against.
const LLVM: RangeInclusive<u32> = 21..=23;

/// The smallest program that makes the compiler call the linker, without a standard library.
const PROBE: &str = r#"
#![feature(no_core, lang_items)]
#![no_core]
#![no_main]
#[lang = "pointee_sized"]
trait PointeeSized {}
#[lang = "meta_sized"]
trait MetaSized: PointeeSized {}
#[lang = "sized"]
trait Sized: MetaSized {}
#[unsafe(no_mangle)]
extern "C" fn probe() {}
"#;

/// A linker that links what the compiler emits.
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    version: String,
    llvm: u32,
}

/// Finds one that works with `rust`, or builds it below `directory`. The error names the remedy.
pub(crate) fn provide(rust: &Rust, apt: &Apt, directory: &Path) -> Result<Provided<Linker>> {
    let root = directory.join(format!("tools/llvm-{}", rust.llvm));
    let built = root.join("bin/bpf-linker");
    if let Some(path) = find_program("bpf-linker") {
        match try_linker(rust, &path, directory) {
            Ok(linker) => return Ok(Provided::found(linker)),
            Err(error) => eprintln!("bpf-linker: not {}: {error:#}", path.display()),
        }
    }
    if built.is_file()
        && let Ok(linker) = try_linker(rust, &built, directory)
    {
        return Ok(Provided::found(linker));
    }
    build(rust, apt, &root).with_context(|| remedy(rust))?;
    Ok(Provided::installed(try_linker(rust, &built, directory).with_context(|| remedy(rust))?))
}

fn remedy(rust: &Rust) -> String {
    let llvm = rust.llvm;
    format!(
        "apt-get install llvm-{llvm}-dev and run this again, or put a bpf-linker for LLVM {llvm} on the path \
         (https://github.com/aya-rs/bpf-linker/releases)"
    )
}

/// Links a program with it.
fn try_linker(rust: &Rust, path: &Path, directory: &Path) -> Result<Linker> {
    let scratch = directory.join(format!("probe-{}", process::id()));
    let version = output(Command::new(path).arg("--version"))?;
    let linked = fs::create_dir_all(&scratch)
        .and_then(|()| fs::write(scratch.join("probe.rs"), PROBE))
        .with_context(|| format!("cannot write to {}", scratch.display()))
        .and_then(|()| link_probe(rust, path, &scratch));
    let _left_behind = fs::remove_dir_all(&scratch);
    linked?;
    Ok(Linker { path: path.to_owned(), version: version.trim().to_owned(), llvm: rust.llvm })
}

fn link_probe(rust: &Rust, linker: &Path, scratch: &Path) -> Result<()> {
    let mut rustc = Command::new(&rust.rustc);
    rustc
        .current_dir(scratch)
        .env("RUSTC_BOOTSTRAP", "1")
        .args("--target bpfel-unknown-none -C panic=abort -C debuginfo=2 -C link-arg=--btf".split(' '))
        .args(["probe.rs", "-o", "probe", "-C"])
        .arg(format!("linker={}", linker.display()));
    output(&mut rustc).map(|_warnings| ())
}

/// Compiles it against the LLVM that the compiler has, which takes about a minute.
fn build(rust: &Rust, apt: &Apt, root: &Path) -> Result<()> {
    let llvm = rust.llvm;
    ensure!(LLVM.contains(&llvm), "bpf-linker {VERSION} does not know LLVM {llvm}");
    let prefix = llvm_prefix(llvm, apt)?;
    let scratch = root.join("build");
    eprintln!("cargo install bpf-linker {VERSION} (for LLVM {llvm}, as in {})", rust.version);
    run(Command::new(&rust.cargo)
        .args(["install", "bpf-linker", "--locked", "--quiet", "--force", "--no-default-features"])
        .args(["--version", VERSION, "--features", &format!("llvm-{llvm}"), "--root"])
        .arg(root)
        .arg("--target-dir")
        .arg(&scratch)
        .env("RUSTC", &rust.rustc)
        .env("LLVM_PREFIX", prefix))?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}

/// Where LLVM's headers and libraries are, installing them when they are not.
fn llvm_prefix(llvm: u32, apt: &Apt) -> Result<PathBuf> {
    if let Some(prefix) = find_llvm(llvm) {
        return Ok(prefix);
    }
    apt.install(&[&format!("llvm-{llvm}-dev")], "bpf-linker is built against it")?;
    match find_llvm(llvm) {
        Some(prefix) => Ok(prefix),
        None => bail!("llvm-{llvm}-dev brings no llvm-config-{llvm}"),
    }
}

fn find_llvm(llvm: u32) -> Option<PathBuf> {
    let debian = format!("/usr/lib/llvm-{llvm}/bin/llvm-config");
    [debian, format!("llvm-config-{llvm}"), "llvm-config".to_owned()].iter().find_map(|config| {
        let version = output(Command::new(config).arg("--version")).ok()?;
        let prefix = PathBuf::from(output(Command::new(config).arg("--prefix")).ok()?.trim());
        let is_it = version.starts_with(&format!("{llvm}."));
        (is_it && prefix.join("include/llvm-c/Core.h").is_file()).then_some(prefix)
    })
}

impl Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for LLVM {} ({})", self.version, self.llvm, self.path.display())
    }
}
