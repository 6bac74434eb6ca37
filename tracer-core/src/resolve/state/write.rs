//! A state as JSON: names and addresses, and nothing else of what a cluster says about its objects.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::super::object::{
    ContainerPort, Kind, OwnerName, SERVICE_LABEL, SliceEndpoint, TUNNEL_ANNOTATIONS,
};
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
        if !self.ports.is_empty() {
            let ports: Vec<Value> = self.ports.iter().map(ContainerPort::to_json).collect();
            spec.insert("containers".to_owned(), json!([{ "ports": ports }]));
        }
        let mut status = Map::new();
        if let Some(phase) = &self.phase {
            status.insert("phase".to_owned(), json!(phase));
        }
        if let Some(is_ready) = self.is_ready {
            let text = if is_ready { "True" } else { "False" };
            status.insert("conditions".to_owned(), json!([{ "type": "Ready", "status": text }]));
        }
        // What has ended has no address, and it may be another's by now.
        if !self.has_ended() && !self.addresses.is_empty() {
            status.insert("podIP".to_owned(), json!(self.addresses[0]));
            status.insert("podIPs".to_owned(), ips(&self.addresses));
        }
        let mut metadata = metadata(&self.namespace, &self.name, self.owner.as_ref());
        if let Some(uid) = &self.uid {
            metadata["uid"] = json!(uid);
        }
        object(Kind::Pod, &metadata, [("spec", spec.into()), ("status", status.into())])
    }
}

impl ContainerPort {
    fn to_json(&self) -> Value {
        let mut value = json!({ "containerPort": self.port, "protocol": self.protocol });
        if let Some(name) = &self.name {
            value["name"] = json!(name);
        }
        if let Some(host_port) = self.host_port {
            value["hostPort"] = json!(host_port);
        }
        value
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
            if let Some(target) = &port.target_port {
                value["targetPort"] = json!(target);
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
        if self.is_headless && own.is_empty() {
            spec["clusterIP"] = json!("None");
        }
        if let Some(kind) = &self.kind {
            spec["type"] = json!(kind);
        }
        if let Some(alias) = &self.alias {
            spec["type"] = json!("ExternalName");
            spec["externalName"] = json!(alias);
        }
        if let Some(seconds) = self.affinity {
            spec["sessionAffinity"] = json!("ClientIP");
            spec["sessionAffinityConfig"] = json!({ "clientIP": { "timeoutSeconds": seconds } });
        }
        for (field, is_local) in [
            ("externalTrafficPolicy", self.is_local_outside),
            ("internalTrafficPolicy", self.is_local_inside),
        ] {
            if is_local {
                spec[field] = json!("Local");
            }
        }
        object(Kind::Service, &metadata(&self.namespace, &self.name, None), [("spec", spec)])
    }
}

impl Slice {
    fn to_json(&self) -> Value {
        let endpoints = self.endpoints.iter().map(SliceEndpoint::to_json);
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

impl SliceEndpoint {
    fn to_json(&self) -> Value {
        let mut value = json!({ "addresses": self.addresses, "conditions": { "ready": self.is_ready } });
        if let Some(is_serving) = self.is_serving {
            value["conditions"]["serving"] = json!(is_serving);
        }
        if self.is_terminating {
            value["conditions"]["terminating"] = json!(true);
        }
        if let Some(node) = &self.node {
            value["nodeName"] = json!(node);
        }
        if let Some((namespace, name)) = self.pod.as_deref().and_then(|pod| pod.split_once('/')) {
            value["targetRef"] = json!({ "kind": "Pod", "namespace": namespace, "name": name });
        }
        if self.has_hints {
            // Which zones they are is left out: that there are some tells why a node may pass an endpoint over.
            value["hints"] = json!({ "forZones": [{ "name": "" }] });
        }
        value
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
