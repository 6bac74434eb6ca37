//! What is read of objects, and what is written of them.

use serde_json::json;

use super::super::Names;
use super::super::party::Party;
use super::*;

#[test]
fn errors_say_where() {
    let error = ClusterState::from_json(b"{\n \"kind\": \"List\", items").unwrap_err();
    assert!(matches!(&error, StateError::Json(cause) if cause.line() == 2), "{error:?}");
    let error = ClusterState::from_json(br#"{"kind": "Status"}"#).unwrap_err();
    assert!(error.to_string().contains("Status"), "{error}");
    let json = br#"{"kind": "List", "items": [{"kind": "Pod", "metadata": {"name": "web"}, "spec": 7}]}"#;
    let error = ClusterState::from_json(json).unwrap_err();
    assert_eq!(error.to_string(), "the cluster state is malformed in item 0, Pod \"web\"");
}

#[test]
fn nulls_and_other_kinds_do_no_harm() {
    let json = br#"{"kind": "List", "items": [
        {"kind": "Thing", "spec": {"ports": "none"}},
        {"kind": "EndpointSlice", "metadata": {"name": "s", "labels": null}, "endpoints": null, "ports": null},
        {"kind": "Service", "metadata": {"name": "h", "namespace": "n"}, "spec": {"clusterIP": "None"}}
    ]}"#;
    let state = ClusterState::from_json(json).unwrap();
    assert_eq!(state.slices.len(), 1);
    assert!(state.services[0].addresses.is_empty());
}

#[test]
fn what_has_ended_owns_no_address() {
    let pod = |name: &str, phase: &str| {
        json!({"kind": "Pod", "metadata": {"name": name, "namespace": "n"}, "spec": {"nodeName": name},
            "status": {"phase": phase, "podIP": "10.0.0.1"}})
    };
    let address: IpAddr = "10.0.0.1".parse().unwrap();
    for phase in ["Succeeded", "Failed"] {
        let state = ClusterState::from_items([pod("old", phase), pod("new", "Running")]).unwrap();
        let names = Names::of(&state);
        let owners: Vec<String> = names.owners(address).map(Owner::label).collect();
        assert_eq!(owners, ["n/new"], "{phase}");
        assert_eq!(state.node_of_address(address), Some("new"), "{phase}");
    }
}

#[test]
fn old_clusters_tell_endpoints_in_other_shapes() {
    let service = json!({"kind": "Service", "metadata": {"name": "web", "namespace": "n"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}});
    let beta = json!({"kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1beta1",
        "metadata": {"name": "web-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.0.0.1"], "topology": {"kubernetes.io/hostname": "node1"}}],
        "ports": [{"port": 8080, "name": ""}]});
    let old = json!({"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "web", "namespace": "n"},
        "subsets": [
            {"addresses": [{"ip": "10.0.0.2", "nodeName": "node2"}], "ports": [{"port": 8080}]},
            {"notReadyAddresses": [{"ip": "10.0.0.3", "nodeName": "node3"}], "ports": [{"port": 8081}]}]});
    let nodes = |items: Vec<Value>| {
        let state = ClusterState::from_items(items).unwrap();
        Party::resolve("svc/web", "n", &state).unwrap().nodes.join(" ")
    };
    assert_eq!(nodes(vec![service.clone(), beta.clone()]), "node1");
    assert_eq!(nodes(vec![service.clone(), old.clone()]), "node2 node3");
    assert_eq!(nodes(vec![service, old, beta]), "node1", "slices say more");
}

#[test]
fn objects_of_other_groups_are_others() {
    let knative = json!({"kind": "Service", "apiVersion": "serving.knative.dev/v1",
        "metadata": {"name": "web", "namespace": "n"}, "spec": {"ports": "odd"}});
    assert!(ClusterState::from_items([knative]).unwrap().services.is_empty());
    for version in ["apps/v1", "apps/v1beta2", "extensions/v1beta1"] {
        let deployment = json!({"kind": "Deployment", "apiVersion": version, "metadata": {"name": "web"}});
        assert_eq!(ClusterState::from_items([deployment]).unwrap().workloads.len(), 1, "{version}");
    }
}

/// What is written says the same when it is read, and nothing of what is nobody's business.
#[test]
fn a_state_that_is_written_holds_names_and_addresses_only() {
    let secret = "s3cret";
    let meta = |name: &str| {
        json!({"name": name, "namespace": "n", "labels": {"app": "web", "x": secret},
        "annotations": {"note": secret}, "managedFields": [{"manager": secret}]})
    };
    let mut pod = json!({"kind": "Pod", "metadata": meta("web-f8f9d9cff-abcde"),
        "spec": {"nodeName": "node1", "containers": [{"image": secret, "env": [{"value": secret}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}});
    pod["metadata"]["ownerReferences"] =
        json!([{"kind": "ReplicaSet", "name": "web-f8f9d9cff", "controller": true}]);
    let mut replicas = json!({"kind": "ReplicaSet", "metadata": meta("web-f8f9d9cff"),
        "spec": {"selector": {"matchLabels": {"x": secret}}}});
    replicas["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "name": "web", "controller": true}]);
    let mut old = replicas.clone();
    old["metadata"]["name"] = json!("web-77777");
    let items = vec![
        json!({"kind": "Node", "metadata": {"name": "node1", "labels": {"x": secret},
                "annotations": {"projectcalico.org/IPv4VXLANTunnelAddr": "10.244.1.0", "x": secret}},
            "status": {"addresses": [{"address": "192.168.0.1"}], "nodeInfo": {"osImage": secret}}}),
        pod,
        replicas,
        old,
        json!({"kind": "Deployment", "metadata": meta("web"), "spec": {"selector": {"matchLabels": {"x": secret}}}}),
        json!({"kind": "Service", "metadata": meta("web"), "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
            "externalIPs": ["203.0.113.1"], "selector": {"x": secret},
            "ports": [{"name": "http", "port": 80, "nodePort": 31080}, {"name": "dns", "port": 53, "protocol": "UDP"}]}}),
        json!({"kind": "EndpointSlice",
            "metadata": {"name": "web-1", "namespace": "n", "labels": {"kubernetes.io/service-name": "web", "x": secret}},
            "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "node1", "conditions": {"ready": false}}],
            "ports": [{"name": "http", "port": 8080}, {"name": "dns", "port": 5353, "protocol": "UDP"}]}),
    ];
    let before = ClusterState::from_items(items).unwrap();
    let json = before.to_json();
    assert!(!json.to_string().contains(secret), "{json:#}");
    let after = ClusterState::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(after.to_json(), json);
    assert_eq!(Names::of(&after).addresses(), Names::of(&before).addresses());
    for word in ["svc/web", "svc/web:dns", "deploy/web", "rs/web-f8f9d9cff", "node/node1", "10.0.0.1"] {
        let party = |state| Party::resolve(word, "n", state).unwrap();
        assert_eq!(party(&after), party(&before), "{word}");
    }
    assert!(Party::resolve("rs/web-77777", "n", &after).is_err(), "a replica set without pods is left out");
}
