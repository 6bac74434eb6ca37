//! Interfaces that the programs know, and what they counted there.

use std::collections::HashMap;

use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use thiserror::Error;
use tracer_common::counters::{Counters, InterfaceState, LINK_ETHERNET, LINK_NONE, PROBES, SLOT_LEFT, slot};

use super::interfaces::{IfIndex, LinkType};

/// Why an interface cannot be made known to the programs.
#[derive(Debug, Error)]
pub enum InterfaceTableError {
    /// The kernel refused.
    #[error("cannot read or write the map of interfaces")]
    Map(#[from] MapError),
    /// All slots that it may be in are taken.
    #[error("there are too many interfaces that came after the capture had begun: begin it anew")]
    Full,
}

/// The table of interfaces. Packets of an interface that is not in it pass unseen and uncounted.
pub struct InterfaceTable {
    map: PerCpuArray<MapData, InterfaceState>,
    slots: HashMap<IfIndex, u32>,
}

impl InterfaceTable {
    /// Slots for so many interfaces and as many again that may come; a power of two.
    pub fn slots(interfaces: usize) -> u32 {
        const LEAST: u32 = 256;
        const MOST: u32 = 1 << 16;
        u32::try_from(interfaces).unwrap_or(MOST).saturating_mul(4).clamp(LEAST, MOST).next_power_of_two()
    }

    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        Ok(Self { map: PerCpuArray::try_from(map)?, slots: HashMap::new() })
    }

    /// Makes an interface known, its counters at zero. To be done before attaching to it.
    pub fn insert(&mut self, index: IfIndex, link: LinkType) -> Result<(), InterfaceTableError> {
        let slot = self.slots.get(&index).copied().or_else(|| self.free_slot(index));
        let slot = slot.ok_or(InterfaceTableError::Full)?;
        let link = match link {
            LinkType::Ip => LINK_NONE,
            LinkType::Ethernet | LinkType::Unsupported(_) => LINK_ETHERNET,
        };
        self.set(slot, InterfaceState { ifindex: index.0, link, ..InterfaceState::default() })?;
        self.slots.insert(index, slot);
        Ok(())
    }

    /// What was counted at an interface in both directions; zero where it is not known.
    pub fn counters(&self, index: IfIndex) -> Result<Counters, MapError> {
        let Some(slot) = self.slots.get(&index) else { return Ok(Counters::default()) };
        let state = self.map.get(slot, 0)?;
        let directions = state.iter().flat_map(|state| &state.directions);
        Ok(directions.fold(Counters::default(), |sum, counters| sum.plus(counters)))
    }

    /// Forgets an interface. To be done after detaching from it.
    pub fn remove(&mut self, index: IfIndex) -> Result<(), MapError> {
        let Some(slot) = self.slots.remove(&index) else { return Ok(()) };
        self.set(slot, InterfaceState { ifindex: SLOT_LEFT, ..InterfaceState::default() })
    }

    /// The first slot that an interface may be in and no other is.
    fn free_slot(&self, index: IfIndex) -> Option<u32> {
        let slots = self.map.len();
        (0..PROBES)
            .map(|probe| slot(index.0, probe, slots))
            .find(|slot| !self.slots.values().any(|taken| taken == slot))
    }

    fn set(&mut self, slot: u32, state: InterfaceState) -> Result<(), MapError> {
        let processors = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
        self.map.set(slot, PerCpuValues::try_from(vec![state; processors])?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_room_for_interfaces_to_come() {
        for (interfaces, slots) in [(0, 256), (64, 256), (65, 512), (250, 1024), (1 << 20, 1 << 16)] {
            assert_eq!(InterfaceTable::slots(interfaces), slots, "{interfaces}");
        }
    }
}
