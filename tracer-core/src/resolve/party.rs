//! The two ends of a trace, from the words that the user typed.

mod address;
mod pods;
mod service;
#[cfg(test)]
mod tests;
mod word;

use std::collections::HashSet;
use std::hash::Hash;
use std::net::IpAddr;

use super::error::ResolveError;
use super::state::ClusterState;
use crate::flow::{Endpoint, Protocol};

use address::Address;
pub(super) use word::Word;

/// An address, optionally with a port and a protocol, that packets of an end wear somewhere on their way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Seed {
    /// Address.
    pub address: IpAddr,
    /// Port and its protocol; absent for all of the address.
    pub port: Option<(Protocol, u16)>,
    /// Whose address it is.
    pub kind: SeedKind,
}

/// Whose address a seed is: it decides how closely it selects packets.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SeedKind {
    /// A pod's, or any address of the outside.
    Own,
    /// A service's: nothing else has it, whatever the port.
    Service,
    /// A node's, which every tunnel between nodes wears outside as well.
    Node,
}

impl Seed {
    fn matches(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        endpoint.address == self.address && self.port.is_none_or(|port| port == (protocol, endpoint.port.0))
    }
}

/// A pod that belongs to an end.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PodPlace {
    /// Namespace and name.
    pub name: String,
    /// Node that it runs on, as far as it is known.
    pub node: Option<String>,
    /// Its addresses; on the host's network those of its node.
    pub addresses: Vec<IpAddr>,
    /// Whether it has no network namespace of its own.
    pub is_host_network: bool,
}

/// One end of a trace.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Party {
    /// What the user typed.
    pub label: String,
    /// What packets of it wear.
    pub seeds: Vec<Seed>,
    /// Addresses of services that may lead to it: they count as long as no translation was seen.
    pub fronts: Vec<Seed>,
    /// Nodes that it is on, as far as they are known.
    pub nodes: Vec<String>,
    /// Pods that it consists of, as far as they are known.
    pub pods: Vec<PodPlace>,
    /// What a person should know of it: a service without endpoints, pods that have no address yet.
    pub notes: Vec<String>,
}

impl Party {
    /// Resolves what the user typed, in `namespace` where the word names none. In this order:
    ///
    /// 1. `IP`, `IP:PORT`, `[IP]:PORT`, also with `/tcp`, `/udp` or `/sctp` behind the port.
    /// 2. `POD`, `NAMESPACE/POD`.
    /// 3. `TYPE/NAME`, `NAMESPACE/TYPE/NAME` with the names of types that kubectl has; `svc/NAME:PORT` with a port's
    ///    number or name.
    pub fn resolve(word: &str, namespace: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        let mut party = match Address::of(word) {
            Some(address) => Self::address(address, state),
            None => match Word::of(word, namespace)? {
                Word::Pod { namespace: its_own, name } => Self::pod(its_own, name, namespace, state)?,
                Word::Node { name } => Self::node(name, state)?,
                Word::Service { namespace, name, port } => Self::service(namespace, name, port, state)?,
                Word::Workload { kind, namespace, name } => Self::workload(kind, namespace, name, state)?,
            },
        };
        word.clone_into(&mut party.label);
        Ok(party)
    }

    /// Whether a word names pods by what makes them: a deployment, a job.
    pub fn is_workload(word: &str) -> bool {
        Address::of(word).is_none() && matches!(Word::of(word, ""), Ok(Word::Workload { .. }))
    }

    /// The namespace that a word names; absent where it names none.
    pub fn namespace_of(word: &str) -> Option<&str> {
        if Address::of(word).is_some() {
            return None;
        }
        let namespace = match Word::of(word, "").ok()? {
            Word::Pod { namespace, .. }
            | Word::Service { namespace, .. }
            | Word::Workload { namespace, .. } => namespace,
            Word::Node { .. } => "",
        };
        Some(namespace).filter(|namespace| !namespace.is_empty())
    }

    /// A host outside of the cluster, `NAME` or `NAME:PORT`, by the addresses that its name has.
    pub fn host(word: &str, addresses: &[IpAddr]) -> Result<Self, ResolveError> {
        let port = word.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let seeds: Vec<Seed> = addresses.iter().flat_map(|&ip| Address::new(ip, port).seeds()).collect();
        if seeds.is_empty() {
            return Err(ResolveError::NoHost(word.to_owned()));
        }
        Ok(Self { label: word.to_owned(), seeds, ..Self::default() })
    }

    /// Takes in what the same words mean later: pods that came, addresses that changed. What was before stays, because
    /// its packets are part of the trace.
    pub fn absorb(&mut self, newer: Self) {
        unite(&mut self.seeds, newer.seeds);
        unite(&mut self.fronts, newer.fronts);
        unite(&mut self.nodes, newer.nodes);
        unite(&mut self.pods, newer.pods);
        unite(&mut self.notes, newer.notes);
    }

    /// Leaves addresses out of it, as those of pods that are gone.
    pub(super) fn forget(&mut self, addresses: &HashSet<IpAddr>) {
        self.seeds.retain(|seed| !addresses.contains(&seed.address));
        for pod in &mut self.pods {
            pod.addresses.retain(|address| !addresses.contains(address));
        }
        self.pods.retain(|pod| !pod.addresses.is_empty());
    }

    /// Whether an end of a packet is this end of the trace.
    pub(super) fn matches(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.seeds.iter().any(|seed| seed.matches(protocol, endpoint))
    }

    pub(super) fn may_lead_here(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.fronts.iter().any(|seed| seed.matches(protocol, endpoint))
    }

    /// Whether it is named by ports, so that its seeds alone select its packets.
    pub(super) fn is_specific(&self) -> bool {
        self.seeds.iter().all(|seed| seed.port.is_some() || seed.kind == SeedKind::Service)
    }

    fn node(name: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        let Some(node) = state.nodes.iter().find(|node| node.name == name) else {
            let near = super::near::near(name, state.node_names().map(str::to_owned));
            return Err(ResolveError::NotFound { kind: "node", name: name.to_owned(), near });
        };
        if node.addresses.is_empty() {
            return Err(ResolveError::NoAddress { kind: "node", name: name.to_owned(), why: None });
        }
        let own = node.addresses.iter().chain(&node.tunnel_addresses);
        let seeds = own.map(|address| Seed { address: *address, port: None, kind: SeedKind::Node }).collect();
        Ok(Self { seeds, nodes: vec![name.to_owned()], ..Self::default() })
    }

    /// Every node once, in order.
    fn sort_nodes(mut self) -> Self {
        self.nodes.sort();
        self.nodes.dedup();
        self
    }
}

/// Appends what is not there yet, in the order in which it comes.
pub(super) fn unite<T: Clone + Eq + Hash>(all: &mut Vec<T>, newer: impl IntoIterator<Item = T>) {
    let mut seen: HashSet<T> = all.iter().cloned().collect();
    all.extend(newer.into_iter().filter(|each| seen.insert(each.clone())));
}
