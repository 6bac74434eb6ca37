//! Addresses behind interfaces, by routes, neighbours and what bridges have heard.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::evidence::{NeighbourState, RouteKind, Snapshot};
use crate::way::LinkIndex;

/// The table of ordinary routes (`RT_TABLE_MAIN`).
const MAIN: u32 = 254;
/// Kinds that come in pairs, one end of which may be a pod's.
const PAIRS: [&str; 2] = ["veth", "netkit"];

/// The addresses that are reached by each interface as by a pod's:
///
/// 1. those that are routed to it singly and without a gateway, as network plugins without a bridge do;
/// 2. the neighbours of a port of a bridge: those of the bridge whose hardware addresses it has heard at that port.
///
/// Interfaces in front of which there is nobody of the kind are left out.
pub fn behind(snapshot: &Snapshot) -> BTreeMap<LinkIndex, BTreeSet<IpAddr>> {
    let mut all: BTreeMap<LinkIndex, BTreeSet<IpAddr>> = BTreeMap::new();
    let single = snapshot.routes.iter().filter(|route| {
        let whole = if route.destination.is_ipv4() { 32 } else { 128 };
        route.table == MAIN
            && route.kind == RouteKind::Unicast
            && route.prefix == whole
            && route.gateway.is_none()
    });
    for route in single {
        if let Some(link) = route.link {
            all.entry(link).or_default().insert(route.destination);
        }
    }
    for (port, address) in heard(snapshot) {
        all.entry(port).or_default().insert(address);
    }
    all
}

fn heard(snapshot: &Snapshot) -> impl Iterator<Item = (LinkIndex, IpAddr)> {
    let mut addresses: BTreeMap<(LinkIndex, &str), Vec<IpAddr>> = BTreeMap::new();
    for neighbour in snapshot.neighbours.iter().filter(|neighbour| neighbour.state == NeighbourState::Known) {
        if let Some(mac) = &neighbour.mac {
            addresses.entry((neighbour.link, mac)).or_default().push(neighbour.address);
        }
    }
    let ports: BTreeSet<LinkIndex> = snapshot
        .links
        .iter()
        .filter(|link| PAIRS.contains(&link.kind.0.as_str()))
        .map(|link| link.index)
        .collect();
    let heard = snapshot.fdb.iter().filter(move |entry| !entry.is_permanent && ports.contains(&entry.link));
    heard.flat_map(move |entry| {
        let bridge = entry.master.unwrap_or(entry.link);
        let found = addresses.get(&(bridge, entry.mac.as_str())).cloned().unwrap_or_default();
        found.into_iter().map(move |address| (entry.link, address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{link, route};
    use crate::evidence::{FdbEntry, Neighbour};

    #[test]
    fn single_routes_and_stations_of_bridges() {
        let mac = "02:00:00:00:00:05";
        let snapshot = Snapshot {
            links: vec![
                link(3, "cali1", "veth", &[]),
                link(4, "cni0", "bridge", &[]),
                link(5, "veth5", "veth", &[]),
            ],
            routes: vec![
                route("10.0.0.1", RouteKind::Unicast, Some(3), None),
                route("10.0.1.1", RouteKind::Unicast, Some(9), Some("10.0.0.9")),
                route("10.1.0.0/24", RouteKind::Unicast, Some(4), None),
            ],
            neighbours: vec![Neighbour {
                address: [10, 1, 0, 7].into(),
                link: LinkIndex(4),
                mac: Some(mac.to_owned()),
                state: NeighbourState::Known,
                is_proxy: false,
            }],
            fdb: vec![FdbEntry {
                mac: mac.to_owned(),
                link: LinkIndex(5),
                master: Some(LinkIndex(4)),
                remote: None,
                vni: None,
                is_permanent: false,
            }],
            ..Snapshot::default()
        };
        let expected = [
            (LinkIndex(3), BTreeSet::from([IpAddr::from([10, 0, 0, 1])])),
            (LinkIndex(5), BTreeSet::from([IpAddr::from([10, 1, 0, 7])])),
        ];
        assert_eq!(behind(&snapshot), BTreeMap::from(expected));
    }
}
