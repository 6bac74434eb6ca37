//! One capture of a trace: a process whose standard output is pcapng, a child of this one or on a node of a cluster.
//!
//! It ends when its standard input closes, so it cannot outlive the trace.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::sync::mpsc::Sender;

use super::plan::Place;
use super::witness::Testimony;
use crate::batch::{self, Batch};
use crate::cluster::remote::{Control, RemoteCapture, RemoteEnd};
use crate::error::{Exit, chain};

/// Lines of a child's standard error that are kept for the message of its end.
const KEPT_LINES: usize = 20;

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
    /// What stream number so-and-so said next.
    Batch(usize, Batch),
    /// The end of stream number so-and-so.
    Ended(usize, End),
    /// What witness number so-and-so says.
    Testimony(usize, Testimony),
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
    /// Why it could not be had, or was cut off, where it ran on a node of a cluster.
    pub(super) remote: Option<String>,
}

impl End {
    /// What is wrong with this end; absent for an ordinary one.
    pub(super) fn fault(&self) -> Option<String> {
        const COMPLETE: i32 = Exit::Complete.code() as i32;
        // The loss or the silence of one namespace: its counters tell, and the trace judges.
        const INCOMPLETE: i32 = Exit::Incomplete.code() as i32;
        let said = self.said.trim();
        match (self.code, &self.unreadable) {
            (Some(COMPLETE | INCOMPLETE), unreadable) => unreadable.clone(),
            (_, unreadable) if self.remote.is_some() => {
                // The reader that gives up drops the connection: then it knows why.
                let why = unreadable.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                self.remote.as_ref().map(|remote| format!("{remote}{why}"))
            }
            (_, _) if !said.is_empty() => Some(said.to_owned()),
            (Some(code), _) => Some(format!("the capture ended with code {code}")),
            (None, Some(reason)) => Some(format!("the capture was killed: {reason}")),
            (None, None) => Some("the capture was killed".to_owned()),
        }
    }

    /// The exit code that this end stands for, if nothing could be captured at all.
    pub(super) fn exit(&self) -> Exit {
        let never_ran = self.code.is_none() && self.remote.is_some();
        let is_environment = never_ran || self.code == Some(i32::from(Exit::Environment.code()));
        if is_environment { Exit::Environment } else { Exit::Failed }
    }
}

/// A running capture.
#[derive(Debug)]
pub(super) enum Stream {
    /// A process of this machine.
    Child {
        /// Open as long as it is wanted.
        stdin: Option<ChildStdin>,
        /// The process.
        child: Arc<Mutex<Child>>,
    },
    /// On a node of a cluster.
    Remote(Control),
}

impl Stream {
    /// Starts a capture of this machine; what it yields is sent as stream number `number`.
    pub(super) fn start(
        number: usize,
        place: &Place,
        arguments: Vec<String>,
        sender: Sender<Message>,
    ) -> Result<Self, StreamError> {
        let program = std::env::current_exe().map_err(StreamError::Program)?;
        let mut child = Command::new(program)
            .args(["capture", "--quiet", "--until-stdin-closes", "-w", "-"])
            .args(arguments)
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
        let end = move |_| RemoteEnd { code: wait(&waited), reason: None };
        carry(number, place.label(), stdout, stderr, sender, end);
        Ok(Self::Child { stdin, child })
    }

    /// Takes over a capture on a node; what it yields is sent as stream number `number`.
    pub(super) fn remote(
        number: usize,
        place: &Place,
        capture: RemoteCapture,
        sender: Sender<Message>,
    ) -> Self {
        let RemoteCapture { stdout, stderr, control, end } = capture;
        // A sender that is gone has nothing to tell.
        let end = move || end.blocking_recv().unwrap_or_default();
        let connection = control.clone();
        carry(number, place.label(), Some(stdout), Some(stderr), sender, move |is_unreadable| {
            // Nobody reads any more, and what is quiet does not notice.
            if is_unreadable {
                connection.kill();
            }
            end()
        });
        Self::Remote(control)
    }

    /// Tells a capture on a node what to look for from now on.
    pub(super) fn tell(&self, line: String) {
        if let Self::Remote(control) = self {
            control.tell(line);
        }
    }

    /// Asks the capture to end: it drains its buffers and writes its counters.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Child { stdin, .. } => *stdin = None,
            Self::Remote(control) => control.stop(),
        }
    }

    /// Ends the capture at once.
    pub(super) fn kill(&mut self) {
        match self {
            Self::Child { stdin, child } => {
                *stdin = None;
                // It may have ended already.
                let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
            Self::Remote(control) => control.kill(),
        }
    }
}

/// Reads a capture on threads of its own, to its end.
fn carry(
    number: usize,
    label: &str,
    stdout: Option<impl Read + Send + 'static>,
    stderr: Option<impl Read + Send + 'static>,
    sender: Sender<Message>,
    end: impl FnOnce(bool) -> RemoteEnd + Send + 'static,
) {
    let label = label.to_owned();
    let listener = thread::spawn(move || stderr.map(|stderr| listen(&label, stderr)).unwrap_or_default());
    thread::spawn(move || {
        let unreadable = stdout.and_then(|stdout| read(number, stdout, &sender).err());
        let RemoteEnd { code, reason: remote } = end(unreadable.is_some());
        let said = listener.join().unwrap_or_default();
        // Nobody listens any more when the trace itself is over.
        let _ = sender.blocking_send(Message::Ended(number, End { code, said, unreadable, remote }));
    });
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

/// Passes a child's words on at once and keeps the last ones.
fn listen(label: &str, stderr: impl Read) -> String {
    let mut kept: VecDeque<String> = VecDeque::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        say!("{label}: {line}");
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Vec::from(kept).join("\n")
}

/// Reads a capture to its end.
fn read(number: usize, stdout: impl Read, sender: &Sender<Message>) -> Result<(), String> {
    let outcome = batch::read(stdout, |batch| {
        // Nobody listens any more when the trace itself is over.
        let _ = sender.blocking_send(Message::Batch(number, batch));
    });
    outcome.map_err(|error| chain(&error))
}
