//! What `cargo xtask setup` found, as a file that build scripts read.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The programs that build an eBPF object, by absolute path: a build script runs in an environment that cargo
/// and rustup have set for another toolchain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// What it is, for people, and the exact version, so that an update rebuilds the object.
    pub description: String,
    /// `cargo`, of the same toolchain as `rustc`.
    pub cargo: PathBuf,
    /// `rustc`, whose sysroot holds the sources of the standard library.
    pub rustc: PathBuf,
    /// Whether it takes unstable options only with `RUSTC_BOOTSTRAP=1`: true of a stable release.
    pub bootstrap: bool,
    /// `bpf-linker`, built with the LLVM version of `rustc`.
    pub linker: PathBuf,
}

/// Cargo's target directory, found from a `path` in it.
///
/// `path` is a build script's `OUT_DIR` or a program that cargo built. Cargo's own mark tells the target
/// directory: it may be anywhere (`CARGO_TARGET_DIR`), with or without a directory per target triple in it, which
/// has a `CACHEDIR.TAG` as well and is not meant. None when there is no mark, which is before cargo has built.
pub fn target_dir(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| dir.join(".rustc_info.json").is_file())
}

impl Toolchain {
    /// The file to watch, made when missing: cargo takes a missing file for one that has changed, and
    /// would run the build script each time. An empty file says that there is no toolchain.
    pub(crate) fn file_to_watch(target_dir: &Path) -> Result<PathBuf> {
        let path = Self::path(target_dir);
        make_parent(&path)
            .and_then(|()| File::options().append(true).create(true).open(&path))
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// What the last setup wrote; none without a setup, or when this program does not understand its words.
    pub fn read(target_dir: &Path) -> Result<Option<Self>> {
        let path = Self::path(target_dir);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes it down for the build scripts. Leaves the file alone when it says so already, because its time
    /// of change makes them run.
    pub fn write(&self, target_dir: &Path) -> Result<()> {
        if Self::read(target_dir)?.as_ref() == Some(self) {
            return Ok(());
        }
        let path = Self::path(target_dir);
        make_parent(&path)
            .and_then(|()| fs::write(&path, self.to_text()))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether its programs are still where they were found.
    pub fn is_present(&self) -> bool {
        [&self.cargo, &self.rustc, &self.linker].into_iter().all(|program| program.is_file())
    }

    fn path(target_dir: &Path) -> PathBuf {
        target_dir.join("ebpf/toolchain")
    }

    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
        };
        Some(Self {
            description: value("description")?,
            cargo: value("cargo")?.into(),
            rustc: value("rustc")?.into(),
            bootstrap: value("bootstrap")?.parse().ok()?,
            linker: value("linker")?.into(),
        })
    }

    fn to_text(&self) -> String {
        let bootstrap = self.bootstrap.to_string();
        let lines = [
            ("description", self.description.as_str().as_ref()),
            ("cargo", self.cargo.as_path()),
            ("rustc", self.rustc.as_path()),
            ("bootstrap", bootstrap.as_str().as_ref()),
            ("linker", self.linker.as_path()),
        ];
        lines.into_iter().fold(String::new(), |mut text, (key, value)| {
            let _infallible = writeln!(text, "{key}={}", value.display());
            text
        })
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Toolchain {
        Toolchain {
            description: "rustc 1.95.0 (59807616e 2026-04-14)".to_owned(),
            cargo: "/toolchain/bin/cargo".into(),
            rustc: "/toolchain/bin/rustc".into(),
            bootstrap: true,
            linker: "/a path/with=signs/bpf-linker".into(),
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(Toolchain::parse(&example().to_text()), Some(example()));
    }

    #[test]
    fn nothing_or_half_of_it_is_no_toolchain() {
        assert_eq!(Toolchain::parse(""), None);
        assert_eq!(Toolchain::parse("cargo=/bin/cargo\nrustc=/bin/rustc\n"), None);
    }
}
