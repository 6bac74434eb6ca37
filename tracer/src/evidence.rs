//! `kflow evidence`: what the kernel of this network namespace says about the way of packets, at the beginning and, for
//! whoever leads it by standard input, at the end.

mod led;
mod snapshot;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;
use zstd::stream::write::Encoder;

use crate::audit::{Log, cut, list};
use crate::error::{Exit, ExitStatus, chain};
use crate::kernel::netns::{NetnsError, NetnsRef};
pub use snapshot::Place;
use snapshot::{Connections, snapshot};

/// The fastest of zstd's ordinary levels: rules shrink to a tenth by any of them.
const LEVEL: i32 = 1;

/// Why there is no evidence at all. What is missing of it is told within it.
#[derive(Debug, Error)]
pub enum EvidenceError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// Standard input cannot be waited for.
    #[error("cannot wait for standard input")]
    Wait(#[source] io::Error),
    /// Standard output refused it.
    #[error("cannot write the evidence")]
    Write(#[source] io::Error),
}

impl ExitStatus for EvidenceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Netns(error) => error.exit(),
            Self::Wait(_) | Self::Write(_) => Exit::Failed,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The namespace; absent for the one that this process is in.
    pub netns: Option<NetnsRef>,
    /// What it is called.
    pub place: Place,
    /// Whose connections are listed; nobody's where there are none.
    pub addresses: Vec<IpAddr>,
    /// Whether a second snapshot is taken when standard input ends.
    pub is_led: bool,
    /// Without a line on standard input for so long it ends without a second snapshot.
    pub heartbeat: Option<Duration>,
    /// Whether standard output is a zstd stream (RFC 8878).
    pub is_compressed: bool,
    /// Who asks, for the log of an agent.
    pub for_user: Option<String>,
}

/// Takes snapshots and prints each as a line of JSON.
pub fn run(request: &Request) -> Result<Exit, EvidenceError> {
    let mut log = Log::of_environment("evidence", request.for_user.as_deref());
    if let Some(log) = &mut log {
        log.note("begin", beginning(request));
    }
    if let Some(netns) = &request.netns {
        netns.enter()?;
    }
    let began = Instant::now();
    let mut output = Output::new(request.is_compressed).map_err(EvidenceError::Write)?;
    let told = tell(request, &mut output);
    if let Some(log) = &mut log {
        let error = told.as_ref().err().map(|error| cut(&chain(error)));
        let seconds = began.elapsed().as_secs_f64();
        log.note("end", json!({"seconds": seconds, "bytes": output.bytes, "error": error}));
    }
    match told.and_then(|()| output.end().map_err(EvidenceError::Write)) {
        // Who reads has seen enough.
        Err(EvidenceError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Complete),
        told => told.map(|()| Exit::Complete),
    }
}

fn beginning(request: &Request) -> Value {
    json!({
        "node": cut(&request.place.node),
        "pod": request.place.pod.as_deref().map(cut),
        "netns": request.netns.as_ref().map(|netns| cut(&netns.to_string())),
        "addresses": list(request.addresses.iter().copied()),
    })
}

fn tell(request: &Request, output: &mut Output) -> Result<(), EvidenceError> {
    let mut connections = if request.is_led {
        Connections::watched(&request.addresses)
    } else {
        Connections::now(&request.addresses)
    };
    let mut line = |connections: &mut Connections| {
        let snapshot = snapshot(&request.place, connections);
        output.line(&snapshot).map_err(EvidenceError::Write)
    };
    line(&mut connections)?;
    if request.is_led && led::wait(request.heartbeat, &mut connections).map_err(EvidenceError::Wait)? {
        line(&mut connections)?;
    }
    Ok(())
}

/// Standard output.
struct Output {
    stream: Stream,
    /// Written so far, before compression.
    bytes: usize,
}

/// Compressed or not.
enum Stream {
    Plain(io::Stdout),
    Zstd(Encoder<'static, io::Stdout>),
}

impl Output {
    fn new(is_compressed: bool) -> io::Result<Self> {
        let stdout = io::stdout();
        let stream =
            if is_compressed { Stream::Zstd(Encoder::new(stdout, LEVEL)?) } else { Stream::Plain(stdout) };
        Ok(Self { stream, bytes: 0 })
    }

    /// Writes a line, whole for whoever reads along.
    fn line(&mut self, snapshot: &tracer_core::evidence::Snapshot) -> io::Result<()> {
        let mut line = serde_json::to_vec(snapshot)?;
        line.push(b'\n');
        match &mut self.stream {
            Stream::Plain(stdout) => stdout.write_all(&line).and_then(|()| stdout.flush())?,
            Stream::Zstd(encoder) => encoder.write_all(&line).and_then(|()| encoder.flush())?,
        }
        self.bytes += line.len();
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        match self.stream {
            Stream::Plain(_) => Ok(()),
            Stream::Zstd(encoder) => encoder.finish().map(drop),
        }
    }
}
