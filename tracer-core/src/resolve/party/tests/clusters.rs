//! A cluster of three nodes for tables: its objects as the API writes them.

use serde_json::{Value, json};

use crate::resolve::ClusterState;

/// Namespace `shop`: deployment `web` (three pods, one of them pending), stateful set `db`, job `once` that is over,
/// a daemon set on the host's network, and services of every type.
pub(super) fn shop() -> Vec<Value> {
    let mut items = nodes();
    items.extend(pods());
    items.extend(services());
    items.extend(workloads());
    items
}

pub(super) fn state(items: Vec<Value>) -> ClusterState {
    ClusterState::from_items(items).unwrap()
}

/// Without some kinds, as somebody sees it who may not list them.
pub(super) fn without(kinds: &[&str]) -> ClusterState {
    state(shop().into_iter().filter(|item| !kinds.iter().any(|kind| item["kind"] == *kind)).collect())
}

fn nodes() -> Vec<Value> {
    let node = |number: u8| {
        json!({"kind": "Node", "metadata": {"name": format!("node{number}"), "annotations":
                {"projectcalico.org/IPv4VXLANTunnelAddr": format!("10.244.{number}.0")}},
            "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.0.{number}")},
                {"type": "Hostname", "address": format!("node{number}")}]}})
    };
    (1..=3).map(node).collect()
}

pub(super) fn pod(name: &str, node: u8, ip: &str, labels: &Value, owner: Option<(&str, &str)>) -> Value {
    let owners: Vec<Value> =
        owner.iter().map(|(kind, name)| json!({"kind": kind, "name": name, "controller": true})).collect();
    let host = format!("192.168.0.{node}");
    json!({"kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": owners},
        "spec": {"nodeName": format!("node{node}")},
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": host, "hostIPs": [{"ip": host}]}})
}

fn pods() -> Vec<Value> {
    let web = json!({"app": "web", "pod-template-hash": "f8f9d9cff"});
    let by_web = Some(("ReplicaSet", "web-f8f9d9cff"));
    let mut host = pod("agent-x", 2, "192.168.0.2", &json!({"app": "agent"}), Some(("DaemonSet", "agent")));
    host["spec"]["hostNetwork"] = json!(true);
    let mut over = pod("once-abcde", 1, "10.244.1.2", &json!({"job-name": "once"}), Some(("Job", "once")));
    over["status"]["phase"] = json!("Succeeded");
    let pending = json!({"kind": "Pod",
        "metadata": {"name": "web-f8f9d9cff-ccccc", "namespace": "shop", "labels": web,
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-f8f9d9cff", "controller": true}]},
        "status": {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
             "message": "0/3 nodes are available: 3 Insufficient cpu."}]}});
    let pulling = json!({"kind": "Pod", "metadata": {"name": "pulling", "namespace": "shop"},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}],
            "initContainerStatuses": [{"state": {"terminated": {"reason": "Completed"}}}],
            "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}},
                {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such\nimage"}}}]}});
    vec![
        pod("web-f8f9d9cff-aaaaa", 1, "10.244.1.1", &web, by_web),
        pod("web-f8f9d9cff-bbbbb", 2, "10.244.2.1", &web, by_web),
        pending,
        pod("db-0", 3, "10.244.3.1", &json!({"app": "db"}), Some(("StatefulSet", "db"))),
        // It has the address now that a pod of the job had.
        pod("client", 1, "10.244.1.2", &json!({"app": "client"}), None),
        over,
        host,
        pulling,
        pod("tick-29183540-zzzzz", 3, "10.244.3.9", &json!({}), Some(("Job", "tick-29183540"))),
    ]
}

fn service(name: &str, spec: &Value, endpoints: &[(&str, &str, bool)]) -> Vec<Value> {
    let ports: Vec<Value> = spec["ports"].as_array().into_iter().flatten().cloned().collect();
    let behind = |port: &Value| json!({"name": port["name"], "protocol": "TCP", "port": 8080});
    let endpoint = |(ip, node, ready): &(&str, &str, bool)| json!({"addresses": [ip], "nodeName": node, "conditions": {"ready": ready}});
    let slice = json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"name": format!("{name}-x"), "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": ports.iter().map(behind).collect::<Vec<_>>()});
    vec![json!({"kind": "Service", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}), slice]
}

fn services() -> Vec<Value> {
    let web = [("10.244.1.1", "node1", true), ("10.244.2.1", "node2", true)];
    let port = json!([{"port": 80}]);
    let selector = json!({"app": "web"});
    [
        service("web", &json!({"clusterIP": "10.96.0.1", "ports": port, "selector": selector}), &web),
        service(
            "web-np",
            &json!({"clusterIP": "10.96.0.2", "ports": [{"port": 80, "nodePort": 31080}]}),
            &web,
        ),
        service(
            "web-lb",
            &json!({"clusterIP": "10.96.0.3", "externalIPs": ["203.0.113.7"], "ports": port}),
            &web,
        ),
        service("db", &json!({"clusterIP": "None", "ports": port}), &[("10.244.3.1", "node3", true)]),
        service("slow", &json!({"clusterIP": "10.96.0.4", "ports": port}), &[("10.244.1.9", "node1", false)]),
        service(
            "none",
            &json!({"clusterIP": "10.96.0.5", "ports": port, "selector": {"app": "nobody"}}),
            &[],
        ),
        service("headless", &json!({"clusterIP": "None", "ports": port, "selector": {"app": "nobody"}}), &[]),
        service("alias", &json!({"type": "ExternalName", "externalName": "db.example.org"}), &[]),
    ]
    .concat()
}

fn workloads() -> Vec<Value> {
    let workload = |kind: &str, name: &str, labels: Value| {
        json!({"kind": kind, "apiVersion": "apps/v1", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": {"matchLabels": labels}}})
    };
    vec![
        workload("Deployment", "web", json!({"app": "web"})),
        workload("Deployment", "idle", json!({"app": "idle"})),
        json!({"kind": "ReplicaSet", "apiVersion": "apps/v1",
            "metadata": {"name": "web-f8f9d9cff", "namespace": "shop",
                "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": true}]},
            "spec": {"selector": {"matchLabels": {"app": "web", "pod-template-hash": "f8f9d9cff"}}}}),
        workload("StatefulSet", "db", json!({"app": "db"})),
        workload("DaemonSet", "agent", json!({"app": "agent"})),
    ]
}
