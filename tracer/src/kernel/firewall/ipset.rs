//! Sets of `ipset` by netlink (`NFNL_SUBSYS_IPSET`, `include/uapi/linux/netfilter/ipset/ip_set.h`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use tracer_core::evidence::{Field, Match, Prefix, Set, SetElement, SetValue};
use tracer_core::flow::Protocol;

use super::super::netfilter::{Connection, attributes};
use super::super::netlink::{NetlinkError, attribute, field, put_attribute, text};
use super::range::address_of;
use super::xt::Blob;

/// `IPSET_CMD_LIST`.
const LIST: u16 = 6 << 8 | 7;
/// Sets are listed with their numbers from this version of the protocol on (Linux 4.20).
const PROTOCOL: u8 = 7;
/// Elements that are kept of all sets together.
const MOST_ELEMENTS: usize = 1 << 16;
/// `IPSET_INV_MATCH`.
const INVERT: u8 = 1;

/// What a condition on a set is written as that is not known.
pub(super) const UNKNOWN: &str = "-m set";

/// What a dimension of a set is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Dimension {
    Address,
    Port,
    Interface,
    Other,
}

/// A set while it is read.
#[derive(Clone, Debug)]
struct IpSet {
    set: Set,
    dimensions: Vec<Dimension>,
}

/// All sets by the number that rules name them with.
#[derive(Clone, Debug, Default)]
pub(super) struct IpSets {
    sets: BTreeMap<u16, IpSet>,
    elements: usize,
}

impl IpSets {
    /// Reads all sets. A kernel without `ip_set` has none.
    pub(super) fn read(connection: &mut Connection) -> Result<Self, NetlinkError> {
        let mut request = Vec::new();
        put_attribute(&mut request, 1, &[PROTOCOL]);
        let mut all = Self::default();
        let mut current = None;
        connection.dump("list sets of ipset", LIST, 2, &request, |message| {
            all.take(message.attributes, &mut current);
        })?;
        Ok(all)
    }

    /// The sets alone.
    pub(super) fn into_sets(self) -> Vec<Set> {
        self.sets.into_values().map(|set| set.set).collect()
    }

    /// A message: the head of a set, or more of its elements.
    fn take(&mut self, message: &[u8], current: &mut Option<u16>) -> Option<()> {
        let name = text(message, 2)?;
        if let (Some(kind), Some(number)) = (text(message, 3), attribute(message, 11)) {
            let number = u16::from_be_bytes(number.try_into().ok()?);
            let set = Set { name: name.clone(), is_map: false, is_truncated: false, elements: Vec::new() };
            self.sets.insert(number, IpSet { set, dimensions: dimensions(&kind) });
            *current = Some(number);
        }
        let set = self.sets.get_mut(&(*current)?).filter(|set| set.set.name == name)?;
        for (_, element) in attributes(attribute(message, 8).unwrap_or(&[])) {
            if self.elements >= MOST_ELEMENTS {
                set.set.is_truncated = true;
                break;
            }
            self.elements += 1;
            set.set.elements.push(set.dimensions_of(element));
        }
        Some(())
    }

    /// What a match of xtables with a set asks for (`struct xt_set_info`, the same begin in revisions 1 to 4).
    pub(super) fn conditions(&self, blob: &Blob<'_>) -> Vec<Match> {
        let known = || {
            let number = field(blob.data, 0).map(u16::from_ne_bytes)?;
            let (dimension, flags) = (*blob.data.get(2)?, *blob.data.get(3)?);
            let set = self.sets.get(&number)?;
            let is_plain = usize::from(dimension) == set.dimensions.len() && blob.revision > 0;
            is_plain.then(|| Match::InSet {
                fields: set.fields(flags),
                set: set.set.name.clone(),
                is_negated: flags & INVERT != 0,
            })
        };
        vec![known().unwrap_or_else(|| Match::Other { text: UNKNOWN.to_owned() })]
    }
}

impl IpSet {
    /// The fields that a rule looks up: for each dimension a bit says whether it is the source's.
    fn fields(&self, flags: u8) -> Vec<Field> {
        let mut fields = Vec::new();
        for (place, dimension) in self.dimensions.iter().enumerate() {
            let is_source = flags & (2 << place) != 0;
            match (dimension, is_source) {
                (Dimension::Address, true) => fields.push(Field::Source),
                (Dimension::Address, false) => fields.push(Field::Destination),
                (Dimension::Port, true) => fields.extend([Field::Protocol, Field::SourcePort]),
                (Dimension::Port, false) => fields.extend([Field::Protocol, Field::DestinationPort]),
                (Dimension::Interface, true) => fields.push(Field::Input),
                (Dimension::Interface, false) => fields.push(Field::Output),
                (Dimension::Other, _) => fields.push(Field::Other("ipset".to_owned())),
            }
        }
        fields
    }

    fn dimensions_of(&self, element: &[u8]) -> SetElement {
        const NO_MATCH: u32 = 4;
        let mut addresses = [(1, 2, 3), (20, 22, 21)].into_iter();
        let mut key = Vec::new();
        for dimension in &self.dimensions {
            match dimension {
                Dimension::Address => {
                    let kinds = addresses.next().unwrap_or((1, 2, 3));
                    key.push(addresses_of(element, kinds).unwrap_or_else(unknown));
                }
                Dimension::Port => key.extend(port_of(element)),
                Dimension::Interface => {
                    key.push(text(element, 23).map_or_else(unknown, |name| SetValue::Name { name }));
                }
                Dimension::Other => key.push(unknown()),
            }
        }
        let flags = attribute(element, 8).and_then(|flags| Some(u32::from_be_bytes(flags.try_into().ok()?)));
        SetElement {
            key,
            verdict: None,
            comment: text(element, 26),
            is_exception: flags.is_some_and(|flags| flags & NO_MATCH != 0),
        }
    }
}

fn unknown() -> SetValue {
    SetValue::Other { text: "?".to_owned() }
}

/// Dimensions by the type's name, as `hash:ip,port,net`.
fn dimensions(kind: &str) -> Vec<Dimension> {
    let (_, dimensions) = kind.split_once(':').unwrap_or(("", kind));
    let dimension = |word| match word {
        "ip" | "net" => Dimension::Address,
        "port" => Dimension::Port,
        "iface" => Dimension::Interface,
        _ => Dimension::Other,
    };
    dimensions.split(',').map(dimension).collect()
}

/// An address, a range or a network, by the attributes that they are in.
fn addresses_of(element: &[u8], (from, to, length): (u16, u16, u16)) -> Option<SetValue> {
    let address = |kind| -> Option<IpAddr> {
        attributes(attribute(element, kind)?).next().and_then(|(_, bytes)| address_of(bytes))
    };
    let first = address(from)?;
    let most = if first.is_ipv4() { 32 } else { 128 };
    let length = attribute(element, length).and_then(|length| length.first().copied()).unwrap_or(most);
    Some(match address(to) {
        Some(last) => SetValue::Addresses { first, last },
        None => SetValue::network(Prefix { address: first, length: length.min(most) }),
    })
}

/// Protocol and port; bitmaps of ports have no protocol.
fn port_of(element: &[u8]) -> [SetValue; 2] {
    let port =
        |kind| attribute(element, kind).and_then(|port| Some(u16::from_be_bytes(port.try_into().ok()?)));
    let protocol = attribute(element, 7).and_then(|protocol| protocol.first().copied());
    let numbers =
        port(4).map(|first| SetValue::Numbers { first: first.into(), last: port(5).unwrap_or(first).into() });
    [
        protocol.map_or(SetValue::Any, |protocol| SetValue::Protocol { protocol: Protocol(protocol) }),
        numbers.unwrap_or_else(unknown),
    ]
}
