//! Who sends the packets in thought.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::resolve::{ClusterState, PodFacts, ResolveError, Subject};

/// Addresses that stand for anybody outside (RFC 5737, RFC 3849).
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// What sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientKind {
    /// A pod with a network namespace of its own.
    Pod,
    /// A process in a node's own network: a pod of the host's network, the kubelet.
    Node,
    /// Somebody outside of the cluster.
    Outside,
}

/// Who sends.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Client {
    /// Pod as `namespace/name`, name of the node, or address.
    pub name: String,
    /// What it is.
    pub kind: ClientKind,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The node that it is on, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// How a packet comes to the rules of a network namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entry {
    /// A process there sends it.
    Local,
    /// It comes in by an interface of this name.
    By(String),
}

impl Client {
    /// The client that a word names: a pod, a node, or an address.
    pub fn of(word: &str, namespace: &str, state: &ClusterState) -> Result<Self, ResolveError> {
        match Subject::of(word, namespace, state)? {
            Subject::Pod(pod) if pod.addresses.is_empty() => {
                Err(ResolveError::NoAddress { kind: "pod", name: pod.name, why: pod.trouble })
            }
            Subject::Pod(pod) => Ok(Self::pod(&pod)),
            Subject::Node(node) => Ok(Self {
                node: Some(node.name.clone()),
                name: node.name,
                kind: ClientKind::Node,
                addresses: node.addresses,
            }),
            Subject::Address(address, None) => Ok(Self {
                name: address.to_string(),
                kind: ClientKind::Outside,
                addresses: vec![address],
                node: None,
            }),
            Subject::Address(_, Some(_)) | Subject::Service { .. } => {
                Err(ResolveError::NoClient(word.to_owned()))
            }
        }
    }

    /// A pod; one of the host's network sends as its node does.
    pub(super) fn pod(pod: &PodFacts) -> Self {
        Self {
            name: pod.name.clone(),
            kind: if pod.is_host_network { ClientKind::Node } else { ClientKind::Pod },
            addresses: pod.addresses.clone(),
            node: pod.node.clone(),
        }
    }

    /// The node itself, with the addresses that it has.
    pub(super) fn node(name: &str, addresses: Vec<IpAddr>) -> Self {
        Self { name: name.to_owned(), kind: ClientKind::Node, addresses, node: Some(name.to_owned()) }
    }

    /// Anybody outside.
    pub(super) fn outside() -> Self {
        Self {
            name: "somebody outside".to_owned(),
            kind: ClientKind::Outside,
            addresses: OUTSIDE.to_vec(),
            node: None,
        }
    }

    /// The address that it sends by to an address of one family.
    pub(super) fn address_to(&self, destination: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|own| own.is_ipv4() == destination.is_ipv4())
    }
}
