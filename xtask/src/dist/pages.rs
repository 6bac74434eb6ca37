//! Completions and the manual, written by the program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::binary::Binary;
use super::commit::Commit;
use crate::step::output;

/// A shell, and the name by which it finds completions of `kflow`.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "completions/bash/kflow"),
    ("zsh", "completions/zsh/_kflow"),
    ("fish", "completions/fish/kflow.fish"),
];

/// Writes them below `out`, and returns their paths relative to it. The first binary that runs here does it.
pub(super) fn write(binaries: &[Binary], commit: &Commit, out: &Path) -> Result<Vec<PathBuf>> {
    let kflow = || runnable(binaries);
    let mut pages = Vec::new();
    for (shell, name) in SHELLS {
        let script = output(kflow()?.args(["completion", shell]))?;
        let path = out.join(name);
        let parent = path.parent().context("no directory")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
        pages.push(name.into());
    }
    let manual = out.join("man/man1");
    let date = commit.time.split('T').next().unwrap_or_default();
    output(kflow()?.args(["man", "--date", date]).arg(&manual))?;
    let cannot = || format!("cannot list {}", manual.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&manual).with_context(cannot)? {
        names.push(Path::new("man/man1").join(entry.with_context(cannot)?.file_name()));
    }
    names.sort();
    eprintln!("{} completions, {} pages of the manual", pages.len(), names.len());
    pages.extend(names);
    Ok(pages)
}

/// The first program that runs here.
pub(super) fn runnable(binaries: &[Binary]) -> Result<Command> {
    let first = binaries.iter().find_map(|binary| binary.command().ok());
    first.context("none of the programs runs here, and a part of what is shipped is what they print")
}
