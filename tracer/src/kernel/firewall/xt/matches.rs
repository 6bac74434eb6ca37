//! Conditions.

use std::fmt::Write as _;
use std::net::IpAddr;

use tracer_core::evidence::{Match, PortRange};

use super::{Blob, text};
use crate::kernel::firewall::range::networks_of;
use crate::kernel::firewall::words;

/// What a match asks for; nothing for one that always holds (`-m tcp` alone). What is not understood is a condition too.
pub(in crate::kernel::firewall) fn read_match(blob: &Blob<'_>) -> Vec<Match> {
    let known = match blob.name {
        "tcp" => tcp(blob),
        "udp" | "udplite" => udp(blob),
        "multiport" => multiport(blob),
        "icmp" | "icmp6" => icmp(blob),
        "addrtype" => addrtype(blob),
        "mark" | "connmark" => mark(blob),
        "conntrack" => conntrack(blob),
        "state" => state(blob),
        "statistic" => statistic(blob),
        "length" => length(blob),
        "ttl" | "hl" => ttl(blob),
        "iprange" => iprange(blob),
        "limit" => limit(blob),
        "physdev" => physdev(blob),
        "rpfilter" => rpfilter(blob),
        _ => None,
    };
    known.unwrap_or_else(|| vec![Match::Other { text: format!("-m {}", blob.name) }])
}

/// `struct xt_tcp`.
fn tcp(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let invert = blob.u8(11)?;
    let mut all = ports(blob, invert)?;
    if blob.u8(8)? != 0 {
        all.push(Match::Other { text: format!("-m tcp --tcp-option {}", blob.u8(8)?) });
    }
    if blob.u8(9)? != 0 {
        all.push(Match::TcpFlags { mask: blob.u8(9)?, set: blob.u8(10)?, is_negated: invert & 4 != 0 });
    }
    Some(all)
}

/// `struct xt_udp`.
fn udp(blob: &Blob<'_>) -> Option<Vec<Match>> {
    ports(blob, blob.u8(8)?)
}

/// Source ports at 0, destination ports at 4, both ends included, in the byte order of the machine.
fn ports(blob: &Blob<'_>, invert: u8) -> Option<Vec<Match>> {
    let mut all = Vec::new();
    let source = PortRange { first: blob.u16(0)?, last: blob.u16(2)? };
    let destination = PortRange { first: blob.u16(4)?, last: blob.u16(6)? };
    let is_any = |range: PortRange| range.first == 0 && range.last == u16::MAX;
    if !is_any(source) || invert & 1 != 0 {
        all.push(Match::SourcePort { ports: vec![source], is_negated: invert & 1 != 0 });
    }
    if !is_any(destination) || invert & 2 != 0 {
        all.push(Match::DestinationPort { ports: vec![destination], is_negated: invert & 2 != 0 });
    }
    Some(all)
}

/// `struct xt_multiport_v1`: a flag beside a port says that the next is the end of its range.
fn multiport(blob: &Blob<'_>) -> Option<Vec<Match>> {
    const PORTS: usize = 15;
    if blob.revision != 1 {
        return None;
    }
    let count = usize::from(blob.u8(1)?).min(PORTS);
    let is_negated = blob.u8(2 + 3 * PORTS)? != 0;
    let mut ports = Vec::new();
    let mut place = 0;
    while place < count {
        let first = blob.u16(2 + 2 * place)?;
        let is_range = blob.u8(2 + 2 * PORTS + place)? != 0 && place + 1 < count;
        place += usize::from(is_range);
        ports.push(PortRange { first, last: blob.u16(2 + 2 * place)? });
        place += 1;
    }
    match blob.u8(0)? {
        0 => Some(vec![Match::SourcePort { ports, is_negated }]),
        1 => Some(vec![Match::DestinationPort { ports, is_negated }]),
        _ => {
            let words: Vec<_> =
                ports.iter().map(|range| words::range(range.first, range.last, ':')).collect();
            let not = if is_negated { "! " } else { "" };
            Some(vec![Match::Other { text: format!("-m multiport {not}--ports {}", words.join(",")) }])
        }
    }
}

/// `struct ipt_icmp`, `struct ip6t_icmp`: type 255 of the first is any.
fn icmp(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let (kind, least, greatest) = (blob.u8(0)?, blob.u8(1)?, blob.u8(2)?);
    let is_negated = blob.u8(3)? & 1 != 0;
    if kind == u8::MAX && !blob.is_v6 {
        return Some(Vec::new());
    }
    let code = match (least, greatest) {
        (0, u8::MAX) => None,
        (least, greatest) if least == greatest => Some(least),
        _ => return None,
    };
    Some(vec![Match::IcmpType { kind, code, is_negated }])
}

/// `struct xt_addrtype_info_v1`; revision 0 has two words in place of its flags.
fn addrtype(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let (source, destination) = (blob.u16(0)?, blob.u16(2)?);
    let (not_source, not_destination, rest) = match blob.revision {
        0 => (blob.u32(4)? != 0, blob.u32(8)? != 0, 0),
        _ => (blob.u32(4)? & 1 != 0, blob.u32(4)? & 2 != 0, blob.u32(4)? & !3),
    };
    if rest != 0 {
        return Some(vec![Match::Other { text: "-m addrtype --limit-iface".to_owned() }]);
    }
    let mut all = Vec::new();
    if source != 0 {
        all.push(Match::SourceType { kind: address_types(source), is_negated: not_source });
    }
    if destination != 0 {
        all.push(Match::DestinationType { kind: address_types(destination), is_negated: not_destination });
    }
    (!all.is_empty()).then_some(all)
}

/// Bits by the numbers of `RTN_*`.
fn address_types(bits: u16) -> String {
    let kinds: Vec<_> = (0..16).filter(|bit| bits & (1 << bit) != 0).map(words::address_type).collect();
    kinds.join(",")
}

/// `struct xt_mark_mtinfo1`, `struct xt_connmark_mtinfo1`.
fn mark(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let (value, mask, is_negated) = (blob.u32(0)?, blob.u32(4)?, blob.u8(8)? != 0);
    Some(vec![match blob.name {
        "mark" => Match::Mark { value, mask, is_negated },
        _ => Match::ConnectionMark { value, mask, is_negated },
    }])
}

/// `struct xt_conntrack_mtinfo1` to `3`.
fn conntrack(blob: &Blob<'_>) -> Option<Vec<Match>> {
    const STATE: u16 = 1 | 1 << 13;
    let (flags, invert) = (blob.u16(146)?, blob.u16(148)?);
    let states = match blob.revision {
        1 => blob.u8(150)?.into(),
        2 | 3 => blob.u16(150)?,
        _ => return None,
    };
    let mut all = Vec::new();
    if flags & STATE != 0 {
        let states = words::xt_states(states.into());
        all.push(Match::ConntrackState { states, is_negated: invert & STATE != 0 });
    }
    if flags & !STATE != 0 {
        all.push(Match::Other { text: conntrack_rest(blob, flags, invert) });
    }
    (!all.is_empty()).then_some(all)
}

/// The conditions on conntrack besides the state, in the words of iptables; without values where those are many.
fn conntrack_rest(blob: &Blob<'_>, flags: u16, invert: u16) -> String {
    const OPTIONS: [(u16, &str, Option<usize>); 12] = [
        (1, "--ctproto", None),
        (2, "--ctorigsrc", Some(0)),
        (3, "--ctorigdst", Some(32)),
        (4, "--ctreplsrc", Some(64)),
        (5, "--ctrepldst", Some(96)),
        (6, "--ctstatus", None),
        (7, "--ctexpire", None),
        (8, "--ctorigsrcport", None),
        (9, "--ctorigdstport", None),
        (10, "--ctreplsrcport", None),
        (11, "--ctrepldstport", None),
        (12, "--ctdir", None),
    ];
    let mut words = "-m conntrack".to_owned();
    for (bit, option, address) in OPTIONS {
        if flags & (1 << bit) == 0 {
            continue;
        }
        words += if invert & (1 << bit) == 0 { " " } else { " ! " };
        words += option;
        if let Some(address) = address.and_then(|offset| blob.inet(offset)) {
            let _ = write!(words, " {address}");
        }
    }
    words
}

/// `struct xt_state_info`.
fn state(blob: &Blob<'_>) -> Option<Vec<Match>> {
    Some(vec![Match::ConntrackState { states: words::xt_states(blob.u32(0)?), is_negated: false }])
}

/// `struct xt_statistic_info`: the probability in parts of 2^31, or every n-th packet.
fn statistic(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let probability = match blob.u16(0)? {
        0 => f64::from(blob.u32(4)?) / f64::from(1u32 << 31),
        1 => 1.0 / (f64::from(blob.u32(4)?) + 1.0),
        _ => return None,
    };
    let probability = if blob.u16(2)? & 1 != 0 { 1.0 - probability } else { probability };
    Some(vec![Match::Probability { probability }])
}

/// `struct xt_length_info`.
fn length(blob: &Blob<'_>) -> Option<Vec<Match>> {
    Some(vec![Match::Length { first: blob.u16(0)?, last: blob.u16(2)?, is_negated: blob.u8(4)? != 0 }])
}

/// `struct ipt_ttl_info`, `struct ip6t_hl_info`: equal, not equal, less, greater.
fn ttl(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let op = match blob.u8(0)? {
        0 => "==",
        2 => "<",
        3 => ">",
        _ => return None,
    };
    Some(vec![Match::Ttl { op: op.to_owned(), value: blob.u8(1)? }])
}

/// `struct xt_iprange_mtinfo`.
fn iprange(blob: &Blob<'_>) -> Option<Vec<Match>> {
    let range = |offset| Some((blob.inet(offset)?, blob.inet(offset + 16)?));
    let networks = |range: (IpAddr, IpAddr)| networks_of(range.0, range.1);
    let flags = blob.u8(64)?;
    let mut all = Vec::new();
    if flags & 1 != 0 {
        all.push(Match::Source { networks: networks(range(0)?)?, is_negated: flags & 0x10 != 0 });
    }
    if flags & 2 != 0 {
        all.push(Match::Destination { networks: networks(range(32)?)?, is_negated: flags & 0x20 != 0 });
    }
    (!all.is_empty()).then_some(all)
}

/// `struct xt_rateinfo`: 10,000 divided by the packets in a second.
fn limit(blob: &Blob<'_>) -> Option<Vec<Match>> {
    const SCALE: u32 = 10_000;
    const UNITS: [(&str, u32); 4] = [("sec", 1), ("min", 60), ("hour", 3600), ("day", 86400)];
    let (average, burst) = (blob.u32(0)?, blob.u32(4)?);
    let (unit, seconds) = UNITS.into_iter().find(|(_, seconds)| average <= SCALE.saturating_mul(*seconds))?;
    let rate = SCALE.saturating_mul(seconds) / average.max(1);
    let burst = if burst == 5 { String::new() } else { format!(" --limit-burst {burst}") };
    Some(vec![Match::Other { text: format!("-m limit --limit {rate}/{unit}{burst}") }])
}

/// `struct xt_physdev_info`.
fn physdev(blob: &Blob<'_>) -> Option<Vec<Match>> {
    const OPTIONS: [(u8, &str, Option<usize>); 5] = [
        (1, "--physdev-in", Some(0)),
        (2, "--physdev-out", Some(32)),
        (4, "--physdev-is-bridged", None),
        (8, "--physdev-is-in", None),
        (16, "--physdev-is-out", None),
    ];
    let (invert, bits) = (blob.u8(64)?, blob.u8(65)?);
    let mut all = "-m physdev".to_owned();
    for (bit, option, name) in OPTIONS.into_iter().filter(|(bit, ..)| bits & bit != 0) {
        all += if invert & bit == 0 { " " } else { " ! " };
        all += option;
        if let Some(name) = name.and_then(|offset| blob.data.get(offset..offset + 16)) {
            let _ = write!(all, " {}", text(name));
        }
    }
    Some(vec![Match::Other { text: all }])
}

/// `struct xt_rpfilter_info`.
fn rpfilter(blob: &Blob<'_>) -> Option<Vec<Match>> {
    const OPTIONS: [(u8, &str); 4] =
        [(1, " --loose"), (2, " --validmark"), (4, " --accept-local"), (8, " --invert")];
    let flags = blob.u8(0)?;
    let words: String =
        OPTIONS.into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, option)| option).collect();
    Some(vec![Match::Other { text: format!("-m rpfilter{words}") }])
}
