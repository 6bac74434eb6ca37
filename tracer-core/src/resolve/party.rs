//! The two ends of a trace, from the words that the user typed.

use std::net::IpAddr;

use thiserror::Error;

use super::state::{ClusterState, Pod, Service};
use crate::flow::{Endpoint, FlowKey, Protocol};

/// Names that are near enough to be meant are shown, at most this many.
const MAX_SUGGESTIONS: usize = 3;
/// Least similarity (Jaro-Winkler) of a name that may be meant.
const SIMILARITY: f64 = 0.8;

/// Why a word names no end of a trace.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ResolveError {
    /// No object of that kind and name.
    #[error("no such {kind}: {name}{}", suggestion(near))]
    NotFound {
        /// `pod`, `service` or `node`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Names that look alike.
        near: Vec<String>,
    },
    /// The type before the slash is none that is understood.
    #[error(
        "cannot trace {0:?}: write POD, NAMESPACE/POD, pod/NAME, svc/NAME[:PORT], node/NAME, IP or IP:PORT"
    )]
    Syntax(String),
    /// The object has no address yet.
    #[error("{kind} {name} has no address: is it running?")]
    NoAddress {
        /// `pod`, `service` or `node`.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// The service has no such port.
    #[error("service {service} has no port {port:?}; it has {has}")]
    NoPort {
        /// Namespace and name.
        service: String,
        /// Number or name as typed.
        port: String,
        /// The ports that it has.
        has: String,
    },
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(" (did you mean {}?)", near.join(", ")),
    }
}

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
    /// A pod's, or any address that the user typed.
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

/// One end of a trace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Party {
    /// What the user typed.
    pub label: String,
    /// What packets of it wear.
    pub seeds: Vec<Seed>,
    /// Addresses of services that may lead to it: they count as long as no translation was seen.
    pub fronts: Vec<Seed>,
    /// Nodes that it is on, as far as they are known.
    pub nodes: Vec<String>,
}

impl Party {
    /// Resolves what the user typed, in `namespace` where the word names none.
    pub fn resolve(word: &str, namespace: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        if let Some(seed) = address(word) {
            return Ok(Self { label: word.to_owned(), seeds: vec![seed], ..Self::empty() });
        }
        let (kind, name) = word.split_once('/').unwrap_or(("pod", word));
        if name.is_empty() || name.contains('/') {
            return Err(ResolveError::Syntax(word.to_owned()));
        }
        let mut party = match kind {
            "pod" | "pods" | "po" => Self::pod(namespace, name, state),
            "svc" | "service" | "services" => Self::service(namespace, name, state),
            "node" | "nodes" | "no" => Self::node(name, state),
            _ if WORKLOADS.contains(&kind) => Err(ResolveError::Syntax(word.to_owned())),
            namespace => Self::pod(namespace, name, state),
        }?;
        word.clone_into(&mut party.label);
        Ok(party)
    }

    fn empty() -> Self {
        Self { label: String::new(), seeds: vec![], fronts: vec![], nodes: vec![] }
    }

    fn pod(namespace: &str, name: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        let full = format!("{namespace}/{name}");
        let Some(pod) = state.pods.iter().find(|pod| pod.full_name() == full) else {
            let near = near(&full, state.pods.iter().map(Pod::full_name));
            return Err(ResolveError::NotFound { kind: "pod", name: full, near });
        };
        if pod.addresses.is_empty() {
            return Err(ResolveError::NoAddress { kind: "pod", name: full });
        }
        let kind = if pod.is_host_network { SeedKind::Node } else { SeedKind::Own };
        let seed = |address: &IpAddr| Seed { address: *address, port: None, kind };
        let leads_here = |service: &&Service| {
            state.slices_of(service).any(|slice| slice.addresses.iter().any(|a| pod.addresses.contains(a)))
        };
        Ok(Self {
            seeds: pod.addresses.iter().map(seed).collect(),
            fronts: state
                .services
                .iter()
                .filter(leads_here)
                .flat_map(|s| state.fronts_of(s, |_| true))
                .collect(),
            nodes: pod.node.iter().cloned().collect(),
            ..Self::empty()
        })
    }

    fn node(name: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        let Some(node) = state.nodes.iter().find(|node| node.name == name) else {
            let near = near(name, state.node_names().map(str::to_owned));
            return Err(ResolveError::NotFound { kind: "node", name: name.to_owned(), near });
        };
        if node.addresses.is_empty() {
            return Err(ResolveError::NoAddress { kind: "node", name: name.to_owned() });
        }
        let own = node.addresses.iter().chain(&node.tunnel_addresses);
        let seeds = own.map(|address| Seed { address: *address, port: None, kind: SeedKind::Node }).collect();
        Ok(Self { seeds, nodes: vec![name.to_owned()], ..Self::empty() })
    }

    fn service(namespace: &str, name: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        let (name, wanted) = match name.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (name, None),
        };
        let full = format!("{namespace}/{name}");
        let Some(service) = state.services.iter().find(|service| service.full_name() == full) else {
            let near = near(&full, state.services.iter().map(Service::full_name));
            return Err(ResolveError::NotFound { kind: "service", name: full, near });
        };
        let names = wanted_ports(service, wanted)?;
        let mut seeds = state.fronts_of(service, |name| names.contains(&name));
        if wanted.is_none() {
            // A ping of a ClusterIP belongs to the story as well, although no rule serves it.
            let any = |address: &IpAddr| Seed { address: *address, port: None, kind: SeedKind::Service };
            seeds.extend(service.addresses.iter().map(any));
        }
        let mut party = Self::empty();
        for slice in state.slices_of(service) {
            for address in &slice.addresses {
                let ports = slice.ports.iter().filter(|port| names.contains(&port.name.as_deref()));
                let with_port = ports.filter_map(|port| Some((port.protocol()?, port.port?)));
                seeds.extend(with_port.map(|port| Seed {
                    address: *address,
                    port: Some(port),
                    kind: SeedKind::Own,
                }));
                let pod =
                    state.pods.iter().find(|pod| !pod.is_host_network && pod.addresses.contains(address));
                party.nodes.extend(pod.and_then(|pod| pod.node.clone()));
            }
        }
        if seeds.is_empty() {
            return Err(ResolveError::NoAddress { kind: "service", name: full });
        }
        party.nodes.sort();
        party.nodes.dedup();
        Ok(Self { seeds, ..party })
    }

    /// Whether an end of a packet is this end of the trace.
    fn matches(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.seeds.iter().any(|seed| seed.matches(protocol, endpoint))
    }

    fn may_lead_here(&self, protocol: Protocol, endpoint: Endpoint) -> bool {
        self.fronts.iter().any(|seed| seed.matches(protocol, endpoint))
    }

    /// Whether it is named by ports, so that its seeds alone select its packets.
    fn is_specific(&self) -> bool {
        self.seeds.iter().all(|seed| seed.port.is_some() || seed.kind == SeedKind::Service)
    }
}

/// Kinds of workloads whose pods a cluster would have to be asked for.
const WORKLOADS: [&str; 10] =
    ["deploy", "deployment", "ds", "daemonset", "sts", "statefulset", "rs", "replicaset", "job", "cronjob"];

/// `IP` or `IP:PORT` (`[IP]:PORT` for IPv6), TCP and UDP alike.
fn address(word: &str) -> Option<Seed> {
    if let Ok(address) = word.parse::<IpAddr>() {
        return Some(Seed { address, port: None, kind: SeedKind::Own });
    }
    let socket: std::net::SocketAddr = word.parse().ok()?;
    Some(Seed { address: socket.ip(), port: Some((Protocol::TCP, socket.port())), kind: SeedKind::Own })
}

/// The port names that a word after the colon selects; all without one.
fn wanted_ports<'a>(
    service: &'a Service,
    wanted: Option<&str>,
) -> Result<Vec<Option<&'a str>>, ResolveError> {
    let all = || service.ports.iter();
    let Some(wanted) = wanted else {
        return Ok(all().map(|port| port.name.as_deref()).collect());
    };
    let number: Option<u16> = wanted.parse().ok();
    let chosen = all().filter(|port| Some(port.port) == number || port.name.as_deref() == Some(wanted));
    let names: Vec<_> = chosen.map(|port| port.name.as_deref()).collect();
    if names.is_empty() {
        let has: Vec<String> = all().map(|port| port.port.to_string()).collect();
        return Err(ResolveError::NoPort {
            service: service.full_name(),
            port: wanted.to_owned(),
            has: has.join(", "),
        });
    }
    Ok(names)
}

impl ClusterState {
    fn slices_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a super::state::Slice> {
        self.slices.iter().filter(|slice| {
            slice.namespace == service.namespace && slice.service.as_deref() == Some(service.name.as_str())
        })
    }

    /// Addresses in front of a service's endpoints: its own with their ports, and a NodePort on every node.
    fn fronts_of(&self, service: &Service, wants: impl Fn(Option<&str>) -> bool) -> Vec<Seed> {
        let mut seeds = Vec::new();
        for port in service.ports.iter().filter(|port| wants(port.name.as_deref())) {
            let Some(protocol) = port.protocol() else { continue };
            let own = service.addresses.iter().map(|address| (*address, port.port, SeedKind::Service));
            let node_ports = port.node_port.into_iter().flat_map(|node_port| {
                let addresses = self.nodes.iter().flat_map(|node| &node.addresses);
                addresses.map(move |address| (*address, node_port, SeedKind::Node))
            });
            seeds.extend(own.chain(node_ports).map(|(address, port, kind)| Seed {
                address,
                port: Some((protocol, port)),
                kind,
            }));
        }
        seeds
    }
}

/// The names that look most like one, their namespaces aside: a few typing errors away, or with a like beginning.
fn near(name: &str, all: impl Iterator<Item = String>) -> Vec<String> {
    let own = |full: &str| full.rsplit('/').next().unwrap_or_default().to_owned();
    let wanted = own(name);
    let mut scored: Vec<(f64, String)> = Vec::new();
    for candidate in all {
        let similarity = strsim::jaro_winkler(&wanted, &own(&candidate));
        let errors = strsim::damerau_levenshtein(&wanted, &own(&candidate));
        if similarity >= SIMILARITY || errors <= 1 + wanted.len() / 8 {
            scored.push((similarity, candidate));
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, candidate)| candidate).collect()
}

/// Which flows a trace is about: those between two ends, or all of one, whoever opened them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    /// One end.
    pub source: Party,
    /// The other end; absent for any.
    pub destination: Option<Party>,
}

impl Scope {
    /// Whether a flow with these forward tuples is between the two ends.
    pub fn contains(&self, tuples: &[FlowKey]) -> bool {
        let is_translated = tuples.len() > 1;
        let ends_at = |party: &Party, pick: fn(&FlowKey) -> Endpoint| {
            tuples.iter().any(|tuple| {
                party.matches(tuple.protocol, pick(tuple))
                    || (!is_translated && party.may_lead_here(tuple.protocol, pick(tuple)))
            })
        };
        let opens = |party: &Party| ends_at(party, |tuple| tuple.source);
        let is_opened = |party: &Party| ends_at(party, |tuple| tuple.destination);
        match &self.destination {
            Some(other) => {
                (opens(&self.source) && is_opened(other)) || (opens(other) && is_opened(&self.source))
            }
            None => opens(&self.source) || is_opened(&self.source),
        }
    }

    /// What the kernel has to look for so that no packet of the scope is missed.
    ///
    /// Where one end is named by ports, every leg of its flows wears one of them, and the other end's addresses,
    /// which would match far more, are left out.
    pub fn seeds(&self) -> Vec<Seed> {
        let ends: Vec<&Party> = std::iter::once(&self.source).chain(&self.destination).collect();
        let specific: Vec<&Party> = ends.iter().copied().filter(|party| party.is_specific()).collect();
        let chosen = if specific.len() == 1 { &specific } else { &ends };
        let own = chosen.iter().flat_map(|party| &party.seeds);
        let mut seeds: Vec<Seed> = own.chain(ends.iter().flat_map(|party| &party.fronts)).copied().collect();
        seeds.sort();
        seeds.dedup();
        seeds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Port;

    const STATE: &str = r#"{"kind": "List", "items": [
        {"kind": "Node", "metadata": {"name": "node1"}, "status": {"addresses": [{"address": "172.18.0.2"}]}},
        {"kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
         "spec": {"nodeName": "node1"}, "status": {"podIP": "10.0.0.5"}},
        {"kind": "Pod", "metadata": {"name": "pending", "namespace": "default"}},
        {"kind": "Pod", "metadata": {"name": "client", "namespace": "other"}, "status": {"podIP": "10.0.0.6"}},
        {"kind": "Service", "metadata": {"name": "web", "namespace": "default"},
         "spec": {"clusterIP": "10.96.0.1", "ports": [
            {"name": "http", "port": 80, "nodePort": 30080}, {"name": "dns", "port": 53, "protocol": "UDP"}]}},
        {"kind": "EndpointSlice",
         "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
         "endpoints": [{"addresses": ["10.0.0.5"]}],
         "ports": [{"name": "http", "port": 8080}, {"name": "dns", "port": 5353, "protocol": "UDP"}]},
        {"kind": "Service", "metadata": {"name": "one", "namespace": "default"},
         "spec": {"clusterIP": "10.96.0.2", "ports": [{"port": 80}]}},
        {"kind": "EndpointSlice",
         "metadata": {"name": "one-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "one"}},
         "endpoints": [{"addresses": ["10.0.0.5"]}], "ports": [{"name": "", "port": 8080}]}
    ]}"#;

    fn party(word: &str) -> Result<Party, ResolveError> {
        Party::resolve(word, "default", &ClusterState::from_json(STATE.as_bytes()).unwrap())
    }

    fn key(source: &str, destination: &str) -> FlowKey {
        let end = |word: &str| {
            let socket: std::net::SocketAddr = word.parse().unwrap();
            Endpoint { address: socket.ip(), port: Port(socket.port()) }
        };
        FlowKey { protocol: Protocol::TCP, source: end(source), destination: end(destination) }
    }

    #[test]
    fn errors_name_what_was_meant() {
        let cases = [
            ("wep", "no such pod: default/wep (did you mean default/web?)"),
            ("other/clinet", "no such pod: other/clinet (did you mean other/client?)"),
            ("svc/wbe", "no such service: default/wbe (did you mean default/web?)"),
            ("node/nod1", "no such node: nod1 (did you mean node1?)"),
            ("pod/zzz", "no such pod: default/zzz"),
            ("pending", "pod default/pending has no address: is it running?"),
            ("svc/web:81", "service default/web has no port \"81\"; it has 80, 53"),
        ];
        for (word, message) in cases {
            assert_eq!(party(word).unwrap_err().to_string(), message);
        }
        for word in ["deploy/web", "a/b/c", "svc/", "pod/"] {
            assert!(matches!(party(word), Err(ResolveError::Syntax(_))), "{word}");
        }
    }

    #[test]
    fn a_service_is_its_addresses_its_node_ports_and_its_endpoints() {
        let seeds: Vec<String> =
            party("svc/web:http").unwrap().seeds.iter().map(|s| format!("{s:?}")).collect();
        assert_eq!(seeds.len(), 3, "{seeds:?}");
        let all = party("svc/web").unwrap();
        assert_eq!(all.seeds.len(), 6);
        assert!(all.is_specific());
        assert_eq!(all.nodes, ["node1"]);
    }

    #[test]
    fn a_port_without_a_name_is_the_empty_name_of_its_slices() {
        let one = party("svc/one").unwrap();
        let endpoint: IpAddr = "10.0.0.5".parse().unwrap();
        assert!(one.seeds.iter().any(|s| s.address == endpoint && s.port == Some((Protocol::TCP, 8080))));
        assert_eq!(party("svc/one:80").unwrap().nodes, ["node1"]);
    }

    #[test]
    fn a_scope_holds_translated_flows_of_its_ends_only() {
        let scope =
            Scope { source: party("other/client").unwrap(), destination: Some(party("web").unwrap()) };
        let to_service = key("10.0.0.6:4000", "10.96.0.1:80");
        assert!(scope.contains(&[to_service]), "not translated yet: it may lead to the pod");
        assert!(scope.contains(&[to_service, key("10.0.0.6:4000", "10.0.0.5:8080")]));
        assert!(
            !scope.contains(&[to_service, key("10.0.0.6:4000", "10.0.0.7:8080")]),
            "went to another endpoint"
        );
        assert!(scope.contains(&[key("10.0.0.5:4000", "10.0.0.6:80")]), "opened by the other end");
        assert!(!scope.contains(&[key("10.0.0.6:4000", "10.0.0.7:80")]));
        let all = Scope { destination: None, ..scope };
        assert!(all.contains(&[key("10.0.0.6:4000", "10.0.0.7:80")]));
    }

    #[test]
    fn the_kernel_looks_for_the_end_that_is_named_by_ports() {
        let scope =
            Scope { source: party("node/node1").unwrap(), destination: Some(party("svc/web").unwrap()) };
        assert!(scope.seeds().iter().all(|seed| seed.kind != SeedKind::Node || seed.port.is_some()));
        let pods = Scope { source: party("other/client").unwrap(), destination: Some(party("web").unwrap()) };
        let wide: Vec<_> = pods.seeds().into_iter().filter(|seed| seed.port.is_none()).collect();
        assert_eq!(wide.len(), 2);
    }
}
