//! The parts of a set's key.

use std::collections::BTreeMap;

use tracer_core::evidence::SetValue;
use tracer_core::flow::Protocol;

use super::super::range::address_of;
use super::super::xt;
use super::register::hex;

/// Bits of a type in a concatenation of types (`TYPE_BITS` of nftables' `datatype.h`).
const TYPE_BITS: u32 = 6;

/// What a part of a key is (`enum datatypes` of nftables' `datatype.h`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Address,
    Protocol,
    /// A number in the byte order of the network.
    Number,
    /// A number in the byte order of the machine.
    HostNumber,
    InterfaceIndex,
    InterfaceName,
    Other,
}

/// A part of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Component {
    kind: Kind,
    /// Where it begins in the key.
    offset: usize,
    /// Its bytes.
    length: usize,
}

/// Kind of a type's number and its bytes; 0 for those that may be of any length.
fn kind(number: u32) -> (Kind, usize) {
    match number {
        4 => (Kind::HostNumber, 0),
        7 => (Kind::Address, 4),
        8 => (Kind::Address, 16),
        9 => (Kind::Other, 6),
        10 | 13 => (Kind::Number, 2),
        12 => (Kind::Protocol, 1),
        19 | 24..=26 | 28 | 35 | 38 => (Kind::HostNumber, 4),
        20 => (Kind::InterfaceIndex, 4),
        41 => (Kind::InterfaceName, 16),
        21 => (Kind::HostNumber, 2),
        2 | 14 | 15 | 27 | 29 | 31..=34 | 36 | 37 => (Kind::HostNumber, 1),
        _ => (Kind::Other, 0),
    }
}

/// The parts of a key of a type, each at a multiple of 4 bytes. Intervals are in the byte order of the network throughout.
pub(super) fn components(
    mut types: u32,
    key_length: usize,
    is_interval: bool,
    userdata: Option<&[u8]>,
) -> Vec<Component> {
    let is_big = is_interval || userdata.is_some_and(is_big_endian);
    let mut kinds = Vec::new();
    while types != 0 {
        kinds.push(kind(types & ((1 << TYPE_BITS) - 1)));
        types >>= TYPE_BITS;
    }
    kinds.reverse();
    let whole = Component { kind: Kind::Other, offset: 0, length: key_length };
    if let [(kind, _)] = kinds.as_slice() {
        return vec![Component { kind: in_order(*kind, is_big), ..whole }];
    }
    let mut offset = 0;
    let mut all = Vec::new();
    for (kind, length) in kinds {
        all.push(Component { kind: in_order(kind, is_big), offset, length });
        if length == 0 {
            return vec![whole];
        }
        offset += length.next_multiple_of(4);
    }
    if offset == key_length.next_multiple_of(4) && !all.is_empty() { all } else { vec![whole] }
}

fn in_order(kind: Kind, is_big: bool) -> Kind {
    if kind == Kind::HostNumber && is_big { Kind::Number } else { kind }
}

/// Whether `nft` noted beside a set that its keys are in the byte order of the network (`NFTNL_UDATA_SET_KEYBYTEORDER`).
fn is_big_endian(mut userdata: &[u8]) -> bool {
    const KEY_BYTE_ORDER: u8 = 0;
    const BIG: u8 = 2;
    while let [kind, length, rest @ ..] = userdata {
        let Some(value) = rest.get(..usize::from(*length)) else { return false };
        if *kind == KEY_BYTE_ORDER {
            return value.contains(&BIG);
        }
        userdata = rest.get(usize::from(*length)..).unwrap_or(&[]);
    }
    false
}

/// What a part holds for, from the first key to the last.
pub(super) fn value(
    component: &Component,
    first: &[u8],
    last: &[u8],
    interfaces: &BTreeMap<u32, String>,
) -> SetValue {
    let part =
        |key| -> Option<&[u8]> { <[u8]>::get(key, component.offset..component.offset + component.length) };
    let (Some(first), Some(last)) = (part(first), part(last)) else {
        return SetValue::Other { text: hex(first) };
    };
    known(component.kind, first, last, interfaces).unwrap_or_else(|| {
        let text = if first == last { hex(first) } else { format!("{}-{}", hex(first), hex(last)) };
        SetValue::Other { text }
    })
}

fn known(kind: Kind, first: &[u8], last: &[u8], interfaces: &BTreeMap<u32, String>) -> Option<SetValue> {
    Some(match kind {
        Kind::Address => SetValue::Addresses { first: address_of(first)?, last: address_of(last)? },
        Kind::Protocol if first == last => SetValue::Protocol { protocol: Protocol(*first.first()?) },
        Kind::Number => SetValue::Numbers { first: number(first)?, last: number(last)? },
        Kind::HostNumber => SetValue::Numbers { first: host_number(first)?, last: host_number(last)? },
        Kind::InterfaceIndex if first == last => {
            let index = u32::from_ne_bytes(first.try_into().ok()?);
            SetValue::Name { name: interfaces.get(&index)?.clone() }
        }
        Kind::InterfaceName => SetValue::Name { name: name(first, last)? },
        Kind::Protocol | Kind::InterfaceIndex | Kind::Other => return None,
    })
}

/// A name, or the begin of names, of which all up to the next begin are meant.
fn name(first: &[u8], last: &[u8]) -> Option<String> {
    let begin = xt::text(first);
    let is_one = first == last || last.get(begin.len()).is_none_or(|byte| *byte == 0);
    let is_rest =
        last.starts_with(begin.as_bytes()) && last.iter().skip(begin.len()).all(|byte| *byte == 0xff);
    match (is_one, is_rest) {
        (true, _) => Some(begin),
        (_, true) => Some(format!("{begin}*")),
        _ => None,
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn host_number(bytes: &[u8]) -> Option<u64> {
    if cfg!(target_endian = "big") {
        return number(bytes);
    }
    (bytes.len() <= 8).then(|| bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_service_map_come_apart() {
        // ipv4_addr . inet_proto . inet_service
        let parts = components(0x7000 | 0x300 | 0x0d, 12, false, None);
        let key = [10, 96, 0, 1, 6, 0, 0, 0, 1, 187, 0, 0];
        let values: Vec<_> = parts.iter().map(|part| value(part, &key, &key, &BTreeMap::new())).collect();
        let address = "10.96.0.1".parse().unwrap();
        assert_eq!(
            values,
            [
                SetValue::Addresses { first: address, last: address },
                SetValue::Protocol { protocol: Protocol::TCP },
                SetValue::Numbers { first: 443, last: 443 },
            ]
        );
    }

    #[test]
    fn keys_that_are_too_short_are_not_understood() {
        for part in components(0x7000 | 0x300 | 0x0d, 12, false, None) {
            assert!(matches!(
                value(&part, &[10, 96, 0], &[10, 96, 0], &BTreeMap::new()),
                SetValue::Other { .. }
            ));
        }
        assert_eq!(components(7 << 6, 4, false, None).len(), 1);
    }

    #[test]
    fn names_and_their_begins() {
        let mut exact = *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0";
        let mut rest = exact;
        rest[4..].fill(0xff);
        assert_eq!(name(&exact, &exact).as_deref(), Some("eth0"));
        assert_eq!(name(&exact, &rest).as_deref(), Some("eth0*"));
        exact[5] = b'x';
        assert_eq!(name(&exact, &exact).as_deref(), Some("eth0"));
    }
}
