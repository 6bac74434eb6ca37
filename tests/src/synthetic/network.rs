//! Two nodes, their pods, and the way of a packet between two of them; a network may have several such pairs.

use std::net::Ipv4Addr;

use tracer_core::capture::{Interface, InterfaceId, LinkLayer};
use tracer_core::units::Direction;

/// Pods on each node: clients on the first, servers on the second.
pub const PODS: u32 = 32;
/// Port of the services, and of the servers behind them.
pub(crate) const SERVICE_PORT: u16 = 80;
pub(crate) const POD_PORT: u16 = 8080;

/// The interfaces of a node in its own namespace that come before those of its pods.
const UPLINK: u32 = 0;
const TUNNEL: u32 = 1;
/// A pod's interface is there twice: in the node's namespace (`cali*`) and in the pod's (`eth0`).
const PER_NODE: u32 = 2 + 2 * PODS;

/// Which of the two nodes of a pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Node {
    /// The one whose pods ask.
    Clients,
    /// The one whose pods answer.
    Servers,
}

impl Node {
    fn index(self) -> u32 {
        match self {
            Self::Clients => 0,
            Self::Servers => 1,
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Clients => Self::Servers,
            Self::Servers => Self::Clients,
        }
    }

    /// How far its clock is ahead of the true time, in nanoseconds.
    pub fn clock(self) -> i64 {
        match self {
            Self::Clients => 0,
            Self::Servers => 2_300_000,
        }
    }

    /// Its address, in the pair of this number.
    pub fn address(self, pair: u8) -> Ipv4Addr {
        Ipv4Addr::new(172, 18, pair, [2, 3][self.index() as usize])
    }

    /// The address of one of its pods, in the pair of this number.
    pub fn pod(self, pair: u8, pod: u32) -> Ipv4Addr {
        Ipv4Addr::new(10, 244 - pair.min(244), [111, 131][self.index() as usize], octet(pod))
    }

    /// Its name, in the pair of this number.
    pub fn name(self, pair: u8) -> String {
        let name = ["k8s-node2", "k8s-node1"][self.index() as usize];
        if pair == 0 { name.to_owned() } else { format!("{name}-of-pair-{pair}") }
    }

    /// Its interfaces, in the order of their numbers: the node's, then two for each pod.
    pub fn interfaces(self, pair: u8) -> Vec<Interface> {
        node_interfaces(self, pair)
    }

    /// Which node an interface of the pair is of, and its number among the interfaces of that node alone.
    pub fn of(interface: InterfaceId) -> (Self, InterfaceId) {
        let node = if interface.0 < PER_NODE { Self::Clients } else { Self::Servers };
        (node, InterfaceId(interface.0 % PER_NODE))
    }
}

/// The address of the service whose endpoint is this server.
pub(crate) fn service(pair: u8, server: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 96, pair, octet(server))
}

fn octet(pod: u32) -> u8 {
    pod.to_le_bytes()[0] + 10
}

/// A place where a packet is seen, and what it looks like there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) node: Node,
    pub(crate) interface: InterfaceId,
    pub(crate) direction: Direction,
    /// Nanoseconds since the hop before: the least, and how much more at most.
    pub(crate) delay: (u64, u64),
    /// Whether it still or again has the service's address instead of the server's.
    pub(crate) has_service: bool,
    pub(crate) is_encapsulated: bool,
    /// Whether the interface has no link layer.
    pub(crate) is_bare: bool,
    /// How many routers it has passed.
    pub(crate) routed: u8,
}

/// All interfaces of the first pair in the order of their numbers.
pub fn interfaces() -> Vec<Interface> {
    [Node::Clients, Node::Servers].into_iter().flat_map(|node| node.interfaces(0)).collect()
}

/// The way of a packet from a pod of `from` to one of the other node.
pub(crate) fn way(from: Node, sender: u32, receiver: u32) -> [Hop; 8] {
    use Direction::{Egress, Ingress};
    let to = from.other();
    let hop = |node: Node, place: u32, direction| Hop {
        node,
        interface: InterfaceId(node.index() * PER_NODE + place),
        direction,
        delay: (2_000, 6_000),
        has_service: false,
        is_encapsulated: false,
        is_bare: false,
        routed: 1,
    };
    let (host_side, pod_side) = (|pod: u32| 2 + 2 * pod, |pod: u32| 3 + 2 * pod);
    // DNAT happens between pod and tunnel on the clients' node, in both directions.
    let asks = from == Node::Clients;
    [
        Hop { has_service: asks, routed: 0, ..hop(from, pod_side(sender), Egress) },
        Hop { has_service: asks, routed: 0, ..hop(from, host_side(sender), Ingress) },
        Hop { is_bare: true, ..hop(from, TUNNEL, Egress) },
        Hop { is_encapsulated: true, ..hop(from, UPLINK, Egress) },
        Hop { is_encapsulated: true, delay: (15_000, 30_000), ..hop(to, UPLINK, Ingress) },
        Hop { is_bare: true, ..hop(to, TUNNEL, Ingress) },
        Hop { has_service: !asks, routed: 2, ..hop(to, host_side(receiver), Egress) },
        Hop { has_service: !asks, routed: 2, ..hop(to, pod_side(receiver), Ingress) },
    ]
}

fn node_interfaces(node: Node, pair: u8) -> Vec<Interface> {
    let node_name = node.name(pair);
    let of_node = |name: String, index: u32, link: LinkLayer| Interface {
        name,
        node: Some(node_name.clone()),
        pod: None,
        ifindex: Some(index),
        link,
        mac: (link == LinkLayer::Ethernet).then_some([0xee; 6]),
    };
    let mut interfaces = vec![
        of_node("eth0".to_owned(), 2, LinkLayer::Ethernet),
        of_node("tunl0".to_owned(), 3, LinkLayer::SyntheticEthernet),
    ];
    for pod in 0..PODS {
        interfaces.push(of_node(
            format!("cali{:011x}", node.index() * PODS + pod),
            4 + pod,
            LinkLayer::Ethernet,
        ));
        let pod = Some(format!("default/{node_name}-pod-{pod}"));
        interfaces.push(Interface { pod, ..of_node("eth0".to_owned(), 2, LinkLayer::Ethernet) });
    }
    interfaces
}
