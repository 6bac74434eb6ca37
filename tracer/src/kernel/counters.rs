//! Interfaces that the programs know, and what they counted there.

use aya::maps::{Map, MapData, MapError, PerCpuHashMap, PerCpuValues};
use aya::util::nr_cpus;
use tracer_common::counters::{Counters, InterfaceState, LINK_ETHERNET, LINK_NONE};

use super::interfaces::{IfIndex, LinkType};

/// The map of interfaces. Packets of an interface that is not in it pass unseen and uncounted.
pub struct InterfaceTable(PerCpuHashMap<MapData, u32, InterfaceState>);

impl InterfaceTable {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        PerCpuHashMap::try_from(map).map(Self)
    }

    /// Makes an interface known, its counters at zero. To be done before attaching to it.
    pub fn insert(&mut self, index: IfIndex, link: LinkType) -> Result<(), MapError> {
        let link = match link {
            LinkType::Ip => LINK_NONE,
            LinkType::Ethernet | LinkType::Unsupported(_) => LINK_ETHERNET,
        };
        let state = InterfaceState { link, ..InterfaceState::default() };
        let processors = nr_cpus().map_err(|(_, error)| MapError::IoError(error))?;
        self.0.insert(index.0, PerCpuValues::try_from(vec![state; processors])?, 0)
    }

    /// What was counted at an interface in both directions; zero where it is not known.
    pub fn counters(&self, index: IfIndex) -> Result<Counters, MapError> {
        let state = match self.0.get(&index.0, 0) {
            Err(MapError::KeyNotFound) => return Ok(Counters::default()),
            state => state?,
        };
        let directions = state.iter().flat_map(|state| &state.directions);
        Ok(directions.fold(Counters::default(), |sum, counters| sum.plus(counters)))
    }

    /// Forgets an interface. To be done after detaching from it.
    pub fn remove(&mut self, index: IfIndex) -> Result<(), MapError> {
        match self.0.remove(&index.0) {
            Err(MapError::KeyNotFound) => Ok(()),
            result => result,
        }
    }
}
