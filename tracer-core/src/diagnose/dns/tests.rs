use crate::diagnose::testing::{delivered, evidence, flow, hop, ip, key, lane, snapshot, stopped};
use crate::diagnose::{Cause, Grounds, Outcome, Verdict, judge};
use crate::evidence::{Evidence, Snapshot};
use crate::flow::{FlowKey, Port, Protocol};
use crate::loss::LossReport;
use crate::report::{
    DnsAnswer, DnsLookup, DnsQuestion, DnsReport, FlowReport, IcmpError, NamedEndpoint, Report,
};
use crate::resolve::Names;
use crate::timeline::Orientation;
use crate::units::Timestamp;

const MILLISECOND: u64 = 1_000_000;

fn tuple(port: u16) -> FlowKey {
    let mut tuple = key(Protocol::UDP, "10.0.2.7:4000", "10.0.1.5:53");
    tuple.source.port = Port(port);
    tuple
}

fn asked(name: &str) -> DnsLookup {
    DnsLookup {
        question: Some(DnsQuestion {
            name: name.to_owned(),
            is_cut: false,
            record_type: Some("A".to_owned()),
        }),
        asked_ns: Some(Timestamp(0)),
        queries: 1,
        responses: 0,
        answer: None,
    }
}

fn answered(name: &str, code: &str, server: u64) -> DnsLookup {
    let records = u16::from(code == "NOERROR");
    let answer = DnsAnswer {
        code: code.to_owned(),
        records,
        is_truncated: false,
        latency_ns: Some(server + MILLISECOND),
        server_ns: Some(server),
    };
    DnsLookup { responses: 1, answer: Some(answer), ..asked(name) }
}

/// A flow of questions that arrived, from a port of its own.
fn lookup(port: u16, lookups: Vec<DnsLookup>) -> FlowReport {
    let tuple = tuple(port);
    let there = vec![hop("node2 cali2 in", tuple, 1), hop("node1 dns:eth0 in", tuple, 1)];
    let back = vec![hop("node1 dns:eth0 out", tuple.reversed(), 1)];
    let reply = if lookups.iter().any(|lookup| lookup.responses > 0) { delivered(1, back) } else { lane() };
    let mut flow = flow(tuple, delivered(1, there), reply);
    flow.dns = Some(DnsReport { lookups, further: 0 });
    flow
}

/// The verdicts of these flows.
fn judged(flows: Vec<FlowReport>, evidence: &[Evidence]) -> Vec<Verdict> {
    let mut report = Report {
        flows,
        others: 0,
        nearest: Vec::new(),
        clock_steps: Vec::new(),
        missing_evidence: Vec::new(),
        loss: LossReport::default(),
    };
    judge(&mut report, Grounds { evidence, names: &Names::default(), state: None });
    report.flows.into_iter().filter_map(|flow| flow.verdict).collect()
}

fn causes(flows: Vec<FlowReport>) -> Vec<Option<Cause>> {
    judged(flows, &[]).into_iter().map(|verdict| verdict.cause).collect()
}

#[test]
fn names_of_the_search_list_are_told_from_the_one_that_was_meant() {
    let flows = vec![
        lookup(1, vec![answered("example.com.default.svc.cluster.local", "NXDOMAIN", 0)]),
        lookup(2, vec![answered("example.com.svc.cluster.local", "NXDOMAIN", 0)]),
        lookup(3, vec![answered("example.com.cluster.local", "NXDOMAIN", 0)]),
        lookup(4, vec![answered("example.com", "NOERROR", 0)]),
    ];
    let verdicts = judged(flows, &[]);
    let search = Some(Cause::DnsSearch);
    let causes: Vec<_> = verdicts.iter().map(|verdict| verdict.cause).collect();
    assert_eq!(causes, [search, search, search, None]);
    assert_eq!(verdicts[0].outcome, Outcome::Slow);
    let said = &verdicts[0].summary;
    assert!(
        said.contains("search domain default.svc.cluster.local behind example.com; 4 questions"),
        "{said}"
    );
    assert!(verdicts[0].remedy.as_ref().unwrap().contains("`example.com.`"));
    let at = verdicts[0].at.as_ref().unwrap();
    assert_eq!((at.node.as_deref(), at.pod.as_deref()), (Some("node1"), Some("default/dns")));
}

#[test]
fn a_name_that_does_not_exist_and_one_without_such_records() {
    let mut no_data = answered("v4.example.com", "NOERROR", 0);
    no_data.answer.as_mut().unwrap().records = 0;
    let flows = vec![
        lookup(1, vec![answered("typo.example.com", "NXDOMAIN", 0)]),
        lookup(2, vec![answered("www.example.org", "NOERROR", 0), no_data]),
    ];
    assert_eq!(causes(flows), [Some(Cause::DnsNoName), None]);
}

#[test]
fn a_server_that_takes_its_time() {
    let verdicts =
        judged(vec![lookup(1, vec![answered("a.example.com", "NOERROR", 1200 * MILLISECOND)])], &[]);
    assert_eq!((verdicts[0].cause, verdicts[0].outcome), (Some(Cause::DnsSlow), Outcome::Slow));
    // A question that was lost and asked again: the server was quick.
    let mut lost = answered("a.example.com", "NOERROR", MILLISECOND);
    lost.queries = 2;
    lost.answer.as_mut().unwrap().latency_ns = Some(5001 * MILLISECOND);
    assert_eq!(causes(vec![lookup(2, vec![lost.clone()])]), [None]);
    lost.answer.as_mut().unwrap().server_ns = None;
    assert_eq!(causes(vec![lookup(2, vec![lost])]), [None]);
}

#[test]
fn a_server_that_gets_questions_and_is_silent() {
    let mut again = asked("a.example.com");
    again.queries = 2;
    let verdicts = judged(vec![lookup(1, vec![again])], &[]);
    assert_eq!((verdicts[0].cause, verdicts[0].outcome), (Some(Cause::DnsUnreachable), Outcome::OneWay));
    assert_eq!(verdicts[0].at.as_ref().unwrap().pod.as_deref(), Some("default/dns"));
}

#[test]
fn a_question_at_the_end_of_a_trace_may_yet_be_answered() {
    let silent = || vec![lookup(1, vec![asked("a.example.com")])];
    assert_eq!(causes(silent()), [None]);
    let until = |time: u64| evidence(Snapshot { taken_ns: Timestamp(time), ..snapshot("node1") });
    assert_eq!(judged(silent(), &[until(400 * MILLISECOND)])[0].cause, None);
    assert_eq!(judged(silent(), &[until(600 * MILLISECOND)])[0].cause, Some(Cause::DnsUnreachable));
}

#[test]
fn a_server_that_refuses_and_one_that_is_not_reached() {
    let mut refused = lookup(1, vec![asked("a.example.com")]);
    let from = hop("node1 dns:eth0 out", tuple(1).reversed(), 1);
    refused.icmp_errors.push(IcmpError {
        quotes: Orientation::Forward,
        icmp: Protocol::ICMP,
        kind: 3,
        code: 3,
        meaning: "port unreachable".to_owned(),
        mtu: None,
        sender: NamedEndpoint {
            endpoint: crate::flow::Endpoint { address: ip("10.0.1.5"), port: Port(0) },
            name: None,
        },
        seen_at: from.place(),
        packets: 1,
    });
    let verdicts = judged(vec![refused], &[]);
    assert_eq!((verdicts[0].cause, verdicts[0].outcome), (Some(Cause::DnsUnreachable), Outcome::Refused));
    let mut lost = lookup(1, vec![DnsLookup { queries: 2, ..asked("a.example.com") }]);
    lost.forward =
        stopped(2, vec![hop("node2 eth0 out", tuple(1), 2)], Some(hop("node1 eth0 in", tuple(1), 2)));
    let verdicts = judged(vec![lost], &[]);
    assert_eq!(verdicts[0].cause, Some(Cause::DnsUnreachable));
    let at = verdicts[0].at.as_ref().unwrap();
    assert_eq!((at.node.as_deref(), at.after.as_ref().unwrap().node.as_str()), (None, "node2"));
}
