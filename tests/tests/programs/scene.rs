//! Who talks to whom, and sets of one address.

use std::net::IpAddr;

use tracer::kernel::filter::{AddressSet, Layers, PortRule};

use crate::packet::{Packet, Payload, ip};

pub(crate) const SOURCE_PORT: u16 = 40_000;
pub(crate) const PORT: u16 = 80;

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The pods that talk, in both families, and the nodes that carry it.
pub(crate) struct Ends {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

pub(crate) fn pods4() -> Ends {
    Ends { source: address("10.244.1.7"), destination: address("10.244.2.9") }
}

pub(crate) fn pods6() -> Ends {
    Ends { source: address("fd00:10::7"), destination: address("fd00:20::9") }
}

pub(crate) fn nodes4() -> Ends {
    Ends { source: address("192.168.50.11"), destination: address("192.168.50.12") }
}

pub(crate) fn nodes6() -> Ends {
    Ends { source: address("fd50::11"), destination: address("fd50::12") }
}

pub(crate) fn between(ends: &Ends, payload: &Payload) -> Packet {
    ip(ends.source, ends.destination, payload)
}

pub(crate) fn only(address: IpAddr, layers: Layers, rule: Option<PortRule>) -> AddressSet {
    let mut set = AddressSet::nothing();
    set.add(address, layers, rule).unwrap();
    set
}

#[expect(clippy::unnecessary_wraps, reason = "it is what `only` takes")]
pub(crate) fn rule(port: u16, protocol: Option<u8>) -> Option<PortRule> {
    Some(PortRule { port: Some(port), protocol })
}
