//! The cluster's state as its API tells it.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::address::{node_address, pod_address, service_address, underlay};
use super::{NODE_PORT, POD_PORT, SERVICE_PORT, node_name};
use crate::plan::{Family, Plan};

/// The cluster's state as its API tells it.
pub(crate) fn cluster(plan: &Plan) -> Value {
    let both = |of: &dyn Fn(Family) -> IpAddr| [of(Family::V4).to_string(), of(Family::V6).to_string()];
    let mut items = Vec::new();
    for node in 0..plan.nodes.len() {
        let mut addresses: Vec<Value> =
            both(&|family| node_address(family, node)).iter().map(|a| json!({"address": a})).collect();
        addresses.extend(
            (0..plan.tunnels.len()).map(|level| json!({"address": underlay(plan.underlay, node, level)})),
        );
        items.push(json!({
            "kind": "Node", "metadata": {"name": node_name(node)},
            "status": {"addresses": addresses},
        }));
    }
    for (pod, description) in plan.pods.iter().enumerate() {
        let ips = both(&|family| pod_address(family, description.node, pod));
        items.push(json!({
            "kind": "Pod", "metadata": {"name": format!("pod{pod}"), "namespace": "default"},
            "spec": {"nodeName": node_name(description.node)},
            "status": {"podIP": ips[0], "podIPs": [{"ip": ips[0]}, {"ip": ips[1]}]},
        }));
        let fronts = both(&|family| service_address(family, pod));
        let ports: Vec<Value> = ["TCP", "UDP", "SCTP"]
            .iter()
            .map(|protocol| {
                json!({
                    "protocol": protocol, "port": SERVICE_PORT,
                    "nodePort": NODE_PORT + u16::try_from(pod).unwrap(),
                })
            })
            .collect();
        items.push(json!({
            "kind": "Service", "metadata": {"name": format!("svc{pod}"), "namespace": "default"},
            "spec": {"clusterIP": fronts[0], "clusterIPs": fronts, "ports": ports},
        }));
        items.push(json!({
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("svc{pod}"), "namespace": "default",
                "labels": {"kubernetes.io/service-name": format!("svc{pod}")},
            },
            "endpoints": [{"addresses": ips}],
            "ports": [{"protocol": "TCP", "port": POD_PORT}],
        }));
    }
    json!({"kind": "List", "items": items})
}
