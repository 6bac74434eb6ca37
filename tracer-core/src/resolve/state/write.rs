//! A state as JSON: names and addresses, and nothing else of what a cluster says about its objects.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::super::object::{Kind, OwnerName, SERVICE_LABEL, TUNNEL_ANNOTATIONS};
use super::{ClusterState, Node, Pod, Service, Slice, Workload};

impl ClusterState {
    /// A list of Kubernetes objects that [`ClusterState::from_json`] reads: names, addresses, ports, who made a pod and
    /// whether it has ended. Nothing of what else describes an object is in it: no labels but the name of a slice's
    /// service, no annotations but the addresses of tunnels, no environment, no images.
    pub fn to_json(&self) -> Value {
        let owners: HashSet<(&str, &OwnerName)> =
            self.pods.iter().filter_map(|pod| Some((pod.namespace.as_str(), pod.owner.as_ref()?))).collect();
        // Deployments keep their old replica sets: those without pods lead nowhere.
        let leads_somewhere = |workload: &&std::sync::Arc<Workload>| {
            let own = OwnerName { kind: workload.kind.name().to_owned(), name: workload.name.clone() };
            workload.kind != Kind::ReplicaSet
                || workload.owner.is_none()
                || owners.contains(&(workload.namespace.as_str(), &own))
        };
        let items: Vec<Value> = (self.nodes.iter().map(|each| each.to_json()))
            .chain(self.pods.iter().map(|each| each.to_json()))
            .chain(self.services.iter().map(|each| each.to_json()))
            .chain(self.slices.iter().map(|each| each.to_json()))
            .chain(self.workloads.iter().filter(leads_somewhere).map(|each| each.to_json()))
            .collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items })
    }
}

impl Node {
    fn to_json(&self) -> Value {
        let addresses: Vec<Value> =
            self.addresses.iter().map(|each| json!({ "type": "InternalIP", "address": each })).collect();
        let mut metadata = json!({ "name": self.name });
        let annotations: BTreeMap<&str, String> =
            self.tunnel_annotations().map(|(key, address)| (key, address.to_string())).collect();
        if !annotations.is_empty() {
            metadata["annotations"] = json!(annotations);
        }
        object(Kind::Node, &metadata, [("status", json!({ "addresses": addresses }))])
    }

    /// Each of them under a key that it is read from; which of a node's tunnels it is, nobody asks.
    fn tunnel_annotations(&self) -> impl Iterator<Item = (&'static str, &std::net::IpAddr)> {
        TUNNEL_ANNOTATIONS.into_iter().zip(&self.tunnel_addresses)
    }
}

impl Pod {
    fn to_json(&self) -> Value {
        let mut spec = Map::new();
        if let Some(node) = &self.node {
            spec.insert("nodeName".to_owned(), json!(node));
        }
        if self.is_host_network {
            spec.insert("hostNetwork".to_owned(), json!(true));
        }
        let mut status = Map::new();
        if let Some(phase) = &self.phase {
            status.insert("phase".to_owned(), json!(phase));
        }
        // What has ended has no address, and it may be another's by now.
        if !self.has_ended() && !self.addresses.is_empty() {
            status.insert("podIP".to_owned(), json!(self.addresses[0]));
            status.insert("podIPs".to_owned(), ips(&self.addresses));
        }
        let metadata = metadata(&self.namespace, &self.name, self.owner.as_ref());
        object(Kind::Pod, &metadata, [("spec", spec.into()), ("status", status.into())])
    }
}

impl Service {
    fn to_json(&self) -> Value {
        let ports = self.ports.iter().map(|port| {
            let mut value = json!({ "port": port.port, "protocol": port.protocol });
            if let Some(name) = &port.name {
                value["name"] = json!(name);
            }
            if let Some(node_port) = port.node_port {
                value["nodePort"] = json!(node_port);
            }
            value
        });
        let mut spec = json!({ "ports": ports.collect::<Vec<_>>() });
        let own: Vec<_> =
            self.addresses.iter().take(self.addresses.len() - self.external.len()).copied().collect();
        if let Some(first) = own.first() {
            spec["clusterIP"] = json!(first);
            spec["clusterIPs"] = json!(own);
        }
        if !self.external.is_empty() {
            spec["externalIPs"] = json!(self.external);
        }
        if let Some(alias) = &self.alias {
            spec["type"] = json!("ExternalName");
            spec["externalName"] = json!(alias);
        }
        object(Kind::Service, &metadata(&self.namespace, &self.name, None), [("spec", spec)])
    }
}

impl Slice {
    fn to_json(&self) -> Value {
        let endpoints = self.endpoints.iter().map(|each| {
            let mut value = json!({ "addresses": each.addresses, "conditions": { "ready": each.is_ready } });
            if let Some(node) = &each.node {
                value["nodeName"] = json!(node);
            }
            value
        });
        let ports = self.ports.iter().map(|port| {
            let name = port.name.as_deref().unwrap_or_default();
            json!({ "name": name, "protocol": port.protocol, "port": port.port })
        });
        let mut metadata = metadata(&self.namespace, &self.name, None);
        if let Some(service) = &self.service {
            metadata["labels"] = json!({ SERVICE_LABEL: service });
        }
        let (endpoints, ports): (Vec<_>, Vec<_>) = (endpoints.collect(), ports.collect());
        object(Kind::EndpointSlice, &metadata, [("endpoints", endpoints.into()), ("ports", ports.into())])
    }
}

impl Workload {
    fn to_json(&self) -> Value {
        object(self.kind, &metadata(&self.namespace, &self.name, self.owner.as_ref()), [])
    }
}

fn metadata(namespace: &str, name: &str, owner: Option<&OwnerName>) -> Value {
    let mut metadata = json!({ "name": name, "namespace": namespace });
    if let Some(OwnerName { kind, name }) = owner {
        metadata["ownerReferences"] = json!([{ "kind": kind, "name": name, "controller": true }]);
    }
    metadata
}

fn object<const N: usize>(kind: Kind, metadata: &Value, rest: [(&str, Value); N]) -> Value {
    let group = kind.group();
    let api_version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let mut value = json!({ "apiVersion": api_version, "kind": kind.name(), "metadata": metadata });
    for (key, field) in rest {
        value[key] = field;
    }
    value
}

fn ips<T: Display>(addresses: &[T]) -> Value {
    addresses.iter().map(|address| json!({ "ip": address.to_string() })).collect()
}
