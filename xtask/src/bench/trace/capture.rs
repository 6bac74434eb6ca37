//! The captures that are traced, made once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step::output;

/// A capture file and what is in it.
pub(super) struct Capture {
    pub(super) path: PathBuf,
    pub(super) frames: u64,
    pub(super) connections: u64,
}

/// The capture of about `frames` frames in a folder. It is made unless it is there and newer than what makes it.
pub(super) fn provide(maker: &Path, folder: &Path, frames: u64) -> Result<Capture> {
    let path = folder.join(format!("{frames}.pcapng"));
    // Says what is in the capture, and is written when that is complete.
    let facts = folder.join(format!("{frames}.txt"));
    if !is_newer(&facts, maker) {
        let made = output(Command::new(maker).arg(&path).arg(frames.to_string()))?;
        fs::write(&facts, made).with_context(|| format!("cannot write {}", facts.display()))?;
    }
    let text = fs::read_to_string(&facts).with_context(|| format!("cannot read {}", facts.display()))?;
    let (frames, connections) = parse(&text).with_context(|| format!("{}: {text:?}", facts.display()))?;
    Ok(Capture { path, frames, connections })
}

fn is_newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    modified(file) > modified(than)
}

/// Of `FRAMES frames of CONNECTIONS connections`.
fn parse(text: &str) -> Option<(u64, u64)> {
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [frames, "frames", "of", connections, "connections"] => {
            Some((frames.parse().ok()?, connections.parse().ok()?))
        }
        _ => None,
    }
}

impl Capture {
    /// Reads it once, so that no program measured has to wait for the disk.
    pub(super) fn warm(&self) -> Result<()> {
        let read = File::open(&self.path).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
        read.map(|_bytes| ()).with_context(|| format!("cannot read {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_maker_says() {
        assert_eq!(parse("5000003 frames of 10237 connections\n"), Some((5_000_003, 10_237)));
        assert_eq!(parse("no space left on device"), None);
    }
}
