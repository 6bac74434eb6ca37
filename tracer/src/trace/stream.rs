//! One capture of a trace: a child process whose standard output is pcapng.
//!
//! A child of its own for each network namespace is what a cluster will have as well, where the stream comes over
//! the API server. It ends when its standard input closes, so it cannot outlive the trace.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::sync::mpsc::Sender;
use tracer_core::capture::{CaptureReader, Item};

use super::plan::{Place, TracePlan};
use crate::error::Exit;

/// Items handed over at once: a hand-off per packet costs more than the packet.
const BATCH: usize = 256;
/// Lines of a child's standard error that are kept for the message of its end.
const KEPT_LINES: usize = 20;

/// Of each capture, where the user asks for no other: packets are cut short, and there are many captures.
const BUFFER_KIB: u32 = 8192;

/// Why a capture could not be started.
#[derive(Debug, Error)]
pub enum StreamError {
    /// The path of this program is not known.
    #[error("cannot find this program's own file")]
    Program(#[source] io::Error),
    /// The child could not be started.
    #[error("cannot start the capture of {place}")]
    Spawn {
        /// Node or pod.
        place: String,
        /// Why.
        source: io::Error,
    },
}

/// What a stream sends.
#[derive(Debug)]
pub(super) enum Message {
    /// Items in their order.
    Items(usize, Vec<Item<'static>>),
    /// The end of stream number so-and-so.
    Ended(usize, End),
}

/// How a capture ended.
#[derive(Debug)]
pub(super) struct End {
    /// Exit code; absent when a signal ended it or it could not be waited for.
    pub(super) code: Option<i32>,
    /// What it said last on standard error.
    pub(super) said: String,
    /// Why its output could not be read to its end.
    pub(super) unreadable: Option<String>,
}

impl End {
    /// What is wrong with this end; absent for an ordinary one.
    pub(super) fn fault(&self) -> Option<String> {
        const COMPLETE: i32 = Exit::Complete.code() as i32;
        // The loss or the silence of one namespace: its counters tell, and the trace judges.
        const INCOMPLETE: i32 = Exit::Incomplete.code() as i32;
        let said = self.said.trim();
        match (self.code, &self.unreadable) {
            (Some(COMPLETE | INCOMPLETE), None) => None,
            (_, _) if !said.is_empty() => Some(said.to_owned()),
            (_, Some(reason)) => Some(reason.clone()),
            (Some(code), None) => Some(format!("the capture ended with code {code}")),
            (None, None) => Some("the capture was killed".to_owned()),
        }
    }
}

/// A running capture.
#[derive(Debug)]
pub(super) struct Stream {
    stdin: Option<ChildStdin>,
    child: Arc<Mutex<Child>>,
}

impl Stream {
    /// Starts the capture of a place; what it yields is sent as stream number `number`.
    pub(super) fn start(
        number: usize,
        place: &Place,
        plan: &TracePlan,
        sender: Sender<Message>,
    ) -> Result<Self, StreamError> {
        let program = std::env::current_exe().map_err(StreamError::Program)?;
        let mut child = Command::new(program)
            .args(arguments(place, plan))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C on the terminal is for the trace: it ends its captures itself, when they have all told.
            .process_group(0)
            .spawn()
            .map_err(|source| StreamError::Spawn { place: place.label().to_owned(), source })?;
        let stdin = child.stdin.take();
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        let waited = Arc::clone(&child);
        let label = place.label().to_owned();
        let listener = thread::spawn(move || stderr.map(|stderr| listen(&label, stderr)).unwrap_or_default());
        thread::spawn(move || {
            let unreadable = stdout.and_then(|stdout| read(number, stdout, &sender).err());
            let said = listener.join().unwrap_or_default();
            let code = wait(&waited);
            // Nobody listens any more when the trace itself is over.
            let _ = sender.blocking_send(Message::Ended(number, End { code, said, unreadable }));
        });
        Ok(Self { stdin, child })
    }

    /// Asks the capture to end: it drains its buffers and writes its counters.
    pub(super) fn stop(&mut self) {
        self.stdin = None;
    }

    /// Ends the capture at once.
    pub(super) fn kill(&mut self) {
        self.stdin = None;
        // It may have ended already.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

/// Waits for a child's end without holding its lock, so that it can be killed meanwhile: it stays a zombie, and
/// its process id its own, until the lock is held.
fn wait(child: &Mutex<Child>) -> Option<i32> {
    let lock = || child.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = Pid::from_raw(i32::try_from(lock().id()).ok()?);
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(pid), flags) == Err(nix::Error::EINTR) {}
    lock().wait().ok()?.code()
}

fn arguments(place: &Place, plan: &TracePlan) -> Vec<String> {
    let args = &plan.args;
    let mut arguments = ["capture", "--quiet", "--until-stdin-closes", "-w", "-"].map(str::to_owned).to_vec();
    let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
    add("--node", place.node.clone());
    add("-s", plan.args.snap().0.to_string());
    if let Some(pod) = &place.pod {
        add("--pod", pod.clone());
    }
    if let Some(netns) = &place.netns {
        add("--netns", netns.display().to_string());
    }
    if let Some(port) = args.vxlan_port {
        add("--vxlan-port", port.to_string());
    }
    add("-B", args.buffer_size.unwrap_or(BUFFER_KIB).to_string());
    if let Some(how) = &args.attach {
        add("--attach", how.clone());
    }
    // Patterns are meant for the nodes: inside a pod there is its eth0.
    for interface in args.interfaces.iter().filter(|_| place.pod.is_none()) {
        add("-i", interface.clone());
    }
    if args.debug_bpf {
        arguments.push("--debug-bpf".to_owned());
    }
    arguments.extend(plan.filter.iter().cloned());
    arguments
}

/// Passes a child's words on at once and keeps the last ones.
fn listen(label: &str, stderr: impl Read) -> String {
    let mut kept: VecDeque<String> = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        eprintln!("{label}: {line}");
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Vec::from(kept).join("\n")
}

/// Reads a capture to its end.
fn read(number: usize, stdout: impl Read, sender: &Sender<Message>) -> Result<(), String> {
    let batch = Rc::new(Batch { number, sender: sender.clone(), items: RefCell::new(Vec::new()) });
    let source = Flushing { inner: stdout, batch: Rc::clone(&batch) };
    let outcome = CaptureReader::new(source).and_then(|mut reader| {
        while let Some(item) = reader.next_item()? {
            batch.push(item.into_owned());
        }
        Ok(())
    });
    batch.flush();
    outcome.map_err(|error| match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    })
}

/// Items on their way to the trace.
struct Batch {
    number: usize,
    sender: Sender<Message>,
    items: RefCell<Vec<Item<'static>>>,
}

impl Batch {
    fn push(&self, item: Item<'static>) {
        self.items.borrow_mut().push(item);
        if self.items.borrow().len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&self) {
        let items = self.items.take();
        if !items.is_empty() {
            // Nobody listens any more when the trace itself is over.
            let _ = self.sender.blocking_send(Message::Items(self.number, items));
        }
    }
}

/// Hands the batch over before it waits for more bytes: batches are as large as the pipe delivers, and no item
/// waits for the next one.
struct Flushing<R> {
    inner: R,
    batch: Rc<Batch>,
}

impl<R: Read> Read for Flushing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.batch.flush();
        self.inner.read(buffer)
    }
}
