//! Which interfaces of a node the packets of its pods can pass, from what the kernel tells of links, routes and bridges.
//!
//! A pod's end on the node is found by the route to its address, whichever network plugin made it: a route of its own to
//! a link that leads into another network namespace (Calico's `cali*`, Cilium's `lxc*`, AWS's `eni*`, kindnet's
//! `veth*`), or one to a bridge, whose neighbour and forwarding tables then tell the port (bridge, flannel, Weave,
//! Docker).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Index of an interface in its network namespace.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct LinkIndex(pub u32);

/// Hardware address.
pub type Mac = [u8; 6];

/// An interface of the node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeLink {
    /// Its index.
    pub index: LinkIndex,
    /// Its name.
    pub name: String,
    /// The driver's kind (`veth`, `vxlan`, `bridge`); absent for hardware and loopback.
    pub kind: Option<String>,
    /// Whether it is a loopback interface.
    pub is_loopback: bool,
    /// Whether it was set up.
    pub is_up: bool,
    /// The bridge, bond or switch that it is a port of.
    pub master: Option<LinkIndex>,
    /// The other link that it has to do with.
    pub other: Other,
    /// Whether it has an address of a network, not of a single host or of the link alone.
    pub has_network: bool,
}

/// What is at the other end of a link, or below it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Other {
    /// Nothing of the kind.
    None,
    /// It is one of a pair, whose other end is here as well.
    PairHere,
    /// It is one of a pair, whose other end is in another network namespace.
    PairElsewhere,
    /// A link of this namespace carries it: a VLAN's, a VXLAN's.
    Below(LinkIndex),
}

/// Where the node sends packets to an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// To itself: the address is the node's own.
    Local,
    /// By a link, to a gateway or to a neighbour.
    Link(LinkIndex, Option<IpAddr>),
}

/// What the kernel tells of a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Facts {
    /// All links.
    pub links: Vec<NodeLink>,
    /// The way to each address that was asked for; absent where there is none.
    pub routes: BTreeMap<IpAddr, Route>,
    /// The ways to the world outside.
    pub defaults: Vec<Route>,
    /// Hardware addresses of the neighbours on each link.
    pub neighbours: BTreeMap<(LinkIndex, IpAddr), Mac>,
    /// The port at which each bridge has heard a hardware address.
    pub stations: BTreeMap<(LinkIndex, Mac), LinkIndex>,
}

/// Which of the interfaces are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// All that packets of the pods can pass: their ends, bridges, tunnels, uplinks.
    Way,
    /// The ends of the pods alone.
    Ends,
}

/// Where on the node an address is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At the node itself: a pod of its network, or the node.
    Node,
    /// Behind this end of a pod.
    End(LinkIndex),
    /// Behind one of the ports of this bridge, which has not heard of it.
    Bridge(LinkIndex),
    /// Behind a device of the network plugin that sends to the pods in a way that routes do not tell.
    Hidden(LinkIndex),
    /// On another node, or nowhere.
    Elsewhere,
}

/// The interfaces to watch.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Choice {
    /// Their indices.
    pub links: BTreeSet<LinkIndex>,
    /// Where each address is.
    pub places: BTreeMap<IpAddr, Place>,
}

impl Choice {
    /// The addresses whose ends cannot be told, for which all are chosen that it may be.
    pub fn untold(&self) -> impl Iterator<Item = IpAddr> {
        let is_untold = |place: &Place| matches!(place, Place::Bridge(_) | Place::Hidden(_));
        self.places.iter().filter(move |(_, place)| is_untold(place)).map(|(address, _)| *address)
    }
}

/// Kinds of links that carry packets inside of others.
const TUNNELS: [&str; 20] = [
    "amt",
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ovpn",
    "sit",
    "tun",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];
/// Kinds of links that lead to hardware. Hardware itself has none.
const UPLINKS: [&str; 9] =
    ["bond", "hsr", "ipvlan", "ipvtap", "macsec", "macvlan", "macvtap", "team", "vlan"];

/// What a link is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// Packets of pods never pass it: loopback, and dummies that addresses of services are put on.
    Bystander,
    /// The end of a pod.
    End,
    Bridge,
    Tunnel,
    Uplink,
    /// A device that the network plugin made for itself.
    Inner,
}

/// Chooses the interfaces for pods with these addresses. `before` tells where each was found to be the last time: a
/// bridge forgets a silent pod, which has not moved by that.
///
/// 1. An address that the node has itself has no end.
/// 2. A route by a link that leads into another namespace ends there.
/// 3. One by a bridge, without a gateway, ends at the port where the bridge hears the address; at any of the ports that
///    lead into another namespace where that is not known.
/// 4. One by a tunnel, an uplink, or no route at all: the address is not here.
/// 5. By any other device (`cilium_host`, an internal port of Open vSwitch) it may be anywhere here.
pub fn choose<'a>(
    facts: &Facts,
    extent: Extent,
    addresses: impl IntoIterator<Item = &'a IpAddr>,
    before: &BTreeMap<IpAddr, Place>,
) -> Choice {
    let node = Node::of(facts);
    let place = |address: &IpAddr| (*address, node.place(*address, before.get(address)));
    let places: BTreeMap<_, _> = addresses.into_iter().map(place).collect();
    let is_chosen = |link: &NodeLink| match node.role(link.index) {
        Role::Bystander => false,
        Role::End => places.values().any(|place| may_end_at(*place, link)),
        // The kernel makes one of each kind that nobody uses.
        Role::Tunnel => extent == Extent::Way && link.is_up,
        Role::Bridge | Role::Uplink | Role::Inner => extent == Extent::Way,
    };
    let links = facts.links.iter().filter(|link| is_chosen(link)).map(|link| link.index).collect();
    Choice { links, places }
}

struct Node<'a> {
    facts: &'a Facts,
    links: BTreeMap<LinkIndex, (&'a NodeLink, Role)>,
}

impl<'a> Node<'a> {
    fn of(facts: &'a Facts) -> Self {
        let gates = gates(facts);
        let links = facts.links.iter().map(|link| (link.index, (link, role(link, &gates)))).collect();
        Self { facts, links }
    }

    fn link(&self, index: LinkIndex) -> Option<&'a NodeLink> {
        self.links.get(&index).map(|(link, _)| *link)
    }

    fn role(&self, index: LinkIndex) -> Role {
        self.links.get(&index).map_or(Role::Bystander, |(_, role)| *role)
    }

    fn place(&self, address: IpAddr, before: Option<&Place>) -> Place {
        let (index, gateway) = match self.facts.routes.get(&address) {
            None => return Place::Elsewhere,
            Some(Route::Local) => return Place::Node,
            Some(Route::Link(index, gateway)) => (*index, *gateway),
        };
        if let Some(bridge) = self.bridge_of(index) {
            return if gateway.is_some() {
                Place::Elsewhere
            } else {
                self.behind_bridge(bridge, index, address, before)
            };
        }
        match self.role(index) {
            Role::End => Place::End(index),
            Role::Inner => Place::Hidden(index),
            Role::Bystander | Role::Bridge | Role::Tunnel | Role::Uplink => Place::Elsewhere,
        }
    }

    /// The bridge that a link is, or that a VLAN is on.
    fn bridge_of(&self, index: LinkIndex) -> Option<LinkIndex> {
        if self.role(index) == Role::Bridge {
            return Some(index);
        }
        match self.link(index)?.other {
            Other::Below(below) if self.role(below) == Role::Bridge => Some(below),
            _ => None,
        }
    }

    fn behind_bridge(
        &self,
        bridge: LinkIndex,
        link: LinkIndex,
        address: IpAddr,
        before: Option<&Place>,
    ) -> Place {
        let heard = self.facts.neighbours.get(&(link, address));
        let heard = heard.and_then(|mac| self.facts.stations.get(&(bridge, *mac)).copied());
        let is_end = |port: LinkIndex| {
            self.role(port) == Role::End && self.link(port).is_some_and(|link| link.master == Some(bridge))
        };
        match (heard, before) {
            (Some(port), _) if is_end(port) => Place::End(port),
            (Some(_), _) => Place::Elsewhere,
            (None, Some(Place::End(port))) if is_end(*port) => Place::End(*port),
            (None, _) => Place::Bridge(bridge),
        }
    }
}

/// Whether an address that is at `place` may have its end at this link.
fn may_end_at(place: Place, link: &NodeLink) -> bool {
    match place {
        Place::End(index) => index == link.index,
        Place::Bridge(bridge) => link.master == Some(bridge),
        Place::Hidden(_) => true,
        Place::Node | Place::Elsewhere => false,
    }
}

/// Links by which packets leave the node or come to it, whatever they are.
fn gates(facts: &Facts) -> BTreeSet<LinkIndex> {
    let mut gates = BTreeSet::new();
    for route in &facts.defaults {
        let Route::Link(index, gateway) = route else { continue };
        gates.insert(*index);
        let mac = gateway.and_then(|gateway| facts.neighbours.get(&(*index, gateway)));
        gates.extend(mac.and_then(|mac| facts.stations.get(&(*index, *mac))));
    }
    gates.extend(facts.links.iter().filter_map(|link| match link.other {
        Other::Below(below) => Some(below),
        _ => None,
    }));
    gates
}

/// A node may be a container itself: then its uplink leads into another namespace too, and is told from a pod's end by
/// the network that it is in, the default route, or what it carries.
fn role(link: &NodeLink, gates: &BTreeSet<LinkIndex>) -> Role {
    let kind = link.kind.as_deref();
    match link.other {
        _ if link.is_loopback || kind == Some("dummy") => Role::Bystander,
        Other::PairElsewhere if link.has_network || gates.contains(&link.index) => Role::Uplink,
        Other::PairElsewhere => Role::End,
        _ => match kind {
            None => Role::Uplink,
            Some("bridge") => Role::Bridge,
            Some(kind) if TUNNELS.contains(&kind) => Role::Tunnel,
            Some(kind) if UPLINKS.contains(&kind) => Role::Uplink,
            Some(_) => Role::Inner,
        },
    }
}

#[cfg(test)]
mod tests;
