//! Whether a condition holds for a packet.

use super::kinds;
use super::lookup::{Found, find};
use super::packet::Packet;
use crate::evidence::{Firewall, Match, PortRange, Prefix, Rule, Table};
use crate::flow::Protocol;

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Holds {
    /// It does not.
    No,
    /// It cannot be told.
    Unknown,
    /// It does with this probability.
    With(f64),
}

impl Holds {
    fn of(holds: Option<bool>, is_negated: bool) -> Self {
        match holds {
            None => Self::Unknown,
            Some(holds) if holds == is_negated => Self::No,
            Some(_) => Self::With(1.0),
        }
    }
}

/// Whether all conditions of a rule hold.
pub(super) fn rule_holds(rule: &Rule, packet: &Packet<'_>, table: &Table, firewall: &Firewall) -> Holds {
    let mut all = 1.0;
    let mut is_known = true;
    for condition in &rule.matches {
        match holds(condition, packet, table, firewall) {
            Holds::No => return Holds::No,
            Holds::Unknown => is_known = false,
            Holds::With(probability) => all *= probability,
        }
    }
    if is_known { Holds::With(all) } else { Holds::Unknown }
}

fn holds(condition: &Match, packet: &Packet<'_>, table: &Table, firewall: &Firewall) -> Holds {
    let key = &packet.key;
    let has_ports = key.protocol.has_ports();
    match condition {
        Match::Protocol { protocol, is_negated } => Holds::of(Some(*protocol == key.protocol), *is_negated),
        Match::Source { networks, is_negated } => {
            let is_known = !packet.is_masqueraded;
            Holds::of(is_known.then(|| within(networks, key.source.address)), *is_negated)
        }
        Match::Destination { networks, is_negated } => {
            Holds::of(Some(within(networks, key.destination.address)), *is_negated)
        }
        Match::SourcePort { .. } | Match::DestinationPort { .. } if !has_ports => Holds::No,
        Match::SourcePort { ports, is_negated } => {
            Holds::of(Some(among(ports, key.source.port.0)), *is_negated)
        }
        Match::DestinationPort { ports, is_negated } => {
            Holds::of(Some(among(ports, key.destination.port.0)), *is_negated)
        }
        Match::Input { name, is_negated } => {
            Holds::of(Some(is_interface(name, packet.probe.input.as_deref())), *is_negated)
        }
        Match::Output { name, is_negated } => {
            Holds::of(Some(is_interface(name, packet.probe.output.as_deref())), *is_negated)
        }
        Match::Mark { value, mask, is_negated } => Holds::of(packet.mark.has(*value, *mask), *is_negated),
        Match::ConnectionMark { value, mask, is_negated } => {
            Holds::of(packet.connection_mark.has(*value, *mask), *is_negated)
        }
        Match::ConntrackState { states, is_negated } => {
            Holds::of(kinds::has_state(packet, states), *is_negated)
        }
        Match::DestinationType { kind, is_negated } => {
            Holds::of(kinds::is_kind(kind, key.destination.address, packet.is_local), *is_negated)
        }
        Match::SourceType { kind, is_negated } => {
            let is_local = Some(packet.probe.input.is_none());
            Holds::of(kinds::is_kind(kind, key.source.address, is_local), *is_negated)
        }
        Match::Probability { probability } if *probability <= 0.0 => Holds::No,
        Match::Probability { probability } => Holds::With(probability.min(1.0)),
        Match::TcpFlags { .. } if key.protocol != Protocol::TCP => Holds::No,
        Match::TcpFlags { mask, set, is_negated } => {
            Holds::of(Some(packet.probe.tcp_flags & mask == *set), *is_negated)
        }
        Match::IcmpType { kind, code, is_negated } => {
            Holds::of(kinds::is_icmp(packet, *kind, *code), *is_negated)
        }
        Match::Length { first: 0, last: u16::MAX, is_negated } => Holds::of(Some(true), *is_negated),
        Match::Length { first, last, is_negated } => {
            Holds::of(packet.probe.length.map(|length| (*first..=*last).contains(&length)), *is_negated)
        }
        Match::InSet { fields, set, is_negated } => {
            let set = table.set(set).or_else(|| firewall.ipsets.iter().find(|one| one.name == *set));
            Holds::of(set.and_then(|set| in_set(&find(set, fields, packet))), *is_negated)
        }
        Match::Ttl { .. } | Match::Other { .. } => Holds::Unknown,
    }
}

/// Whether something was found; absent where lots decide.
fn in_set(found: &Found<'_>) -> Option<bool> {
    match found {
        Found::Elements(elements) if elements.is_empty() => Some(false),
        Found::Elements(elements) => {
            let (first, probability) = elements.first()?;
            (*probability >= 1.0).then_some(!first.is_exception)
        }
        Found::Unknown => None,
    }
}

fn within(networks: &[Prefix], address: std::net::IpAddr) -> bool {
    networks.iter().any(|network| network.contains(address))
}

fn among(ports: &[PortRange], port: u16) -> bool {
    ports.iter().any(|range| (range.first..=range.last).contains(&port))
}

/// `+` of iptables and `*` of nft at the end are any rest; no interface has no name.
pub(super) fn is_interface(pattern: &str, name: Option<&str>) -> bool {
    let name = name.unwrap_or("");
    match pattern.strip_suffix(['+', '*']) {
        Some(begin) => name.starts_with(begin),
        None => pattern == name,
    }
}
