//! Links, routes, neighbours, sockets and programs of a network namespace.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Protocol;
use crate::way::LinkIndex;

/// An interface.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Link {
    /// Its index.
    pub index: LinkIndex,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Hardware address, where it has one of 48 bits, as `aa:bb:cc:dd:ee:ff`.
    pub mac: Option<String>,
    /// Greatest length of a packet without its link layer, in bytes.
    pub mtu: u32,
    /// Whether it was set up (`IFF_UP`).
    pub is_up: bool,
    /// Whether packets can pass (`IFF_LOWER_UP`): a cable, or the other end of a pair that is up.
    pub has_carrier: bool,
    /// The bridge or bond that it is a port of.
    pub master: Option<LinkIndex>,
    /// The other end of a pair, or the link below.
    pub peer: Option<LinkIndex>,
    /// Inode of the namespace that the other end is in, where it is another one and can be found.
    pub peer_netns: Option<u64>,
    /// Whether the other end is in another namespace.
    pub is_peer_elsewhere: bool,
    /// What is told of the tunnel that it is.
    pub tunnel: Option<Tunnel>,
    /// Addresses.
    pub addresses: Vec<LinkAddress>,
    /// What passed and what did not.
    pub counters: LinkCounters,
    /// The queueing discipline of packets going out (`fq_codel`, `noqueue`).
    pub qdisc: Option<String>,
    /// Packets that the queueing disciplines dropped (`TCA_STATS2`).
    pub qdisc_drops: u64,
    /// Packets that filters at its `clsact` or `ingress` dropped, in either direction.
    #[serde(default)]
    pub clsact_drops: u64,
}

/// What drives a link: `IFLA_INFO_KIND` (`veth`, `bridge`, `vxlan`), `loopback`, or `physical` where there is no kind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct LinkKind(pub String);

/// An address of a link.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LinkAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its network's prefix in bits.
    pub prefix: u8,
    /// Whether somebody else on the link has it as well (`IFA_F_DADFAILED`).
    pub is_duplicate: bool,
}

/// A link's counters (`struct rtnl_link_stats64`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct LinkCounters {
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bad packets received.
    pub rx_errors: u64,
    /// Packets that could not be sent.
    pub tx_errors: u64,
    /// Packets received and dropped.
    pub rx_dropped: u64,
    /// Packets dropped before sending.
    pub tx_dropped: u64,
    /// Packets with a bad checksum of the link (`rx_crc_errors`).
    pub rx_crc_errors: u64,
    /// Packets for which there was no buffer (`rx_missed_errors`).
    pub rx_missed: u64,
    /// Packets that nobody wanted (`rx_nohandler`).
    pub rx_nohandler: u64,
    /// Times that the carrier was lost.
    pub carrier_changes: u64,
}

/// Parameters of a tunnel.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Tunnel {
    /// Own outer address; absent for any.
    pub local: Option<IpAddr>,
    /// Outer address of the other side; absent where routes or the forwarding table tell it.
    pub remote: Option<IpAddr>,
    /// Identifier of a VXLAN or Geneve network.
    pub vni: Option<u32>,
    /// UDP port that it sends to.
    pub port: Option<u16>,
    /// Whether outer packets may not be fragmented.
    pub dont_fragment: Option<bool>,
    /// Time to live of outer packets; absent or 0 where it is that of the inner packet.
    pub ttl: Option<u8>,
    /// Whether each packet says whom it is sent to (`external`).
    pub is_external: bool,
    /// What is told of a VXLAN.
    pub vxlan: Option<Vxlan>,
}

/// Parameters of a VXLAN device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Vxlan {
    /// Whether it learns addresses from packets.
    pub is_learning: bool,
    /// Whether each packet says whom it is sent to (`external`).
    pub is_external: bool,
}

/// What becomes of packets that a route is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteKind {
    /// They are sent.
    Unicast,
    /// They are for this node.
    Local,
    /// Broadcast, anycast or multicast.
    Group,
    /// They vanish silently.
    Blackhole,
    /// They are refused as unreachable.
    Unreachable,
    /// They are refused as prohibited.
    Prohibit,
    /// The next table is asked.
    Throw,
    /// Another kind.
    Other,
}

/// A route; one that has several next hops is several of them, equal in destination, table and priority.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Route {
    /// Table; 254 is `main`, 255 `local`.
    pub table: u32,
    /// Network.
    pub destination: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// Where they are sent next; absent where the destination is a neighbour.
    pub gateway: Option<IpAddr>,
    /// By which interface.
    pub link: Option<LinkIndex>,
    /// Source that local packets get.
    pub source: Option<IpAddr>,
    /// Order among equals, least first.
    pub priority: u32,
    /// Who made it (`RTPROT_*`: 2 is the kernel, 3 an administrator at boot, 4 one later, 80 Calico).
    pub protocol: u8,
    /// Whether the gateway is taken for a neighbour whatever its address (`onlink`).
    pub is_onlink: bool,
    /// Greatest length of a packet on it, where it says one.
    pub mtu: Option<u32>,
    /// Whether it is not used because its link is down, or without carrier where that matters (`RTNH_F_DEAD`).
    #[serde(default)]
    pub is_dead: bool,
}

/// A rule of `ip rule`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoutingRule {
    /// Order, least first.
    pub priority: u32,
    /// Whether it is for IPv6.
    pub is_ipv6: bool,
    /// Source network.
    pub source: Option<(IpAddr, u8)>,
    /// Destination network.
    pub destination: Option<(IpAddr, u8)>,
    /// Mark and mask.
    pub mark: Option<(u32, u32)>,
    /// Interface that packets come in by.
    pub input: Option<String>,
    /// Interface that local packets are bound to.
    pub output: Option<String>,
    /// Table to ask; absent where `kind` says what becomes of packets.
    pub table: Option<u32>,
    /// What becomes of packets ([`RouteKind::Unicast`] where a table is asked).
    pub kind: RouteKind,
    /// Whether it is for what does not meet its conditions (`not`).
    #[serde(default)]
    pub is_inverted: bool,
    /// Routes whose prefix is at most so long are not used (`suppress_prefixlength`).
    #[serde(default)]
    pub suppress_prefix: Option<u32>,
    /// Conditions that nothing else here tells, in the words of `ip rule`: whether they hold cannot be told.
    #[serde(default)]
    pub others: Vec<String>,
}

/// What is known of a neighbour (`NUD_*`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NeighbourState {
    /// Nobody has answered yet.
    Incomplete,
    /// Nobody answered.
    Failed,
    /// It is reachable, or was lately (reachable, stale, delay, probe).
    Known,
    /// Somebody set it.
    Permanent,
}

/// A neighbour.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// The interface that it is behind.
    pub link: LinkIndex,
    /// Its hardware address, as `aa:bb:cc:dd:ee:ff`.
    pub mac: Option<String>,
    /// What is known.
    pub state: NeighbourState,
    /// Whether this node answers for the address instead of it (`NTF_PROXY`).
    pub is_proxy: bool,
}

/// Where frames to a hardware address go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FdbEntry {
    /// The hardware address; all zero for whatever is not known.
    pub mac: String,
    /// The port of a bridge, or the VXLAN device.
    pub link: LinkIndex,
    /// The bridge.
    pub master: Option<LinkIndex>,
    /// The VXLAN peer.
    pub remote: Option<IpAddr>,
    /// The peer's network, where it is another one than the device's.
    pub vni: Option<u32>,
    /// Whether somebody set it.
    pub is_permanent: bool,
}

/// State of a socket.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketState {
    /// TCP: waits for connections.
    Listen,
    /// UDP, and others without connections.
    Bound,
    /// TCP: a SYN was sent.
    SynSent,
    /// TCP: a SYN was answered.
    SynReceived,
    /// Established.
    Established,
    /// On its way to the end.
    Closing,
}

/// A socket.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Socket {
    /// IP protocol.
    pub protocol: Protocol,
    /// Own address; unspecified for all.
    pub local: IpAddr,
    /// Own port.
    pub local_port: u16,
    /// The other side's address, unspecified where there is none.
    pub remote: IpAddr,
    /// The other side's port, 0 where there is none.
    pub remote_port: u16,
    /// Its state.
    pub state: SocketState,
    /// Bytes not yet read; for a listener connections that wait to be accepted.
    pub receive_queue: u32,
    /// Bytes not yet acknowledged; for a listener how many connections may wait.
    pub send_queue: u32,
    /// Packets dropped at it (`SK_MEMINFO_DROPS`).
    pub drops: u64,
    /// Whether an IPv6 socket takes IPv4 as well.
    pub is_dual: bool,
    /// Memory that packets may take that were not yet read, in bytes (`SO_RCVBUF` as the kernel accounts for it).
    #[serde(default)]
    pub receive_buffer: Option<u32>,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramHook {
    /// XDP.
    Xdp,
    /// TCX ingress.
    TcxIngress,
    /// TCX egress.
    TcxEgress,
    /// A TC filter on ingress.
    TcIngress,
    /// A TC filter on egress.
    TcEgress,
}

/// A program that sees packets of a link.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Program {
    /// The link.
    pub link: LinkIndex,
    /// Where.
    pub hook: ProgramHook,
    /// The program's id, where it has one.
    pub id: Option<u32>,
    /// Its name.
    pub name: Option<String>,
    /// A filter's kind (`bpf`, `flower`, `u32`) and what it does (`mirred`, `gact drop`).
    pub kind: String,
    /// Priority of a filter.
    pub priority: Option<u32>,
    /// Whether it is one of kflow's.
    pub is_own: bool,
}
