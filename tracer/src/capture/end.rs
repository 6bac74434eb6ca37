//! How a capture ended: its summary, or why it failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use aya::maps::MapError;
use thiserror::Error;
use tracer_core::capture::{CaptureError, Statistics};

use super::selection::SelectionError;
use crate::error::{Exit, ExitStatus};
use crate::kernel::attach::AttachError;
use crate::kernel::netlink::NetlinkError;
use crate::kernel::netns::NetnsError;
use crate::kernel::object::ObjectError;
use crate::kernel::probe::ProbeError;

/// Why a capture ended in good order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// SIGINT or SIGTERM.
    Signal,
    /// Standard input ended.
    Stdin,
    /// The reader of the output went away.
    OutputClosed,
    /// The time is over.
    Duration,
    /// Enough packets.
    Packets,
}

/// What a capture did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Why it ended.
    pub end: End,
    /// Over all interfaces.
    pub total: Statistics,
    /// Names of the interfaces that were observed at any time.
    pub interfaces: Vec<String>,
    /// Names of interfaces that a pattern chose and that cannot be observed.
    pub unobserved: Vec<String>,
}

impl Summary {
    /// The exit code: a closed output is in order, lost packets or none at all are not complete.
    pub fn exit(&self) -> Exit {
        if self.end == End::OutputClosed {
            Exit::Complete
        } else if self.total.lost > 0 || self.total.written == 0 || !self.unobserved.is_empty() {
            Exit::Incomplete
        } else {
            Exit::Complete
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        writeln!(f, "{} packets captured", total.written)?;
        writeln!(f, "{} packets received by filter", total.matched)?;
        write!(f, "{} packets dropped by kernel", total.lost)?;
        if !self.unobserved.is_empty() {
            write!(f, "\nnot captured on {}", self.unobserved.join(", "))?;
        }
        if total.matched > 0 {
            return Ok(());
        }
        let names =
            if self.interfaces.is_empty() { "no interface".to_owned() } else { self.interfaces.join(", ") };
        match total.seen {
            0 => write!(f, "\nno packet at all passed {names}"),
            seen => write!(f, "\n{seen} packets passed {names}, and none of them matched the filter"),
        }
    }
}

/// Why a capture failed.
#[derive(Debug, Error)]
pub enum CaptureFailure {
    /// Binary data and a terminal do not go together.
    #[error(
        "refusing to write packets to a terminal: use `-w FILE`, or pipe the output into another program"
    )]
    Terminal,
    /// The output file cannot be made.
    #[error("cannot create {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The environment lacks something.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The network namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The interfaces cannot be listed or followed.
    #[error("cannot follow the interfaces")]
    Interfaces(#[source] NetlinkError),
    /// Stale filters of dead processes cannot be looked for.
    #[error("cannot look for filters that a dead kflow left behind")]
    Sweep(#[source] NetlinkError),
    /// An interface that is not there.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The programs cannot be loaded.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// A program cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The filter cannot be given to the kernel.
    #[error("cannot set the packet filter")]
    Filter(#[source] MapError),
    /// The counters cannot be read.
    #[error("cannot read the counters of the interface {name}")]
    Counters {
        /// The interface.
        name: String,
        /// Why.
        source: MapError,
    },
    /// The system refused an ordinary call.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The capture cannot be written.
    #[error(transparent)]
    Write(#[from] CaptureError),
}

impl CaptureFailure {
    pub(super) fn system(operation: &'static str) -> impl Fn(nix::errno::Errno) -> Self {
        move |errno| Self::System { operation, source: errno.into() }
    }
}

impl ExitStatus for CaptureFailure {
    fn exit(&self) -> Exit {
        match self {
            Self::Terminal => Exit::Usage,
            Self::Probe(error) => error.exit(),
            Self::Netns(error) => error.exit(),
            Self::Object(error) => error.exit(),
            Self::Attach(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(end: End, total: Statistics) -> Summary {
        Summary { end, total, interfaces: vec!["eth0".to_owned(), "tunl0".to_owned()], unobserved: vec![] }
    }

    #[test]
    fn ends_as_tcpdump_does() {
        let total = Statistics { seen: 9, matched: 5, lost: 1, written: 4 };
        assert_eq!(
            summary(End::Signal, total).to_string(),
            "4 packets captured\n5 packets received by filter\n1 packets dropped by kernel"
        );
    }

    #[test]
    fn silence_comes_with_what_was_seen() {
        let none = summary(End::Signal, Statistics { seen: 9, ..Statistics::default() });
        assert!(
            none.to_string().ends_with("\n9 packets passed eth0, tunl0, and none of them matched the filter")
        );
        let nothing = summary(End::Signal, Statistics::default());
        assert!(nothing.to_string().ends_with("\nno packet at all passed eth0, tunl0"));
    }

    #[test]
    fn exit_codes() {
        let full = Statistics { seen: 9, matched: 5, lost: 0, written: 5 };
        let table = [
            (End::Signal, full, Exit::Complete),
            (End::Duration, Statistics { lost: 1, ..full }, Exit::Incomplete),
            (End::Stdin, Statistics::default(), Exit::Incomplete),
            (End::OutputClosed, Statistics::default(), Exit::Complete),
        ];
        for (end, total, exit) in table {
            assert_eq!(summary(end, total).exit(), exit, "{end:?}");
        }
    }
}
