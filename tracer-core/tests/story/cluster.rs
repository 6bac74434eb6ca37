//! Nodes, pods and services of a story as the cluster's state.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tracer_core::resolve::ClusterState;

#[derive(Default)]
pub(super) struct Cluster {
    items: Vec<Value>,
    pub(super) nodes: Vec<String>,
    pods: Vec<String>,
}

impl Cluster {
    pub(super) fn line(&mut self, words: &[&str]) -> Option<()> {
        match *words {
            ["node", name, address] => self.node(name, address, &json!({})),
            ["node", name, address, "tunnel", tunnel] => {
                self.node(name, address, &json!({"projectcalico.org/IPv4IPIPTunnelAddr": tunnel}));
            }
            ["pod", name, node, address] => self.pod(name, node, address, false),
            ["pod", name, node, address, "host"] => self.pod(name, node, address, true),
            ["service", name, front, endpoint, ref rest @ ..] => self.service(name, front, endpoint, rest)?,
            _ => return None,
        }
        Some(())
    }

    pub(super) fn state(&self) -> ClusterState {
        let json = json!({"kind": "List", "items": self.items}).to_string();
        ClusterState::from_json(json.as_bytes()).unwrap()
    }

    /// The pod of an interface `POD:NAME`, namespace and name; and the interface's name.
    pub(super) fn interface<'a>(&self, name: &'a str) -> (Option<String>, &'a str) {
        match name.split_once(':') {
            Some((pod, name)) => {
                assert!(self.pods.iter().any(|known| known == pod), "no pod {pod}");
                (Some(format!("default/{pod}")), name)
            }
            None => (None, name),
        }
    }

    fn node(&mut self, name: &str, address: &str, annotations: &Value) {
        self.nodes.push(name.to_owned());
        self.items.push(json!({
            "kind": "Node", "metadata": {"name": name, "annotations": annotations},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        }));
    }

    fn pod(&mut self, name: &str, node: &str, address: &str, is_host_network: bool) {
        self.pods.push(name.to_owned());
        self.items.push(json!({
            "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node, "hostNetwork": is_host_network}, "status": {"podIP": address},
        }));
    }

    fn service(&mut self, name: &str, front: &str, endpoint: &str, mut rest: &[&str]) -> Option<()> {
        let front: SocketAddr = front.parse().ok()?;
        let endpoint: SocketAddr = endpoint.parse().ok()?;
        let mut protocol = "TCP";
        let mut port = json!({"port": front.port()});
        while !rest.is_empty() {
            rest = match rest {
                ["udp", rest @ ..] => {
                    protocol = "UDP";
                    rest
                }
                ["sctp", rest @ ..] => {
                    protocol = "SCTP";
                    rest
                }
                ["node-port", node_port, rest @ ..] => {
                    port["nodePort"] = json!(node_port.parse::<u16>().ok()?);
                    rest
                }
                _ => return None,
            };
        }
        port["protocol"] = json!(protocol);
        self.items.push(json!({
            "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": front.ip().to_string(), "ports": [port]},
        }));
        let labels = json!({"kubernetes.io/service-name": name});
        self.items.push(json!({
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": "default", "labels": labels},
            "endpoints": [{"addresses": [endpoint.ip().to_string()]}],
            "ports": [{"protocol": protocol, "port": endpoint.port()}],
        }));
        Some(())
    }
}
