//! Names to addresses and addresses to names, from a cluster's state.

mod error;
mod facts;
mod near;
mod object;
mod party;
mod scope;
mod selector;
mod state;
mod subject;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use error::ResolveError;
pub use facts::{
    ContainerPortFacts, EndpointFacts, Front, NodeFacts, PodFacts, Readiness, ServiceFacts, ServicePortFacts,
};
pub use object::{Item, Kind, Object, TargetPort};
pub use party::{Party, PodPlace, Seed, SeedKind};
pub use scope::Scope;
pub use selector::{Selector, SelectorError, SelectorProblem};
pub use state::{ClusterState, StateError};
pub use subject::Subject;

use crate::flow::{Endpoint, FlowKey, Protocol};

/// Who owns an address, as far as the cluster's state tells.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Owner {
    /// A pod with an address of its own.
    Pod {
        /// Namespace and name.
        name: String,
        /// Node that it runs on.
        node: Option<String>,
    },
    /// A node, by an address of its own or of its tunnel device.
    Node {
        /// Name.
        name: String,
    },
    /// A service, by ClusterIP, external address or load balancer address.
    Service {
        /// Namespace and name.
        name: String,
    },
}

/// Addresses to their owners; an address that several own keeps them all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    owners: BTreeMap<IpAddr, BTreeSet<Owner>>,
    node_ports: BTreeMap<(Protocol, u16), BTreeSet<String>>,
}

impl Names {
    /// The names in a cluster's state.
    pub fn of(state: &ClusterState) -> Self {
        let mut names = Self::default();
        for (address, owner) in state.owners() {
            names.owners.entry(address).or_default().insert(owner);
        }
        for (protocol, port, service) in state.node_ports() {
            names.node_ports.entry((protocol, port)).or_default().insert(service);
        }
        names
    }

    /// Takes in the names of a later state. An address that it knows has its owners by it; others keep theirs, because
    /// packets of a pod that is gone are still told of.
    pub fn absorb(&mut self, newer: Self) {
        self.owners.extend(newer.owners);
        self.node_ports.extend(newer.node_ports);
    }

    /// All owners of an address.
    pub fn owners(&self, address: IpAddr) -> impl Iterator<Item = &Owner> {
        self.owners.get(&address).into_iter().flatten()
    }

    /// Whether an endpoint is the front of a service: its own address, or a NodePort.
    pub fn is_front(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.owners(endpoint.address).any(|owner| match owner {
            Owner::Service { .. } => true,
            Owner::Node { .. } => self.node_ports.contains_key(&(protocol, endpoint.port.0)),
            Owner::Pod { .. } => false,
        })
    }

    /// Whether a packet goes to the NodePort of some service, if its destination is a node.
    pub fn is_node_port(&self, flow: FlowKey) -> bool {
        self.node_ports.contains_key(&(flow.protocol, flow.destination.port.0))
    }

    /// The name to show for one end of a flow, all candidates joined by `|`; absent where nobody is known.
    pub fn label(&self, protocol: Protocol, endpoint: Endpoint) -> Option<String> {
        let mut labels: Vec<String> = self.owners(endpoint.address).map(Owner::label).collect();
        if labels.is_empty() {
            return None;
        }
        let is_node = self.owners(endpoint.address).any(|owner| matches!(owner, Owner::Node { .. }));
        if let (true, Some(services)) = (is_node, self.node_ports.get(&(protocol, endpoint.port.0))) {
            labels.extend(services.iter().map(|service| format!("svc/{}", short(service))));
        }
        Some(labels.join("|"))
    }

    /// Every address with the names of its owners, for a name resolution block.
    pub fn addresses(&self) -> BTreeMap<IpAddr, Vec<String>> {
        let host_name = |owner: &Owner| owner.label().replace('/', ".");
        self.owners
            .iter()
            .map(|(address, owners)| (*address, owners.iter().map(host_name).collect()))
            .collect()
    }
}

impl Owner {
    /// How it is written in output: `pod`, `ns/pod`, `node/x`, `svc/x`; the namespace `default` is left out.
    pub fn label(&self) -> String {
        match self {
            Self::Pod { name, .. } => short(name).to_owned(),
            Self::Node { name } => format!("node/{name}"),
            Self::Service { name } => format!("svc/{}", short(name)),
        }
    }
}

/// A namespaced name less the namespace `default`.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("default/").unwrap_or(name)
}
