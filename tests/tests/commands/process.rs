//! `kflow capture` in a scene, and what it writes.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use tracer_core::capture::{CaptureReader, Item, Statistics};

use crate::running::Capture;
use crate::scene::Scene;

/// `kflow capture` with these words.
pub(crate) fn kflow<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(tests::kflow::program());
    command.arg("capture").args(words).env("TZ", "UTC").stdin(Stdio::null());
    command
}

impl Scene {
    /// `kflow capture` at the near end, with these words.
    pub(crate) fn kflow(&self, words: &str) -> Command {
        let netns = self.netns();
        let mut command = kflow(["--netns", &netns].into_iter().chain(words.split_whitespace()));
        command.current_dir(self.directory());
        command
    }

    /// A capture at the near end that is ready.
    pub(crate) fn capture(&self, words: &str) -> Capture {
        Capture::start(self.kflow(words).stdout(Stdio::piped()))
    }
}

/// Packets of a capture, and the last statistics of each interface.
pub(crate) fn contents(file: &Path) -> (u64, Vec<(String, Statistics)>) {
    let mut reader = CaptureReader::new(File::open(file).unwrap()).unwrap();
    let (mut packets, mut statistics) = (0, Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Interface(_, interface) => statistics.push((interface.name, Statistics::default())),
            Item::Statistics(id, _, told) => statistics[id.0 as usize].1 = told,
            Item::Frame(_) => packets += 1,
            Item::Section(_) | Item::Other(_) => {}
        }
    }
    (packets, statistics)
}
