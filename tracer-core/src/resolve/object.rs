//! The objects of a cluster that are read, reduced to names, addresses and what selects them.

mod convert;
mod raw;
mod trouble;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::selector::Selector;
use crate::flow::Protocol;

pub(super) use convert::{SERVICE_LABEL, TUNNEL_ANNOTATIONS};
pub(super) use raw::{Envelope, List};

/// Kinds of objects that are read.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A machine of the cluster.
    Node,
    /// A pod.
    Pod,
    /// A service.
    Service,
    /// Endpoints of a service, in pieces (`discovery.k8s.io`).
    EndpointSlice,
    /// Endpoints of a service as old clusters tell them.
    Endpoints,
    /// A deployment.
    Deployment,
    /// A daemon set.
    DaemonSet,
    /// A stateful set.
    StatefulSet,
    /// A replica set.
    ReplicaSet,
    /// A job.
    Job,
    /// A cron job.
    CronJob,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Node,
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::Endpoints,
        Self::Deployment,
        Self::DaemonSet,
        Self::StatefulSet,
        Self::ReplicaSet,
        Self::Job,
        Self::CronJob,
    ];

    /// As Kubernetes writes it in `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }

    /// API group, empty for the core.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Node | Self::Pod | Self::Service | Self::Endpoints => "",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::Deployment | Self::DaemonSet | Self::StatefulSet | Self::ReplicaSet => "apps",
            Self::Job | Self::CronJob => "batch",
        }
    }

    /// Name of the resource: the plural in lower case that paths of the API and rules of RBAC have.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Pod => "pods",
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
            Self::Endpoints => "endpoints",
            Self::Deployment => "deployments",
            Self::DaemonSet => "daemonsets",
            Self::StatefulSet => "statefulsets",
            Self::ReplicaSet => "replicasets",
            Self::Job => "jobs",
            Self::CronJob => "cronjobs",
        }
    }

    /// In lower case, for messages: `pod`, `service`, `deployment`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Service => "service",
            Self::EndpointSlice => "endpoint slice",
            Self::Endpoints => "endpoints",
            Self::Deployment => "deployment",
            Self::DaemonSet => "daemonset",
            Self::StatefulSet => "statefulset",
            Self::ReplicaSet => "replicaset",
            Self::Job => "job",
            Self::CronJob => "cronjob",
        }
    }

    /// Whether its objects live in namespaces.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node)
    }

    /// Whether its objects make pods.
    pub const fn is_workload(self) -> bool {
        matches!(
            self,
            Self::Deployment
                | Self::DaemonSet
                | Self::StatefulSet
                | Self::ReplicaSet
                | Self::Job
                | Self::CronJob
        )
    }

    /// The kind of an object by its `kind` and `apiVersion`; an `apiVersion` that is left out is no hindrance.
    pub(super) fn of(kind: &str, api_version: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|each| each.name() == kind)?;
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        let is_its_own = api_version.is_empty() || group == found.group();
        // Deployments and the like lived there until Kubernetes 1.16.
        (is_its_own || (group == "extensions" && found.group() == "apps")).then_some(found)
    }
}

/// One object; cheap to clone. Equal ones say the same of what is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Object(pub(super) Content);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Content {
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Service(Arc<Service>),
    Slice(Arc<Slice>),
    Workload(Arc<Workload>),
}

/// One object as the API writes it, less what is not read. Of which kind it is the request tells: a list's items do not.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Item(raw::Object);

impl Item {
    /// Name, with the namespace in front where there is one.
    pub fn name(&self) -> String {
        let meta = &self.0.metadata;
        if meta.namespace.is_empty() {
            meta.name.clone()
        } else {
            format!("{}/{}", meta.namespace, meta.name)
        }
    }

    /// Its version, from which a watch goes on.
    pub fn resource_version(&self) -> Option<&str> {
        self.0.metadata.resource_version.as_deref()
    }

    /// What is used of it; several for `Endpoints`, whose subsets have ports of their own.
    pub fn into_objects(self, kind: Kind) -> Vec<Object> {
        self.0.into_content(kind).into_iter().map(Object).collect()
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) tunnel_addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) node: Option<String>,
    /// Those of its node as its status tells them, for a state without nodes.
    pub(super) node_addresses: Vec<IpAddr>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) is_host_network: bool,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) owner: Option<OwnerName>,
    /// As Kubernetes writes it; absent where the state does not tell.
    pub(super) phase: Option<String>,
    /// Why it does not run, if it tells.
    pub(super) trouble: Option<String>,
    /// Identifier that the cluster gave it; absent where the state does not tell.
    pub(super) uid: Option<String>,
    /// Whether it is ready to serve (the condition `Ready`); absent where the state does not tell.
    pub(super) is_ready: Option<bool>,
    /// Ports that its containers say they listen on; they need not say it.
    pub(super) ports: Vec<ContainerPort>,
}

/// A port that a container says it listens on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    #[serde(default, deserialize_with = "unnamed")]
    pub(super) name: Option<String>,
    #[serde(default = "tcp")]
    pub(super) protocol: String,
    #[serde(rename = "containerPort")]
    pub(super) port: u16,
    pub(super) host_port: Option<u16>,
}

/// What made an object.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct OwnerName {
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    /// Those of `addresses` that are reached from outside: external ones and those of load balancers.
    pub(super) external: Vec<IpAddr>,
    pub(super) ports: Vec<ServicePort>,
    /// The host name that it stands for (`type: ExternalName`).
    pub(super) alias: Option<String>,
    /// Which pods are its endpoints; absent where somebody else tells.
    pub(super) selector: Option<Selector>,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`; absent where the state does not tell.
    pub(super) kind: Option<String>,
    /// Whether it is without an address on purpose (`clusterIP: None`).
    pub(super) is_headless: bool,
    /// Seconds for which one client stays at one endpoint (`sessionAffinity: ClientIP`).
    pub(super) affinity: Option<u32>,
    /// Whether packets from outside go to endpoints of the node that they came to only.
    pub(super) is_local_outside: bool,
    /// Whether packets from inside go to endpoints of the node that they are from only.
    pub(super) is_local_inside: bool,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    #[serde(default, deserialize_with = "unnamed")]
    pub(super) name: Option<String>,
    #[serde(default = "tcp")]
    pub(super) protocol: String,
    pub(super) port: u16,
    pub(super) node_port: Option<u16>,
    pub(super) target_port: Option<TargetPort>,
}

/// The port of the pods that a port of a service leads to (`IntOrString`).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name that a container's port has, which may be another number in each pod.
    Name(String),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Slice {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) service: Option<String>,
    pub(super) endpoints: Vec<SliceEndpoint>,
    pub(super) ports: Vec<SlicePort>,
    /// Of the kind `Endpoints`, which counts where a service has no slices.
    pub(super) is_old: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SliceEndpoint {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) node: Option<String>,
    pub(super) is_ready: bool,
    /// Whether it answers, ending or not; absent where the slice does not tell.
    pub(super) is_serving: Option<bool>,
    pub(super) is_terminating: bool,
    /// The pod that it is, as `namespace/name`.
    pub(super) pod: Option<String>,
    /// Whether only nodes of some zones, or some nodes, are to use it (`hints`).
    pub(super) has_hints: bool,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct SlicePort {
    #[serde(default, deserialize_with = "unnamed")]
    pub(super) name: Option<String>,
    #[serde(default = "tcp")]
    pub(super) protocol: String,
    pub(super) port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Workload {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) owner: Option<OwnerName>,
    /// Which pods are its own; absent where a state leaves labels out.
    pub(super) selector: Option<Selector>,
}

impl Pod {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// Whether it has run to its end: its address may be another's by now.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }
}

impl Service {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Slice {
    pub(super) fn addresses(&self) -> impl Iterator<Item = &IpAddr> {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.addresses)
    }
}

impl Workload {
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
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
