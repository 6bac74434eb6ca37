//! What a tunnel device wraps a packet in, and whom it sends that to.

use std::net::IpAddr;

use crate::evidence::{Link, NeighbourState, Route, Snapshot, Tunnel};

/// Devices that wrap packets in others, with the names of what they make (`rtnl_link_ops.kind`).
const KINDS: [(&str, &str); 11] = [
    ("ipip", "IP in IP"),
    ("sit", "IPv6 in IPv4"),
    ("ip6tnl", "IP in IPv6"),
    ("gre", "GRE"),
    ("gretap", "GRE"),
    ("ip6gre", "GRE"),
    ("vxlan", "VXLAN"),
    ("geneve", "Geneve"),
    ("wireguard", "WireGuard"),
    ("xfrm", "IPsec"),
    ("tun", "a program behind a TUN device"),
];

/// The outside of a packet.
pub(super) struct Outer {
    /// Outer destination; absent where the device alone knows it.
    pub(super) remote: Option<IpAddr>,
    /// For a person: the device and what it makes.
    pub(super) text: String,
}

/// What a device makes of a packet; absent for one that wraps nothing.
pub(super) fn of(place: &Snapshot, link: &Link, route: &Route, to: IpAddr) -> Option<Outer> {
    let (kind, words) = KINDS.iter().find(|(kind, _)| *kind == link.kind.0)?;
    let tunnel = link.tunnel.clone().unwrap_or_default();
    let next_hop = route.gateway.unwrap_or(to);
    let name = &link.name;
    Some(match *kind {
        "vxlan" | "geneve" => bridged(place, link, &tunnel, next_hop, words),
        "wireguard" | "xfrm" => Outer { remote: None, text: format!("{name}: {words}") },
        // Without a fixed peer the next hop is the outer destination (`ip_tunnel_xmit`, net/ipv4/ip_tunnel.c).
        _ => Outer { remote: tunnel.remote.or(route.gateway), text: format!("{name}: {words}") },
    })
}

/// VXLAN: the next hop's hardware address, and the peer that has it by the forwarding table.
fn bridged(place: &Snapshot, link: &Link, tunnel: &Tunnel, next_hop: IpAddr, words: &str) -> Outer {
    let name = &link.name;
    let vni = tunnel.vni.map(|vni| format!(" {vni}")).unwrap_or_default();
    let head = format!("{name}: {words}{vni}");
    let neighbour = place.neighbours.iter().find(|each| each.address == next_hop && each.link == link.index);
    let is_gone = |state| matches!(state, NeighbourState::Failed | NeighbourState::Incomplete);
    let mac = neighbour.filter(|each| !is_gone(each.state)).and_then(|each| each.mac.as_deref());
    let Some(mac) = mac else {
        return Outer {
            remote: tunnel.remote,
            text: format!("{head}, the neighbour {next_hop} is not known"),
        };
    };
    let entry =
        place.fdb.iter().find(|each| each.link == link.index && each.mac == mac && each.remote.is_some());
    match (entry.and_then(|each| each.remote), tunnel.remote) {
        (Some(remote), _) | (None, Some(remote)) => {
            Outer { remote: Some(remote), text: format!("{head}, {mac}") }
        }
        (None, None) => Outer { remote: None, text: format!("{head}, no forwarding entry for {mac}") },
    }
}
