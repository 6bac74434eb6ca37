//! What becomes of the fields that are read.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::super::selector::{LabelSelector, Selector};
use super::raw::{Container, Endpoint, Ip, Metadata, Object, Status, SubsetAddress};
use super::{Content, Kind, Node, OwnerName, Pod, Service, Slice, SliceEndpoint, Workload};

/// Annotations by which Calico and flannel tell a node's tunnel address.
pub(in crate::resolve) const TUNNEL_ANNOTATIONS: [&str; 4] = [
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "projectcalico.org/IPv4WireguardInterfaceAddr",
];

/// The label by which a slice tells its service.
pub(in crate::resolve) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The label by which the nodes of old slices are told.
const HOST_NAME: &str = "kubernetes.io/hostname";

/// For how long one client stays at one endpoint where a service does not say it (`DefaultClientIPServiceAffinitySeconds`,
/// pkg/apis/core/types.go).
const AFFINITY_SECONDS: u32 = 10_800;

impl Object {
    pub(super) fn into_content(self, kind: Kind) -> Vec<Content> {
        match kind {
            Kind::Node => vec![Content::Node(Arc::new(self.into_node()))],
            Kind::Pod => vec![Content::Pod(Arc::new(self.into_pod()))],
            Kind::Service => vec![Content::Service(Arc::new(self.into_service()))],
            Kind::EndpointSlice => vec![Content::Slice(Arc::new(self.into_slice()))],
            Kind::Endpoints => self.into_old_slices().map(|slice| Content::Slice(Arc::new(slice))).collect(),
            _ => vec![Content::Workload(Arc::new(self.into_workload(kind)))],
        }
    }

    fn into_node(self) -> Node {
        let annotated = TUNNEL_ANNOTATIONS.iter().filter_map(|key| self.metadata.annotations.get(*key));
        Node {
            addresses: unique(self.status.addresses.iter().map(|each| each.address.as_str())),
            // WireGuard's and VXLAN's may be one.
            tunnel_addresses: unique(annotated.map(String::as_str)),
            name: self.metadata.name,
        }
    }

    fn into_pod(self) -> Pod {
        let Self { metadata, spec, status, .. } = self;
        // Of init containers only those that stay (sidecars) are there to listen.
        let staying = |each: &Container| each.restart_policy.as_deref() == Some("Always");
        let containers = spec.containers.into_iter().chain(spec.init_containers.into_iter().filter(staying));
        Pod {
            uid: metadata.uid.clone(),
            is_ready: status.is_ready(),
            ports: containers.flat_map(|container| container.ports).collect(),
            owner: metadata.owner(),
            namespace: metadata.namespace,
            name: metadata.name,
            node: spec.node_name.filter(|name| !name.is_empty()),
            node_addresses: addresses(&status.host_ips, status.host_ip.as_deref()),
            addresses: addresses(&status.pod_ips, status.pod_ip.as_deref()),
            is_host_network: spec.host_network.unwrap_or_default(),
            labels: metadata.labels,
            trouble: status.trouble(),
            phase: status.phase,
        }
    }

    /// A headless service has the ClusterIP `None`, which is no address.
    fn into_service(self) -> Service {
        let Self { metadata, spec, status, .. } = self;
        let balancers = status.load_balancer.ingress.iter().filter_map(|ingress| ingress.ip.as_deref());
        let external = unique(spec.external_ips.iter().map(String::as_str).chain(balancers));
        let cluster = spec.cluster_ips.iter().map(String::as_str).chain(spec.cluster_ip.as_deref());
        let mut addresses = unique(cluster);
        addresses.extend(external.iter().copied());
        let labels: BTreeMap<String, String> = serde_json::from_value(spec.selector).unwrap_or_default();
        let is_sticky = spec.session_affinity.as_deref() == Some("ClientIP");
        let sticks = spec.session_affinity_config.client_ip.timeout_seconds.unwrap_or(AFFINITY_SECONDS);
        let is_local = |policy: &Option<String>| policy.as_deref() == Some("Local");
        Service {
            kind: spec.kind,
            is_headless: spec.cluster_ip.as_deref() == Some("None"),
            affinity: is_sticky.then_some(sticks),
            is_local_outside: is_local(&spec.external_traffic_policy),
            is_local_inside: is_local(&spec.internal_traffic_policy),
            namespace: metadata.namespace,
            name: metadata.name,
            addresses,
            external,
            ports: spec.ports,
            alias: spec.external_name.filter(|name| !name.is_empty()),
            selector: (!labels.is_empty()).then(|| Selector::of_labels(labels)),
        }
    }

    fn into_slice(self) -> Slice {
        let Self { mut metadata, endpoints, ports, .. } = self;
        let endpoint = |each: Endpoint| SliceEndpoint {
            addresses: unique(each.addresses.iter().map(String::as_str)),
            node: each.node_name.or_else(|| each.topology.get(HOST_NAME).cloned()),
            // Unknown is to be taken for ready, says the API.
            is_ready: each.conditions.ready.unwrap_or(true),
            is_serving: each.conditions.serving,
            is_terminating: each.conditions.terminating.unwrap_or_default(),
            pod: each.target_ref.pod(),
            has_hints: !each.hints.for_zones.is_empty() || !each.hints.for_nodes.is_empty(),
        };
        Slice {
            namespace: metadata.namespace,
            name: metadata.name,
            service: metadata.labels.remove(SERVICE_LABEL),
            endpoints: endpoints.into_iter().map(endpoint).collect(),
            ports,
            is_old: false,
        }
    }

    fn into_old_slices(self) -> impl Iterator<Item = Slice> {
        let Self { metadata: Metadata { name, namespace, .. }, subsets, .. } = self;
        let endpoint = |is_ready: bool| {
            move |each: SubsetAddress| SliceEndpoint {
                addresses: unique(std::iter::once(each.ip.as_str())),
                node: each.node_name,
                is_ready,
                is_serving: None,
                is_terminating: false,
                pod: each.target_ref.pod(),
                has_hints: false,
            }
        };
        subsets.into_iter().map(move |subset| Slice {
            namespace: namespace.clone(),
            name: name.clone(),
            service: Some(name.clone()),
            endpoints: (subset.addresses.into_iter().map(endpoint(true)))
                .chain(subset.not_ready_addresses.into_iter().map(endpoint(false)))
                .collect(),
            ports: subset.ports,
            is_old: true,
        })
    }

    fn into_workload(self, kind: Kind) -> Workload {
        let labels: Option<LabelSelector> = serde_json::from_value(self.spec.selector).ok();
        Workload {
            kind,
            owner: self.metadata.owner(),
            namespace: self.metadata.namespace,
            name: self.metadata.name,
            // One without requirements selects nothing that is safe to call its own.
            selector: labels.map(Selector::from).filter(|selector| !selector.is_empty()),
        }
    }
}

impl Status {
    fn is_ready(&self) -> Option<bool> {
        self.conditions.iter().find(|each| each.kind == "Ready").map(|each| each.status == "True")
    }
}

impl Metadata {
    fn owner(&self) -> Option<OwnerName> {
        let owner = self.owner_references.iter().find(|owner| owner.controller.unwrap_or(true))?;
        Some(OwnerName { kind: owner.kind.clone(), name: owner.name.clone() })
    }
}

/// The list holds all, the single field the first one.
fn addresses(list: &[Ip], first: Option<&str>) -> Vec<IpAddr> {
    unique(list.iter().map(|ip| ip.ip.as_str()).chain(first))
}

fn unique<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in texts.filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}
