//! Ground truth: traffic whose every packet tells by its own payload which one it is.
//!
//! What the engine says is compared with that. Nothing here looks at sequence numbers, identifications, addresses,
//! ports or times to say which packet is which; [`content`] says what is looked at instead, [`instances`] how
//! retransmissions of the same bytes are told apart, [`loss`] how drops are known.

pub mod clocks;
pub mod condition;
pub mod content;
pub mod craft;
mod demands;
pub mod impair;
pub mod instances;
pub mod latency;
pub mod loss;
mod parse;
pub mod random;
pub mod recorder;
pub mod replay;
pub mod score;
pub mod seen;
pub mod stream;
pub mod table;
pub mod udp;
pub mod way;

use std::{io, process::ExitStatus};

use thiserror::Error;
use tracer_core::{capture::CaptureError, resolve::StateError};

use crate::{CommandError, LabError, tcpdump::TcpdumpError};

/// A run that tells nothing.
#[derive(Debug, Error)]
pub enum TruthError {
    /// The lab could not be raised or changed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A program of the system failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The traffic did not get through.
    #[error("the traffic of \"{condition}\" did not get through")]
    Traffic {
        /// The condition.
        condition: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A recorder could not be started or listened to.
    #[error("cannot record, or read what was recorded")]
    Recorder(#[source] io::Error),
    /// A recorder failed.
    #[error("the recorder of {node} ended with {status}: its words are above")]
    RecorderEnd {
        /// Its node.
        node: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// A recording cannot be read.
    #[error("cannot read a recording")]
    Unread(#[source] CaptureError),
    /// The lab's cluster state cannot be read.
    #[error("cannot read the state of the lab's cluster")]
    State(#[source] StateError),
    /// The recorder of drops could not be started or stopped.
    #[error(transparent)]
    Tcpdump(#[from] TcpdumpError),
    /// A rule's counter cannot be read.
    #[error("iptables does not tell how many packets were dropped: {0}")]
    Counter(String),
    /// The recorder of drops has not what the rule counted.
    #[error("{counted} packets were dropped, and {recorded} of them recorded")]
    Drops {
        /// By the rule's counter.
        counted: u64,
        /// In the file.
        recorded: u64,
    },
}
