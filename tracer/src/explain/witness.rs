//! `kflow evidence` asked once: a child of this process for a network namespace of this machine.

use std::io::{self, BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;

use thiserror::Error;
use tracer_core::evidence::Snapshot;

use crate::error::{Exit, ExitStatus};

/// Bytes of a snapshot, at most: one of a node with 100,000 rules has about half.
const LARGEST: u64 = 256 << 20;
/// Bytes of what it says for a person, at most.
const WORDS: u64 = 4096;

/// Why a namespace's rules could not be had.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// This very program cannot be started.
    #[error("cannot start `kflow evidence`")]
    Start(#[source] io::Error),
    /// It said why it could not.
    #[error("no rules and routes of {place}: {why}")]
    Refused {
        /// Whose they are.
        place: String,
        /// What it said.
        why: String,
        /// How it ended.
        exit: Exit,
    },
    /// What it wrote is no snapshot.
    #[error("no rules and routes of {place}: what was told of them is not understood")]
    Malformed {
        /// Whose they are.
        place: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl ExitStatus for WitnessError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused { exit, .. } => *exit,
            Self::Start(_) | Self::Malformed { .. } => Exit::Failed,
        }
    }
}

/// A namespace of this machine that is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// The node.
    pub(super) node: String,
    /// The pod whose it is, as `namespace/name`; absent for the node's own.
    pub(super) pod: Option<String>,
    /// The namespace as `--netns` takes it; absent for the one that kflow runs in.
    pub(super) netns: Option<String>,
}

impl Place {
    fn label(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.node)
    }
}

/// Asks several at once; in their order.
pub(super) fn ask(places: &[Place]) -> Vec<Result<Snapshot, WitnessError>> {
    thread::scope(|scope| {
        let asked: Vec<_> = places.iter().map(|place| scope.spawn(|| one(place))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        };
        asked.into_iter().map(join).collect()
    })
}

fn one(place: &Place) -> Result<Snapshot, WitnessError> {
    let mut command = Command::new(std::env::current_exe().map_err(WitnessError::Start)?);
    command.args(["evidence", "--node", &place.node]);
    if let Some(pod) = &place.pod {
        command.args(["--pod", pod]);
    }
    if let Some(netns) = &place.netns {
        command.args(["--netns", netns]);
    }
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.map_err(WitnessError::Start)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let words = thread::spawn(move || stderr.map(words).unwrap_or_default());
    let told = stdout.map(|stdout| read(place.label(), stdout));
    let status = child.wait().map_err(WitnessError::Start)?;
    let why = words.join().unwrap_or_default();
    match told {
        Some(Ok(Some(snapshot))) => Ok(snapshot),
        Some(Err(error)) => Err(error),
        Some(Ok(None)) | None => {
            let exit = if status.code() == Some(4) { Exit::Environment } else { Exit::Failed };
            Err(WitnessError::Refused { place: place.label().to_owned(), why, exit })
        }
    }
}

/// The first line as a snapshot; absent where there is none.
pub(super) fn read(place: &str, from: impl Read) -> Result<Option<Snapshot>, WitnessError> {
    let mut line = Vec::new();
    let read = BufReader::new(from.take(LARGEST)).read_until(b'\n', &mut line);
    if read.is_err() || !line.ends_with(b"\n") {
        return Ok(None);
    }
    let malformed = |source| WitnessError::Malformed { place: place.to_owned(), source };
    serde_json::from_slice(&line).map(Some).map_err(malformed)
}

/// What it says for a person, on one line, without its own name in front.
pub(super) fn words(mut from: impl Read) -> String {
    let mut text = Vec::new();
    let _ = from.by_ref().take(WORDS).read_to_end(&mut text);
    // The rest has to be read, or the one who writes it waits for ever.
    let _ = io::copy(&mut from, &mut io::sink());
    let text = String::from_utf8_lossy(&text);
    let line = text.trim().lines().collect::<Vec<_>>().join("; ");
    line.strip_prefix("kflow: ").map(str::to_owned).unwrap_or(line)
}
