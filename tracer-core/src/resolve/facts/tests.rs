//! What is told of services and pods, from the API's words and from `kflow state`'s.

use serde_json::{Value, json};

use super::*;

fn slice(name: &str, endpoints: &Value) -> Value {
    json!({"kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "n", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}]})
}

fn items() -> Vec<Value> {
    vec![
        json!({"kind": "Node", "metadata": {"name": "node1"}, "status": {"addresses": [{"address": "192.168.0.1"}]}}),
        json!({"kind": "Service", "metadata": {"name": "web", "namespace": "n"}, "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.1", "externalIPs": ["203.0.113.1"],
            "sessionAffinity": "ClientIP", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "http", "port": 80, "nodePort": 31080, "targetPort": "web"},
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353}]}}),
        json!({"kind": "Pod", "metadata": {"name": "a", "namespace": "n", "uid": "u-1"},
            "spec": {"nodeName": "node1", "containers": [{"ports": [{"name": "web", "containerPort": 8080}]}],
                "initContainers": [{"ports": [{"containerPort": 1}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}}),
        slice(
            "s1",
            &json!([
            {"addresses": ["10.0.0.1"], "conditions": {"ready": false}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}, "nodeName": "x",
                "targetRef": {"kind": "Pod", "namespace": "n", "name": "b"}, "hints": {"forZones": [{"name": "z"}]}},
            {"addresses": ["10.0.0.3"], "conditions": {"ready": false, "serving": false, "terminating": true}}]),
        ),
        // The same address in two slices: the one that is ready counts.
        slice("s2", &json!([{"addresses": ["10.0.0.1"]}])),
    ]
}

/// From the API, and from what `kflow state` makes of it.
fn states() -> [ClusterState; 2] {
    let state = ClusterState::from_items(items()).unwrap();
    let again = ClusterState::from_json(state.to_json().to_string().as_bytes()).unwrap();
    [state, again]
}

#[test]
fn service_tells_its_policies_ports_and_endpoints() {
    for state in states() {
        let service = state.service("n/web").unwrap();
        assert_eq!(service.kind.as_deref(), Some("LoadBalancer"));
        assert_eq!(
            (service.affinity, service.is_local_outside, service.is_local_inside),
            (Some(10_800), true, false)
        );
        assert_eq!(service.addresses, ["10.96.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(service.external, ["203.0.113.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(service.trouble, None);
        let [http, dns] = &service.ports[..] else { panic!("{service:?}") };
        assert_eq!(http.target, Some(TargetPort::Name("web".to_owned())));
        assert_eq!(dns.target, Some(TargetPort::Number(5353)));
        assert!(dns.endpoints.is_empty(), "no slice is about it: {dns:?}");
        let told: Vec<_> = http
            .endpoints
            .iter()
            .map(|each| (each.address.to_string(), each.readiness, each.pod.as_deref()))
            .collect();
        let expected = [
            ("10.0.0.1", Readiness::Ready, Some("n/a")),
            ("10.0.0.2", Readiness::Terminating, Some("n/b")),
            ("10.0.0.3", Readiness::NotReady, None),
        ];
        assert_eq!(told, expected.map(|(address, readiness, pod)| (address.to_owned(), readiness, pod)));
        assert!(http.endpoints[1].has_hints && !http.endpoints[0].has_hints);
        assert_eq!(http.used().len(), 1);
        assert!(service.has_endpoint("10.0.0.2".parse().unwrap(), 8080));
        assert!(!service.has_endpoint("10.0.0.2".parse().unwrap(), 80));
    }
}

#[test]
fn terminating_endpoints_are_used_where_none_is_ready() {
    let mut items = items();
    items.pop();
    let service = ClusterState::from_items(items).unwrap().service("n/web").unwrap();
    let used: Vec<_> = service.ports[0].used().iter().map(|each| each.address.to_string()).collect();
    assert_eq!(used, ["10.0.0.2"]);
    assert_eq!(service.trouble.as_deref(), Some("none of its 3 endpoints is ready"));
}

#[test]
fn service_is_found_by_each_of_its_doors() {
    for state in states() {
        let door = |address: &str, port, protocol| {
            let found = state.services_at(protocol, address.parse().unwrap(), port);
            found.into_iter().map(|(service, port, front)| (service.name, port, front)).collect::<Vec<_>>()
        };
        let web = |port, front| vec![("n/web".to_owned(), port, front)];
        assert_eq!(door("10.96.0.1", 80, Protocol::TCP), web(0, Front::ClusterIp));
        assert_eq!(door("10.96.0.1", 53, Protocol::UDP), web(1, Front::ClusterIp));
        assert_eq!(door("203.0.113.1", 80, Protocol::TCP), web(0, Front::External));
        assert_eq!(door("192.168.0.1", 31080, Protocol::TCP), web(0, Front::NodePort));
        for (address, port, protocol) in [
            ("10.96.0.1", 80, Protocol::UDP),
            ("10.96.0.1", 31080, Protocol::TCP),
            ("192.168.0.2", 31080, Protocol::TCP),
        ] {
            assert_eq!(door(address, port, protocol), [], "{address} {port}");
        }
        assert_eq!(state.services_with("10.96.0.1".parse().unwrap()).len(), 1);
        assert_eq!(state.services_to("10.0.0.3".parse().unwrap()).len(), 1);
        assert_eq!(state.services_to("10.0.0.4".parse().unwrap()), []);
    }
}

#[test]
fn pod_tells_its_ports_and_whether_it_is_ready() {
    for state in states() {
        let pod = state.pod("n/a").unwrap();
        assert_eq!(
            (pod.uid.as_deref(), pod.is_ready, pod.node.as_deref()),
            (Some("u-1"), Some(true), Some("node1"))
        );
        let [port] = &pod.ports[..] else { panic!("an init container that ends does not listen: {pod:?}") };
        assert_eq!(
            (port.name.as_deref(), port.protocol, port.port),
            (Some("web"), Some(Protocol::TCP), 8080)
        );
        assert_eq!(state.pods_on("node1").len(), 1);
        assert_eq!(state.pod("n/b"), None);
    }
}
