//! A service and its slice, as the API server has them.

use serde_json::{Value, json};

use super::ServiceSpec;

/// Both objects.
pub(super) fn of(service: &ServiceSpec) -> [Value; 2] {
    [object(service), slice(service)]
}

fn object(service: &ServiceSpec) -> Value {
    let mut port = json!({
        "protocol": service.protocol.to_uppercase(), "port": service.port, "targetPort": service.target_port,
    });
    if let Some(node_port) = service.node_port {
        port["nodePort"] = json!(node_port);
    }
    let mut spec = json!({
        "type": if service.node_port.is_some() { "NodePort" } else { "ClusterIP" },
        "clusterIP": service.address,
        "clusterIPs": [service.address],
        "ipFamilies": [family(service)],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "selector": { "service": service.name },
        "ports": [port],
    });
    if service.node_port.is_some() {
        spec["externalTrafficPolicy"] = json!(if service.is_local { "Local" } else { "Cluster" });
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service.name, "namespace": "default", "uid": format!("service-{}", service.name),
        },
        "spec": spec,
        "status": { "loadBalancer": {} },
    })
}

fn slice(service: &ServiceSpec) -> Value {
    let endpoint = |endpoint: &super::EndpointSpec| {
        json!({
            "addresses": [endpoint.address],
            "conditions": {
                "ready": endpoint.is_ready, "serving": endpoint.is_ready, "terminating": false,
            },
            "nodeName": endpoint.node,
            "targetRef": {
                "kind": "Pod",
                "name": endpoint.pod,
                "namespace": "default",
                "uid": format!("pod-{}", endpoint.pod),
            },
        })
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-more", service.name),
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
        "addressType": family(service),
        "endpoints": service.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{
            "name": "", "port": service.target_port, "protocol": service.protocol.to_uppercase(),
        }],
    })
}

fn family(service: &ServiceSpec) -> &'static str {
    if service.address.is_ipv6() { "IPv6" } else { "IPv4" }
}
