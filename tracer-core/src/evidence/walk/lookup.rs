//! Looking fields of a packet up in sets and maps.

use super::condition::is_interface;
use super::packet::Packet;
use crate::evidence::{Field, Set, SetElement, SetValue};

/// What is in a set for a packet.
pub(super) enum Found<'a> {
    /// Elements, each with the probability that it is the one: several where lots are drawn, none where none is for it.
    Elements(Vec<(&'a SetElement, f64)>),
    /// It cannot be told.
    Unknown,
}

/// Finds what a set has for the fields of a packet. An element for everything counts for what no other is for, and
/// an exception before what it is one from.
pub(super) fn find<'a>(set: &'a Set, fields: &[Field], packet: &Packet<'_>) -> Found<'a> {
    let mut elements: Vec<(&SetElement, f64)> = Vec::new();
    let mut left = 1.0;
    let mut rest = None;
    for element in &set.elements {
        if element.key.iter().all(|value| *value == SetValue::Any) {
            rest = Some(element);
            continue;
        }
        match share(element, fields, packet) {
            None => return Found::Unknown,
            Some(share) if share >= 1.0 && element.is_exception => {
                return Found::Elements(vec![(element, share)]);
            }
            Some(share) if share > 0.0 => {
                let share = if share >= 1.0 { left } else { share.min(left) };
                left -= share;
                elements.push((element, share));
            }
            Some(_) => {}
        }
    }
    if let Some(element) = rest.filter(|_| left > f64::EPSILON) {
        elements.push((element, left));
    } else if set.is_truncated && left > f64::EPSILON {
        return Found::Unknown;
    }
    Found::Elements(elements)
}

/// The probability that an element is for a packet; absent if it cannot be told.
fn share(element: &SetElement, fields: &[Field], packet: &Packet<'_>) -> Option<f64> {
    if element.key.len() != fields.len() {
        return None;
    }
    let mut share = 1.0;
    let mut is_known = true;
    for (value, field) in element.key.iter().zip(fields) {
        match field_share(value, field, packet) {
            Some(0.0) => return Some(0.0),
            Some(part) => share *= part,
            None => is_known = false,
        }
    }
    is_known.then_some(share)
}

fn field_share(value: &SetValue, field: &Field, packet: &Packet<'_>) -> Option<f64> {
    let key = &packet.key;
    let is_in = match (field, value) {
        (_, SetValue::Any) => Some(true),
        (_, SetValue::Other { .. }) | (Field::Other(_), _) => None,
        (Field::Lot { modulus, offset: begin }, SetValue::Numbers { first, last }) => {
            return lots(*modulus, *begin, *first, *last);
        }
        (Field::Source, value) if !packet.is_masqueraded => value.has_address(key.source.address),
        (Field::Destination, value) => value.has_address(key.destination.address),
        (Field::SourcePort, value) => value.has_number(key.source.port.0.into()),
        (Field::DestinationPort, value) => value.has_number(key.destination.port.0.into()),
        (Field::Protocol, SetValue::Protocol { protocol }) => Some(*protocol == key.protocol),
        (Field::Protocol, value) => value.has_number(key.protocol.0.into()),
        (Field::Input, SetValue::Name { name }) => Some(is_interface(name, packet.probe.input.as_deref())),
        (Field::Output, SetValue::Name { name }) => Some(is_interface(name, packet.probe.output.as_deref())),
        (Field::Mark, value) if packet.mark.unknown == 0 => value.has_number(packet.mark.value.into()),
        (Field::ConntrackState, value) => value.has_number(state_bit(packet.state)?),
        _ => None,
    };
    is_in.map(|is_in| if is_in { 1.0 } else { 0.0 })
}

/// The share of lots between two.
fn lots(modulus: u32, begin: u32, first: u64, last: u64) -> Option<f64> {
    let end = u64::from(begin) + u64::from(modulus);
    let count = last.saturating_add(1).min(end).saturating_sub(first.max(begin.into()));
    (modulus > 0).then_some(f64::from(u32::try_from(count).ok()?) / f64::from(modulus))
}

/// `NF_CT_STATE_BIT`.
fn state_bit(state: &str) -> Option<u64> {
    Some(match state {
        "invalid" => 1,
        "established" => 2,
        "related" => 4,
        "new" => 8,
        "untracked" => 64,
        _ => return None,
    })
}
