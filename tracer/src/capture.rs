//! `kflow capture`: packets of the chosen interfaces of one network namespace, printed or as pcapng.

mod chooser;
mod drops;
mod end;
mod expression;
mod frame;
pub mod interfaces_list;
mod lines;
mod nearly;
mod offline;
mod orders;
mod pipeline;
mod points;
pub mod policy;
mod progress;
pub mod remote;
mod selection;
mod session;
mod sink;
mod throttle;
mod wait;

use std::time::Duration;

pub use end::{CaptureFailure, End, Failure, Summary};
pub use expression::{Expression, FilterError};
pub use offline::{OfflineError, OfflinePlan, OfflineSummary, run as run_offline};
pub use orders::{Lead, Orders, PodLinks};
use policy::{Audit, Policy};
pub use selection::{Selection, SelectionError};
use session::Session;
use tracer_core::output::line::LineOptions;
use tracer_core::units::{Direction, SnapLength};

use crate::kernel::attach::AttachMode;
use crate::kernel::confine::Confinement;
use crate::kernel::drops::DropScope;
use crate::kernel::filter::AddressSet;
use crate::kernel::netns::NetnsRef;
use crate::sink::{Format, Target};

/// What becomes of the packets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Product {
    /// A line for each on standard output.
    Lines(LineOptions),
    /// A capture.
    Capture(Target, Format),
}

/// How much of a packet is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// So many bytes.
    Bytes(SnapLength),
    /// Up to the innermost header of layer 4.
    Headers,
}

impl Keep {
    /// Bytes that are enough for it: with three IPv6 layers, all their options and tunnels, headers rarely take more.
    pub const fn snap(self) -> SnapLength {
        const HEADERS: SnapLength = SnapLength(512);
        match self {
            Self::Bytes(snap) => snap,
            Self::Headers => HEADERS,
        }
    }
}

/// What is done to packets between the kernel, or a file, and the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// How much of each is kept.
    pub keep: Keep,
    /// Whether super-packets become the segments that go over the wire.
    pub segment: bool,
    /// Whether packets of interfaces without link layer stay as they are, instead of getting an Ethernet header.
    pub true_link_types: bool,
}

/// When the capture ends, besides a signal and a closed output.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// After this time.
    pub duration: Option<Duration>,
    /// After this many packets.
    pub packets: Option<u64>,
    /// After this many bytes, over all files.
    pub bytes: Option<u64>,
    /// When standard input ends: how a parent process makes sure that nothing outlives it.
    pub stdin: bool,
}

/// How much is told on standard error.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// What is captured on, and a summary.
    Normal,
    /// The summary of each interface as well.
    Verbose,
}

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which interfaces.
    pub selection: Selection,
    /// Which interfaces instead, by the pods that they lead to.
    pub pods: Option<PodLinks>,
    /// The network namespace; absent for that of this process.
    pub netns: Option<NetnsRef>,
    /// Name of the node.
    pub node: String,
    /// The pod that the namespace belongs to; absent for the node's own.
    pub pod: Option<String>,
    /// Which packets, by their addresses.
    pub addresses: AddressSet,
    /// Which packets, by a filter expression.
    pub expression: Option<Expression>,
    /// Which packets, by their direction at the interface; absent for both.
    pub direction: Option<Direction>,
    /// What is done to them.
    pub shape: Shape,
    /// What becomes of them.
    pub product: Product,
    /// Whether each packet is handed on as it comes.
    pub packet_buffered: bool,
    /// The user to become before the first file is opened.
    pub user: Option<String>,
    /// Size of the ring buffer in KiB.
    pub ring_kib: u32,
    /// Until when.
    pub limits: Limits,
    /// How standard input leads it; absent where only its end counts, if that.
    pub lead: Option<Lead>,
    /// Bytes of output per second, at most.
    pub max_rate: Option<u64>,
    /// A further UDP port that carries VXLAN.
    pub vxlan_port: Option<u16>,
    /// Which packets that the kernel drops are captured as well; absent for none.
    pub drops: Option<DropScope>,
    /// How programs are attached.
    pub attach: AttachMode,
    /// What is given up once they are.
    pub confinement: Confinement,
    /// Whether the programs log what they do.
    pub debug: bool,
    /// What is told on standard error.
    pub verbosity: Verbosity,
    /// Who it is for, as who leads it says.
    pub claim: Claim,
}

/// What a kflow elsewhere says of a capture that it leads. Nothing here can prove it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claim {
    /// Who the cluster takes the user for.
    pub user: Option<String>,
    /// The expression that its compiled filter was made of.
    pub filter: Option<String>,
}

/// Captures until an end comes, on the calling thread, which must be the only one of the process.
pub fn run(mut plan: Plan) -> Result<Summary, CaptureFailure> {
    let policy = Policy::of_environment()?;
    if let Some(word) = policy.bind(&mut plan) {
        say!("kflow: {word}");
    }
    let mut audit = Audit::begin(&plan);
    let ended = Session::start(plan).and_then(|session| session.run(audit.as_mut()));
    if let Some(audit) = audit {
        audit.end(&ended);
    }
    ended
}
