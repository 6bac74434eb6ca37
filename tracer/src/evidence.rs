//! `kflow evidence`: what the kernel of this network namespace says about the way of packets, at the beginning and, for
//! whoever leads it by standard input, at the end.

mod led;
mod snapshot;

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;
use zstd::stream::write::Encoder;

use crate::error::{Exit, ExitStatus};
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
}

/// Takes snapshots and prints each as a line of JSON.
pub fn run(request: &Request) -> Result<Exit, EvidenceError> {
    if let Some(netns) = &request.netns {
        netns.enter()?;
    }
    match tell(request) {
        // Who reads has seen enough.
        Err(EvidenceError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Complete),
        told => told.map(|()| Exit::Complete),
    }
}

fn tell(request: &Request) -> Result<(), EvidenceError> {
    let mut output = Output::new(request.is_compressed).map_err(EvidenceError::Write)?;
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
    output.end().map_err(EvidenceError::Write)
}

/// Standard output, compressed or not.
enum Output {
    Plain(io::Stdout),
    Zstd(Encoder<'static, io::Stdout>),
}

impl Output {
    fn new(is_compressed: bool) -> io::Result<Self> {
        let stdout = io::stdout();
        Ok(if is_compressed { Self::Zstd(Encoder::new(stdout, LEVEL)?) } else { Self::Plain(stdout) })
    }

    /// Writes a line, whole for whoever reads along.
    fn line(&mut self, snapshot: &tracer_core::evidence::Snapshot) -> io::Result<()> {
        let mut line = serde_json::to_vec(snapshot)?;
        line.push(b'\n');
        match self {
            Self::Plain(stdout) => stdout.write_all(&line).and_then(|()| stdout.flush()),
            Self::Zstd(encoder) => encoder.write_all(&line).and_then(|()| encoder.flush()),
        }
    }

    fn end(self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Zstd(encoder) => encoder.finish().map(drop),
        }
    }
}
