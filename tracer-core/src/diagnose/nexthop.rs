//! Whom a namespace sends packets to next, through its tunnels down to the wire.

use std::net::IpAddr;

use super::case::is_tunnel;
use crate::evidence::{
    FdbEntry, Link, Lookup, Neighbour, NeighbourState, Route, RouteAnswer, RouteKind, Snapshot,
};

/// Tunnels within tunnels that are followed.
const MAX_DEPTH: usize = 4;
/// The entry of a VXLAN device for whatever it does not know.
const ANY_MAC: &str = "00:00:00:00:00:00";

/// A neighbour that packets are handed to.
#[derive(Clone, Copy, Debug)]
pub(super) struct NextHop<'a> {
    /// By this route.
    pub(super) route: &'a Route,
    /// By this link.
    pub(super) link: &'a Link,
    /// The neighbour's address: the gateway, or where they go.
    pub(super) address: IpAddr,
}

/// Whom packets are handed to: the one inside of a tunnel first, the one on the wire last. Ends where nothing more is known.
pub(super) fn next_hops<'a>(
    snapshot: &'a Snapshot,
    destination: IpAddr,
    source: Option<IpAddr>,
    input: Option<&str>,
) -> Vec<NextHop<'a>> {
    let mut hops: Vec<NextHop<'a>> = Vec::new();
    let (mut destination, mut source, mut input) = (destination, source, input);
    while hops.len() < MAX_DEPTH {
        let answer = snapshot.route_to(Lookup { destination, source, mark: 0, input });
        let RouteAnswer::Route(route) = answer else { break };
        let Some(link) = route.link.and_then(|link| snapshot.link(link)) else { break };
        if route.kind != RouteKind::Unicast {
            break;
        }
        let address = route.gateway.unwrap_or(destination);
        hops.push(NextHop { route, link, address });
        let Some(outer) = far_end(snapshot, link, address) else { break };
        (destination, source, input) = (outer, None, None);
    }
    hops
}

/// The outer address that a tunnel sends to for a next hop; absent where the link is none, or does not know any.
pub(super) fn far_end(snapshot: &Snapshot, link: &Link, address: IpAddr) -> Option<IpAddr> {
    if !is_tunnel(link) {
        return None;
    }
    let fixed =
        link.tunnel.as_ref().and_then(|tunnel| tunnel.remote).filter(|remote| !remote.is_unspecified());
    match link.kind.0.as_str() {
        "vxlan" => fdb_entry(snapshot, link, address).and_then(|entry| entry.remote).or(fixed),
        "ipip" | "sit" | "gre" | "ip6tnl" | "tun" => fixed.or(Some(address)),
        _ => fixed,
    }
}

/// The entry of a VXLAN's table for the hardware address of a neighbour, or that for any.
pub(super) fn fdb_entry<'a>(snapshot: &'a Snapshot, link: &Link, address: IpAddr) -> Option<&'a FdbEntry> {
    let mac = neighbour(snapshot, link, address)?.mac.as_deref()?;
    let with = |mac: &str| {
        let is_it =
            |entry: &&FdbEntry| entry.link == link.index && entry.mac == mac && entry.remote.is_some();
        snapshot.fdb.iter().find(is_it)
    };
    with(mac).or_else(|| with(ANY_MAC))
}

/// What is known of a neighbour.
pub(super) fn neighbour<'a>(snapshot: &'a Snapshot, link: &Link, address: IpAddr) -> Option<&'a Neighbour> {
    let is_it = |known: &&Neighbour| known.link == link.index && known.address == address && !known.is_proxy;
    snapshot.neighbours.iter().find(is_it)
}

/// Whether nobody answers for a neighbour.
pub(super) fn is_unanswered(neighbour: &Neighbour) -> bool {
    matches!(neighbour.state, NeighbourState::Failed | NeighbourState::Incomplete)
}
