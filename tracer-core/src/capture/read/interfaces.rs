//! From a file's numbers of interfaces to ours.

use std::collections::BTreeMap;

use super::super::link::{LinkType, direction_by_mac, number};
use super::super::option::value;
use super::super::{CaptureError, Interface, InterfaceId, LinkLayer};
use super::Packet;
use super::resolution::Resolution;
use crate::resolve::short;

/// A bound on what a hostile file can make us remember.
const MAX_INTERFACES: usize = 65_536;
/// What loopback has for an address.
const NO_MAC: [u8; 6] = [0; 6];
/// Name of the device that stands for all, where the file has none for it.
const ANY: &str = "any";

/// An interface as a file describes it.
pub(super) struct Described {
    pub(super) interface: Interface,
    pub(super) link: LinkType,
    /// Number of the link type in the file.
    pub(super) link_number: u32,
    pub(super) snap: u32,
    pub(super) resolution: Resolution,
    /// Our number of it; absent while no packet came by it, where each packet tells its own interface.
    id: Option<InterfaceId>,
    by_index: BTreeMap<u32, InterfaceId>,
}

impl Described {
    /// One of which only the link type is known.
    pub(super) fn unnamed(link_number: u32) -> Self {
        let link = LinkType::of(link_number);
        Self {
            interface: Interface {
                name: String::new(),
                node: None,
                pod: None,
                ifindex: None,
                link: link.layer(),
                mac: None,
            },
            link,
            link_number: number(link_number),
            snap: 0,
            resolution: Resolution::default(),
            id: None,
            by_index: BTreeMap::new(),
        }
    }

    /// Takes what the `key=value` text of our own captures tells.
    pub(super) fn explain(&mut self, description: &str) {
        self.interface.node = value(description, "node");
        self.interface.pod = value(description, "pod");
        self.interface.ifindex = value(description, "ifindex").and_then(|index| index.parse().ok());
        let is_synthetic = value(description, "link").as_deref() == Some("synthetic-ethernet");
        if self.link == LinkType::Ethernet && is_synthetic {
            self.link = LinkType::SyntheticEthernet;
            self.interface.link = LinkLayer::SyntheticEthernet;
        }
    }

    /// The interface with the name that it has on its node: a traced file puts its place before it.
    fn named(&self) -> Interface {
        let mut interface = self.interface.clone();
        let place = interface.pod.as_deref().map(short).or(interface.node.as_deref());
        let name = interface.node.as_ref().and(place).and_then(|place| interface.name.strip_prefix(place));
        if let Some(name) = name.and_then(|rest| rest.strip_prefix(':')).filter(|name| !name.is_empty()) {
            interface.name = name.to_owned();
        }
        if interface.name.is_empty() && matches!(self.link, LinkType::Sll | LinkType::Sll2) {
            ANY.clone_into(&mut interface.name);
        }
        interface
    }
}

/// An interface under our number of it.
pub(super) type Told = (InterfaceId, Box<Interface>);

/// The interfaces of a section.
#[derive(Default)]
pub(super) struct Interfaces {
    described: Vec<Described>,
    /// How many of ours there are.
    count: u32,
    /// Those of sections before, in the file and of ours: they are remembered by whoever reads.
    before: usize,
}

impl Interfaces {
    /// An interface by the file's number.
    pub(super) fn get(&self, number: u32) -> Result<&Described, CaptureError> {
        // Errors are not made before there is one: this is called for every packet.
        match self.described.get(number as usize) {
            Some(described) => Ok(described),
            None => Err(CaptureError::UnknownInterface(number)),
        }
    }

    /// Begins a further section.
    pub(super) fn clear(&mut self) {
        let before = self.before + self.described.len().max(self.count as usize);
        *self = Self { before, ..Self::default() };
    }

    /// Takes the description of the file's next interface. Absent where packets tell what interfaces there are.
    pub(super) fn describe(&mut self, mut described: Described) -> Result<Option<Told>, CaptureError> {
        if self.before + self.described.len() >= MAX_INTERFACES {
            return Err(CaptureError::TooManyInterfaces { most: MAX_INTERFACES, offset: 0 });
        }
        let told = match described.link {
            LinkType::Sll2 => None,
            _ => Some((next(self.before, &mut self.count)?, Box::new(described.named()))),
        };
        described.id = told.as_ref().map(|(id, _)| *id);
        self.described.push(described);
        Ok(told)
    }

    /// Gives a packet our number of its interface, an Ethernet header, and a direction if its link layer tells.
    /// Yields the interface where this is its first packet.
    pub(super) fn place(
        &mut self,
        packet: &mut Packet,
        bytes: &mut [u8],
    ) -> Result<Option<Told>, CaptureError> {
        let number = packet.interface;
        let Some(described) = self.described.get_mut(number as usize) else {
            return Err(CaptureError::UnknownInterface(number));
        };
        let told = described.link.make_ethernet(bytes, &mut packet.data, &mut packet.original_len);
        packet.direction = packet.direction.or(told.direction).or_else(|| {
            let is_own = |mac: &[u8; 6]| described.link == LinkType::Ethernet && *mac != NO_MAC;
            direction_by_mac(bytes.get(packet.data.clone())?, described.interface.mac.filter(is_own)?)
        });
        if let Some(id) = described.id.filter(|_| described.link != LinkType::Sll2) {
            packet.interface = id.0;
            return Ok(None);
        }
        let index = told.ifindex.unwrap_or_default();
        if let Some(id) = described.by_index.get(&index) {
            packet.interface = id.0;
            return Ok(None);
        }
        let id = next(self.before, &mut self.count)?;
        described.by_index.insert(index, id);
        packet.interface = id.0;
        let interface =
            Interface { name: format!("if{index}"), ifindex: Some(index), ..described.interface.clone() };
        Ok(Some((id, Box::new(interface))))
    }

    /// Our number of an interface that counters are told of. Yields the interface where it is told first.
    pub(super) fn of_statistics(&mut self, number: u32) -> Result<(InterfaceId, Option<Told>), CaptureError> {
        let Some(described) = self.described.get_mut(number as usize) else {
            return Err(CaptureError::UnknownInterface(number));
        };
        if let Some(id) = described.id {
            return Ok((id, None));
        }
        let id = next(self.before, &mut self.count)?;
        described.id = Some(id);
        Ok((id, Some((id, Box::new(described.named())))))
    }
}

fn next(before: usize, count: &mut u32) -> Result<InterfaceId, CaptureError> {
    let id = InterfaceId(*count);
    if before + *count as usize >= MAX_INTERFACES {
        return Err(CaptureError::TooManyInterfaces { most: MAX_INTERFACES, offset: 0 });
    }
    *count += 1;
    Ok(id)
}
