//! Verdicts: the outcome of a flow, the place, the cause, what speaks for it, and what to do.

use serde::Serialize;

use crate::trace::PlaceName;

/// What became of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything reached its end, as far as it was seen.
    Delivered,
    /// Somebody answered that it may not, or cannot, be: a RST, an ICMP error, REJECT.
    Refused,
    /// A node dropped packets, and said so.
    Dropped,
    /// Packets vanished, and nobody says why.
    BlackHoled,
    /// One direction arrives, the other does not.
    OneWay,
    /// It works, and something takes its time or has to be repeated.
    Slow,
    /// It cannot be told.
    Unknown,
}

/// Where something happened.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Spot {
    /// The node; absent where it is between two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The pod in whose namespace it is; absent in the node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The last hop that saw the packets; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<PlaceName>,
    /// The hop that they would have reached next; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<PlaceName>,
}

/// What evidence comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The packets themselves.
    Packets,
    /// The kernel's own record of packets that it dropped (`skb:kfree_skb`).
    Drops,
    /// Rules of netfilter, or of IPVS.
    Rules,
    /// Connection tracking.
    Conntrack,
    /// Routes and routing rules.
    Routes,
    /// Neighbours, forwarding tables, tunnels and links.
    Links,
    /// Settings of the kernel.
    Sysctl,
    /// Sockets.
    Sockets,
    /// Counters of the kernel.
    Counters,
    /// The cluster's state.
    Cluster,
}

/// A line of evidence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Fact {
    /// What it comes from.
    pub source: Source,
    /// The node that says so; absent for the cluster's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The pod in whose namespace it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// What it says, in one line.
    pub text: String,
}

/// Why.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// A rule of the firewall, or the policy of its chain, drops.
    FirewallDrop,
    /// A rule of the firewall refuses.
    FirewallReject,
    /// A rule that a network policy was made into drops.
    NetworkPolicy,
    /// The source is not reachable by the interface that the packet came in by (`rp_filter`).
    ReversePathFilter,
    /// The node does not forward (`ip_forward`, `forwarding`).
    ForwardingDisabled,
    /// There is no route.
    NoRoute,
    /// A route lets packets vanish.
    BlackholeRoute,
    /// A route refuses packets as prohibited.
    ProhibitRoute,
    /// A route refuses packets as unreachable.
    UnreachableRoute,
    /// Nobody answers ARP or NDP for the next hop.
    NeighbourFailed,
    /// The forwarding table, or the route, names another tunnel peer than the node that the pod is on.
    TunnelPeerWrong,
    /// The network between the nodes does not let the encapsulation pass, while other packets pass.
    TunnelFiltered,
    /// The two ends of a tunnel have different network identifiers.
    WrongVni,
    /// Packets are longer than a link takes, may not be fragmented, and the sender does not learn of it.
    MtuBlackHole,
    /// Nobody listens on the port.
    ClosedPort,
    /// A service sends to a port that nobody in the pod listens on.
    TargetPortUnserved,
    /// A service has no endpoints.
    NoEndpoints,
    /// A service has endpoints, and none is ready.
    EndpointNotReady,
    /// A rule still sends to a pod that is gone.
    StaleEndpoint,
    /// The traffic policy `Local` and no endpoint on this node.
    LocalPolicyWithoutEndpoint,
    /// A pod reaches itself through a service, and its own address comes back to it as source.
    HairpinWithoutMasquerade,
    /// Answers go another way than requests came, around whoever translates or tracks them.
    AsymmetricReturn,
    /// The table of connections is full.
    ConntrackFull,
    /// Two packets made the same connection at once, and one was dropped.
    ConntrackClash,
    /// More connections wait at a listener than it takes.
    ListenOverflow,
    /// Two have the same address.
    DuplicateAddress,
    /// Packets go round in circles until their time to live is used up.
    RoutingLoop,
    /// The name server says that a name does not exist, for a name of the search list.
    DnsSearch,
    /// The name server says that a name does not exist.
    DnsNoName,
    /// The name server does not answer.
    DnsUnreachable,
    /// The name server answers late.
    DnsSlow,
    /// Packets are lost between two nodes now and then.
    WireLoss,
    /// Packets overtake each other between two nodes.
    WireReordering,
    /// A packet was changed on its way, its checksum is wrong.
    BadChecksum,
    /// An interface of the way is down.
    InterfaceDown,
    /// A socket has no room for more (`SO_RCVBUF`).
    SocketBufferFull,
    /// The receiver does not read.
    ZeroWindow,
    /// A service's address does not answer this: its rules are for its own ports and protocols.
    ServiceAddressUnserved,
    /// A queue of an interface or of a processor is full.
    QueueFull,
    /// A TC or XDP program dropped it.
    ProgramDrop,
    /// The kernel dropped it for the reason told.
    KernelDrop,
}

/// What became of a flow, and why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Verdict {
    /// What became of it.
    pub outcome: Outcome,
    /// Where; absent where nothing went wrong, or it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Spot>,
    /// Why; absent where nothing went wrong, or it cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// All in one sentence: what, where, why, with the names that matter (the rule, the route, the policy).
    pub summary: String,
    /// What speaks for it, most telling first.
    pub evidence: Vec<Fact>,
    /// What to do about it; absent where nothing went wrong or nothing can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
