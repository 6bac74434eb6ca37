//! Conditions on what a packet is for its node and its connection.

use std::net::IpAddr;

use super::packet::Packet;
use crate::flow::{FlowKey, Protocol};

/// Whether an address is of one of the kinds (`LOCAL,BROADCAST`); absent if it cannot be told.
pub(super) fn is_kind(kinds: &str, address: IpAddr, is_local: Option<bool>) -> Option<bool> {
    any(kinds.split(',').map(|kind| is_one_kind(kind, address, is_local)))
}

fn is_one_kind(kind: &str, address: IpAddr, is_local: Option<bool>) -> Option<bool> {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    let is_many = address.is_multicast() || is_broadcast;
    match kind {
        "LOCAL" => is_local,
        "UNICAST" => is_local.map(|is_local| !is_local && !is_many),
        "MULTICAST" => Some(address.is_multicast()),
        // Flows are between two: the broadcast address of a network is nobody's end.
        "BROADCAST" => Some(is_broadcast),
        _ => None,
    }
}

/// Whether the connection is in one of the states, or was translated; absent if it cannot be told.
pub(super) fn has_state(packet: &Packet<'_>, states: &[String]) -> Option<bool> {
    any(states.iter().map(|state| match state.as_str() {
        "dnat" => is_translated(packet, packet.has_dnat, true),
        "snat" => is_translated(packet, packet.has_snat, false),
        state => Some(state == packet.state),
    }))
}

/// Whether one of them holds; absent where none does and some cannot be told.
fn any(all: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut is_known = true;
    for one in all {
        match one {
            Some(true) => return Some(true),
            Some(false) => {}
            None => is_known = false,
        }
    }
    is_known.then_some(false)
}

/// Whether NAT has changed the destination, or the source, of the connection's original direction.
fn is_translated(packet: &Packet<'_>, has_now: bool, is_destination: bool) -> Option<bool> {
    if has_now {
        return Some(true);
    }
    let original: FlowKey = packet.probe.original?;
    let key = packet.key;
    let is_reply = key.source.address != original.source.address
        && key.destination.address != original.destination.address
        || key == original.reversed();
    // At the first hooks packets still look as their sender made them, whatever NAT will do.
    if key == original && packet.state != "new" {
        return None;
    }
    Some(match (is_reply, is_destination) {
        (false, true) => key.destination != original.destination,
        (false, false) => key.source != original.source,
        (true, true) => key.source != original.destination,
        (true, false) => key.destination != original.source,
    })
}

/// Whether it is of a type of ICMP; absent if it cannot be told. A flow of ICMP with an identifier is of echoes.
pub(super) fn is_icmp(packet: &Packet<'_>, kind: u8, code: Option<u8>) -> Option<bool> {
    let (request, reply) = match packet.key.protocol {
        Protocol::ICMP => (8, 0),
        Protocol::ICMPV6 => (128, 129),
        _ => return Some(false),
    };
    if packet.key.source.port.0 == 0 {
        return None;
    }
    let is_code = code.is_none_or(|code| code == 0);
    match (packet.state == "new", kind) {
        (true, kind) => Some(kind == request && is_code),
        (false, kind) if kind == request || kind == reply => None,
        (false, _) => Some(false),
    }
}
