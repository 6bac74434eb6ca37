//! A `kflow capture` that runs, and what it leaves.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer_core::capture::{CaptureReader, Item, Statistics};

use crate::scene::Scene;

/// What a capture says once programs are attached.
const READY: &str = "kflow: capturing on ";

/// A running capture; dropped without being waited for it is killed.
pub(crate) struct Capture {
    pub(crate) child: Child,
    stderr: BufReader<ChildStderr>,
    heard: String,
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit code; absent where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `kflow capture` with these words.
pub(crate) fn kflow<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(tests::kflow::program());
    command.arg("capture").args(words).env("TZ", "UTC").stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    Outcome { code: output.status.code(), stdout, stderr }
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

impl Capture {
    /// Starts a command, and waits until it is capturing.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut capture = Self { child, stderr, heard: String::new() };
        capture.wait_for(READY);
        capture
    }

    /// Reads what it says up to a line with these words.
    pub(crate) fn wait_for(&mut self, words: &str) {
        loop {
            let from = self.heard.len();
            let count = self.stderr.read_line(&mut self.heard).unwrap();
            assert!(count > 0, "kflow ended without saying `{words}`: {}", self.heard);
            if self.heard[from..].contains(words) {
                return;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Ctrl-C, and what it left.
    pub(crate) fn stop(self) -> Outcome {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Outcome {
        let mut stdout = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_string(&mut stdout).unwrap();
        }
        self.stderr.read_to_string(&mut self.heard).unwrap();
        let code = self.child.wait().unwrap().code();
        Outcome { code, stdout, stderr: std::mem::take(&mut self.heard) }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// The number before words of the summary: `captured`, `received by filter`, `dropped by kernel`.
    pub(crate) fn number(&self, words: &str) -> u64 {
        let found = self.stderr.lines().find_map(|line| {
            let (number, rest) = line.split_once(" packet")?;
            rest.trim_start_matches('s').trim_start().eq(words).then(|| number.parse().ok())?
        });
        found.unwrap_or_else(|| panic!("no packets {words}: {}", self.stderr))
    }

    /// tcpdump's three numbers.
    pub(crate) fn three(&self) -> [u64; 3] {
        ["captured", "received by filter", "dropped by kernel"].map(|words| self.number(words))
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
