//! Which flows a trace is about, and where they pass.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use super::party::{Party, Seed, SeedKind};
use super::state::ClusterState;
use crate::flow::{Endpoint, FlowKey};

/// Which flows a trace is about: those between two ends, or all of one, whoever opened them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    /// One end.
    pub source: Party,
    /// The other end; absent for any.
    pub destination: Option<Party>,
}

impl Scope {
    /// Whether a flow with these forward tuples is between the two ends.
    pub fn contains(&self, tuples: &[FlowKey]) -> bool {
        let is_translated = tuples.len() > 1;
        let ends_at = |party: &Party, pick: fn(&FlowKey) -> Endpoint| {
            tuples.iter().any(|tuple| {
                party.matches(tuple.protocol, pick(tuple))
                    || (!is_translated && party.may_lead_here(tuple.protocol, pick(tuple)))
            })
        };
        let opens = |party: &Party| ends_at(party, |tuple| tuple.source);
        let is_opened = |party: &Party| ends_at(party, |tuple| tuple.destination);
        match &self.destination {
            Some(other) => {
                (opens(&self.source) && is_opened(other)) || (opens(other) && is_opened(&self.source))
            }
            None => opens(&self.source) || is_opened(&self.source),
        }
    }

    /// What the kernel has to look for so that no packet of the scope is missed.
    ///
    /// Where one end is named by ports, every leg of its flows wears one of them, and the other end's addresses,
    /// which would match far more, are left out.
    pub fn seeds(&self) -> Vec<Seed> {
        let ends: Vec<&Party> = self.ends().collect();
        let specific: Vec<&Party> = ends.iter().copied().filter(|party| party.is_specific()).collect();
        let chosen = if specific.len() == 1 { &specific } else { &ends };
        let own = chosen.iter().flat_map(|party| &party.seeds);
        let mut seeds: Vec<Seed> = own.chain(ends.iter().flat_map(|party| &party.fronts)).copied().collect();
        seeds.sort();
        seeds.dedup();
        seeds
    }

    /// The nodes that packets of the scope pass, by these rules:
    ///
    /// 1. Those that an end is on, the endpoints of a service included, and the node whose address was typed.
    /// 2. Where an end is outside of the cluster, a node's own, or any at all: those that have a NodePort of the other end,
    ///    and all of them if the other end has an external address, because who routes it is not known.
    /// 3. All of them if there is nothing but the outside.
    pub fn nodes(&self, state: &ClusterState) -> BTreeSet<String> {
        let mut nodes: BTreeSet<String> = self.ends().flat_map(|end| end.nodes.iter().cloned()).collect();
        let all = || state.node_names().map(str::to_owned);
        if self.ends().all(Party::is_outside) {
            return all().collect();
        }
        let is_open = self.destination.is_none();
        if is_open || self.ends().any(|end| end.is_outside() || end.is_of_node()) {
            for end in self.ends() {
                // Of one end alone, services that lead to it are others' business.
                let fronts = if is_open { &[][..] } else { &end.fronts };
                let entries = || end.seeds.iter().chain(fronts);
                if entries().any(|seed| state.is_external(seed)) {
                    return all().collect();
                }
                let node_ports = entries().filter(|seed| seed.kind == SeedKind::Node);
                nodes.extend(node_ports.filter_map(|seed| Some(state.node_with(seed.address)?.name.clone())));
            }
        }
        nodes
    }

    /// Takes in what the same words mean later.
    pub fn absorb(&mut self, newer: Self) {
        self.source.absorb(newer.source);
        if let (Some(own), Some(newer)) = (&mut self.destination, newer.destination) {
            own.absorb(newer);
        }
    }

    /// Leaves addresses out of it, as those of pods that are gone.
    pub fn forget(&mut self, addresses: &HashSet<IpAddr>) {
        self.source.forget(addresses);
        if let Some(destination) = &mut self.destination {
            destination.forget(addresses);
        }
    }

    fn ends(&self) -> impl Iterator<Item = &Party> {
        std::iter::once(&self.source).chain(&self.destination)
    }
}

impl Party {
    /// Whether nothing of it is in the cluster, as far as is known.
    fn is_outside(&self) -> bool {
        self.nodes.is_empty()
            && self.pods.is_empty()
            && self.seeds.iter().all(|seed| seed.kind == SeedKind::Own)
    }

    /// Whether it asks from a node's own network, and so may ask any node for a NodePort.
    fn is_of_node(&self) -> bool {
        self.seeds.iter().any(|seed| seed.kind == SeedKind::Node && seed.port.is_none())
    }
}

impl ClusterState {
    /// Whether packets to an address come in where routers outside of the cluster like it.
    fn is_external(&self, seed: &Seed) -> bool {
        seed.kind == SeedKind::Service
            && self.services.iter().any(|service| service.external.contains(&seed.address))
    }
}
