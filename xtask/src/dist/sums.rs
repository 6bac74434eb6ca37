//! Checksums of what was made, in the form that `sha256sum --check` reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::blob::sha256_of;

/// The file.
pub(super) const NAME: &str = "SHA256SUMS";

/// Writes the sums of all files of the directory, and not of those below it, which are in the archives.
pub(super) fn write(out: &Path) -> Result<()> {
    let cannot = || format!("cannot list {}", out.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(out).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let name = entry.file_name().into_string().ok().context("a file without a name")?;
        if entry.path().is_file() && name != NAME {
            names.push(name);
        }
    }
    names.sort();
    let mut text = String::new();
    for name in names {
        let _infallible = writeln!(text, "{}  {name}", sha256_of(&out.join(&name))?);
    }
    fs::write(out.join(NAME), text).context("cannot write the checksums")
}
