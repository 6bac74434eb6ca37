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

/// What is to be in one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// How many frames there are, about.
    pub(super) frames: u64,
    /// Requests of each connection; absent for what is usual.
    pub(super) requests: Option<u32>,
}

impl Kind {
    pub(super) fn name(self) -> String {
        let Self { frames, requests } = self;
        match requests {
            None => format!("{frames} observations"),
            Some(requests) => format!("{frames} observations of flows of {requests} requests"),
        }
    }
}

/// The capture of a kind in a folder. It is made unless it is there and newer than what makes it.
pub(super) fn provide(maker: &Path, folder: &Path, kind: Kind) -> Result<Capture> {
    /// Frames seen in a second, which `make_capture` takes before the requests.
    const RATE: &str = "50000";
    let Kind { frames, requests } = kind;
    let name = requests.map_or_else(|| frames.to_string(), |requests| format!("{frames}-of-{requests}"));
    let path = folder.join(format!("{name}.pcapng"));
    // Says what is in the capture, and is written when that is complete.
    let facts = folder.join(format!("{name}.txt"));
    if !is_newer(&facts, maker) {
        let mut command = Command::new(maker);
        command.arg(&path).arg(frames.to_string());
        if let Some(requests) = requests {
            command.args([RATE, &requests.to_string()]);
        }
        let made = output(&mut command)?;
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
    /// How many frames there are.
    #[expect(clippy::cast_precision_loss, reason = "no capture has 2^53 frames")]
    pub(super) fn count(&self) -> f64 {
        self.frames as f64
    }

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
