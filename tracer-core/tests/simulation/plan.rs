//! What is simulated: a network, its faults, its clocks, its recorders and the traffic on it.
//!
//! A plan and its seed determine every packet. Plans are plain values, so that one that fails can be shrunk.

use crate::random::Chance;

/// Nanoseconds.
pub(crate) const US: u64 = 1_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A network with its traffic.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Of every random choice.
    pub(crate) seed: u64,
    /// The nodes' clocks.
    pub(crate) nodes: Vec<Clock>,
    pub(crate) pods: Vec<Pod>,
    /// Of the addresses that encapsulations go between.
    pub(crate) underlay: Family,
    /// Encapsulations between nodes, the innermost first; none where pod addresses are routed.
    pub(crate) tunnels: Vec<Encapsulation>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
}

/// A node's clock against true time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    /// Nanoseconds that it is ahead at the beginning.
    pub(crate) offset: i64,
    /// Microseconds per second that it runs too fast.
    pub(crate) skew_ppm: i64,
    /// When, in nanoseconds of true time, it is set by how many nanoseconds.
    pub(crate) steps: Vec<(u64, i64)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pod {
    /// Number of its node.
    pub(crate) node: usize,
    /// Whether its own interface is an observation point.
    pub(crate) is_entered: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Encapsulation {
    Ipip,
    Vxlan,
    Geneve,
    Gre,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    V4,
    V6,
}

#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) family: Family,
    pub(crate) client: Client,
    pub(crate) target: Target,
    /// Whether the client's node (that of the NodePort) puts its own address in the client's place.
    pub(crate) is_masqueraded: bool,
    pub(crate) traffic: Traffic,
    /// When it begins, in nanoseconds of true time.
    pub(crate) start: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Client {
    /// A pod by its number.
    Pod(usize),
    /// A machine that nobody watches; reaches node ports only.
    Outside,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// A pod's own address.
    Pod(usize),
    /// The ClusterIP of the service of one pod.
    Service(usize),
    /// A port of a node, for the service of one pod.
    NodePort { node: usize, pod: usize },
}

impl Target {
    /// The pod behind it.
    pub(crate) fn pod(self) -> usize {
        match self {
            Self::Pod(pod) | Self::Service(pod) | Self::NodePort { pod, .. } => pod,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Traffic {
    Tcp(Tcp),
    Datagrams(Datagrams),
}

#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    /// Full segments that the client and the server have to send.
    pub(crate) segments: [u32; 2],
    /// Wire segments of a super-packet at most; 1 where the sender segments itself.
    pub(crate) gso: u32,
    /// Whether it was open before anything was watched.
    pub(crate) is_open: bool,
    pub(crate) reset: Reset,
    /// Time between two writes of an application, at most.
    pub(crate) pause: u64,
}

/// Whether the server breaks a connection off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reset {
    Never,
    /// When all it sent is acknowledged.
    Idle,
    /// At once: whatever is on its way is answered by a RST, and those are all alike.
    Busy,
}

#[derive(Clone, Debug)]
pub(crate) struct Datagrams {
    pub(crate) kind: Kind,
    /// How many the client sends.
    pub(crate) count: u32,
    /// Time between two of them, at most.
    pub(crate) pause: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Random payload, no identification, answers of several packets.
    Quic,
    /// The same, several as one super-packet (`UDP_SEGMENT`).
    Batched,
    /// Small; some are sent again as they are, after a while; no identification.
    Dns,
    /// All alike, no identification.
    Alike,
    /// All alike, numbered by IPv4.
    Numbered,
    /// Three fragments each, answered by one.
    Fragmented,
    Echo,
    Sctp,
}

/// What goes wrong on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// On the wire between nodes.
    pub(crate) wire: Chances,
    /// Between any two points on one node.
    pub(crate) local: Chances,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chances {
    pub(crate) loss: Chance,
    pub(crate) duplicate: Chance,
    pub(crate) reorder: Chance,
}

/// How observations are recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    /// Bytes kept of each packet.
    pub(crate) snap: usize,
    /// When recording begins, in nanoseconds of true time.
    pub(crate) start: u64,
    /// How long it goes on after the last packet.
    pub(crate) settle: u64,
    /// Times in which it cannot keep up.
    pub(crate) overflows: Vec<Overflow>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { snap: 192, start: 0, settle: SECOND, overflows: Vec::new() }
    }
}

/// A time in which the recorder of a node loses observations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overflow {
    pub(crate) node: usize,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) share: Chance,
}
