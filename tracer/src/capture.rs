//! `kflow capture`: packets of the chosen interfaces of one network namespace, as pcapng.

mod end;
mod frame;
mod output;
mod points;
mod selection;
mod session;
mod sink;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

pub use end::{CaptureFailure, End, Summary};
pub use selection::{Selection, SelectionError};
use session::Session;
use tracer_core::units::SnapLength;

use crate::kernel::attach::AttachMode;
use crate::kernel::filter::AddressSet;
use crate::kernel::netns::NetnsRef;

/// Where the capture goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Destination {
    /// Standard output, which must be no terminal.
    Stdout,
    /// A file, replaced if it is there.
    File(PathBuf),
}

/// When the capture ends, besides a signal and a closed output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// After this time.
    pub duration: Option<Duration>,
    /// After this many packets.
    pub packets: Option<u64>,
    /// When standard input ends: how a parent process makes sure that nothing outlives it.
    pub stdin: bool,
}

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which interfaces.
    pub selection: Selection,
    /// The network namespace; absent for that of this process.
    pub netns: Option<NetnsRef>,
    /// Name of the node.
    pub node: String,
    /// The pod that the namespace belongs to; absent for the node's own.
    pub pod: Option<String>,
    /// Which packets.
    pub addresses: AddressSet,
    /// Bytes kept of each.
    pub snap: SnapLength,
    /// Size of the ring buffer in KiB.
    pub ring_kib: u32,
    /// Where to.
    pub destination: Destination,
    /// Until when.
    pub limits: Limits,
    /// A further UDP port that carries VXLAN.
    pub vxlan_port: Option<u16>,
    /// How programs are attached.
    pub attach: AttachMode,
    /// Whether the programs log what they do.
    pub debug: bool,
    /// Whether nothing but errors goes to standard error.
    pub quiet: bool,
}

/// Captures until an end comes, on the calling thread, which must be the only one of the process.
pub fn run(plan: Plan) -> Result<Summary, CaptureFailure> {
    Session::start(plan)?.run()
}
