//! What the lab's API server would say: `kubectl get nodes,pods,services,endpointslices -A -o json`.

use serde_json::{Value, json};

use super::{
    config::{LabConfig, Overlay},
    topology::{NODES, Node, POD_DEST, POD_PORT, PODS, Pod, SERVICES, Service},
};

/// The whole list, in the order that `kubectl` prints the kinds, and `more` behind it.
pub(crate) fn cluster(config: LabConfig, more: &[Value]) -> Value {
    let items: Vec<Value> = (NODES.iter().map(|each| node(each, config)))
        .chain(PODS.iter().map(|each| pod(each, config)))
        .chain(SERVICES.iter().map(|each| service(each, config)))
        .chain(SERVICES.iter().map(|each| endpoint_slice(each, config)))
        .chain(more.iter().cloned())
        .collect();
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": items })
}

fn node(node: &Node, config: LabConfig) -> Value {
    let tunnel_annotation = match config.overlay {
        Overlay::Ipip => Some("projectcalico.org/IPv4IPIPTunnelAddr"),
        Overlay::Vxlan => Some("projectcalico.org/IPv4VXLANTunnelAddr"),
        Overlay::None => None,
    };
    let mut annotations = json!({ "projectcalico.org/IPv4Address": format!("{}/24", node.address) });
    if let Some(key) = tunnel_annotation {
        annotations[key] = json!(node.tunnel);
    }
    let mut blocks = vec![node.block()];
    let mut addresses = vec![json!({ "type": "InternalIP", "address": node.address })];
    if config.dual {
        blocks.push(node.block6());
        addresses.push(json!({ "type": "InternalIP", "address": node.address6() }));
    }
    addresses.push(json!({ "type": "Hostname", "address": node.name }));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": node.name,
            "uid": format!("node-{}", node.name),
            "labels": { "kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux" },
            "annotations": annotations,
        },
        "spec": { "podCIDR": node.block(), "podCIDRs": blocks },
        "status": {
            "addresses": addresses,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn pod(pod: &Pod, config: LabConfig) -> Value {
    let mut object = running_pod(pod.name, pod.node, &pod.address.to_string());
    if config.dual {
        let both = json!([{ "ip": pod.address }, { "ip": pod.address6() }]);
        object["status"]["podIPs"] = both;
    }
    object
}

/// A pod that runs, with itself as its label.
pub(super) fn running_pod(name: &str, node: &str, address: &str) -> Value {
    let host = NODES.iter().find(|each| each.name == node).map(|each| each.address);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": format!("pod-{}", name),
            "labels": { "app": name },
            "annotations": {
                "cni.projectcalico.org/podIP": format!("{}/32", address),
                "cni.projectcalico.org/podIPs": format!("{}/32", address),
            },
        },
        "spec": {
            "nodeName": node,
            "containers": [{
                "name": "http",
                "image": "http",
                "ports": [{ "name": "http", "containerPort": POD_PORT, "protocol": "TCP" }],
            }],
        },
        "status": {
            "phase": "Running",
            "hostIP": host,
            "hostIPs": [{ "ip": host }],
            "podIP": address,
            "podIPs": [{ "ip": address }],
        },
    })
}

fn service(service: &Service, config: LabConfig) -> Value {
    let port = |(name, protocol): (&str, &str)| {
        let mut port = json!({ "protocol": protocol, "port": POD_PORT, "targetPort": POD_PORT });
        if let Some(node_port) = service.node_port {
            port["nodePort"] = json!(node_port);
        }
        named(port, name)
    };
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service.name,
            "namespace": "default",
            "uid": format!("service-{}", service.name),
        },
        "spec": {
            "type": if service.node_port.is_some() { "NodePort" } else { "ClusterIP" },
            "clusterIP": service.cluster_ip,
            "clusterIPs": [service.cluster_ip],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "selector": { "app": POD_DEST.name },
            "ports": ports(config).map(port).collect::<Vec<_>>(),
        },
        "status": { "loadBalancer": {} },
    })
}

fn endpoint_slice(service: &Service, config: LabConfig) -> Value {
    let port =
        |(name, protocol): (&str, &str)| json!({ "name": name, "port": POD_PORT, "protocol": protocol });
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-lab", service.name),
            "namespace": "default",
            "labels": {
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": service.name,
            },
            "ownerReferences": [{
                "apiVersion": "v1",
                "kind": "Service",
                "name": service.name,
                "uid": format!("service-{}", service.name),
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [POD_DEST.address],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": POD_DEST.node,
            "targetRef": {
                "kind": "Pod",
                "name": POD_DEST.name,
                "namespace": "default",
                "uid": format!("pod-{}", POD_DEST.name),
            },
        }],
        "ports": ports(config).map(port).collect::<Vec<_>>(),
    })
}

/// Name and protocol of a service's ports: Kubernetes wants names where there are several.
fn ports(config: LabConfig) -> impl Iterator<Item = (&'static str, &'static str)> {
    let ports = if config.udp { &[("tcp", "TCP"), ("udp", "UDP")][..] } else { &[("", "TCP")] };
    ports.iter().copied()
}

fn named(mut port: Value, name: &str) -> Value {
    if !name.is_empty() {
        port["name"] = json!(name);
    }
    port
}
