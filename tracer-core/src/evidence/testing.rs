//! Evidence for tests.

use super::{Link, LinkAddress, LinkCounters, LinkKind, Prefix, Route, RouteKind};
use crate::way::LinkIndex;

/// A network from `address/prefix`, or one address.
pub(crate) fn network(text: &str) -> Prefix {
    let whole = if text.contains(':') { "128" } else { "32" };
    let (address, length) = text.split_once('/').unwrap_or((text, whole));
    Prefix { address: address.parse().unwrap(), length: length.parse().unwrap() }
}

/// A link that is up, with addresses as `address/prefix`.
pub(crate) fn link(index: u32, name: &str, kind: &str, addresses: &[&str]) -> Link {
    let address = |text: &&str| {
        let Prefix { address, length } = network(text);
        LinkAddress { address, prefix: length, is_duplicate: false }
    };
    Link {
        index: LinkIndex(index),
        name: name.to_owned(),
        kind: LinkKind(kind.to_owned()),
        mac: None,
        mtu: 1500,
        is_up: true,
        has_carrier: true,
        master: None,
        peer: None,
        peer_netns: None,
        is_peer_elsewhere: kind == "veth",
        tunnel: None,
        addresses: addresses.iter().map(address).collect(),
        counters: LinkCounters::default(),
        qdisc: None,
        qdisc_drops: 0,
        clsact_drops: 0,
    }
}

/// A route of the main table from `network/prefix`.
pub(crate) fn route(to: &str, kind: RouteKind, link: Option<u32>, gateway: Option<&str>) -> Route {
    let Prefix { address, length } = network(to);
    Route {
        table: 254,
        destination: address,
        prefix: length,
        kind,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        link: link.map(LinkIndex),
        source: None,
        priority: 0,
        protocol: 4,
        is_onlink: false,
        mtu: None,
        is_dead: false,
    }
}
