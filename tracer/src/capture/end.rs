//! How a capture ended: its summary, or why it failed.

use std::fmt;
use std::io;

use aya::maps::MapError;
use thiserror::Error;
use tracer_core::capture::Statistics;

use super::expression::FilterError;
use super::policy::PolicyError;
use super::selection::SelectionError;
use crate::error::{Exit, ExitStatus, chain};
use crate::kernel::attach::AttachError;
use crate::kernel::counters::InterfaceTableError;
use crate::kernel::netlink::NetlinkError;
use crate::kernel::netns::NetnsError;
use crate::kernel::object::ObjectError;
use crate::kernel::probe::ProbeError;
use crate::sink::{PrivilegeError, SinkError};

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
    /// Enough files or bytes.
    Size,
    /// The output took no more: the disk is full.
    OutputFailed,
    /// Every capture on a cluster ended by itself.
    Streams,
}

/// What a capture did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Summary {
    /// Why it ended.
    pub end: End,
    /// Of each interface and name of it.
    pub statistics: Vec<(String, Statistics)>,
    /// Of packets that the kernel dropped; absent where they were not looked for, or could not be seen.
    pub drops: Option<Statistics>,
    /// Names of the interfaces that were observed at any time.
    pub interfaces: Vec<String>,
    /// Names of interfaces that a pattern chose and that cannot be observed.
    pub unobserved: Vec<String>,
    /// What nearly matched, where nothing did.
    pub nearly: String,
    /// Why the output is not whole.
    pub failure: Option<Failure>,
    /// Bytes that were written; 0 for lines.
    pub bytes: u64,
    /// Whether to tell of each interface.
    pub is_verbose: bool,
}

/// An output that took no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Why.
    pub reason: String,
    /// What it exits with.
    pub exit: Exit,
    /// Packets that the output has.
    pub in_output: u64,
}

impl Failure {
    pub(super) fn new(error: &SinkError, in_output: u64) -> Self {
        Self { reason: chain(error), exit: error.exit_midway(), in_output }
    }
}

impl Summary {
    /// Over all interfaces.
    pub fn total(&self) -> Statistics {
        self.statistics.iter().fold(Statistics::default(), |sum, (_, one)| Statistics {
            seen: sum.seen + one.seen,
            matched: sum.matched + one.matched,
            lost: sum.lost + one.lost,
            written: sum.written + one.written,
        })
    }

    /// The exit code: a closed output is in order, lost packets or none at all are not complete.
    pub fn exit(&self) -> Exit {
        let (total, drops) = (self.total(), self.drops.unwrap_or_default());
        if self.end == End::OutputClosed {
            Exit::Complete
        } else if let Some(failure) = &self.failure {
            failure.exit
        } else if total.lost + drops.lost > 0
            || total.written + drops.written == 0
            || !self.unobserved.is_empty()
        {
            Exit::Incomplete
        } else {
            Exit::Complete
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let mut captured = total.written;
        if let Some(failure) = &self.failure {
            writeln!(f, "kflow: {}", failure.reason)?;
            captured = captured.min(failure.in_output);
        }
        writeln!(f, "{} captured", packets(captured))?;
        writeln!(f, "{} received by filter", packets(total.matched))?;
        write!(f, "{} dropped by kernel", packets(total.lost))?;
        if let Some(drops) = self.drops {
            write!(f, "\n{} captured that the kernel threw away", packets(drops.written))?;
            if drops.lost > 0 {
                write!(f, ", {} more of them lost", drops.lost)?;
            }
        }
        if captured < total.written {
            write!(f, "\n{} taken from the kernel and not in the output", packets(total.written - captured))?;
        }
        if self.is_verbose {
            for (name, one) in &self.statistics {
                let Statistics { seen, matched, lost, written } = one;
                write!(
                    f,
                    "\n  {name}: {written} captured, {matched} received by filter, {lost} dropped, {seen} passed"
                )?;
            }
        }
        if !self.unobserved.is_empty() {
            write!(f, "\nnot captured on {}", self.unobserved.join(", "))?;
        }
        if total.matched > 0 {
            return Ok(());
        }
        if self.interfaces.is_empty() {
            return f.write_str("\nthere was no interface to capture on");
        }
        let names = self.interfaces.join(", ");
        match total.seen {
            0 => write!(f, "\nno packet at all passed {names}"),
            seen => write!(f, "\n{} passed {names}, and none of them matched the filter", packets(seen)),
        }?;
        f.write_str(&self.nearly)
    }
}

/// As tcpdump counts them: `1 packet`, `2 packets`.
fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

/// Why a capture failed.
#[derive(Debug, Error)]
pub enum CaptureFailure {
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
    /// The interface cannot be made known to the programs.
    #[error("cannot observe the interface {name}")]
    Table {
        /// The interface.
        name: String,
        /// Why.
        source: InterfaceTableError,
    },
    /// The system refused an ordinary call.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The expression cannot be used.
    #[error(transparent)]
    Expression(#[from] FilterError),
    /// What binds captures here cannot be understood.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Another user cannot be become.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The capture cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

impl CaptureFailure {
    pub(super) fn system(operation: &'static str) -> impl Fn(nix::errno::Errno) -> Self {
        move |errno| Self::System { operation, source: errno.into() }
    }
}

impl ExitStatus for CaptureFailure {
    fn exit(&self) -> Exit {
        match self {
            Self::Sink(error) => error.exit(),
            Self::Expression(error) => error.exit(),
            Self::Probe(error) => error.exit(),
            Self::Netns(error) => error.exit(),
            Self::Object(error) => error.exit(),
            Self::Attach(error) => error.exit(),
            Self::Policy(_) => Exit::Environment,
            _ => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Statistics = Statistics { seen: 9, matched: 5, lost: 0, written: 5 };

    fn summary(end: End, eth0: Statistics) -> Summary {
        Summary {
            end,
            statistics: vec![("eth0".to_owned(), eth0), ("tunl0".to_owned(), Statistics::default())],
            drops: None,
            interfaces: vec!["eth0".to_owned(), "tunl0".to_owned()],
            unobserved: vec![],
            nearly: String::new(),
            failure: None,
            bytes: 0,
            is_verbose: false,
        }
    }

    #[test]
    fn ends_as_tcpdump_does() {
        let total = Statistics { seen: 9, matched: 5, lost: 1, written: 4 };
        let lines = "4 packets captured\n5 packets received by filter\n1 packet dropped by kernel";
        assert_eq!(summary(End::Signal, total).to_string(), lines);
        let verbose = Summary { is_verbose: true, ..summary(End::Signal, total) };
        assert_eq!(
            verbose.to_string(),
            format!(
                "{lines}\n  eth0: 4 captured, 5 received by filter, 1 dropped, 9 passed\n  \
                 tunl0: 0 captured, 0 received by filter, 0 dropped, 0 passed"
            )
        );
    }

    #[test]
    fn silence_comes_with_what_was_seen() {
        let none = summary(End::Signal, Statistics { seen: 9, ..Statistics::default() });
        let none = Summary { nearly: "\nof 4 looked at".to_owned(), ..none };
        assert!(none.to_string().ends_with(
            "\n9 packets passed eth0, tunl0, and none of them matched the filter\nof 4 looked at"
        ));
        let nothing = summary(End::Signal, Statistics::default());
        assert!(nothing.to_string().ends_with("\nno packet at all passed eth0, tunl0"));
    }

    #[test]
    fn exit_codes() {
        let table = [
            (End::Signal, FULL, Exit::Complete),
            (End::Size, FULL, Exit::Complete),
            (End::Duration, Statistics { lost: 1, ..FULL }, Exit::Incomplete),
            (End::Stdin, Statistics::default(), Exit::Incomplete),
            (End::OutputClosed, Statistics::default(), Exit::Complete),
        ];
        for (end, total, exit) in table {
            assert_eq!(summary(end, total).exit(), exit, "{end:?}");
        }
        let failure = Failure { reason: "disk full".to_owned(), exit: Exit::Incomplete, in_output: 3 };
        let partial = Summary { failure: Some(failure), ..summary(End::OutputFailed, FULL) };
        assert_eq!(partial.exit(), Exit::Incomplete);
        let text = partial.to_string();
        assert!(text.starts_with("kflow: disk full\n3 packets captured\n"), "{text}");
        assert!(text.ends_with("\n2 packets taken from the kernel and not in the output"), "{text}");
    }
}
