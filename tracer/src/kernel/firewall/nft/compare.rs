//! From a comparison of a register with a constant to the condition that it stands for.

use tracer_core::evidence::{Match, PortRange, Prefix};
use tracer_core::flow::Protocol;

use super::header::{Base, HeaderField};
use super::load::ICMP_CODE;
use super::meta;
use super::register::{Origin, Value, hex};
use super::scope::Scope;
use crate::kernel::firewall::range::{address_of, networks_of, prefix_length};
use crate::kernel::firewall::words;

/// What a register is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Test<'a> {
    /// Equal, or not.
    Equal { data: &'a [u8], is_negated: bool },
    /// From the first to the second, both included, or not.
    Range { first: &'a [u8], last: &'a [u8], is_negated: bool },
    /// Less, at most.
    Below { data: &'a [u8], is_included: bool },
    /// Greater, at least.
    Above { data: &'a [u8], is_included: bool },
}

impl Test<'_> {
    fn words(&self, value: &Value) -> String {
        let name = value.words();
        match self {
            Self::Equal { data, is_negated: false } => format!("{name} {}", hex(data)),
            Self::Equal { data, is_negated: true } => format!("{name} != {}", hex(data)),
            Self::Range { first, last, is_negated: false } => format!("{name} {}-{}", hex(first), hex(last)),
            Self::Range { first, last, is_negated: true } => {
                format!("{name} != {}-{}", hex(first), hex(last))
            }
            Self::Below { data, is_included } => format!("{name} <{} {}", equals(*is_included), hex(data)),
            Self::Above { data, is_included } => format!("{name} >{} {}", equals(*is_included), hex(data)),
        }
    }

    /// The bounds as numbers, both included, and whether what lies between is meant or what does not; absent for an empty
    /// range.
    fn bounds(&self, number: impl Fn(&[u8]) -> Option<u64>, greatest: u64) -> Option<(u64, u64, bool)> {
        Some(match self {
            Self::Equal { data, is_negated } => (number(data)?, number(data)?, *is_negated),
            Self::Range { first, last, is_negated } => (number(first)?, number(last)?, *is_negated),
            Self::Below { data, is_included: true } => (0, number(data)?, false),
            Self::Below { data, is_included: false } => (0, number(data)?.checked_sub(1)?, false),
            Self::Above { data, is_included: true } => (number(data)?, greatest, false),
            Self::Above { data, is_included: false } => (number(data)?.checked_add(1)?, greatest, false),
        })
    }
}

fn equals(is_included: bool) -> &'static str {
    if is_included { "=" } else { "" }
}

/// The conditions that a test of a register's contents stands for, all of which have to hold.
pub(super) fn conditions(value: &Value, test: Test<'_>, scope: &Scope<'_>) -> Vec<Match> {
    let known = match &value.origin {
        Origin::Header { base, offset, length } => header(value, (*base, *offset, *length), test, scope),
        Origin::Meta(key) => meta(*key, value, test, scope).map(|one| vec![one]),
        Origin::Ct { key, direction: None } => ct(*key, value, test).map(|one| vec![one]),
        Origin::Fib { flags, result } => fib(*flags, *result, test).map(|one| vec![one]),
        Origin::Lot { modulus, offset } => lot(*modulus, *offset, value, test).map(|one| vec![one]),
        Origin::Ct { .. } | Origin::Constant(_) | Origin::Other(_) => None,
    };
    known.unwrap_or_else(|| vec![Match::Other { text: test.words(value) }])
}

/// A number of up to 8 bytes in the byte order that its register has.
fn number(value: &Value, bytes: &[u8]) -> Option<u64> {
    if bytes.len() > 8 {
        return None;
    }
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    let is_network_order =
        value.is_swapped || matches!(value.origin, Origin::Header { .. }) || cfg!(target_endian = "big");
    Some(if is_network_order { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
}

fn header(value: &Value, place: (Base, u32, u32), test: Test<'_>, scope: &Scope<'_>) -> Option<Vec<Match>> {
    let (base, offset, length) = place;
    if let Test::Equal { data, is_negated } = test {
        return masked(value, place, data, is_negated, scope);
    }
    if value.mask.is_some() {
        return None;
    }
    let field = HeaderField::whole(base, offset, length);
    if let (HeaderField::Source | HeaderField::Destination, Some((first, last, is_negated))) =
        (field, ends(test))
    {
        let networks = networks_of(address_of(first)?, address_of(last)?)?;
        return Some(vec![addresses(field, networks, is_negated)]);
    }
    let greatest = if length == 1 { u8::MAX.into() } else { u16::MAX.into() };
    let (first, last, is_negated) = test.bounds(|bytes| number(value, bytes), greatest)?;
    let ports = vec![PortRange { first: u16::try_from(first).ok()?, last: u16::try_from(last).ok()? }];
    Some(vec![match field {
        HeaderField::SourcePort => Match::SourcePort { ports, is_negated },
        HeaderField::DestinationPort => Match::DestinationPort { ports, is_negated },
        HeaderField::Length => packet_length(base, ports[0], is_negated),
        HeaderField::Ttl => ttl(test, first, last)?,
        _ => return None,
    }])
}

/// The ends of a range of values that are no numbers.
fn ends(test: Test<'_>) -> Option<(&[u8], &[u8], bool)> {
    match test {
        Test::Range { first, last, is_negated } => Some((first, last, is_negated)),
        _ => None,
    }
}

fn ttl(test: Test<'_>, first: u64, last: u64) -> Option<Match> {
    let (op, value) = match test {
        Test::Below { .. } => ("<", last.checked_add(1)?),
        Test::Above { .. } => (">", first.checked_sub(1)?),
        Test::Equal { .. } | Test::Range { .. } => return None,
    };
    Some(Match::Ttl { op: op.to_owned(), value: u8::try_from(value).ok()? })
}

/// Length of the whole packet; IPv6 tells that of what follows its header.
fn packet_length(base: Base, range: PortRange, is_negated: bool) -> Match {
    const IPV6_HEADER: u16 = 40;
    let more = if base == Base::Ipv6 { IPV6_HEADER } else { 0 };
    Match::Length {
        first: range.first.saturating_add(more),
        last: range.last.saturating_add(more),
        is_negated,
    }
}

/// Equality of some bits of a header, field by field: `nft` loads neighbours together, and the first bytes of a prefix
/// only.
fn masked(
    value: &Value,
    (base, offset, length): (Base, u32, u32),
    data: &[u8],
    is_negated: bool,
    scope: &Scope<'_>,
) -> Option<Vec<Match>> {
    let (begin, size) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
    // The length of what is loaded is anything that a message says, that of what it is compared with is there.
    if data.len() != size {
        return None;
    }
    let whole = (vec![0xff; size], vec![0; size]);
    let (mask, xor) = value.mask.as_ref().unwrap_or(&whole);
    if mask.len() != size || xor.len() != size {
        return None;
    }
    let wanted: Vec<u8> = data.iter().zip(xor).map(|(byte, xor)| byte ^ xor).collect();
    if wanted.iter().zip(mask).any(|(byte, mask)| byte & !mask != 0) {
        // It never holds, or always does not: written by nobody, and no condition that the model has.
        return None;
    }
    let is_icmp = scope.is_icmp() || (length == 1 && offset < 2);
    let mut left = mask.clone();
    let mut all = Vec::new();
    for (at, bytes, field) in base.fields(is_icmp) {
        let (at, bytes) = (usize::try_from(*at).ok()?, usize::try_from(*bytes).ok()?);
        let of = |from: &[u8]| -> Vec<u8> {
            (at..at + bytes)
                .map(|place| place.checked_sub(begin).and_then(|place| from.get(place)).copied().unwrap_or(0))
                .collect()
        };
        let (own_mask, own) = (of(mask), of(&wanted));
        if own_mask.iter().all(|byte| *byte == 0) {
            continue;
        }
        for place in at..at + bytes {
            if let Some(byte) = place.checked_sub(begin).and_then(|place| left.get_mut(place)) {
                *byte = 0;
            }
        }
        all.push(equal(base, *field, &own_mask, &own, is_negated)?);
    }
    let is_complete = left.iter().all(|byte| *byte == 0) && !all.is_empty();
    (is_complete && (all.len() == 1 || !is_negated)).then_some(all)
}

fn equal(base: Base, field: HeaderField, mask: &[u8], data: &[u8], is_negated: bool) -> Option<Match> {
    let is_whole = mask.iter().all(|byte| *byte == 0xff);
    match field {
        HeaderField::Source | HeaderField::Destination => {
            let networks = vec![Prefix { address: address_of(data)?, length: prefix_length(mask)? }];
            Some(addresses(field, networks, is_negated))
        }
        HeaderField::SourcePort | HeaderField::DestinationPort | HeaderField::Length => {
            prefix_length(mask)?;
            let first = u16::from_be_bytes(data.try_into().ok()?);
            let last = first | !u16::from_be_bytes(mask.try_into().ok()?);
            let range = PortRange { first, last };
            Some(match field {
                HeaderField::SourcePort => Match::SourcePort { ports: vec![range], is_negated },
                HeaderField::DestinationPort => Match::DestinationPort { ports: vec![range], is_negated },
                _ => packet_length(base, range, is_negated),
            })
        }
        HeaderField::TcpFlags => Some(tcp_flags(*mask.first()?, *data.first()?, is_negated)),
        _ if !is_whole => None,
        HeaderField::Protocol => Some(Match::Protocol { protocol: Protocol(*data.first()?), is_negated }),
        HeaderField::IcmpType => Some(Match::IcmpType { kind: *data.first()?, code: None, is_negated }),
        HeaderField::IcmpCode if !is_negated => {
            Some(Match::Other { text: format!("{ICMP_CODE}{}", data.first()?) })
        }
        HeaderField::Ttl if !is_negated => Some(Match::Ttl { op: "==".to_owned(), value: *data.first()? }),
        HeaderField::Ttl | HeaderField::IcmpCode | HeaderField::Other => None,
    }
}

/// `tcp flags syn` is "not none of these"; with one flag that is "this one".
fn tcp_flags(mask: u8, set: u8, is_negated: bool) -> Match {
    let is_one = mask.is_power_of_two() && set == 0;
    match (is_one, is_negated) {
        (true, true) => Match::TcpFlags { mask, set: mask, is_negated: false },
        (true, false) => Match::TcpFlags { mask, set: mask, is_negated: true },
        (false, _) => Match::TcpFlags { mask, set, is_negated },
    }
}

fn addresses(field: HeaderField, networks: Vec<Prefix>, is_negated: bool) -> Match {
    match field {
        HeaderField::Source => Match::Source { networks, is_negated },
        _ => Match::Destination { networks, is_negated },
    }
}

fn meta(key: u32, value: &Value, test: Test<'_>, scope: &Scope<'_>) -> Option<Match> {
    if key == meta::LEN {
        let (first, last, is_negated) = test.bounds(|bytes| number(value, bytes), u16::MAX.into())?;
        return Some(Match::Length {
            first: u16::try_from(first).ok()?,
            last: u16::try_from(last).ok()?,
            is_negated,
        });
    }
    let Test::Equal { data, is_negated } = test else { return None };
    match key {
        meta::MARK => {
            let (value, mask) = masked_number(value, data)?;
            Some(Match::Mark { value, mask, is_negated })
        }
        meta::L4PROTO => Some(Match::Protocol { protocol: Protocol(*data.first()?), is_negated }),
        meta::NFPROTO => family(u16::from(*data.first()?), is_negated, (2, 10)),
        meta::PROTOCOL => family(u16::from_be_bytes(data.try_into().ok()?), is_negated, (0x0800, 0x86dd)),
        meta::IIFNAME => Some(Match::Input { name: scope.interface(data), is_negated }),
        meta::OIFNAME => Some(Match::Output { name: scope.interface(data), is_negated }),
        meta::IIF | meta::OIF => {
            let name = scope.interface_of(u32::try_from(number(value, data)?).ok()?)?;
            Some(if key == meta::IIF {
                Match::Input { name, is_negated }
            } else {
                Match::Output { name, is_negated }
            })
        }
        _ => None,
    }
}

/// A family is every address of it.
fn family(number: u16, is_negated: bool, (v4, v6): (u16, u16)) -> Option<Match> {
    let is_v6 = match (number == v4, number == v6) {
        (true, _) => is_negated,
        (_, true) => !is_negated,
        _ => return None,
    };
    Some(Match::Source { networks: vec![Scope::everything(is_v6)], is_negated: false })
}

/// Value and mask of a comparison of `(number & mask) ^ xor`.
fn masked_number(value: &Value, data: &[u8]) -> Option<(u32, u32)> {
    let of = |bytes: &[u8]| number(value, bytes).and_then(|number| u32::try_from(number).ok());
    match &value.mask {
        None => Some((of(data)?, u32::MAX)),
        Some((mask, xor)) => Some((of(data)? ^ of(xor)?, of(mask)?)),
    }
}

fn ct(key: u32, value: &Value, test: Test<'_>) -> Option<Match> {
    let Test::Equal { data, is_negated } = test else { return None };
    let (wanted, mask) = masked_number(value, data)?;
    match key {
        meta::CT_MARK => Some(Match::ConnectionMark { value: wanted, mask, is_negated }),
        meta::CT_STATE => states(wanted, mask, is_negated, words::nft_states),
        meta::CT_STATUS => states(wanted, mask, is_negated, nat_status),
        _ => None,
    }
}

/// Bits of which one has to be set: `& mask != 0`, or `& mask == mask` of a single one.
fn states(wanted: u32, mask: u32, is_negated: bool, words: impl Fn(u32) -> Vec<String>) -> Option<Match> {
    let (bits, is_negated) = match (wanted, mask) {
        (0, mask) => (mask, !is_negated),
        (wanted, u32::MAX) => (wanted, is_negated),
        (wanted, mask) if wanted == mask && mask.is_power_of_two() => (mask, is_negated),
        _ => return None,
    };
    let states = words(bits);
    (usize::try_from(bits.count_ones()) == Ok(states.len()))
        .then_some(Match::ConntrackState { states, is_negated })
}

/// `IPS_SRC_NAT` and `IPS_DST_NAT` of a connection's status.
fn nat_status(bits: u32) -> Vec<String> {
    const STATUS: [(u32, &str); 2] = [(1 << 4, "snat"), (1 << 5, "dnat")];
    STATUS.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| word.to_owned()).collect()
}

fn fib(flags: u32, result: u32, test: Test<'_>) -> Option<Match> {
    let Test::Equal { data, is_negated } = test else { return None };
    if result != meta::FIB_ADDRTYPE {
        return None;
    }
    let kind = words::address_type(u32::from_ne_bytes(data.try_into().ok()?));
    match flags {
        meta::FIB_SADDR => Some(Match::SourceType { kind, is_negated }),
        meta::FIB_DADDR => Some(Match::DestinationType { kind, is_negated }),
        _ => None,
    }
}

/// The share of lots that a comparison takes.
fn lot(modulus: u32, offset: u32, value: &Value, test: Test<'_>) -> Option<Match> {
    if modulus == 0 || value.mask.is_some() {
        return None;
    }
    let greatest = u64::from(offset) + u64::from(modulus) - 1;
    let (first, last, is_negated) = test.bounds(|bytes| number(value, bytes), greatest)?;
    let (first, last) = (first.max(offset.into()), last.min(greatest));
    let count = (last + 1).saturating_sub(first);
    let share = f64::from(u32::try_from(count).ok()?) / f64::from(modulus);
    Some(Match::Probability { probability: if is_negated { 1.0 - share } else { share } })
}
