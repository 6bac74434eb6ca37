//! The cluster's state: what `kubectl get nodes,pods,services,endpointslices -A -o json` prints.

mod write;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use super::Owner;
use super::object::{Content, Envelope, Item, Kind, List, Node, Object, Pod, Service, Slice, Workload};
use crate::flow::Protocol;

/// Why a state file is no cluster state.
#[derive(Debug, Error)]
pub enum StateError {
    /// Not JSON, or no object with `items`; the cause names line and column.
    #[error("the cluster state is malformed")]
    Json(#[source] serde_json::Error),
    /// JSON, but no list of Kubernetes objects.
    #[error(
        "the cluster state is no list of Kubernetes objects: `kind` is {0:?} where \"List\" was expected"
    )]
    NotAList(String),
    /// One object of the list has a field of another type than Kubernetes gives it.
    #[error("the cluster state is malformed in item {index}, {kind} {name:?}")]
    Object {
        /// Its place in `items`, from 0.
        index: usize,
        /// Its kind.
        kind: String,
        /// Its name, empty where it has none.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Nodes, pods, services, their endpoints and workloads of a cluster. Cheap to clone for what it holds.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) pods: Vec<Arc<Pod>>,
    pub(super) services: Vec<Arc<Service>>,
    pub(super) slices: Vec<Arc<Slice>>,
    pub(super) workloads: Vec<Arc<Workload>>,
}

impl ClusterState {
    /// Reads the JSON of `kubectl get ... -o json`; objects of other kinds are passed over.
    pub fn from_json(json: &[u8]) -> Result<Self, StateError> {
        let list: List = serde_json::from_slice(json).map_err(StateError::Json)?;
        if list.kind != "List" {
            return Err(StateError::NotAList(list.kind));
        }
        Self::from_items(list.items)
    }

    /// Reads the items of such a list, each with its `kind`; objects of other kinds are passed over.
    pub fn from_items(items: impl IntoIterator<Item = Value>) -> Result<Self, StateError> {
        let mut objects = Vec::new();
        for (index, value) in items.into_iter().enumerate() {
            let Envelope { kind, api_version, name } = Envelope::of(&value);
            let Some(known) = Kind::of(&kind, &api_version) else { continue };
            match serde_json::from_value::<Item>(value) {
                Ok(item) => objects.extend(item.into_objects(known)),
                Err(source) => return Err(StateError::Object { index, kind, name, source }),
            }
        }
        Ok(Self::from_objects(objects))
    }

    /// The state that some objects make.
    pub fn from_objects(objects: impl IntoIterator<Item = Object>) -> Self {
        let mut state = Self::default();
        for Object(content) in objects {
            match content {
                Content::Node(node) => state.nodes.push(node),
                Content::Pod(pod) => state.pods.push(pod),
                Content::Service(service) => state.services.push(service),
                Content::Slice(slice) => state.slices.push(slice),
                Content::Workload(workload) => state.workloads.push(workload),
            }
        }
        state.drop_old_endpoints();
        state.infer_nodes();
        state
    }

    /// A cluster mirrors the endpoints of every service into slices; those say more.
    fn drop_old_endpoints(&mut self) {
        if !self.slices.iter().any(|slice| slice.is_old) {
            return;
        }
        let of = |slice: &Slice| (slice.namespace.clone(), slice.service.clone());
        let new: HashSet<_> =
            self.slices.iter().filter(|slice| !slice.is_old).map(|slice| of(slice)).collect();
        self.slices.retain(|slice| !slice.is_old || !new.contains(&of(slice)));
    }

    /// Who may not list nodes still knows those that the pods in sight run on, by the pods' own status.
    fn infer_nodes(&mut self) {
        let mut known: HashSet<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        for pod in &self.pods {
            let Some(name) = pod.node.as_ref().filter(|_| !pod.node_addresses.is_empty()) else { continue };
            if !known.contains(name) {
                known.insert(name.clone());
                let addresses = pod.node_addresses.clone();
                let node = Node { name: name.clone(), addresses, tunnel_addresses: vec![] };
                self.nodes.push(Arc::new(node));
            }
        }
    }

    /// Names of all nodes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The node that a pod runs on, by the pod's `namespace/name`; absent for an unknown or unscheduled pod.
    pub fn node_of_pod(&self, pod: &str) -> Option<&str> {
        let (namespace, name) = pod.split_once('/')?;
        self.pods.iter().find(|pod| pod.is(namespace, name))?.node.as_deref()
    }

    /// The node that an address is on: its own, that of a pod, or that of an endpoint. Absent for services and the
    /// outside.
    pub fn node_of_address(&self, address: IpAddr) -> Option<&str> {
        let by_node = || self.node_with(address).map(|node| node.name.as_str());
        let by_pod = || self.pods_with(address).find_map(|pod| pod.node.as_deref());
        let by_endpoint = || {
            let endpoints = self.slices.iter().flat_map(|slice| &slice.endpoints);
            endpoints.filter(|each| each.addresses.contains(&address)).find_map(|each| each.node.as_deref())
        };
        by_node().or_else(by_pod).or_else(by_endpoint)
    }

    /// The node that has an address itself.
    pub(super) fn node_with(&self, address: IpAddr) -> Option<&Arc<Node>> {
        let has =
            |node: &&Arc<Node>| node.addresses.contains(&address) || node.tunnel_addresses.contains(&address);
        self.nodes.iter().find(has)
    }

    /// The pods that have an address now, those on the host's network aside.
    pub(super) fn pods_with(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Pod>> {
        let has = move |pod: &&Arc<Pod>| {
            !pod.is_host_network && !pod.has_ended() && pod.addresses.contains(&address)
        };
        self.pods.iter().filter(has)
    }

    /// Every address with its owner; pods on the host's network leave theirs to the node.
    pub(super) fn owners(&self) -> impl Iterator<Item = (IpAddr, Owner)> {
        let nodes = self.nodes.iter().flat_map(|node| {
            let own = node.addresses.iter().chain(&node.tunnel_addresses);
            own.map(|address| (*address, Owner::Node { name: node.name.clone() }))
        });
        let live = self.pods.iter().filter(|pod| !pod.is_host_network && !pod.has_ended());
        let pods = live.flat_map(|pod| {
            let owner = Owner::Pod { name: pod.full_name(), node: pod.node.clone() };
            pod.addresses.iter().map(move |address| (*address, owner.clone()))
        });
        let services = self.services.iter().flat_map(|service| {
            let owner = Owner::Service { name: service.full_name() };
            service.addresses.iter().map(move |address| (*address, owner.clone()))
        });
        nodes.chain(pods).chain(services)
    }

    /// Every NodePort with its service.
    pub(super) fn node_ports(&self) -> impl Iterator<Item = (Protocol, u16, String)> {
        self.services.iter().flat_map(|service| {
            service
                .ports
                .iter()
                .filter_map(|port| Some((port.protocol()?, port.node_port?, service.full_name())))
        })
    }

    pub(super) fn slices_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Arc<Slice>> {
        self.slices.iter().filter(|slice| {
            slice.namespace == service.namespace && slice.service.as_deref() == Some(service.name.as_str())
        })
    }
}

#[cfg(test)]
mod tests;
