//! Sets and maps: what their elements mean by the types that `nft` keeps beside them.

use std::collections::BTreeMap;

use tracer_core::evidence::{Field, Match, PortRange, Set, SetElement, SetValue};

use super::super::super::netfilter::attributes;
use super::super::super::netlink::{attribute, text};
use super::super::range::networks_of;
use super::super::words;
use super::element::{Component, components, value};
use super::number::{be32, data_value};
use super::rule;
use super::verdict::{self, Verdict};

const ANONYMOUS: u32 = 1;
const INTERVAL: u32 = 4;
const MAP: u32 = 8;
const CONCAT: u32 = 0x80;
const INTERVAL_END: u32 = 1;
const CATCHALL: u32 = 2;
/// `NFT_DATA_VERDICT`.
const DATA_VERDICT: u32 = 0xffff_ff00;
/// Elements that are kept of all sets together: a list of blocked addresses may have millions.
pub(super) const MOST_ELEMENTS: usize = 1 << 16;

/// A set while its table is read.
#[derive(Clone, Debug)]
pub(super) struct TableSet {
    /// What it is.
    pub(super) set: Set,
    /// Bytes of a key.
    pub(super) key_length: usize,
    /// Whether it is written in the one rule that uses it.
    pub(super) is_anonymous: bool,
    is_interval: bool,
    has_verdicts: bool,
    components: Vec<Component>,
    raw: Vec<RawElement>,
}

#[derive(Clone, Debug)]
struct RawElement {
    first: Vec<u8>,
    last: Option<Vec<u8>>,
    is_end: bool,
    is_any: bool,
    element: SetElement,
}

impl TableSet {
    /// The set of a message (`NFT_MSG_NEWSET`).
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let number = |kind| attribute(message, kind).and_then(be32);
        let flags = number(3).unwrap_or(0);
        let key_length = usize::try_from(number(5)?).ok()?;
        let is_interval = flags & INTERVAL != 0;
        let set = Set {
            name: text(message, 2)?,
            is_map: flags & MAP != 0,
            is_truncated: false,
            elements: Vec::new(),
        };
        Some(Self {
            set,
            key_length,
            is_anonymous: flags & ANONYMOUS != 0,
            is_interval: is_interval && flags & CONCAT == 0,
            has_verdicts: number(6) == Some(DATA_VERDICT),
            components: components(number(4).unwrap_or(0), key_length, is_interval, attribute(message, 13)),
            raw: Vec::new(),
        })
    }

    /// Takes the elements of a message (`NFT_MSG_NEWSETELEM`); says how many.
    pub(super) fn take(&mut self, message: &[u8], room: usize) -> usize {
        let before = self.raw.len();
        for (_, element) in attributes(attribute(message, 3).unwrap_or(&[])) {
            if self.raw.len() - before >= room {
                self.set.is_truncated = true;
                break;
            }
            self.raw.extend(self.element(element));
        }
        self.raw.len() - before
    }

    fn element(&self, element: &[u8]) -> Option<RawElement> {
        let flags = attribute(element, 3).and_then(be32).unwrap_or(0);
        let key = |kind| attribute(element, kind).and_then(data_value).map(<[u8]>::to_vec);
        let is_any = flags & CATCHALL != 0;
        let verdict = attribute(element, 2)
            .filter(|_| self.has_verdicts)
            .and_then(verdict::of_data)
            .and_then(Verdict::action);
        Some(RawElement {
            first: if is_any { Vec::new() } else { key(1)? },
            last: key(10),
            is_end: flags & INTERVAL_END != 0,
            is_any,
            element: SetElement {
                key: Vec::new(),
                verdict,
                comment: attribute(element, 6).and_then(rule::comment),
                is_exception: false,
            },
        })
    }

    /// Makes elements out of what was read: an interval is two of them, its begin and what comes after its end.
    pub(super) fn finish(&mut self, interfaces: &BTreeMap<u32, String>) {
        let mut raw = std::mem::take(&mut self.raw);
        if self.is_interval {
            raw.sort_by(|one, other| (one.is_any, &one.first).cmp(&(other.is_any, &other.first)));
        }
        let mut elements = Vec::with_capacity(raw.len());
        for (place, begin) in raw.iter().enumerate().filter(|(_, element)| !element.is_end) {
            let after = raw[place + 1..].iter().find(|next| !next.is_any && next.first > begin.first);
            let last = match (self.is_interval, &begin.last, after) {
                (true, _, Some(after)) => minus_one(&after.first),
                (true, _, None) => vec![0xff; begin.first.len()],
                (false, Some(last), _) => last.clone(),
                (false, None, _) => begin.first.clone(),
            };
            let key = if begin.is_any {
                vec![SetValue::Any; self.components.len()]
            } else {
                self.components
                    .iter()
                    .map(|component| value(component, &begin.first, &last, interfaces))
                    .collect()
            };
            elements.push(SetElement { key, ..begin.element.clone() });
        }
        self.set.elements = elements;
    }
}

/// The number before one of many bytes.
fn minus_one(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for byte in bytes.iter_mut().rev() {
        let (less, has_borrowed) = byte.overflowing_sub(1);
        *byte = less;
        if !has_borrowed {
            break;
        }
    }
    bytes
}

/// The condition that fields are in a set. A set that is written in the rule is resolved into what it stands for.
pub(super) fn condition(set: &TableSet, fields: Vec<Field>, is_negated: bool) -> Match {
    if let ([field], true, false) = (fields.as_slice(), set.is_anonymous, set.set.is_truncated)
        && let Some(condition) = resolved(field, &set.set.elements, is_negated)
    {
        return condition;
    }
    Match::InSet { fields, set: set.set.name.clone(), is_negated }
}

fn resolved(field: &Field, elements: &[SetElement], is_negated: bool) -> Option<Match> {
    let values: Vec<_> = elements.iter().map(|element| element.key.first()).collect::<Option<_>>()?;
    let networks = || {
        let each = values.iter().map(|value| match value {
            SetValue::Addresses { first, last } => networks_of(*first, *last),
            _ => None,
        });
        Some(each.collect::<Option<Vec<_>>>()?.concat())
    };
    let ports = || {
        let each = values.iter().map(|value| match value {
            SetValue::Numbers { first, last } => {
                Some(PortRange { first: u16::try_from(*first).ok()?, last: u16::try_from(*last).ok()? })
            }
            _ => None,
        });
        each.collect::<Option<Vec<_>>>()
    };
    Some(match (field, values.as_slice()) {
        (Field::Source, _) => Match::Source { networks: networks()?, is_negated },
        (Field::Destination, _) => Match::Destination { networks: networks()?, is_negated },
        (Field::SourcePort, _) => Match::SourcePort { ports: ports()?, is_negated },
        (Field::DestinationPort, _) => Match::DestinationPort { ports: ports()?, is_negated },
        (Field::ConntrackState, _) => Match::ConntrackState { states: states(&values)?, is_negated },
        (Field::Protocol, [SetValue::Protocol { protocol }]) => {
            Match::Protocol { protocol: *protocol, is_negated }
        }
        (Field::Input, [SetValue::Name { name }]) => Match::Input { name: name.clone(), is_negated },
        (Field::Output, [SetValue::Name { name }]) => Match::Output { name: name.clone(), is_negated },
        _ => return None,
    })
}

/// States that are elements each.
fn states(values: &[&SetValue]) -> Option<Vec<String>> {
    let mut bits = 0;
    for value in values {
        match value {
            SetValue::Numbers { first, last } if first == last && first.is_power_of_two() => {
                bits |= u32::try_from(*first).ok()?;
            }
            _ => return None,
        }
    }
    let words = words::nft_states(bits);
    (usize::try_from(bits.count_ones()) == Ok(words.len())).then_some(words)
}
