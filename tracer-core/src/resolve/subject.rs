//! What a word of `kflow explain` names: one thing, with all that the cluster tells of it.

use std::net::{IpAddr, SocketAddr};

use super::error::ResolveError;
use super::facts::{NodeFacts, PodFacts, ServiceFacts};
use super::near::near;
use super::party::Word;
use super::state::ClusterState;
use crate::flow::Protocol;

/// What is to be explained.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A service, all of its ports or one.
    Service {
        /// What the cluster tells of it.
        facts: ServiceFacts,
        /// Places of the ports that are asked about, in the service's order.
        ports: Vec<usize>,
    },
    /// A pod.
    Pod(PodFacts),
    /// A node.
    Node(NodeFacts),
    /// An address that no service, pod or node has.
    Address(IpAddr, Option<(Protocol, u16)>),
}

impl Subject {
    /// Resolves a word, in `namespace` where it names none. In this order:
    ///
    /// 1. `IP`, `IP:PORT`, `[IP]:PORT`, `IP:PORT/udp`: the service, the pod or the node that has it; a node's address with
    ///    a NodePort is the service of that. Without a protocol a port is TCP's unless only another protocol has it.
    /// 2. `POD`, `NAMESPACE/POD`, `[NAMESPACE/]TYPE/NAME` with a type of pod, svc or node; `svc/NAME:PORT` with a port's
    ///    number or name.
    pub fn of(word: &str, namespace: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        if let Some((address, port)) = socket(word) {
            return Ok(Self::at(address, port, state));
        }
        let found = |kind, name: String, near| ResolveError::NotFound { kind, name, near };
        match Word::of(word, namespace).map_err(|error| foreign(error, word))? {
            Word::Pod { namespace, name } => {
                let full = format!("{namespace}/{name}");
                let near = || near(&full, state.pods.iter().map(|pod| pod.full_name()));
                state.pod(&full).map(Self::Pod).ok_or_else(|| found("pod", full.clone(), near()))
            }
            Word::Node { name } => {
                let near = || near(name, state.node_names().map(str::to_owned));
                state.node(name).map(Self::Node).ok_or_else(|| found("node", name.to_owned(), near()))
            }
            Word::Service { namespace, name, port } => {
                let full = format!("{namespace}/{name}");
                let near = || near(&full, state.services.iter().map(|service| service.full_name()));
                let facts = state.service(&full).ok_or_else(|| found("service", full.clone(), near()))?;
                let ports = wanted(&facts, port)?;
                Ok(Self::Service { facts, ports })
            }
            Word::Workload { .. } => Err(ResolveError::Unexplained(word.to_owned())),
        }
    }

    /// What has an address: a service, also by NodePort; else a pod; else a node.
    fn at(address: IpAddr, port: Option<(Option<Protocol>, u16)>, state: &ClusterState) -> Self {
        let protocols = [Protocol::TCP, Protocol::UDP, Protocol::SCTP];
        if let Some((protocol, number)) = port {
            let wanted = protocols.into_iter().filter(|each| protocol.is_none_or(|own| own == *each));
            let mut entered = wanted.flat_map(|each| state.services_at(each, address, number));
            if let Some((facts, index, _)) = entered.next() {
                return Self::Service { facts, ports: vec![index] };
            }
        }
        // With a port that the service does not have it is an address: where its packets go is the question then.
        if let (None, Some(facts)) = (port, state.services_with(address).into_iter().next()) {
            let ports = (0..facts.ports.len()).collect();
            return Self::Service { facts, ports };
        }
        match (port, state.pods_at(address).into_iter().next(), state.node_with(address)) {
            (None, Some(pod), _) => Self::Pod(pod),
            (None, None, Some(node)) => {
                state.node(&node.name).map_or(Self::Address(address, None), Self::Node)
            }
            (port, ..) => {
                Self::Address(address, port.map(|(protocol, port)| (protocol.unwrap_or(Protocol::TCP), port)))
            }
        }
    }

    /// Nodes whose rules tell about it, the most telling first: of a service those of its endpoints, the ready ones before
    /// the others; of a pod or an address the one that it is on. Empty for the outside.
    pub fn nodes(&self, state: &ClusterState) -> Vec<String> {
        let mut nodes: Vec<String> = match self {
            Self::Service { facts, ports } => {
                let own = || ports.iter().filter_map(|port| facts.ports.get(*port));
                let used = own().flat_map(|port| port.used());
                used.chain(own().flat_map(|port| &port.endpoints))
                    .filter_map(|each| each.node.clone())
                    .collect()
            }
            Self::Pod(pod) => pod.node.iter().cloned().collect(),
            Self::Node(node) => vec![node.name.clone()],
            Self::Address(address, _) => {
                state.node_of_address(*address).map(str::to_owned).into_iter().collect()
            }
        };
        let mut seen = std::collections::HashSet::new();
        nodes.retain(|node| seen.insert(node.clone()));
        nodes
    }
}

/// `IP`, `IP:PORT`, `[IP]:PORT`, with `/tcp`, `/udp` or `/sctp` behind the port.
#[expect(clippy::type_complexity, reason = "a port with the protocol, if one is typed")]
fn socket(word: &str) -> Option<(IpAddr, Option<(Option<Protocol>, u16)>)> {
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    if let Ok(address) = bare.parse() {
        return Some((address, None));
    }
    let (socket, protocol) = match word.split_once('/') {
        None => (word, None),
        Some((socket, name)) => (socket, Some(Protocol::from_name(name).filter(|each| each.has_ports())?)),
    };
    let socket: SocketAddr = socket.parse().ok()?;
    Some((socket.ip(), Some((protocol, socket.port()))))
}

/// The ports that a word after the colon selects; all without one.
fn wanted(facts: &ServiceFacts, port: Option<&str>) -> Result<Vec<usize>, ResolveError> {
    let all = 0..facts.ports.len();
    let Some(wanted) = port else { return Ok(all.collect()) };
    let number: Option<u16> = wanted.parse().ok();
    let is_it = |index: &usize| {
        let port = &facts.ports[*index];
        Some(port.port) == number || port.name.as_deref() == Some(wanted)
    };
    let chosen: Vec<usize> = all.filter(is_it).collect();
    if chosen.is_empty() {
        let has: Vec<String> = facts.ports.iter().map(|port| port.port.to_string()).collect();
        return Err(ResolveError::NoPort {
            service: facts.name.clone(),
            port: wanted.to_owned(),
            has: if has.is_empty() { "none".to_owned() } else { has.join(", ") },
        });
    }
    Ok(chosen)
}

/// Words that a trace takes are more than those that can be explained.
fn foreign(error: ResolveError, word: &str) -> ResolveError {
    match error {
        ResolveError::Syntax(_) => ResolveError::Unexplained(word.to_owned()),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state() -> ClusterState {
        let slice = json!({"kind": "EndpointSlice",
            "metadata": {"name": "s", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [{"addresses": ["10.0.0.9"], "nodeName": "n2", "conditions": {"ready": false}},
                {"addresses": ["10.0.0.1"], "nodeName": "n1"}],
            "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "http", "port": 80}]});
        ClusterState::from_items([
            json!({"kind": "Node", "metadata": {"name": "n1"}, "status": {"addresses": [{"address": "192.168.0.1"}]}}),
            json!({"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": {"clusterIP": "10.96.0.1",
                "ports": [{"name": "http", "port": 80, "nodePort": 31080}, {"name": "dns", "port": 53, "protocol": "UDP"}]}}),
            json!({"kind": "Pod", "metadata": {"name": "a", "namespace": "default"}, "spec": {"nodeName": "n1"},
                "status": {"podIP": "10.0.0.1"}}),
            slice,
        ])
        .unwrap()
    }

    /// `svc/NAME ports`, `pod/NAME`, `node/NAME`, or the address.
    fn told(word: &str) -> String {
        match Subject::of(word, "default", &state()) {
            Ok(Subject::Service { facts, ports }) => format!("svc {} {ports:?}", facts.name),
            Ok(Subject::Pod(pod)) => format!("pod {}", pod.name),
            Ok(Subject::Node(node)) => format!("node {}", node.name),
            Ok(Subject::Address(address, port)) => format!("{address} {port:?}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn words_name_services_pods_nodes_and_addresses() {
        for (word, expected) in [
            ("svc/web", "svc default/web [0, 1]"),
            ("svc/web:80", "svc default/web [0]"),
            ("default/svc/web:dns", "svc default/web [1]"),
            ("10.96.0.1", "svc default/web [0, 1]"),
            ("10.96.0.1:53", "svc default/web [1]"),
            ("10.96.0.1:80/tcp", "svc default/web [0]"),
            ("192.168.0.1:31080", "svc default/web [0]"),
            ("192.168.0.1", "node n1"),
            ("node/n1", "node n1"),
            ("10.0.0.1", "pod default/a"),
            ("pod/a", "pod default/a"),
            ("a", "pod default/a"),
            ("10.96.0.1:80/udp", "10.96.0.1 Some((Protocol(17), 80))"),
            ("10.0.0.1:8080", "10.0.0.1 Some((Protocol(6), 8080))"),
            ("2001:db8::1", "2001:db8::1 None"),
            ("[2001:db8::1]:53/udp", "2001:db8::1 Some((Protocol(17), 53))"),
        ] {
            assert_eq!(told(word), expected, "{word}");
        }
        assert!(told("svc/web:443").contains("it has 80, 53"), "{}", told("svc/web:443"));
        assert!(told("svc/wep").contains("did you mean default/web"), "{}", told("svc/wep"));
        for word in ["deploy/web", "a/b/c/d", "", "10.0.0.1:80/icmp"] {
            assert!(told(word).contains("cannot explain"), "{}", told(word));
        }
    }

    #[test]
    fn nodes_of_ready_endpoints_come_first() {
        let state = state();
        let nodes = |word: &str| Subject::of(word, "default", &state).unwrap().nodes(&state).join(" ");
        assert_eq!(nodes("svc/web"), "n1 n2");
        assert_eq!(nodes("pod/a"), "n1");
        assert_eq!(nodes("192.0.2.1"), "");
    }
}
