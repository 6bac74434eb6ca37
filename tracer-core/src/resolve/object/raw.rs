//! The fields that are read, as the Kubernetes API names them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{ContainerPort, ServicePort, SlicePort};

/// The API writes an empty list as `null` here and there.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
pub(in crate::resolve) struct List {
    #[serde(default)]
    pub(in crate::resolve) kind: String,
    #[serde(default)]
    pub(in crate::resolve) items: Vec<Value>,
}

/// What tells the kind and the name of an object that may be malformed.
pub(in crate::resolve) struct Envelope {
    pub(in crate::resolve) kind: String,
    pub(in crate::resolve) api_version: String,
    pub(in crate::resolve) name: String,
}

impl Envelope {
    pub(in crate::resolve) fn of(item: &Value) -> Self {
        let text = |path: &str| item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { kind: text("/kind"), api_version: text("/apiVersion"), name: text("/metadata/name") }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) spec: Spec,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) status: Status,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ports: Vec<SlicePort>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) subsets: Vec<Subset>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) uid: Option<String>,
    #[serde(default)]
    pub(super) resource_version: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) owner_references: Vec<OwnerReference>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct OwnerReference {
    pub(super) kind: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) controller: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) node_name: Option<String>,
    pub(super) host_network: Option<bool>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", deserialize_with = "or_null")]
    pub(super) cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", deserialize_with = "or_null")]
    pub(super) external_ips: Vec<String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) ports: Vec<ServicePort>,
    pub(super) external_name: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) session_affinity: Option<String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) session_affinity_config: AffinityConfig,
    pub(super) external_traffic_policy: Option<String>,
    pub(super) internal_traffic_policy: Option<String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "or_null")]
    pub(super) init_containers: Vec<Container>,
    /// A map of labels for services, a `LabelSelector` for workloads.
    pub(super) selector: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AffinityConfig {
    #[serde(rename = "clientIP", deserialize_with = "or_null")]
    pub(super) client_ip: ClientAffinity,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ClientAffinity {
    pub(super) timeout_seconds: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    #[serde(deserialize_with = "or_null")]
    pub(super) ports: Vec<ContainerPort>,
    /// `Always` makes an init container one that stays (a sidecar).
    pub(super) restart_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(deserialize_with = "or_null")]
    pub(super) addresses: Vec<Address>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(rename = "podIPs", deserialize_with = "or_null")]
    pub(super) pod_ips: Vec<Ip>,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: Option<String>,
    #[serde(rename = "hostIPs", deserialize_with = "or_null")]
    pub(super) host_ips: Vec<Ip>,
    #[serde(deserialize_with = "or_null")]
    pub(super) load_balancer: LoadBalancer,
    pub(super) phase: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    #[serde(deserialize_with = "or_null")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_null")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_null")]
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    #[serde(deserialize_with = "or_null")]
    pub(super) state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Why>,
    pub(super) terminated: Option<Why>,
}

/// Why a container does not run.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Why {
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Address {
    pub(super) address: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ip {
    pub(super) ip: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancer {
    #[serde(deserialize_with = "or_null")]
    pub(super) ingress: Vec<Ingress>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Ingress {
    #[serde(default)]
    pub(super) ip: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    #[serde(default, deserialize_with = "or_null")]
    pub(super) addresses: Vec<String>,
    #[serde(default)]
    pub(super) node_name: Option<String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) conditions: EndpointConditions,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) topology: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) target_ref: Reference,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) hints: Hints,
}

/// What an endpoint is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Reference {
    /// The pod's name with its namespace, if it is a pod.
    pub(super) fn pod(&self) -> Option<String> {
        (self.kind == "Pod").then(|| format!("{}/{}", self.namespace, self.name))
    }
}

/// Which nodes are to use an endpoint; each hint is an object with a name, which nobody asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hints {
    #[serde(deserialize_with = "or_null")]
    pub(super) for_zones: Vec<Value>,
    #[serde(deserialize_with = "or_null")]
    pub(super) for_nodes: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndpointConditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subset {
    #[serde(default, deserialize_with = "or_null")]
    pub(super) addresses: Vec<SubsetAddress>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) not_ready_addresses: Vec<SubsetAddress>,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) ports: Vec<SlicePort>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubsetAddress {
    pub(super) ip: String,
    #[serde(default, deserialize_with = "or_null")]
    pub(super) target_ref: Reference,
    #[serde(default)]
    pub(super) node_name: Option<String>,
}
