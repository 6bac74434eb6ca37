//! The cluster's state: what `kubectl get nodes,pods,services,endpointslices -A -o json` prints.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use thiserror::Error;

use super::Owner;
use crate::flow::Protocol;

/// Annotations by which Calico and flannel tell a node's tunnel address.
const TUNNEL_ANNOTATIONS: [&str; 4] = [
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
];

/// Kinds that are read; the others are passed over unseen.
const KINDS: [&str; 4] = ["Node", "Pod", "Service", "EndpointSlice"];

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

/// Nodes, pods, services and endpoint slices of a cluster.
#[derive(Clone, Debug, Default)]
pub struct ClusterState {
    pub(super) nodes: Vec<Node>,
    pub(super) pods: Vec<Pod>,
    pub(super) services: Vec<Service>,
    pub(super) slices: Vec<Slice>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) tunnel_addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) is_host_network: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    #[serde(default, deserialize_with = "unnamed")]
    pub(super) name: Option<String>,
    #[serde(default = "tcp")]
    protocol: String,
    pub(super) port: u16,
    pub(super) node_port: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) namespace: String,
    pub(super) service: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<SlicePort>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SlicePort {
    #[serde(default, deserialize_with = "unnamed")]
    pub(super) name: Option<String>,
    #[serde(default = "tcp")]
    protocol: String,
    pub(super) port: Option<u16>,
}

impl ServicePort {
    pub(super) fn protocol(&self) -> Option<Protocol> {
        Protocol::from_name(&self.protocol)
    }
}

impl SlicePort {
    pub(super) fn protocol(&self) -> Option<Protocol> {
        Protocol::from_name(&self.protocol)
    }
}

/// The only port of a service needs no name: the service leaves it out then, its slices write an empty one.
fn unnamed<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.filter(|name| !name.is_empty()))
}

fn tcp() -> String {
    "TCP".to_owned()
}

impl ClusterState {
    /// Reads the JSON of `kubectl get ... -o json`; objects of other kinds are passed over.
    pub fn from_json(json: &[u8]) -> Result<Self, StateError> {
        let list: raw::List = serde_json::from_slice(json).map_err(StateError::Json)?;
        if list.kind != "List" {
            return Err(StateError::NotAList(list.kind));
        }
        let mut state = Self::default();
        for (index, item) in list.items.into_iter().enumerate() {
            let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (kind, name) = (text("/kind"), text("/metadata/name"));
            if !KINDS.contains(&kind.as_str()) {
                continue;
            }
            match serde_json::from_value(item) {
                Ok(object) => state.add(&kind, object),
                Err(source) => return Err(StateError::Object { index, kind, name, source }),
            }
        }
        Ok(state)
    }

    fn add(&mut self, kind: &str, object: raw::Object) {
        let meta = object.metadata;
        match kind {
            "Node" => {
                let addresses =
                    object.status.addresses.iter().filter_map(|a| a.address.parse().ok()).collect();
                let annotated = TUNNEL_ANNOTATIONS.iter().filter_map(|key| meta.annotations.get(*key));
                let tunnel_addresses = annotated.filter_map(|text| text.parse().ok()).collect();
                self.nodes.push(Node { name: meta.name, addresses, tunnel_addresses });
            }
            "Pod" => self.pods.push(Pod {
                namespace: meta.namespace,
                name: meta.name,
                node: object.spec.node_name,
                addresses: pod_addresses(&object.status),
                is_host_network: object.spec.host_network,
            }),
            "Service" => self.services.push(Service {
                namespace: meta.namespace,
                name: meta.name,
                addresses: service_addresses(&object.spec, &object.status),
                ports: object.spec.ports,
            }),
            _ => self.slices.push(Slice {
                namespace: meta.namespace,
                service: meta.labels.get("kubernetes.io/service-name").cloned(),
                addresses: object
                    .endpoints
                    .iter()
                    .flat_map(|endpoint| &endpoint.addresses)
                    .filter_map(|address| address.parse().ok())
                    .collect(),
                ports: object.ports,
            }),
        }
    }

    /// Names of all nodes.
    pub fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The node that a pod runs on, by the pod's `namespace/name`; absent for an unknown or unscheduled pod.
    pub fn node_of_pod(&self, pod: &str) -> Option<&str> {
        self.pods.iter().find(|p| p.full_name() == pod)?.node.as_deref()
    }

    /// Every address with its owner; pods on the host's network leave theirs to the node.
    pub(super) fn owners(&self) -> impl Iterator<Item = (IpAddr, Owner)> {
        let nodes = self.nodes.iter().flat_map(|node| {
            let own = node.addresses.iter().chain(&node.tunnel_addresses);
            own.map(|address| (*address, Owner::Node { name: node.name.clone() }))
        });
        let pods = self.pods.iter().filter(|pod| !pod.is_host_network).flat_map(|pod| {
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
}

impl Pod {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Service {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// `podIPs` holds all, `podIP` the first one.
fn pod_addresses(status: &raw::Status) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    let all = status.pod_ips.iter().map(|ip| ip.ip.as_str()).chain(status.pod_ip.as_deref());
    for address in all.filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// A headless service has the ClusterIP `None`, which is no address.
fn service_addresses(spec: &raw::Spec, status: &raw::Status) -> Vec<IpAddr> {
    let balancers = status.load_balancer.ingress.iter().filter_map(|ingress| ingress.ip.as_deref());
    let cluster = spec.cluster_ips.iter().map(String::as_str).chain(spec.cluster_ip.as_deref());
    let mut addresses: Vec<IpAddr> = Vec::new();
    let all = cluster.chain(spec.external_ips.iter().map(String::as_str)).chain(balancers);
    for address in all.filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The fields that are read, as the Kubernetes API names them.
mod raw {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer};
    use serde_json::Value;

    use super::{ServicePort, SlicePort};

    /// The API writes an empty list as `null` here and there.
    fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
        Ok(Option::deserialize(from)?.unwrap_or_default())
    }

    #[derive(Deserialize)]
    pub(super) struct List {
        #[serde(default)]
        pub(super) kind: String,
        #[serde(default)]
        pub(super) items: Vec<Value>,
    }

    #[derive(Deserialize)]
    pub(super) struct Object {
        pub(super) metadata: Metadata,
        #[serde(default)]
        pub(super) spec: Spec,
        #[serde(default)]
        pub(super) status: Status,
        #[serde(default, deserialize_with = "or_null")]
        pub(super) endpoints: Vec<Endpoint>,
        #[serde(default, deserialize_with = "or_null")]
        pub(super) ports: Vec<SlicePort>,
    }

    #[derive(Deserialize)]
    pub(super) struct Metadata {
        pub(super) name: String,
        #[serde(default)]
        pub(super) namespace: String,
        #[serde(default, deserialize_with = "or_null")]
        pub(super) annotations: BTreeMap<String, String>,
        #[serde(default, deserialize_with = "or_null")]
        pub(super) labels: BTreeMap<String, String>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct Spec {
        pub(super) node_name: Option<String>,
        pub(super) host_network: bool,
        #[serde(rename = "clusterIP")]
        pub(super) cluster_ip: Option<String>,
        #[serde(rename = "clusterIPs", deserialize_with = "or_null")]
        pub(super) cluster_ips: Vec<String>,
        #[serde(rename = "externalIPs", deserialize_with = "or_null")]
        pub(super) external_ips: Vec<String>,
        #[serde(deserialize_with = "or_null")]
        pub(super) ports: Vec<ServicePort>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct Status {
        pub(super) addresses: Vec<Address>,
        #[serde(rename = "podIP")]
        pub(super) pod_ip: Option<String>,
        #[serde(rename = "podIPs")]
        pub(super) pod_ips: Vec<PodIp>,
        pub(super) load_balancer: LoadBalancer,
    }

    #[derive(Deserialize)]
    pub(super) struct Address {
        pub(super) address: String,
    }

    #[derive(Deserialize)]
    pub(super) struct PodIp {
        pub(super) ip: String,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    pub(super) struct LoadBalancer {
        pub(super) ingress: Vec<Ingress>,
    }

    #[derive(Deserialize)]
    pub(super) struct Ingress {
        #[serde(default)]
        pub(super) ip: Option<String>,
    }

    #[derive(Deserialize)]
    pub(super) struct Endpoint {
        #[serde(default, deserialize_with = "or_null")]
        pub(super) addresses: Vec<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_where() {
        let error = ClusterState::from_json(b"{\n \"kind\": \"List\", items").unwrap_err();
        assert!(matches!(&error, StateError::Json(cause) if cause.line() == 2), "{error:?}");
        let error = ClusterState::from_json(br#"{"kind": "Status"}"#).unwrap_err();
        assert!(error.to_string().contains("Status"), "{error}");
        let json = br#"{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "web"}, "spec": 7}]}"#;
        let error = ClusterState::from_json(json).unwrap_err();
        assert_eq!(error.to_string(), "the cluster state is malformed in item 0, Pod \"web\"");
    }

    #[test]
    fn nulls_and_other_kinds_do_no_harm() {
        let json = br#"{"kind": "List", "items": [
            {"kind": "Thing", "spec": {"ports": "none"}},
            {"kind": "EndpointSlice", "metadata": {"name": "s", "labels": null}, "endpoints": null, "ports": null},
            {"kind": "Service", "metadata": {"name": "h", "namespace": "n"}, "spec": {"clusterIP": "None"}}
        ]}"#;
        let state = ClusterState::from_json(json).unwrap();
        assert_eq!(state.slices.len(), 1);
        assert!(state.services[0].addresses.is_empty());
    }
}
