//! Why a capture cannot be written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tracer_core::capture::CaptureError;

use crate::error::{Exit, ExitStatus};

/// Why a capture cannot be written, or not all of it.
#[derive(Debug, Error)]
pub enum SinkError {
    /// Binary data and a terminal do not go together.
    #[error(
        "refusing to write packets to a terminal: use `-w FILE`, or pipe the output into another program"
    )]
    Terminal,
    /// A file cannot be made. Those before it are complete.
    #[error("cannot create {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file would be written over while it is read.
    #[error("{} is the file that is read: writing to it would destroy it", .0.display())]
    Source(PathBuf),
    /// The output cannot be looked at.
    #[error("cannot open {name}")]
    Open {
        /// What it is.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Wireshark cannot be started.
    #[error("cannot start wireshark: install it, or use `-w - | wireshark -k -i -` where it is")]
    Wireshark(#[source] io::Error),
    /// The reader of the pipe went away: a good end.
    #[error("the reader of the output went away")]
    Closed,
    /// A file took no more. It was cut behind its last whole packet and has another name now; those before it are
    /// complete.
    #[error("the capture is not complete: {} ends before its time", path.display())]
    Partial {
        /// The name that the file has now.
        path: PathBuf,
        /// Why no more could be written.
        source: io::Error,
    },
    /// A file took no more. It was cut behind its last whole packet and kept its name: standard output has none, or
    /// the directory did not allow another one.
    #[error("the capture is not complete: {name} ends before its time")]
    Cut {
        /// The file.
        name: String,
        /// Why no more could be written.
        source: io::Error,
    },
    /// A file took no more and could not be cut: it may end in the middle of a packet.
    #[error(
        "the capture is not complete: {name} may end in the middle of a packet, and cannot be cut ({cut})"
    )]
    Damaged {
        /// The file, under the name that it has now.
        name: String,
        /// Why it cannot be cut.
        cut: io::Error,
        /// Why no more could be written.
        source: io::Error,
    },
    /// A pipe or device took no more.
    #[error("cannot write the capture to {name}")]
    Write {
        /// What it is.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A pcap file has one link type.
    #[error(
        "a pcap file has one link type: {first} is of type {first_type} and {other} of type {other_type}; leave out \
         `--pcap`, or capture them one by one"
    )]
    MixedLinkTypes {
        /// The interface that was described first.
        first: String,
        /// Its link type (tcpdump.org/linktypes.html).
        first_type: u32,
        /// An interface of another type.
        other: String,
        /// Its link type.
        other_type: u32,
    },
    /// A packet or interface cannot be put into the format.
    #[error(transparent)]
    Encode(#[from] CaptureError),
}

impl SinkError {
    /// Whether the reader of a pipe went away, which is a good end.
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether something was written, and less than there was.
    pub const fn is_partial(&self) -> bool {
        matches!(self, Self::Partial { .. } | Self::Cut { .. } | Self::Damaged { .. })
    }

    /// The exit code where it ends a capture that has begun: without another file, those before it are complete.
    pub fn exit_midway(&self) -> Exit {
        if matches!(self, Self::Create { .. }) { Exit::Incomplete } else { self.exit() }
    }
}

impl ExitStatus for SinkError {
    fn exit(&self) -> Exit {
        match self {
            Self::Terminal | Self::Source(_) | Self::MixedLinkTypes { .. } => Exit::Usage,
            Self::Closed => Exit::Complete,
            Self::Partial { .. } | Self::Cut { .. } | Self::Damaged { .. } => Exit::Incomplete,
            Self::Wireshark(_) => Exit::Environment,
            Self::Create { .. } | Self::Open { .. } | Self::Write { .. } | Self::Encode(_) => Exit::Failed,
        }
    }
}
