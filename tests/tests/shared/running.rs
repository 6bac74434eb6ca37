//! A `kflow capture` that runs, and what it leaves.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a capture says once its programs are attached.
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
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Outcome {
    Outcome::of(command.output().unwrap())
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

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Ctrl-C, and what it left.
    pub(crate) fn stop(self) -> Outcome {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Outcome {
        let mut stdout = Vec::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_end(&mut stdout).unwrap();
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
    pub(crate) fn of(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    /// Standard output, where it is text.
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }

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
