//! What the kernels say about a trace's packets: one `kflow evidence` for each namespace, beside its capture.
//!
//! A witness that fails costs its evidence and nothing else: the trace goes on, and the verdicts say less.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use tokio::sync::mpsc::Sender;
use tracer_core::evidence::{Evidence, Missing, Snapshot};

use super::plan::Place;
use super::stream::Message;
use crate::cluster::remote::{Control, RemoteCapture};

/// Bytes of one snapshot at most: one of a node with 100,000 rules has about half.
const LARGEST: u64 = 256 << 20;
/// One when it begins and one when it ends; others are not listened to.
const SNAPSHOTS: usize = 2;
/// Bytes of a witness's words that are kept for the reason of its failure.
const WORDS: u64 = 4096;

/// What a witness says.
#[derive(Debug)]
pub(super) enum Testimony {
    /// What it found.
    Snapshot(Box<Snapshot>),
    /// It has nothing more to say; why, where that is not as it should be.
    Ended(Option<String>),
}

/// A running `kflow evidence`.
#[derive(Debug)]
enum Running {
    /// A process of this machine; its standard input is open as long as it is wanted.
    Child(Child, Option<ChildStdin>),
    /// On a node of a cluster.
    Remote(Control),
}

/// One namespace's witness and what it said.
#[derive(Debug)]
struct Witness {
    place: Place,
    running: Option<Running>,
    said: Vec<Snapshot>,
    fault: Option<String>,
    has_ended: bool,
}

/// The witnesses of a trace.
#[derive(Debug, Default)]
pub(super) struct Witnesses(Vec<Witness>);

impl Witnesses {
    /// Calls one on this machine. One that cannot be started has failed.
    pub(super) fn call(&mut self, place: &Place, arguments: Vec<String>, sender: Sender<Message>) {
        let number = self.0.len();
        let started = start(number, arguments, sender);
        let (running, fault) = match started {
            Ok(running) => (Some(running), None),
            Err(error) => (None, Some(format!("cannot start `kflow evidence`: {error}"))),
        };
        let has_ended = running.is_none();
        self.0.push(Witness { place: place.clone(), running, said: Vec::new(), fault, has_ended });
    }

    /// Calls one on a node of a cluster.
    pub(super) fn call_remote(&mut self, place: &Place, remote: RemoteCapture, sender: Sender<Message>) {
        let number = self.0.len();
        let RemoteCapture { stdout, stderr, control, end } = remote;
        let words = thread::spawn(move || words(stderr));
        let connection = control.clone();
        thread::spawn(move || {
            let fault = tell(number, stdout, &sender).err();
            if fault.is_some() {
                // Nobody reads any more, and what is quiet does not notice.
                connection.kill();
            }
            let _ = words.join();
            let fault = match (end.blocking_recv().unwrap_or_default().reason, fault) {
                (Some(reason), Some(fault)) => Some(format!("{reason} ({fault})")),
                (reason, fault) => reason.or(fault),
            };
            let _ = sender.blocking_send(Message::Testimony(number, Testimony::Ended(fault)));
        });
        self.0.push(Witness {
            place: place.clone(),
            running: Some(Running::Remote(control)),
            said: Vec::new(),
            fault: None,
            has_ended: false,
        });
    }

    /// Hears what one says.
    pub(super) fn hear(&mut self, number: usize, testimony: Testimony) {
        let Some(witness) = self.0.get_mut(number) else { return };
        match testimony {
            Testimony::Snapshot(snapshot) if witness.said.len() < SNAPSHOTS => witness.said.push(*snapshot),
            Testimony::Snapshot(_) => {}
            Testimony::Ended(fault) => {
                witness.has_ended = true;
                witness.fault = fault;
            }
        }
    }

    /// Whether each has told how things were when the trace began, or will not.
    pub(super) fn have_begun(&self) -> bool {
        self.0.iter().all(|witness| witness.has_ended || !witness.said.is_empty())
    }

    /// Whether nothing more comes.
    pub(super) fn have_ended(&self) -> bool {
        self.0.iter().all(|witness| witness.has_ended)
    }

    /// Of which places more may come.
    pub(super) fn awaited(&self) -> Vec<&str> {
        self.0.iter().filter(|witness| !witness.has_ended).map(|witness| witness.place.label()).collect()
    }

    /// Asks them to tell how things are now, and to end.
    pub(super) fn conclude(&mut self) {
        for witness in &mut self.0 {
            match &mut witness.running {
                Some(Running::Child(_, stdin)) => *stdin = None,
                Some(Running::Remote(control)) => control.stop(),
                None => {}
            }
        }
    }

    /// What they said, each with its place. What is missing is part of it.
    pub(super) fn evidence(mut self) -> Vec<Evidence> {
        let witnesses = std::mem::take(&mut self.0);
        witnesses.into_iter().map(Witness::evidence).collect()
    }
}

impl Drop for Witnesses {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(Witness::dismiss);
    }
}

impl Witness {
    fn dismiss(&mut self) {
        match self.running.take() {
            Some(Running::Child(mut child, stdin)) => {
                drop(stdin);
                // It may have ended already.
                let _ = child.kill();
                let _ = child.wait();
            }
            Some(Running::Remote(control)) => control.kill(),
            None => {}
        }
    }

    fn evidence(mut self) -> Evidence {
        self.dismiss();
        let mut said = std::mem::take(&mut self.said).into_iter();
        let (before, after) = (said.next(), said.next());
        let missing = |what: &str| Missing { what: what.to_owned(), why: self.why() };
        let before = match (before, &after) {
            (Some(before), Some(_)) => before,
            (Some(mut before), None) => {
                before.missing.push(missing("evidence at the end"));
                before
            }
            (None, _) => Snapshot {
                node: self.place.node.clone(),
                pod: self.place.pod.clone(),
                missing: vec![missing("evidence")],
                ..Snapshot::default()
            },
        };
        Evidence { before, after }
    }

    /// Why something was not told.
    fn why(&self) -> String {
        let unsaid = if self.has_ended { "`kflow evidence` ended early" } else { "nothing was told in time" };
        self.fault.clone().unwrap_or_else(|| unsaid.to_owned())
    }
}

fn start(number: usize, arguments: Vec<String>, sender: Sender<Message>) -> std::io::Result<Running> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["evidence", "--until-stdin-closes"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C on the terminal is for the trace.
        .process_group(0)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let listener = thread::spawn(move || stderr.map(words).unwrap_or_default());
    thread::spawn(move || {
        let fault = stdout.and_then(|stdout| tell(number, stdout, &sender).err());
        let words = listener.join().unwrap_or_default();
        let fault = words.lines().next().map(|line| line.trim_start_matches("kflow: ").to_owned()).or(fault);
        // Nobody listens any more when the trace itself is over.
        let _ = sender.blocking_send(Message::Testimony(number, Testimony::Ended(fault)));
    });
    Ok(Running::Child(child, stdin))
}

/// Hands snapshots over, one a line, until there are no more.
fn tell(number: usize, stdout: impl Read, sender: &Sender<Message>) -> Result<(), String> {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = reader.by_ref().take(LARGEST).read_until(b'\n', &mut line);
        if count.map_err(|error| error.to_string())? == 0 {
            return Ok(());
        }
        let snapshot =
            serde_json::from_slice(&line).map_err(|error| format!("unreadable evidence: {error}"))?;
        let testimony = Testimony::Snapshot(Box::new(snapshot));
        if sender.blocking_send(Message::Testimony(number, testimony)).is_err() {
            return Ok(());
        }
    }
}

/// The first of what is said on standard error; the rest is read and forgotten, so that nobody waits for it.
fn words(mut stderr: impl Read) -> String {
    let mut first = Vec::new();
    let _ = stderr.by_ref().take(WORDS).read_to_end(&mut first);
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
    String::from_utf8_lossy(&first).into_owned()
}
