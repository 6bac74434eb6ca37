//! Words to ends, on a little cluster.

use super::super::scope::Scope;
use super::*;
use crate::flow::{FlowKey, Port};

mod clusters;
mod shapes;

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
    for word in ["a/b/c", "svc/", "pod/", "a/node/b", "a/pod/b/c", "", "svc/:80", "svc/web:", "a:80/b"] {
        assert!(matches!(party(word), Err(ResolveError::Syntax(_))), "{word}");
    }
    for word in ["pod/web:80", "deploy/web:http", "node/node1:22", "web:80"] {
        let error = party(word).unwrap_err();
        assert!(matches!(error, ResolveError::NeedlessPort { .. }) && error.is_usage(), "{word}: {error}");
    }
}

#[test]
fn a_service_is_its_addresses_its_node_ports_and_its_endpoints() {
    let seeds: Vec<String> = party("svc/web:http").unwrap().seeds.iter().map(|s| format!("{s:?}")).collect();
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
    let scope = Scope { source: party("other/client").unwrap(), destination: Some(party("web").unwrap()) };
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
    let scope = Scope { source: party("node/node1").unwrap(), destination: Some(party("svc/web").unwrap()) };
    assert!(scope.seeds().iter().all(|seed| seed.kind != SeedKind::Node || seed.port.is_some()));
    let pods = Scope { source: party("other/client").unwrap(), destination: Some(party("web").unwrap()) };
    let wide: Vec<_> = pods.seeds().into_iter().filter(|seed| seed.port.is_none()).collect();
    assert_eq!(wide.len(), 2);
}

#[test]
fn namespaces_that_words_name() {
    let table = [
        ("web", None),
        ("svc/web", None),
        ("node/web", None),
        ("prod/web", Some("prod")),
        ("prod/svc/web:80", Some("prod")),
        ("10.0.0.1", None),
        ("10.0.0.1:80/udp", None),
    ];
    for (word, expected) in table {
        assert_eq!(Party::namespace_of(word), expected, "{word}");
    }
}
