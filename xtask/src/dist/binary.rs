//! The binary `kflow`, one file that needs nothing but a kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use ebpf_build::Toolchain as EbpfToolchain;

use super::commit::Commit;
use super::target::Target;
use crate::step::{output, run, step};
use crate::workspace::Workspace;

/// More than this is refused: it is what every node pulls.
const LIMIT: u64 = 20 << 20;

/// The profile of the workspace that is for this.
const PROFILE: &str = "ship";

/// A program that was built and looked at.
pub(super) struct Binary {
    pub(super) target: Target,
    pub(super) path: PathBuf,
}

impl Binary {
    /// Builds `kflow`, and refuses what could not be shipped.
    pub(super) fn build(workspace: &Workspace, target: Target, commit: &Commit) -> Result<Self> {
        let what = format!("kflow for {target}");
        let path = step(&what, || {
            let has_object = EbpfToolchain::read(workspace.target())?.is_some_and(|found| found.is_present());
            ensure!(has_object, "there is no eBPF toolchain: run `cargo xtask setup`");
            let words = ["--package", "tracer", "--bin", "kflow"];
            let path = compile(workspace, target, &words, "kflow", Some(commit))?;
            check_size(&path)?;
            Ok(path)
        })?;
        let binary = Self { target, path };
        step(&format!("{what} says what it is"), || binary.check_version(commit))?;
        Ok(binary)
    }

    /// What runs it: itself, or an emulator with it. None where there is no emulator; its absence was told.
    pub(super) fn command(&self) -> Result<Command> {
        Ok(match self.target.emulator()? {
            None => Command::new(&self.path),
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(&self.path);
                command
            }
        })
    }

    fn check_version(&self, commit: &Commit) -> Result<()> {
        let mut command = match self.command() {
            Ok(command) => command,
            Err(reason) => {
                eprintln!("not run: {reason:#}");
                return Ok(());
            }
        };
        let said = output(command.arg("--version"))?;
        eprint!("{said}");
        ensure!(said.starts_with(&format!("kflow {}\n", super::VERSION)), "it is of another version");
        ensure!(said.contains(&format!("commit: {}\n", commit.hash)), "it is not of {}", commit.hash);
        ensure!(said.contains("object: sha256:"), "it has no eBPF object");
        Ok(())
    }
}

/// Builds a program of the workspace for `target`, checks that it is static, and returns its path.
pub(crate) fn compile(
    workspace: &Workspace,
    target: Target,
    words: &[&str],
    name: &str,
    commit: Option<&Commit>,
) -> Result<PathBuf> {
    let toolchain = target.toolchain().with_context(|| format!("cannot build for {target}"))?;
    let mut cargo = workspace.cargo("build --locked");
    cargo.args(["--profile", PROFILE, "--target", target.triple()]).args(words);
    toolchain.configure(&mut cargo, target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remapped(workspace)?).env("CARGO_TARGET_DIR", workspace.target());
    if let Some(commit) = commit {
        cargo.env("KFLOW_COMMIT", &commit.hash);
    }
    run(&mut cargo)?;
    let path = workspace.target().join(target.triple()).join(PROFILE).join(name);
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let interpreter = is_dynamic(&bytes).with_context(|| format!("{} is no program", path.display()))?;
    ensure!(!interpreter, "{} is not static: it asks for an interpreter", path.display());
    Ok(path)
}

/// The paths of this machine, which the messages of panics would hold, as names that are the same everywhere.
fn remapped(workspace: &Workspace) -> Result<String> {
    let sysroot = output(workspace.command("rustc").args(["--print", "sysroot"]))?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("no home directory")?;
    let paths = [(workspace.root(), "kflow"), (&home, "cargo"), (Path::new(sysroot.trim()), "rust")];
    let flags = paths.map(|(path, name)| format!("--remap-path-prefix={}=/{name}", path.display()));
    Ok(flags.join("\u{1f}"))
}

fn check_size(path: &Path) -> Result<()> {
    let size = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    let mib = |size: u64| format!("{}.{} MiB", size >> 20, ((size & 0xf_ffff) * 10) >> 20);
    eprintln!("{}: {}, static", path.display(), mib(size));
    ensure!(size < LIMIT, "{} has {}, and {} is the limit", path.display(), mib(size), mib(LIMIT));
    Ok(())
}

/// Whether a program has the header `PT_INTERP` (elf(5)), by which the kernel starts a dynamic linker. None where the
/// bytes are no 64-bit little-endian ELF file.
fn is_dynamic(bytes: &[u8]) -> Option<bool> {
    const ELF_64_LITTLE: &[u8] = b"\x7fELF\x02\x01";
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    if !bytes.starts_with(ELF_64_LITTLE) {
        return None;
    }
    let (offset, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..count {
        let kind = number(offset.checked_add(index.checked_mul(size)?)?, 4)?;
        if u32::try_from(kind).ok()? == PT_INTERP {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_an_interpreter_is_dynamic() {
        // This test itself is linked to the C library of the machine.
        let own = fs::read("/proc/self/exe").expect("this program");
        assert_eq!(is_dynamic(&own), Some(true));
        assert_eq!(is_dynamic(&own[..60]), None);
        assert_eq!(is_dynamic(b"#!/bin/sh\n"), None);
        let mut without = own[..64].to_vec();
        without[56..58].copy_from_slice(&[0, 0]);
        assert_eq!(is_dynamic(&without), Some(false));
    }
}
