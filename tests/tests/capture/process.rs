//! `kflow capture` as a process whose output is read as it comes.

use std::ffi::OsStr;
use std::io::Read as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer_core::capture::{CaptureReader, Frame, Interface, InterfaceId, Item, Section, Statistics};

use crate::pair::Pair;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a capture said, without its borrows.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Section(Section),
    Interface(InterfaceId, Interface),
    Frame(Frame<'static>),
    Statistics(InterfaceId, Statistics),
}

/// A running capture; dropped without being stopped it is killed.
pub(crate) struct Capture {
    child: Child,
    said: Receiver<Said>,
    reader: Option<JoinHandle<()>>,
    heard: Vec<Said>,
}

/// What a capture left.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: String,
    pub(crate) heard: Vec<Said>,
}

impl Capture {
    /// Starts a capture at the near end of a pair; programs are attached when this returns.
    pub(crate) fn start(pair: &Pair, arguments: &[&str]) -> Self {
        let mut capture = Self::spawn(pair, arguments);
        capture.wait_for("a first statistics block", |said| matches!(said, Said::Statistics(..)));
        capture
    }

    pub(crate) fn spawn(pair: &Pair, arguments: &[&str]) -> Self {
        let mut child = command(arguments)
            .arg("--netns")
            .arg(pair.near_path())
            .args(["-w", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, said) = channel();
        let reader = thread::spawn(move || {
            // A capture that fails has said nothing.
            let Ok(mut reader) = CaptureReader::new(stdout) else { return };
            while let Some(item) = reader.next_item().unwrap() {
                let said = match item {
                    Item::Section(section) => Said::Section(section),
                    Item::Interface(id, interface) => Said::Interface(id, interface),
                    Item::Frame(frame) => Said::Frame(owned(&frame)),
                    Item::Statistics(id, _, statistics) => Said::Statistics(id, statistics),
                    Item::Other(_) => continue,
                };
                if sender.send(said).is_err() {
                    return;
                }
            }
        });
        Self { child, said, reader: Some(reader), heard: Vec::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Its standard input, to be closed.
    pub(crate) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Reads on until it says something.
    pub(crate) fn wait_for(&mut self, what: &str, condition: impl Fn(&Said) -> bool) {
        loop {
            match self.said.recv_timeout(TIMEOUT) {
                Ok(said) => {
                    let found = condition(&said);
                    self.heard.push(said);
                    if found {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("kflow did not say {what}: {:?}", self.heard),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("kflow ended without {what}: {}", stderr(&mut self.child))
                }
            }
        }
    }

    /// Waits until it has said so many more packets.
    pub(crate) fn wait_for_frames(&mut self, count: usize) {
        for _ in 0..count {
            self.wait_for("a packet", |said| matches!(said, Said::Frame(_)));
        }
    }

    /// Ctrl-C, and what came until its end.
    pub(crate) fn stop(self) -> Outcome {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Outcome {
        while let Ok(said) = self.said.recv() {
            self.heard.push(said);
        }
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        let stderr = stderr(&mut self.child);
        let status = self.child.wait().unwrap();
        Outcome { status, stderr, heard: std::mem::take(&mut self.heard) }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = &Frame<'static>> {
        self.heard.iter().filter_map(|said| match said {
            Said::Frame(frame) => Some(frame),
            _ => None,
        })
    }

    /// The number of the interface described under a name; the last one of several.
    pub(crate) fn interface(&self, name: &str) -> (InterfaceId, &Interface) {
        let found = self.heard.iter().rev().find_map(|said| match said {
            Said::Interface(id, interface) if interface.name == name => Some((*id, interface)),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{name} is not described: {:?}", self.heard))
    }

    /// The last statistics of an interface.
    pub(crate) fn statistics(&self, name: &str) -> Statistics {
        let (id, _) = self.interface(name);
        let found = self.heard.iter().rev().find_map(|said| match said {
            Said::Statistics(of, statistics) if *of == id => Some(*statistics),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no statistics of {name}"))
    }
}

/// The program under test.
pub(crate) fn command(arguments: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(tests::kflow::program());
    command.arg("capture").args(arguments);
    command
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut text).unwrap();
    }
    text
}

fn owned(frame: &Frame<'_>) -> Frame<'static> {
    Frame {
        interface: frame.interface,
        time: frame.time,
        direction: frame.direction,
        original_len: frame.original_len,
        data: frame.data.to_vec().into(),
        gso: frame.gso,
        mark: frame.mark,
        lost_before: frame.lost_before,
        comment: None,
    }
}
