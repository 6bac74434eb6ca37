//! An entry from its message (`enum ctattr_type`, `include/uapi/linux/netfilter/nfnetlink_conntrack.h`).

use std::net::IpAddr;

use tracer_core::evidence::{ConntrackEntry, ConntrackTuple, NatKind};
use tracer_core::flow::Protocol;

use super::super::netlink::{attribute, field};

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const STATUS: u16 = 3;
const PROTOCOL_INFO: u16 = 4;
const TIMEOUT: u16 = 7;
const MARK: u16 = 8;
const COUNTERS_ORIGINAL: u16 = 9;
const COUNTERS_REPLY: u16 = 10;
const ZONE: u16 = 18;

const SEEN_REPLY: u32 = 1 << 1;
const ASSURED: u32 = 1 << 2;
const SOURCE_NAT: u32 = 1 << 4;
const DESTINATION_NAT: u32 = 1 << 5;

/// `enum tcp_conntrack`, as `/proc/net/nf_conntrack` names them.
const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// The entry of a message; absent where it has no tuples that make sense.
pub(super) fn entry(message: &[u8]) -> Option<ConntrackEntry> {
    let number = |kind| attribute(message, kind).and_then(be32);
    let status = number(STATUS).unwrap_or(0);
    Some(ConntrackEntry {
        original: tuple(attribute(message, TUPLE_ORIGINAL)?)?,
        reply: tuple(attribute(message, TUPLE_REPLY)?)?,
        nat: match (status & SOURCE_NAT != 0, status & DESTINATION_NAT != 0) {
            (false, false) => NatKind::None,
            (true, false) => NatKind::Source,
            (false, true) => NatKind::Destination,
            (true, true) => NatKind::Both,
        },
        state: attribute(message, PROTOCOL_INFO).and_then(tcp_state),
        is_answered: status & SEEN_REPLY != 0,
        is_assured: status & ASSURED != 0,
        mark: number(MARK).unwrap_or(0),
        zone: attribute(message, ZONE).and_then(be16).unwrap_or(0),
        timeout: number(TIMEOUT),
        original_count: attribute(message, COUNTERS_ORIGINAL).and_then(counters),
        reply_count: attribute(message, COUNTERS_REPLY).and_then(counters),
    })
}

/// The four addresses of both tuples, without the rest.
pub(super) fn addresses_of(message: &[u8]) -> Option<[IpAddr; 4]> {
    let (source, destination) = ends(attribute(message, TUPLE_ORIGINAL)?)?;
    let (answerer, asker) = ends(attribute(message, TUPLE_REPLY)?)?;
    Some([source, destination, answerer, asker])
}

fn ends(tuple: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let ip = attribute(tuple, 1)?;
    let v4 = |kind| attribute(ip, kind).and_then(|bytes| field::<4>(bytes, 0)).map(IpAddr::from);
    let v6 = |kind| attribute(ip, kind).and_then(|bytes| field::<16>(bytes, 0)).map(IpAddr::from);
    Some((v4(1).or_else(|| v6(3))?, v4(2).or_else(|| v6(4))?))
}

/// Addresses, protocol and ports; of ICMP the identifier, and type and code in one number.
fn tuple(tuple: &[u8]) -> Option<ConntrackTuple> {
    let (source, destination) = ends(tuple)?;
    let protocol = attribute(tuple, 2)?;
    let byte = |kind| attribute(protocol, kind).and_then(|byte| byte.first().copied());
    let port = |kind| attribute(protocol, kind).and_then(be16);
    let icmp = || {
        let kind = byte(5).or_else(|| byte(8))?;
        let code = byte(6).or_else(|| byte(9)).unwrap_or(0);
        Some(u16::from_be_bytes([kind, code]))
    };
    Some(ConntrackTuple {
        source,
        destination,
        protocol: Protocol(byte(1)?),
        source_port: port(2).or_else(|| port(4)).or_else(|| port(7)).unwrap_or(0),
        destination_port: port(3).or_else(icmp).unwrap_or(0),
    })
}

fn tcp_state(info: &[u8]) -> Option<String> {
    let state = attribute(attribute(info, 1)?, 1)?.first().copied()?;
    TCP_STATES.get(usize::from(state)).map(|state| (*state).to_owned())
}

/// Packets and bytes.
fn counters(counters: &[u8]) -> Option<(u64, u64)> {
    let number = |kind| attribute(counters, kind).and_then(|bytes| field(bytes, 0)).map(u64::from_be_bytes);
    Some((number(1)?, number(2)?))
}

fn be32(bytes: &[u8]) -> Option<u32> {
    field(bytes, 0).map(u32::from_be_bytes)
}

fn be16(bytes: &[u8]) -> Option<u16> {
    field(bytes, 0).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::super::netfilter::attributes;
    use super::super::super::netlink::put_attribute;
    use super::*;

    fn nested(parts: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, value) in parts {
            put_attribute(&mut bytes, *kind, value);
        }
        bytes
    }

    /// A pod's connection to a service, translated to its endpoint.
    fn message() -> Vec<u8> {
        let tuple = |source: [u8; 4], destination: [u8; 4], ports: (u16, u16)| {
            let ip = nested(&[(1, &source), (2, &destination)]);
            let transport = nested(&[(1, &[6]), (2, &ports.0.to_be_bytes()), (3, &ports.1.to_be_bytes())]);
            nested(&[(1, &ip), (2, &transport)])
        };
        let state = nested(&[(1, &nested(&[(1, &[3])]))]);
        let counters = nested(&[(1, &5u64.to_be_bytes()), (2, &420u64.to_be_bytes())]);
        nested(&[
            (TUPLE_ORIGINAL, &tuple([10, 244, 0, 2], [10, 96, 0, 1], (40000, 443))),
            (TUPLE_REPLY, &tuple([172, 18, 0, 2], [10, 244, 0, 2], (6443, 40000))),
            (STATUS, &0x2eu32.to_be_bytes()),
            (PROTOCOL_INFO, &state),
            (TIMEOUT, &86400u32.to_be_bytes()),
            (COUNTERS_ORIGINAL, &counters),
            (ZONE, &7u16.to_be_bytes()),
        ])
    }

    #[test]
    fn entry_of_a_service() {
        let entry = entry(&message()).unwrap();
        assert_eq!((entry.original.source_port, entry.original.destination_port), (40000, 443));
        assert_eq!(entry.reply.source, "172.18.0.2".parse::<IpAddr>().unwrap());
        assert_eq!((entry.nat, entry.state.as_deref()), (NatKind::Destination, Some("ESTABLISHED")));
        assert!(entry.is_answered && entry.is_assured);
        assert_eq!((entry.zone, entry.timeout, entry.original_count), (7, Some(86400), Some((5, 420))));
        assert_eq!(entry.reply_count, None);
    }

    #[test]
    fn cut_messages_are_no_entries_or_shorter_ones() {
        let whole = message();
        let tuples = whole.len() - 100;
        for length in 0..whole.len() {
            let cut = &whole[..length];
            let told = entry(cut);
            assert!(told.is_none() || length > tuples / 2, "{length} of {}", whole.len());
            assert!(told.is_none() || attributes(cut).count() >= 2);
        }
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] = 0xff;
            entry(&damaged);
            addresses_of(&damaged);
        }
    }
}
