use serde_json::{Value, json};

use crate::diagnose::testing::{
    delivered, dropped, endpoint, evidence, flow, hop, ip, judged_in, key, lane, link, reset, route,
    snapshot, stopped,
};
use crate::diagnose::{Cause, Outcome, Source, Verdict};
use crate::drops::DropReport;
use crate::evidence::{
    Action, Backend, Chain, ConntrackCpu, Evidence, Match, Prefix, RouteKind, Rule, SetElement, SetValue,
    Snapshot, Socket, SocketState, Table, TranslationTarget,
};
use crate::flow::{FlowKey, Protocol};
use crate::report::{FlowReport, IcmpError, NamedEndpoint};
use crate::resolve::ClusterState;
use crate::timeline::Orientation;

const CLIENT: &str = "10.0.2.7:4000";
const SERVICE: &str = "10.96.0.10:80";
const POD: &str = "10.0.1.5:8080";

fn to_service() -> FlowKey {
    key(Protocol::TCP, CLIENT, SERVICE)
}

fn to_pod() -> FlowKey {
    key(Protocol::TCP, CLIENT, POD)
}

/// Two nodes, `web` on node1, `client` on node2, a service with these endpoints and fields.
fn cluster(endpoints: &Value, fields: &Value) -> ClusterState {
    let pod = |name: &str, node: &str, address: &str| {
        json!({"kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": node}, "status": {"phase": "Running", "podIP": address}})
    };
    let node = |name: &str, address: &str| {
        json!({"kind": "Node", "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]}})
    };
    let mut spec = json!({"clusterIP": "10.96.0.10", "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": 30080}]});
    spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let items = json!([
        node("node1", "192.0.2.1"), node("node2", "192.0.2.2"),
        pod("web", "node1", "10.0.1.5"), pod("client", "node2", "10.0.2.7"),
        {"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec},
        {"kind": "EndpointSlice", "metadata": {"name": "web-1", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"}}, "endpoints": endpoints,
            "ports": [{"port": 8080, "protocol": "TCP"}]},
    ]);
    let list = json!({"kind": "List", "items": items});
    ClusterState::from_json(list.to_string().as_bytes()).unwrap()
}

fn ready(address: &str, is_ready: bool) -> Value {
    json!([{"addresses": [address], "nodeName": "node1", "conditions": {"ready": is_ready, "serving": is_ready}}])
}

/// A connection through the service that came to the pod.
fn arrived(packets: u64) -> FlowReport {
    let there = vec![
        hop("node2 cali2 in", to_service(), packets),
        hop("node2 eth0 out", to_pod(), packets),
        hop("node1 web:eth0 in", to_pod(), packets),
    ];
    with_tuples(flow(to_service(), delivered(packets, there), lane()), &[to_service(), to_pod()])
}

/// The pod's answers to it, which are refusals.
fn refused(packets: u64) -> FlowReport {
    let back = hop("node1 web:eth0 out", to_pod().reversed(), packets);
    let mut flow = reset(arrived(packets), &back);
    flow.reply = delivered(packets, vec![back]);
    flow
}

fn with_tuples(mut flow: FlowReport, tuples: &[FlowKey]) -> FlowReport {
    flow.tuples = tuples.to_vec();
    flow
}

fn pod_snapshot(sockets: Vec<Socket>) -> Evidence {
    let routes = vec![route("0.0.0.0/0", RouteKind::Unicast, Some(2), None)];
    let links = vec![link(2, "eth0", "veth", &["10.0.1.5/32"])];
    evidence(Snapshot { pod: Some("default/web".to_owned()), sockets, routes, links, ..snapshot("node1") })
}

fn listener(local: &str, port: u16) -> Socket {
    Socket {
        protocol: Protocol::TCP,
        local: ip(local),
        local_port: port,
        remote: ip("0.0.0.0"),
        remote_port: 0,
        state: SocketState::Listen,
        receive_queue: 0,
        send_queue: 128,
        drops: 0,
        is_dual: false,
        receive_buffer: None,
    }
}

fn rule(comment: &str, matches: Vec<Match>, actions: Vec<Action>) -> Rule {
    Rule {
        matches,
        actions,
        comment: Some(comment.to_owned()),
        packets: Some(3),
        text: format!("-A CHAIN --comment \"{comment}\""),
        handle: None,
    }
}

fn with_rule(node: &str, rule: Rule) -> Evidence {
    let mut snapshot = snapshot(node);
    snapshot.firewall.tables.push(table(vec![rule]));
    evidence(snapshot)
}

fn table(rules: Vec<Rule>) -> Table {
    Table {
        backend: Backend::Nft,
        family: "ip".to_owned(),
        name: "filter".to_owned(),
        chains: vec![Chain {
            name: "KUBE-SERVICES".to_owned(),
            kind: None,
            hook: None,
            priority: 0,
            policy: None,
            policy_packets: None,
            devices: Vec::new(),
            rules,
        }],
        sets: Vec::new(),
    }
}

fn place(verdict: &Verdict) -> (Option<&str>, Option<&str>) {
    let at = verdict.at.as_ref().unwrap();
    (at.node.as_deref(), at.pod.as_deref())
}

fn assert_cause(verdict: &Verdict, cause: Option<Cause>) {
    assert_eq!(verdict.cause, cause, "{verdict:#?}");
}

#[test]
fn a_target_port_that_nobody_listens_on() {
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let verdict = judged_in(refused(1), &[pod_snapshot(vec![listener("::", 9090)])], Some(&state));
    assert_cause(&verdict, Some(Cause::TargetPortUnserved));
    assert_eq!(verdict.outcome, Outcome::Refused);
    assert_eq!(place(&verdict), (Some("node1"), Some("default/web")));
    assert!(verdict.summary.contains("service web:80 sends to port 8080 of pod web"), "{}", verdict.summary);
    assert!(verdict.evidence.iter().any(|fact| fact.text.contains("TCP 9090")), "{verdict:#?}");
}

#[test]
fn a_closed_port_of_a_pod_and_one_that_is_open_to_itself_only() {
    let mut direct = refused(1);
    direct.destination.endpoint = to_pod().destination;
    direct.tuples = vec![to_pod()];
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let verdict = judged_in(direct.clone(), &[pod_snapshot(Vec::new())], Some(&state));
    assert_cause(&verdict, Some(Cause::ClosedPort));
    let verdict = judged_in(direct.clone(), &[pod_snapshot(vec![listener("127.0.0.1", 8080)])], Some(&state));
    assert_cause(&verdict, Some(Cause::ClosedPort));
    assert!(verdict.remedy.unwrap().contains("instead of 127.0.0.1"));
    // A RST although somebody listens has another reason.
    let verdict = judged_in(direct, &[pod_snapshot(vec![listener("0.0.0.0", 8080)])], Some(&state));
    assert_cause(&verdict, None);
}

#[test]
fn a_pod_that_was_not_asked_is_told_by_the_kernels_drop() {
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let mut told = refused(1);
    let drop = DropReport {
        pod: Some("default/web".to_owned()),
        ..dropped("node1", "NO_SOCKET", "tcp_v4_rcv", to_pod(), 1)
    };
    told.forward.drops.push(drop);
    assert_cause(&judged_in(told, &[], Some(&state)), Some(Cause::TargetPortUnserved));
    // Only the packets: it is the likeliest thing that a pod answers with a RST for.
    assert_cause(&judged_in(refused(1), &[], Some(&state)), Some(Cause::TargetPortUnserved));
}

#[test]
fn a_rst_of_somebody_on_the_way_is_no_closed_port() {
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let there = vec![hop("node2 cali2 in", to_service(), 1), hop("node1 eth0 in", to_pod(), 1)];
    let mut on_the_way =
        with_tuples(flow(to_service(), stopped(1, there, None), lane()), &[to_service(), to_pod()]);
    on_the_way = reset(on_the_way, &hop("node1 eth0 out", to_pod().reversed(), 1));
    let verdict = judged_in(on_the_way, &[], Some(&state));
    assert_cause(&verdict, None);
}

fn unreachable_by(node: &str, address: &str, mut flow: FlowReport) -> FlowReport {
    let hop = hop(&format!("{node} cali2 out"), to_service().reversed(), 1);
    flow.icmp_errors.push(IcmpError {
        quotes: Orientation::Forward,
        icmp: Protocol::ICMP,
        kind: 3,
        code: 3,
        meaning: "port unreachable".to_owned(),
        mtu: None,
        sender: NamedEndpoint { endpoint: endpoint(address), name: None },
        seen_at: hop.place(),
        packets: 1,
    });
    flow
}

/// A SYN to the service that went no further than the client's node.
fn untranslated() -> FlowReport {
    flow(to_service(), stopped(1, vec![hop("node2 cali2 in", to_service(), 1)], None), lane())
}

#[test]
fn services_without_endpoints_and_such_of_which_none_is_ready() {
    let refused = unreachable_by("node2", "192.0.2.2", untranslated());
    let says = rule(
        "default/web has no endpoints",
        vec![Match::Destination {
            networks: vec![Prefix { address: ip("10.96.0.10"), length: 32 }],
            is_negated: false,
        }],
        vec![Action::Reject { with: "icmp-port-unreachable".to_owned() }],
    );
    let rules = with_rule("node2", says);
    let none = cluster(&json!([]), &json!({}));
    let verdict = judged_in(refused.clone(), std::slice::from_ref(&rules), Some(&none));
    assert_cause(&verdict, Some(Cause::NoEndpoints));
    assert_eq!((verdict.outcome, place(&verdict)), (Outcome::Refused, (Some("node2"), None)));
    assert!(verdict.evidence.iter().any(|fact| fact.source == Source::Rules), "{verdict:#?}");
    let unready = cluster(&ready("10.0.1.5", false), &json!({}));
    let verdict = judged_in(refused.clone(), &[rules], Some(&unready));
    assert_cause(&verdict, Some(Cause::EndpointNotReady));
    assert!(verdict.summary.contains("none is ready: web"), "{}", verdict.summary);
    // One that has endpoints refuses for another reason.
    let fine = cluster(&ready("10.0.1.5", true), &json!({}));
    assert_cause(&judged_in(refused, &[], Some(&fine)), None);
}

#[test]
fn the_map_of_the_nftables_mode_says_so_too() {
    let none = cluster(&json!([]), &json!({}));
    let mut snapshot = snapshot("node2");
    let mut table = table(Vec::new());
    let number = |value| SetValue::Numbers { first: value, last: value };
    table.sets.push(crate::evidence::Set {
        name: "no-endpoint-services".to_owned(),
        is_map: true,
        is_truncated: false,
        elements: vec![SetElement {
            key: vec![
                SetValue::Addresses { first: ip("10.96.0.10"), last: ip("10.96.0.10") },
                SetValue::Protocol { protocol: Protocol::TCP },
                number(80),
            ],
            verdict: Some(Action::Goto { chain: "reject-chain".to_owned() }),
            comment: Some("default/web".to_owned()),
            is_exception: false,
        }],
    });
    snapshot.firewall.tables.push(table);
    let verdict = judged_in(untranslated(), &[evidence(snapshot)], Some(&none));
    assert_cause(&verdict, Some(Cause::NoEndpoints));
    assert!(verdict.evidence.iter().any(|fact| fact.text.contains("no-endpoint-services")), "{verdict:#?}");
}

#[test]
fn a_traffic_policy_without_an_endpoint_on_the_node() {
    let entry = key(Protocol::TCP, "192.0.2.9:4000", "192.0.2.2:30080");
    let mut stuck = flow(entry, stopped(1, vec![hop("node2 eth0 in", entry, 1)], None), lane());
    stuck.forward.drops.push(dropped("node2", "NETFILTER_DROP", "nf_hook_slow", entry, 1));
    let local =
        cluster(&ready("10.0.1.5", true), &json!({"type": "NodePort", "externalTrafficPolicy": "Local"}));
    let verdict = judged_in(stuck.clone(), &[], Some(&local));
    assert_cause(&verdict, Some(Cause::LocalPolicyWithoutEndpoint));
    assert_eq!(place(&verdict), (Some("node2"), None));
    // The policy of the cluster is not to blame for a drop.
    let cluster = cluster(&ready("10.0.1.5", true), &json!({"type": "NodePort"}));
    let verdict = judged_in(stuck, &[], Some(&cluster));
    assert_ne!(verdict.cause, Some(Cause::LocalPolicyWithoutEndpoint), "{verdict:#?}");
}

#[test]
fn a_rule_that_still_leads_to_a_pod_that_is_gone() {
    let gone = key(Protocol::TCP, CLIENT, "10.0.1.99:8080");
    let there = vec![hop("node2 cali2 in", to_service(), 2), hop("node1 eth0 in", gone, 2)];
    let lost = with_tuples(flow(to_service(), stopped(2, there, None), lane()), &[to_service(), gone]);
    let to = TranslationTarget { address: Some(ip("10.0.1.99")), port: Some(8080), is_random: false };
    let rules = with_rule("node2", rule("default/web", Vec::new(), vec![Action::Dnat { to }]));
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let verdict = judged_in(lost.clone(), &[rules], Some(&state));
    assert_cause(&verdict, Some(Cause::StaleEndpoint));
    assert_eq!(verdict.outcome, Outcome::BlackHoled);
    assert!(verdict.summary.contains("10.0.1.99:8080"), "{}", verdict.summary);
    // Where it is an endpoint, it is lost for another reason.
    let state = cluster(&ready("10.0.1.99", true), &json!({}));
    assert_cause(&judged_in(lost, &[], Some(&state)), None);
}

#[test]
fn what_a_services_address_does_not_answer() {
    let ping = key(Protocol::ICMP, "10.0.2.7:9", "10.96.0.10:9");
    let there = vec![hop("node2 cali2 in", ping, 3)];
    let asked = flow(ping, stopped(3, there.clone(), None), lane());
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let verdict = judged_in(asked, &[], Some(&state));
    assert_cause(&verdict, Some(Cause::ServiceAddressUnserved));
    assert!(verdict.summary.contains("TCP 80 only"), "{}", verdict.summary);
    // IPVS has the addresses on a device, and so they answer.
    let answered =
        flow(ping, delivered(3, there), delivered(3, vec![hop("node2 cali2 out", ping.reversed(), 3)]));
    assert_cause(&judged_in(answered, &[], Some(&state)), None);
    let other_port = key(Protocol::TCP, CLIENT, "10.96.0.10:81");
    let asked = flow(other_port, stopped(3, vec![hop("node2 cali2 in", other_port, 3)], None), lane());
    assert_cause(&judged_in(asked, &[], Some(&state)), Some(Cause::ServiceAddressUnserved));
}

#[test]
fn a_pod_that_reaches_itself() {
    let (out, back) =
        (key(Protocol::TCP, "10.0.1.5:4000", SERVICE), key(Protocol::TCP, "10.0.1.5:4000", "10.0.1.5:8080"));
    let there = vec![
        hop("node1 cali1 in", out, 3),
        hop("node1 cali1 out", back, 3),
        hop("node1 web:eth0 in", back, 3),
    ];
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let asked = with_tuples(flow(out, delivered(3, there), lane()), &[out, back]);
    let verdict = judged_in(asked.clone(), &[], Some(&state));
    assert_cause(&verdict, Some(Cause::HairpinWithoutMasquerade));
    let mut answered = asked;
    answered.reply = delivered(3, vec![hop("node1 cali1 in", back.reversed(), 3)]);
    answered.tcp.as_mut().unwrap().answered = true;
    assert_cause(&judged_in(answered, &[], Some(&state)), None);
}

/// Evidence of a node whose connection tracking counted this meanwhile.
fn counted(drop: u64, insert_failed: u64, count: u64) -> Evidence {
    let at = |cpu: ConntrackCpu| {
        let mut snapshot = snapshot("node2");
        (snapshot.conntrack.count, snapshot.conntrack.max) = (Some(count), Some(1000));
        snapshot.conntrack.cpus = vec![cpu];
        snapshot
    };
    let after = ConntrackCpu { insert_failed, drop, ..ConntrackCpu::default() };
    Evidence { before: at(ConntrackCpu::default()), after: Some(at(after)) }
}

#[test]
fn a_full_table_of_connections() {
    let mut lost = untranslated();
    lost.forward.drops.push(dropped("node2", "NETFILTER_DROP", "nf_hook_slow", to_service(), 1));
    let verdict = judged_in(lost.clone(), &[counted(5, 0, 1000)], None);
    assert_cause(&verdict, Some(Cause::ConntrackFull));
    assert!(verdict.summary.contains("1000 of 1000"), "{}", verdict.summary);
    let mut once = counted(0, 0, 1000);
    once.after = None;
    assert_cause(&judged_in(lost.clone(), &[once], None), Some(Cause::ConntrackFull));
    // It is full, and no packet was dropped for that; a table with room, and a counter that did not rise.
    let verdict = judged_in(lost.clone(), &[counted(0, 0, 1000)], None);
    assert_ne!(verdict.cause, Some(Cause::ConntrackFull), "{verdict:#?}");
    let verdict = judged_in(lost, &[counted(0, 0, 10)], None);
    assert_ne!(verdict.cause, Some(Cause::ConntrackFull), "{verdict:#?}");
    // Counters that rise while the flow works are others'.
    let works = flow(
        to_service(),
        delivered(3, vec![hop("node2 cali2 in", to_service(), 3)]),
        delivered(3, vec![hop("node2 cali2 out", to_service().reversed(), 3)]),
    );
    assert_cause(&judged_in(works, &[counted(5, 3, 1000)], None), None);
}

#[test]
fn two_packets_that_make_one_connection() {
    let query = key(Protocol::UDP, CLIENT, "10.96.0.10:5300");
    let back = delivered(1, vec![hop("node2 cali2 out", query.reversed(), 1)]);
    let mut lost = flow(query, stopped(1, vec![hop("node2 cali2 in", query, 2)], None), back);
    (lost.forward.packets, lost.forward.delivered) = (2, 1);
    lost.forward.drops.push(dropped("node2", "NETFILTER_DROP", "nf_hook_slow", query, 1));
    assert_cause(&judged_in(lost.clone(), &[counted(1, 1, 10)], None), Some(Cause::ConntrackClash));
    // As kernels before 5.17 tell it, and as it is told of packets that come back from a queue.
    for (reason, function) in [(None, "nf_hook_slow"), (Some("NOT_SPECIFIED"), "nfqnl_reinject")] {
        lost.forward.drops[0].reason = reason.map(str::to_owned);
        lost.forward.drops[0].function = Some(function.to_owned());
        assert_cause(&judged_in(lost.clone(), &[counted(1, 1, 10)], None), Some(Cause::ConntrackClash));
    }
    // More packets ended than entries could not be inserted.
    lost.forward.drops[0].packets = 7;
    let verdict = judged_in(lost, &[counted(1, 1, 10)], None);
    assert_ne!(verdict.cause, Some(Cause::ConntrackClash), "{verdict:#?}");
}

#[test]
fn a_refusal_that_nobody_saw_is_told_by_the_kernel() {
    let mut unseen = flow(to_pod(), lane(), lane());
    unseen.forward.drops.push(dropped("node1", "NO_SOCKET", "tcp_v4_rcv", to_pod(), 1));
    let state = cluster(&ready("10.0.1.5", true), &json!({}));
    let verdict = judged_in(unseen, &[], Some(&state));
    assert_cause(&verdict, Some(Cause::ClosedPort));
    assert_eq!(place(&verdict), (Some("node1"), Some("default/web")));
    assert_eq!(verdict.outcome, Outcome::Refused);
}

#[test]
fn a_packet_that_ends_before_its_translation_is_seen_is_followed_through_the_rules() {
    let to = TranslationTarget { address: Some(ip("10.0.1.99")), port: Some(8080), is_random: false };
    let network = Prefix { address: ip("10.96.0.10"), length: 32 };
    let is_service = Match::Destination { networks: vec![network], is_negated: false };
    let mut leads = table(vec![rule("default/web", vec![is_service], vec![Action::Dnat { to }])]);
    leads.name = "nat".to_owned();
    let chain = &mut leads.chains[0];
    (chain.hook, chain.kind) = (Some(crate::evidence::Hook::Prerouting), Some("nat".to_owned()));
    chain.priority = -100;
    let mut snapshot = snapshot("node2");
    snapshot.firewall.tables.push(leads);
    let node = evidence(snapshot);
    // None of the endpoints is ready; but rules lead somewhere, and that is what stops the packets.
    let unready = cluster(&ready("10.0.1.5", false), &json!({}));
    let verdict = judged_in(untranslated(), std::slice::from_ref(&node), Some(&unready));
    assert_cause(&verdict, Some(Cause::StaleEndpoint));
    assert!(verdict.summary.contains("10.0.1.99:8080"), "{}", verdict.summary);
    let gone = cluster(&ready("10.0.1.99", true), &json!({}));
    let verdict = judged_in(untranslated(), &[node], Some(&gone));
    assert_ne!(verdict.cause, Some(Cause::StaleEndpoint), "{verdict:#?}");
}
