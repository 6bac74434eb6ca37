//! `kflow` in a scene, what it writes, and what is done to it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracer_core::capture::{CaptureReader, Expected, Item, Statistics};
use tracer_core::units::Direction;

use crate::running::Capture;
use crate::scene::{Scene, number_of};

/// How long something may take on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// `kflow` with these words, in which `DIR` is the scene's directory, `NEAR` and `FAR` its namespaces.
pub(crate) fn kflow(scene: &Scene, words: &str) -> Command {
    let mut command = Command::new(tests::kflow::program());
    let words = words
        .replace("DIR", &scene.directory().display().to_string())
        .replace("NEAR", &scene.near.path().display().to_string())
        .replace("FAR", &scene.far.path().display().to_string());
    command.args(words.split_whitespace()).env("TZ", "UTC").stdin(Stdio::null());
    command
}

impl Scene {
    /// `kflow capture` at the near end that is ready, with its standard output where `stdout` leads.
    pub(crate) fn capture(&self, words: &str, stdout: impl Into<Stdio>) -> Capture {
        Capture::start(kflow(self, &format!("capture --netns NEAR {words}")).stdout(stdout))
    }
}

/// What a capture tells of one interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The last counters.
    pub(crate) counters: Statistics,
    /// The numbers of its packets in their order, of those that left and of those that arrived.
    pub(crate) sent: Vec<u32>,
    pub(crate) received: Vec<u32>,
    /// Losses that packets tell of.
    pub(crate) lost_before: u64,
    /// `skb->mark` of its packets.
    pub(crate) marks: Vec<u32>,
}

impl Told {
    pub(crate) fn packets(&self) -> u64 {
        (self.sent.len() + self.received.len()) as u64
    }

    /// Asserts that every packet that matched is there or counted as lost, each once and in its order.
    pub(crate) fn assert_adds_up(&self, name: &str) {
        let Statistics { matched, lost, written, .. } = self.counters;
        assert_eq!(matched, written + lost, "{name}: {:?}", self.counters);
        assert_eq!(written, self.packets(), "{name}: {:?}", self.counters);
        assert!(self.lost_before <= lost, "{name}: {} of {lost}", self.lost_before);
        for numbers in [&self.sent, &self.received] {
            assert!(numbers.is_sorted_by(|one, next| one < next), "{name}: not in order, or twice");
        }
    }
}

/// Reads a capture that has to be whole, by the names of its interfaces.
pub(crate) fn told(bytes: &[u8], expected: Expected) -> BTreeMap<String, Told> {
    let mut reader = CaptureReader::new(bytes).unwrap().expecting(expected);
    let (mut names, mut all) = (Vec::new(), BTreeMap::<String, Told>::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Interface(_, interface) => names.push(interface.name),
            Item::Statistics(id, _, counters) => {
                all.entry(names[id.0 as usize].clone()).or_default().counters = counters;
            }
            Item::Frame(frame) => {
                let told = all.entry(names[frame.interface.0 as usize].clone()).or_default();
                told.lost_before += frame.lost_before;
                told.marks.push(frame.mark);
                match frame.direction.unwrap() {
                    Direction::Egress => told.sent.push(number_of(&frame.data)),
                    Direction::Ingress => told.received.push(number_of(&frame.data)),
                }
            }
            Item::Section(_) | Item::Other(_) => {}
        }
    }
    all
}

/// As [`told`], of a file.
pub(crate) fn told_by_file(path: &Path) -> BTreeMap<String, Told> {
    told(&fs::read(path).unwrap(), Expected::File)
}

pub(crate) fn signal_to(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Stops a process, and waits until it is.
pub(crate) fn freeze(pid: i32) {
    signal_to(pid, Signal::SIGSTOP);
    eventually("it is stopped", || field(pid, "State").is_some_and(|state| state.starts_with('T')));
}

pub(crate) fn thaw(pid: i32) {
    signal_to(pid, Signal::SIGCONT);
}

/// Resident memory, in KiB.
pub(crate) fn resident(pid: i32) -> u64 {
    field(pid, "VmRSS").unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// A field of `/proc/PID/status`; absent where there is no such process any more.
fn field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.map(|value| value.trim().to_owned())
}

/// Processes that a process has started and that have these words in their command line.
pub(crate) fn children(pid: i32, words: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Those of others come and go meanwhile.
    let is_wanted = |child: &i32| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(words)
            && field(*child, "PPid").is_some_and(|parent| parent == pid.to_string())
    };
    ids.filter(is_wanted).collect()
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
