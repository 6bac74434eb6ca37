//! The set of addresses in the kernel, changeable while the programs run.

use std::collections::HashMap;
use std::net::IpAddr;

use aya::maps::{Array, HashMap as EbpfHashMap, Map, MapData, MapError};
use thiserror::Error;
use tracer_common::filter::{
    Address, AddressEntry, EVERYTHING, FilterState, INNERMOST_ONLY, MAX_ADDRESSES, RULES, Rule,
};

/// Ports of an address that a packet must have one of, on the address's own side.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PortRule {
    /// Port, or ICMP echo identifier where the protocol is ICMP; absent is any.
    pub port: Option<u16>,
    /// IP protocol number; absent is any.
    pub protocol: Option<u8>,
}

/// In which of a packet's IP headers an address counts.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Layers {
    /// In any: outer, inner, quoted.
    Any,
    /// In the innermost only, so that a node's address does not stand for all that its tunnels carry.
    Innermost,
}

/// One address, and when packets of it match.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Member {
    layers: Layers,
    /// Empty: any port.
    rules: Vec<PortRule>,
}

/// Which packets match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AddressSet {
    members: HashMap<IpAddr, Member>,
    everything: bool,
}

/// Why an address cannot be added.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum AddressSetError {
    /// More rules than an entry holds.
    #[error("{address} has more than {RULES} ports: leave the ports out")]
    TooManyRules {
        /// The address.
        address: IpAddr,
    },
    /// More addresses than the map holds.
    #[error("more than {MAX_ADDRESSES} addresses")]
    TooManyAddresses,
}

impl AddressSet {
    /// Every packet matches.
    pub fn everything() -> Self {
        Self { members: HashMap::new(), everything: true }
    }

    /// Whether every packet matches.
    pub fn is_everything(&self) -> bool {
        self.everything
    }

    /// No packet matches.
    pub fn nothing() -> Self {
        Self { members: HashMap::new(), everything: false }
    }

    /// The addresses, in no order.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.members.keys().copied()
    }

    /// Adds an address, with one port rule or for all its packets. The wider of two mentions counts.
    pub fn add(
        &mut self,
        address: IpAddr,
        layers: Layers,
        rule: Option<PortRule>,
    ) -> Result<(), AddressSetError> {
        if self.members.len() >= MAX_ADDRESSES as usize && !self.members.contains_key(&address) {
            return Err(AddressSetError::TooManyAddresses);
        }
        let Some(member) = self.members.get_mut(&address) else {
            self.members.insert(address, Member { layers, rules: rule.into_iter().collect() });
            return Ok(());
        };
        if layers == Layers::Any {
            member.layers = Layers::Any;
        }
        match rule {
            None => member.rules.clear(),
            Some(rule) if member.rules.is_empty() || member.rules.contains(&rule) => {}
            Some(_) if member.rules.len() == RULES => return Err(AddressSetError::TooManyRules { address }),
            Some(rule) => member.rules.push(rule),
        }
        Ok(())
    }

    fn state(&self) -> Box<FilterState> {
        let mut state = Box::new(FilterState::EMPTY);
        if self.everything {
            state.flags |= EVERYTHING;
        }
        for address in self.members.keys() {
            state.insert(&Address::from(*address));
        }
        state
    }
}

impl Member {
    fn entry(&self) -> AddressEntry {
        let flags = match self.layers {
            Layers::Any => 0,
            Layers::Innermost => INNERMOST_ONLY,
        };
        let mut entry = AddressEntry { flags, padding: 0, rules: [Rule::NONE; RULES] };
        if self.rules.is_empty() {
            entry.rules[0] = Rule::ANY;
        }
        for (place, rule) in entry.rules.iter_mut().zip(&self.rules) {
            *place = Rule::new(rule.port, rule.protocol);
        }
        entry
    }
}

/// The set as the kernel has it.
pub struct Filter {
    state: Array<MapData, FilterState>,
    addresses: EbpfHashMap<MapData, Address, AddressEntry>,
    current: AddressSet,
}

impl Filter {
    pub(super) fn new(state: Map, addresses: Map) -> Result<Self, MapError> {
        Ok(Self {
            state: Array::try_from(state)?,
            addresses: EbpfHashMap::try_from(addresses)?,
            current: AddressSet::nothing(),
        })
    }

    /// Makes the kernel match another set. Packets that both sets match are never missed meanwhile.
    pub fn set(&mut self, set: AddressSet) -> Result<(), MapError> {
        for (address, member) in &set.members {
            if self.current.members.get(address) != Some(member) {
                self.addresses.insert(Address::from(*address), member.entry(), 0)?;
            }
        }
        self.state.set(0, *set.state(), 0)?;
        for address in self.current.members.keys().filter(|address| !set.members.contains_key(address)) {
            self.addresses.remove(&Address::from(*address))?;
        }
        self.current = set;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn rule(port: u16) -> PortRule {
        PortRule { port: Some(port), protocol: Some(6) }
    }

    #[test]
    fn wider_of_two_mentions_counts() {
        let mut set = AddressSet::nothing();
        set.add(ADDRESS, Layers::Innermost, Some(rule(80))).unwrap();
        set.add(ADDRESS, Layers::Innermost, Some(rule(443))).unwrap();
        assert_eq!(set.members[&ADDRESS].rules, [rule(80), rule(443)]);
        set.add(ADDRESS, Layers::Any, None).unwrap();
        assert_eq!(set.members[&ADDRESS], Member { layers: Layers::Any, rules: vec![] });
        set.add(ADDRESS, Layers::Innermost, Some(rule(80))).unwrap();
        assert_eq!(set.members[&ADDRESS], Member { layers: Layers::Any, rules: vec![] });
    }

    #[test]
    fn rules_beyond_the_entry_are_refused() {
        let mut set = AddressSet::nothing();
        for port in 1..=u16::try_from(RULES).unwrap() {
            set.add(ADDRESS, Layers::Any, Some(rule(port))).unwrap();
        }
        let refused = set.add(ADDRESS, Layers::Any, Some(rule(99)));
        assert_eq!(refused, Err(AddressSetError::TooManyRules { address: ADDRESS }));
        assert!(set.add(ADDRESS, Layers::Any, Some(rule(1))).is_ok());
    }

    #[test]
    fn kernel_values_of_a_set() {
        let mut set = AddressSet::nothing();
        set.add(ADDRESS, Layers::Innermost, Some(rule(80))).unwrap();
        let state = set.state();
        assert_eq!((state.may_contain(&Address::from(ADDRESS)), state.flags), (1, 0));
        let entry = set.members[&ADDRESS].entry();
        assert_eq!(entry.flags, INNERMOST_ONLY);
        assert_eq!(entry.rules[..2], [Rule::new(Some(80), Some(6)), Rule::NONE]);
        set.add(ADDRESS, Layers::Any, None).unwrap();
        assert_eq!(set.members[&ADDRESS].entry().rules[..2], [Rule::ANY, Rule::NONE]);
        assert_eq!(AddressSet::everything().state().flags, EVERYTHING);
    }
}
