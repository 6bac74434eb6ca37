//! kflow where packets are whole, tcpdump where they are cut.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracer_core::capture::{CaptureReader, Frame, Item};
use tracer_core::units::Direction;

use crate::compare::Comparison;
use crate::scene::inside;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Between these datagrams everything counts.
const BEGIN: &[u8] = b"here it begins";
const END: &[u8] = b"here it ends, and nothing comes after it";
/// More than any wire segment has; the kernel keeps room for so many bytes of each packet.
const WIRE_SNAP: &str = "2048";
const BUFFER_KIB: &str = "32768";

/// Where a link begins and ends.
pub(crate) struct Points<'a> {
    /// Namespace and interface of the end whose kernel cuts packets.
    pub(crate) near: (&'a Path, &'a str),
    /// Namespace and interface of the other.
    pub(crate) far: (&'a Path, &'a str),
    /// Sends a datagram from the one to the other.
    pub(crate) mark: &'a dyn Fn(&[u8]),
}

/// Captures at both ends of a link while there is traffic.
pub(crate) fn during(points: &Points<'_>, traffic: impl FnOnce()) -> Comparison {
    let (near, near_interface) = points.near;
    let (far, far_interface) = points.far;
    let mut kflow = Command::new(tests::kflow::program());
    kflow.args(["capture", "-i", near_interface, "-B", BUFFER_KIB, "-w", "-", "--netns"]).arg(near);
    // It ends with its standard input.
    let near = Watcher::start(kflow.stdin(Stdio::piped()).spawn_piped());
    let mut tcpdump = Command::new("tcpdump");
    tcpdump.args(["-Z", "root", "-n", "-U", "--immediate-mode", "-B", BUFFER_KIB, "-s", WIRE_SNAP]);
    tcpdump.args(["-i", far_interface, "-Q", "in", "-w", "-"]).stdin(Stdio::null());
    let far = Watcher::start(inside(far, || tcpdump.spawn_piped()));
    near.wait_for("a first statistics block", |seen| matches!(seen, Seen::Ready));
    let (near, far) = (near.read_on(), far.read_on());
    (points.mark)(BEGIN);
    traffic();
    (points.mark)(END);
    let whole = near.frames();
    let whole = whole.into_iter().filter(|frame| frame.direction == Some(Direction::Egress)).collect();
    Comparison { whole, wire: far.frames() }
}

/// Starts a program whose output and complaints are read.
trait SpawnPiped {
    fn spawn_piped(&mut self) -> Child;
}

impl SpawnPiped for Command {
    fn spawn_piped(&mut self) -> Child {
        self.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

enum Seen {
    /// Programs are attached.
    Ready,
    Frame(Frame<'static>),
}

/// A capture whose output is read as it comes; killed when it is dropped.
struct Watcher {
    child: Child,
    seen: Receiver<Seen>,
}

impl Watcher {
    /// tcpdump says on its standard error when it listens; kflow writes statistics first.
    fn start(mut child: Child) -> Self {
        let stdout = child.stdout.take().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        if child.stdin.is_none() {
            let mut said = String::new();
            while !said.contains("listening on") {
                assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
            }
        }
        // Its last words must find a reader.
        thread::spawn(move || stderr.read_to_string(&mut String::new()));
        let (sender, seen) = channel();
        thread::spawn(move || {
            read(stdout, |item| sender.send(item).is_ok());
        });
        Self { child, seen }
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        while !condition(&self.next(what)) {}
    }

    fn next(&self, what: &str) -> Seen {
        self.seen.recv_timeout(TIMEOUT).unwrap_or_else(|error| panic!("waiting for {what}: {error}"))
    }

    /// Goes on reading while something else is done.
    fn read_on(self) -> Reading {
        Reading(thread::spawn(move || {
            let is_mark = |frame: &Frame<'_>, mark: &[u8]| frame.data.ends_with(mark);
            self.wait_for("the begin", |seen| matches!(seen, Seen::Frame(frame) if is_mark(frame, BEGIN)));
            let mut frames = Vec::new();
            loop {
                match self.next("the end") {
                    Seen::Frame(frame) if is_mark(&frame, END) => return frames,
                    Seen::Frame(frame) => frames.push(frame),
                    Seen::Ready => {}
                }
            }
        }))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The frames from the first mark to the last, being read.
struct Reading(JoinHandle<Vec<Frame<'static>>>);

impl Reading {
    fn frames(self) -> Vec<Frame<'static>> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Hands everything over until nobody takes it any more, or the capture is killed.
fn read(stdout: ChildStdout, mut take: impl FnMut(Seen) -> bool) {
    let Ok(mut reader) = CaptureReader::new(stdout) else { return };
    while let Ok(Some(item)) = reader.next_item() {
        let seen = match item {
            Item::Frame(frame) => Seen::Frame(frame.into_owned()),
            Item::Statistics(..) => Seen::Ready,
            _ => continue,
        };
        if !take(seen) {
            return;
        }
    }
}
