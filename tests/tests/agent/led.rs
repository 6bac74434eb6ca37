//! A capture with somebody at its standard input.

use std::collections::BTreeSet;
use std::io::{Read, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracer_core::capture::{CaptureReader, Item, Statistics};

use crate::node::Node;

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a capture said.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Interface(String),
    /// The number in a datagram, and the interface that it was seen on.
    Number(u32, String),
    Statistics(String, Statistics),
}

/// A running capture; dropped without being waited for it is killed.
pub(crate) struct Led {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Receiver<Said>,
    stderr: Option<JoinHandle<String>>,
    pub(crate) heard: Vec<Said>,
}

/// What it left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) heard: Vec<Said>,
}

/// The command line of a led capture on a node.
pub(crate) fn command(node: &Node, words: &str) -> Command {
    let mut command = Command::new(tests::kflow::program());
    command
        .args(["capture", "--quiet", "--until-stdin-closes", "-w", "-", "--netns", &node.netns()])
        .args(words.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Led {
    /// Starts one on a node, which waits a minute for a heartbeat unless `words` say otherwise; programs are attached
    /// when this returns.
    pub(crate) fn start(node: &Node, words: &str) -> Self {
        let mut led = Self::spawn(command(node, words), |stdout| Box::new(stdout));
        led.wait_for("counters", |said| matches!(said, Said::Statistics(..)));
        led
    }

    /// Starts a command, whose output `decode` makes readable.
    pub(crate) fn spawn(
        mut command: Command,
        decode: impl FnOnce(std::process::ChildStdout) -> Box<dyn Read> + Send + 'static,
    ) -> Self {
        if !command.get_args().any(|word| word == "--heartbeat") {
            command.args(["--heartbeat", "60"]);
        }
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let (sender, said) = channel();
        thread::spawn(move || {
            let Ok(mut reader) = CaptureReader::new(decode(stdout)) else { return };
            let mut names = Vec::new();
            while let Some(item) = reader.next_item().unwrap() {
                let said = match item {
                    Item::Interface(_, interface) => {
                        names.push(interface.name.clone());
                        Said::Interface(interface.name)
                    }
                    Item::Frame(frame) => {
                        let number = frame.data.last_chunk().copied().map_or(0, u32::from_be_bytes);
                        Said::Number(number, names[frame.interface.0 as usize].clone())
                    }
                    Item::Statistics(id, _, statistics) => {
                        Said::Statistics(names[id.0 as usize].clone(), statistics)
                    }
                    Item::Section(_) | Item::Other(_) => continue,
                };
                if sender.send(said).is_err() {
                    return;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let stdin = child.stdin.take();
        Self { child, stdin, said, stderr: Some(stderr), heard: Vec::new() }
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Writes bytes to it.
    pub(crate) fn tell_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Reads on until it says something.
    pub(crate) fn wait_for(&mut self, what: &str, condition: impl Fn(&Said) -> bool) {
        loop {
            match self.said.recv_timeout(TIMEOUT) {
                Ok(said) => {
                    let is_it = condition(&said);
                    self.heard.push(said);
                    if is_it {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("kflow did not say {what}: {:?}", self.heard),
                Err(RecvTimeoutError::Disconnected) => panic!("kflow ended without {what}: {}", self.said()),
            }
        }
    }

    /// Reads on until a datagram with this number was seen on an interface.
    pub(crate) fn wait_for_number(&mut self, number: u32, interface: &str) {
        self.wait_for(
            "the datagram",
            |said| matches!(said, Said::Number(seen, on) if *seen == number && on == interface),
        );
    }

    /// Closes its standard input, and waits for its end.
    pub(crate) fn stop(mut self) -> Outcome {
        self.stdin = None;
        self.wait()
    }

    /// Waits for its end; its standard input stays open until then.
    pub(crate) fn wait(mut self) -> Outcome {
        let end = Instant::now() + TIMEOUT;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < end, "kflow does not end"),
            }
            // Its end cannot be waited for with a limit.
            thread::sleep(Duration::from_millis(5));
        };
        self.heard.extend(self.said.iter());
        Outcome { code: status.code(), stderr: self.said(), heard: std::mem::take(&mut self.heard) }
    }

    fn said(&mut self) -> String {
        self.stderr.take().map_or_else(String::new, |stderr| stderr.join().unwrap())
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interfaces that were described, each once.
pub(crate) fn interfaces(heard: &[Said]) -> BTreeSet<&str> {
    let names = heard.iter().filter_map(|said| match said {
        Said::Interface(name) => Some(name.as_str()),
        _ => None,
    });
    names.collect()
}

impl Outcome {
    /// The last counters of an interface.
    pub(crate) fn statistics(&self, interface: &str) -> Statistics {
        let of = |said: &Said| match said {
            Said::Statistics(name, statistics) if name == interface => Some(*statistics),
            _ => None,
        };
        self.heard.iter().rev().find_map(of).unwrap()
    }

    /// The numbers of the datagrams that were seen on an interface.
    pub(crate) fn numbers(&self, interface: &str) -> Vec<u32> {
        let numbers = self.heard.iter().filter_map(|said| match said {
            Said::Number(number, on) if on == interface => Some(*number),
            _ => None,
        });
        numbers.collect()
    }
}
