//! Explanations of a Calico node with kube-proxy in iptables mode, healthy and with one thing wrong at a time.

mod wrong;

use serde_json::{Value, json};

use super::testing::{iptables, link, listener, place};
use super::*;
use crate::evidence::{Firewall, IpvsServer, IpvsService};
use crate::flow::Protocol;

/// Two endpoints, 10.244.1.5 on n1 and 10.244.2.7 on n2, of one service with a NodePort; as `iptables-save` prints it.
const RULES: &str = r#"
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
:KUBE-FORWARD -
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT
*nat
:PREROUTING ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:KUBE-MARK-MASQ -
:KUBE-NODEPORTS -
:KUBE-POSTROUTING -
:KUBE-SERVICES -
:KUBE-SVC-WEB -
:KUBE-EXT-WEB -
:KUBE-SEP-A -
:KUBE-SEP-B -
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-SERVICES -m comment --comment "default/web cluster IP" -m tcp -p tcp -d 10.96.0.1/32 --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -m comment --comment default/web -m tcp -p tcp --dport 31080 -j KUBE-EXT-WEB
-A KUBE-EXT-WEB -m comment --comment "masquerade traffic for default/web external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-WEB -j KUBE-SVC-WEB
-A KUBE-SVC-WEB -m comment --comment "default/web cluster IP" -m tcp -p tcp -d 10.96.0.1/32 --dport 80 ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-WEB -m comment --comment "default/web -> 10.244.1.5:8080" -m statistic --mode random --probability 0.5 -j KUBE-SEP-A
-A KUBE-SVC-WEB -m comment --comment "default/web -> 10.244.2.7:8080" -j KUBE-SEP-B
-A KUBE-SEP-A -m comment --comment default/web -s 10.244.1.5/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-A -m comment --comment default/web -m tcp -p tcp -j DNAT --to-destination 10.244.1.5:8080
-A KUBE-SEP-B -m comment --comment default/web -s 10.244.2.7/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-B -m comment --comment default/web -m tcp -p tcp -j DNAT --to-destination 10.244.2.7:8080
"#;

const ROUTES: [&str; 5] = [
    "default via 172.18.0.1 dev 2",
    "172.18.0.0/24 dev 2",
    "blackhole 10.244.1.0/26",
    "10.244.1.5 dev 4",
    "10.244.1.6 dev 5",
];

/// The node n1: the endpoint 10.244.1.5 and the client 10.244.1.6 are on it, n2 is behind an IPIP tunnel.
pub(super) fn n1(rules: &str) -> Snapshot {
    let links = vec![
        link(1, "lo", "loopback", &["127.0.0.1/8"]),
        link(2, "eth0", "physical", &["172.18.0.2/24"]),
        link(3, "tunl0", "ipip", &["10.244.1.0/32"]),
        link(4, "cali5", "veth", &[]),
        link(5, "cali6", "veth", &[]),
    ];
    let tunnel = ["10.244.2.0/26 via 172.18.0.3 dev 3"];
    let routes: Vec<&str> = ROUTES.iter().chain(&tunnel).copied().collect();
    place("n1", links, &routes, iptables(rules))
}

/// The namespace of a pod, with TCP listeners.
pub(super) fn inside(pod: &str, node: &str, address: &str, listens: &[(&str, u16)]) -> Snapshot {
    let links = vec![link(1, "lo", "loopback", &["127.0.0.1/8"]), link(3, "eth0", "veth", &[address])];
    let mut inside =
        place(node, links, &["169.254.1.1 dev 3", "default via 169.254.1.1 dev 3"], Firewall::default());
    inside.pod = Some(pod.to_owned());
    inside.sockets = listens.iter().map(|(at, port)| listener(Protocol::TCP, at, *port)).collect();
    inside
}

/// The cluster's objects, of which tests change one or the other.
pub(super) fn items() -> Vec<Value> {
    let node = |name: &str, address: &str| json!({"kind": "Node", "metadata": {"name": name}, "status": {"addresses": [{"address": address}]}});
    let pod = |name: &str, node: &str, address: &str| {
        json!({"kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": node},
            "status": {"phase": "Running", "podIP": address}})
    };
    let ready = |address: &str, node: &str| json!({"addresses": [address], "nodeName": node, "conditions": {"ready": true}});
    vec![
        json!({"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": {"type": "NodePort",
            "clusterIP": "10.96.0.1", "ports": [{"port": 80, "targetPort": 8080, "nodePort": 31080}]}}),
        json!({"kind": "EndpointSlice", "metadata": {"name": "web-1", "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"}},
            "endpoints": [ready("10.244.1.5", "n1"), ready("10.244.2.7", "n2")], "ports": [{"port": 8080}]}),
        node("n1", "172.18.0.2"),
        node("n2", "172.18.0.3"),
        pod("a", "n1", "10.244.1.5"),
        pod("client", "n1", "10.244.1.6"),
        pod("b", "n2", "10.244.2.7"),
    ]
}

pub(super) fn state(items: Vec<Value>) -> ClusterState {
    ClusterState::from_items(items).unwrap()
}

pub(super) fn asked(
    what: &str,
    from: Option<&str>,
    state: &ClusterState,
    nodes: &[Snapshot],
    pods: &[Snapshot],
) -> Explanation {
    let subject = Subject::of(what, "default", state).unwrap();
    let client = from.map(|word| Client::of(word, "default", state).unwrap());
    let question = Question { subject: &subject, label: what, client: client.as_ref(), state, nodes, pods };
    explain(&question).unwrap()
}

pub(super) fn kinds(explanation: &Explanation) -> Vec<ProblemKind> {
    explanation.problems.iter().map(|problem| problem.kind).collect()
}

fn service(explanation: &Explanation) -> &ServiceStory {
    match &explanation.story {
        Story::Service(story) => story,
        other => panic!("{other:?}"),
    }
}

fn text(explanation: &Explanation) -> String {
    let mut text = Vec::new();
    explanation.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// `SHARE ENDPOINT end` of every way of a front.
fn ways(front: &FrontStory) -> Vec<String> {
    let way = |course: &Course| {
        let end = match &course.end {
            End::Handed { link, pod } => format!("handed {link} {}", pod.as_deref().unwrap_or("?")),
            End::Sent { link, next_hop, to } => {
                format!("sent {link} {} {}", next_hop.unwrap(), to.as_deref().unwrap_or("?"))
            }
            other => format!("{other:?}"),
        };
        format!("{:.2} {} {end}", course.probability, course.packet)
    };
    let mut ways: Vec<String> = front.courses.iter().map(way).collect();
    ways.sort();
    ways
}

#[test]
fn healthy_service_leads_to_each_endpoint_by_its_share() {
    let explanation = asked("svc/web", None, &state(items()), &[n1(RULES)], &[]);
    assert_eq!(explanation.problems, [], "{}", text(&explanation));
    assert_eq!(explanation.proxy.to_string(), "iptables");
    let port = &service(&explanation).ports[0];
    let [cluster, node_port] = &port.fronts[..] else { panic!("{port:?}") };
    assert_eq!(cluster.client.name, "default/client", "the other pod of the node is an endpoint itself");
    assert_eq!(
        ways(cluster),
        [
            "0.50 10.244.1.6:40000 -> 10.244.1.5:8080 handed cali5 default/a",
            "0.50 10.244.1.6:40000 -> 10.244.2.7:8080 sent tunl0 172.18.0.3 n2",
        ]
    );
    assert_eq!(node_port.client.kind, ClientKind::Outside);
    let masqueraded = ways(node_port);
    assert_eq!(masqueraded[0], "0.50 10.244.1.0:40000 -> 10.244.2.7:8080 sent tunl0 172.18.0.3 n2");
    assert!(node_port.courses.iter().all(|course| course.is_masqueraded));
}

#[test]
fn steps_tell_chains_counters_and_chances() {
    let explanation = asked("svc/web", None, &state(items()), &[n1(RULES)], &[]);
    let front = &service(&explanation).ports[0].fronts[0];
    let chains: Vec<&str> = front.courses[0].steps().map(|step| step.chain.as_str()).collect();
    assert_eq!(chains[..3], ["PREROUTING", "KUBE-SERVICES", "KUBE-SVC-WEB"]);
    let text = text(&explanation);
    for part in [
        "svc/web: service web (NodePort), ClusterIP 10.96.0.1",
        "  as n1 carries it: services by iptables",
        "  nothing wrong found",
        "port 80/TCP, targetPort 8080, NodePort 31080",
        "  endpoint 10.244.1.5:8080: ready, pod a on n1",
        "  ClusterIP 10.96.0.1:80 from pod client",
        "to 10.244.2.7:8080: leaves n1 by tunl0 to 172.18.0.3 (n2)",
        "50.0 % ip nat KUBE-SVC-WEB 2: -m comment",
        "10.244.2.0/26 via 172.18.0.3 dev tunl0",
        "tunl0: IP in IP to 172.18.0.3 (node/n2)",
        "rules as before)",
        "  NodePort 172.18.0.2:31080 from somebody outside",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn packets_are_followed_into_pods_and_other_nodes() {
    let n2 = place(
        "n2",
        vec![
            link(2, "eth0", "physical", &["172.18.0.3/24"]),
            link(3, "tunl0", "ipip", &["10.244.2.0/32"]),
            link(4, "cali7", "veth", &[]),
        ],
        &["172.18.0.0/24 dev 2", "10.244.2.7 dev 4", "10.244.1.0/26 via 172.18.0.2 dev 3"],
        iptables(RULES),
    );
    let pods = [
        inside("default/client", "n1", "10.244.1.6/32", &[]),
        inside("default/a", "n1", "10.244.1.5/32", &[("0.0.0.0", 8080)]),
        inside("default/b", "n2", "10.244.2.7/32", &[("0.0.0.0", 8080)]),
    ];
    let explanation = asked("svc/web", Some("client"), &state(items()), &[n1(RULES), n2], &pods);
    assert_eq!(explanation.problems, [], "{}", text(&explanation));
    let front = &service(&explanation).ports[0].fronts[0];
    let mut ends: Vec<_> = front
        .courses
        .iter()
        .map(|course| (course.pod.as_deref(), course.node.as_str(), &course.end))
        .collect();
    ends.sort_by_key(|(pod, ..)| *pod);
    let delivered = End::Delivered { listener: Listener::There };
    assert_eq!(ends, [(Some("default/a"), "n1", &delivered), (Some("default/b"), "n2", &delivered)]);
    assert_eq!(front.courses[0].stages[0].pod.as_deref(), Some("default/client"), "it begins in the client");
}

#[test]
fn ping_of_a_cluster_ip_leaves_unanswered() {
    let explanation = asked("svc/web", None, &state(items()), &[n1(RULES)], &[]);
    let ping = &service(&explanation).pings[0];
    assert_eq!(ping.is_answered, Some(false));
    for part in ["rules are for TCP 80 only", "nothing has the address 10.96.0.1", "by eth0 to 172.18.0.1"] {
        assert!(ping.text.contains(part), "{}", ping.text);
    }
}

#[test]
fn ipvs_has_the_address_and_answers_pings() {
    let loop_back =
        "*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -s 10.244.1.5/32 -d 10.244.1.5/32 -j MASQUERADE";
    let mut node = n1(loop_back);
    node.links.push(link(9, "kube-ipvs0", "dummy", &["10.96.0.1/32"]));
    node.routes.push(testing::route("local 10.96.0.1 dev 9"));
    let server = |address: &str, weight| IpvsServer {
        address: address.parse().unwrap(),
        port: 8080,
        forward: "Masq".to_owned(),
        weight,
        active: 2,
    };
    node.firewall.ipvs.push(IpvsService {
        protocol: Protocol::TCP,
        address: "10.96.0.1".parse().unwrap(),
        port: 80,
        scheduler: "wrr".to_owned(),
        persistent_ticks: None,
        servers: vec![server("10.244.1.5", 1), server("10.244.2.7", 3), server("10.244.2.9", 0)],
    });
    let mut items = items();
    items[0]["spec"]["ports"][0].as_object_mut().unwrap().remove("nodePort");
    let explanation = asked("svc/web", None, &state(items), &[node], &[]);
    assert_eq!(explanation.proxy.to_string(), "IPVS");
    assert_eq!(explanation.problems, [], "{}", text(&explanation));
    assert_eq!(
        ways(&service(&explanation).ports[0].fronts[0]),
        [
            "0.25 10.244.1.6:40000 -> 10.244.1.5:8080 handed cali5 default/a",
            "0.75 10.244.1.6:40000 -> 10.244.2.7:8080 sent tunl0 172.18.0.3 n2",
        ]
    );
    let ping = &service(&explanation).pings[0];
    assert_eq!(ping.is_answered, Some(true));
    assert!(ping.text.contains("kube-ipvs0 has the address"), "{}", ping.text);
}

#[test]
fn pod_tells_its_link_routes_services_and_listeners() {
    let pods = [inside("default/a", "n1", "10.244.1.5/32", &[("0.0.0.0", 8080)])];
    let explanation = asked("pod/a", None, &state(items()), &[n1(RULES)], &pods);
    assert_eq!(explanation.problems, [], "{}", text(&explanation));
    let Story::Pod(story) = &explanation.story else { panic!("{explanation:?}") };
    let link = story.link.as_ref().unwrap();
    assert_eq!((link.name.as_str(), link.is_up), ("cali5", true));
    assert_eq!(story.routes, ["10.244.1.5 dev cali5", "blackhole 10.244.1.0/26"]);
    assert_eq!(story.listens, Some(vec!["TCP 0.0.0.0:8080".to_owned()]));
    assert_eq!(story.services[0].ports, ["80/TCP -> 8080"]);
}

#[test]
fn address_tells_who_has_it_and_how_the_node_routes_it() {
    let told = |what: &str| text(&asked(what, None, &state(items()), &[n1(RULES)], &[]));
    let elsewhere = told("10.244.2.9");
    assert!(elsewhere.contains("  10.244.2.9: nobody in the cluster"), "{elsewhere}");
    assert!(elsewhere.contains("route 10.244.2.0/26 via 172.18.0.3 dev tunl0"), "{elsewhere}");
    let node = told("node/n2");
    assert!(node.contains("  172.18.0.3: node/n2, on n2"), "{node}");
    assert!(node.contains("leaves n1 by eth0 to 172.18.0.3 (n2)"), "{node}");
    let outside = told("198.51.100.7:443");
    assert!(outside.contains("TCP port 443 from pod a"), "{outside}");
    assert!(outside.contains("route default via 172.18.0.1 dev eth0"), "{outside}");
}
