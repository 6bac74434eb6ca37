//! What a cluster tells of a service, of a pod, of a node: for whoever explains or judges.
//!
//! All of it is the cluster's word. What a node makes of it is in its rules.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use super::object::{Pod, Service, Slice, SliceEndpoint, SlicePort, TargetPort};
use super::state::ClusterState;
use crate::flow::Protocol;

/// A service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ServiceFacts {
    /// Namespace and name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`; absent where the state does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Addresses of its own, without those of `external`.
    pub addresses: Vec<IpAddr>,
    /// Addresses by which it is reached from outside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<IpAddr>,
    /// Whether it is without an address on purpose: its name stands for its pods.
    pub is_headless: bool,
    /// The host name that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Labels of its pods, as `kubectl -l` takes them; absent where there are none, and where the state leaves them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Seconds for which one client stays at one endpoint; absent where each connection is by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<u32>,
    /// Whether what comes from outside goes only to endpoints of the node that it came to (`externalTrafficPolicy: Local`).
    pub is_local_outside: bool,
    /// Whether what comes from inside goes only to endpoints of the node that it is from (`internalTrafficPolicy: Local`).
    pub is_local_inside: bool,
    /// Its ports, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePortFacts>,
    /// Why nothing answers behind it; absent where an endpoint of it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A port of a service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ServicePortFacts {
    /// Its name; absent where the service has only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IP protocol; absent for a name that Kubernetes does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// At the service's addresses.
    pub port: u16,
    /// At every node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_port: Option<u16>,
    /// At the pods; absent where the state does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetPort>,
    /// Where it leads, ready or not.
    pub endpoints: Vec<EndpointFacts>,
}

/// Whether an endpoint is to get packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// It is.
    Ready,
    /// It is ending, and answers still: it is used where no endpoint is ready.
    Terminating,
    /// It is not.
    NotReady,
}

/// An address and a port that a service leads to.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct EndpointFacts {
    /// Address.
    pub address: IpAddr,
    /// Port; absent where its slice names none, as for a port name that the pod does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether it is to get packets.
    pub readiness: Readiness,
    /// Its node, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its pod, as `namespace/name`, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Whether only some nodes are to use it (topology hints): rules of the others leave it out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_hints: bool,
}

/// A pod.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PodFacts {
    /// Namespace and name.
    pub name: String,
    /// Identifier that the cluster gave it; absent where the state does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Node that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its addresses; on the host's network those of its node.
    pub addresses: Vec<IpAddr>,
    /// Whether it has no network namespace of its own.
    pub is_host_network: bool,
    /// `Running`, `Pending`, `Succeeded`, `Failed`; absent where the state does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Whether it is ready; absent where the state does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_ready: Option<bool>,
    /// Why it does not run, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Ports that its containers say they listen on. One that is not here may be listened on all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPortFacts>,
}

/// A port that a container says it listens on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ContainerPortFacts {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// IP protocol; absent for a name that Kubernetes does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// In the pod.
    pub port: u16,
    /// At its node, where it is lent to the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
}

/// A node.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// Those of its tunnel devices, as the network plugin tells them.
    pub tunnel_addresses: Vec<IpAddr>,
}

/// By which of its doors a service is entered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Front {
    /// An address of its own.
    ClusterIp,
    /// An address for the outside.
    External,
    /// A port of every node.
    NodePort,
}

impl ServiceFacts {
    /// Every endpoint of every port.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointFacts> {
        self.ports.iter().flat_map(|port| &port.endpoints)
    }

    /// Whether an endpoint is one of its own, ready or not.
    pub fn has_endpoint(&self, address: IpAddr, port: u16) -> bool {
        self.endpoints().any(|each| each.address == address && each.port.is_none_or(|own| own == port))
    }
}

impl ServicePortFacts {
    /// The endpoints that rules are to lead to: those that are ready, else those that are ending and answer still
    /// (`CategorizeEndpoints`, pkg/proxy/topology.go).
    pub fn used(&self) -> Vec<&EndpointFacts> {
        let of = |readiness| self.endpoints.iter().filter(move |each| each.readiness == readiness);
        let ready: Vec<_> = of(Readiness::Ready).collect();
        if ready.is_empty() { of(Readiness::Terminating).collect() } else { ready }
    }
}

impl ClusterState {
    /// A service by its `namespace/name`.
    pub fn service(&self, name: &str) -> Option<ServiceFacts> {
        let (namespace, name) = name.split_once('/')?;
        let found = self.services.iter().find(|each| each.namespace == namespace && each.name == name)?;
        Some(self.service_facts(found))
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = ServiceFacts> {
        self.services.iter().map(|service| self.service_facts(service))
    }

    /// Services that have an address, whatever the port.
    pub fn services_with(&self, address: IpAddr) -> Vec<ServiceFacts> {
        let own = self.services.iter().filter(|each| each.addresses.contains(&address));
        own.map(|service| self.service_facts(service)).collect()
    }

    /// The services that a packet to an address and a port is for, each with the place of its port and the door. Packets to
    /// a node's address enter by NodePort. Several only where two services claim the same.
    pub fn services_at(
        &self,
        protocol: Protocol,
        address: IpAddr,
        port: u16,
    ) -> Vec<(ServiceFacts, usize, Front)> {
        let is_node = self.node_with(address).is_some();
        let at = |service: &Arc<Service>| {
            let door = |index: usize| {
                let own = &service.ports[index];
                let is_own = own.port == port && service.addresses.contains(&address);
                let is_node_port = is_node && own.node_port == Some(port);
                match (is_own, is_node_port) {
                    (true, _) if service.external.contains(&address) => Some(Front::External),
                    (true, _) => Some(Front::ClusterIp),
                    (false, true) => Some(Front::NodePort),
                    (false, false) => None,
                }
            };
            let ports =
                (0..service.ports.len()).filter(|each| service.ports[*each].protocol() == Some(protocol));
            let entered: Vec<_> = ports.filter_map(|index| Some((index, door(index)?))).collect();
            entered
                .into_iter()
                .map(|(index, front)| (self.service_facts(service), index, front))
                .collect::<Vec<_>>()
        };
        self.services.iter().flat_map(at).collect()
    }

    /// Services one of whose endpoints has an address, ready or not.
    pub fn services_to(&self, address: IpAddr) -> Vec<ServiceFacts> {
        let leads = |service: &&Arc<Service>| {
            self.slices_of(service).any(|slice| slice.addresses().any(|each| *each == address))
        };
        self.services.iter().filter(leads).map(|service| self.service_facts(service)).collect()
    }

    /// A pod by its `namespace/name`.
    pub fn pod(&self, name: &str) -> Option<PodFacts> {
        let (namespace, name) = name.split_once('/')?;
        self.pods.iter().find(|pod| pod.is(namespace, name)).map(|pod| PodFacts::of(pod))
    }

    /// The pods that have an address now, those on the host's network aside.
    pub fn pods_at(&self, address: IpAddr) -> Vec<PodFacts> {
        self.pods_with(address).map(|pod| PodFacts::of(pod)).collect()
    }

    /// The pods on a node that have not ended, those on the host's network included.
    pub fn pods_on(&self, node: &str) -> Vec<PodFacts> {
        let there = self.pods.iter().filter(|pod| pod.node.as_deref() == Some(node) && !pod.has_ended());
        there.map(|pod| PodFacts::of(pod)).collect()
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<NodeFacts> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        Some(NodeFacts {
            name: node.name.clone(),
            addresses: node.addresses.clone(),
            tunnel_addresses: node.tunnel_addresses.clone(),
        })
    }

    fn service_facts(&self, service: &Service) -> ServiceFacts {
        let own = service.addresses.len() - service.external.len();
        let is_served = self.slices_of(service).flat_map(|slice| &slice.endpoints).any(|each| each.is_ready);
        let port = |port: &super::object::ServicePort| ServicePortFacts {
            name: port.name.clone(),
            protocol: port.protocol(),
            port: port.port,
            node_port: port.node_port,
            target: port.target_port.clone(),
            endpoints: self.endpoint_facts(service, port.name.as_deref()),
        };
        ServiceFacts {
            name: service.full_name(),
            kind: service.kind.clone(),
            addresses: service.addresses[..own].to_vec(),
            external: service.external.clone(),
            is_headless: service.is_headless,
            alias: service.alias.clone(),
            selector: service.selector.as_ref().map(ToString::to_string),
            affinity: service.affinity,
            is_local_outside: service.is_local_outside,
            is_local_inside: service.is_local_inside,
            ports: service.ports.iter().map(port).collect(),
            trouble: (!is_served && service.alias.is_none()).then(|| self.why_unserved(service)),
        }
    }

    /// The endpoints behind one port of a service; each once, although slices may overlap.
    fn endpoint_facts(&self, service: &Service, port: Option<&str>) -> Vec<EndpointFacts> {
        let mut all: Vec<EndpointFacts> = Vec::new();
        for slice in self.slices_of(service) {
            let Some(number) = port_in(slice, port) else { continue };
            for endpoint in &slice.endpoints {
                for address in &endpoint.addresses {
                    let facts = self.endpoint(*address, number, endpoint);
                    match all.iter_mut().find(|each| each.address == *address && each.port == number) {
                        // While an address moves from one slice to another both have it: the better word counts.
                        Some(known) if known.readiness != Readiness::Ready => *known = facts,
                        Some(_) => {}
                        None => all.push(facts),
                    }
                }
            }
        }
        all
    }

    fn endpoint(&self, address: IpAddr, port: Option<u16>, endpoint: &SliceEndpoint) -> EndpointFacts {
        let by_address = || self.pods_with(address).next().map(|pod| pod.full_name());
        EndpointFacts {
            address,
            port,
            readiness: endpoint.readiness(),
            node: endpoint.node.clone().or_else(|| self.node_of_address(address).map(str::to_owned)),
            pod: endpoint.pod.clone().or_else(by_address),
            has_hints: endpoint.has_hints,
        }
    }
}

/// The number that a slice has for a port's name: absent inside where it names none, absent outside where the slice is not
/// about the port. A slice without ports is about all of them.
#[expect(clippy::option_option, reason = "two absences that mean different things")]
fn port_in(slice: &Slice, name: Option<&str>) -> Option<Option<u16>> {
    if slice.ports.is_empty() {
        return Some(None);
    }
    let own = |port: &&SlicePort| port.name.as_deref() == name;
    slice.ports.iter().find(own).map(|port| port.port)
}

impl SliceEndpoint {
    fn readiness(&self) -> Readiness {
        match (self.is_ready, self.is_terminating) {
            (true, _) => Readiness::Ready,
            (false, true) if self.is_serving == Some(true) => Readiness::Terminating,
            (false, _) => Readiness::NotReady,
        }
    }
}

impl PodFacts {
    fn of(pod: &Pod) -> Self {
        let port = |port: &super::object::ContainerPort| ContainerPortFacts {
            name: port.name.clone(),
            protocol: Protocol::from_name(&port.protocol),
            port: port.port,
            host_port: port.host_port,
        };
        Self {
            name: pod.full_name(),
            uid: pod.uid.clone(),
            node: pod.node.clone(),
            addresses: pod.addresses.clone(),
            is_host_network: pod.is_host_network,
            phase: pod.phase.clone(),
            is_ready: pod.is_ready,
            trouble: pod.trouble.clone(),
            ports: pod.ports.iter().map(port).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
