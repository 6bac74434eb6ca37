//! A report with what stories do not have: evidence of kernels, questions to name servers, latencies that stand out.

use std::time::Duration;

use tracer_core::clock::Latency;
use tracer_core::diagnose::{Cause, Fact, Outcome, Source, Spot, Verdict};
use tracer_core::drops::DropReport;
use tracer_core::output;
use tracer_core::packet::{Tunnel, TunnelKind};
use tracer_core::report::{
    DnsAnswer, DnsLookup, DnsQuestion, DnsReport, FlowReport, MissingEvidence, Outlier, Outliers, RoundTrip,
    StepLatency, Storm, StormKind,
};
use tracer_core::trace::{Event, EventKind, PlaceName};
use tracer_core::units::{Direction, Timestamp};

use super::super::stories;

/// Events and report as JSON Lines.
pub(super) fn told() -> String {
    let dropped = stories().into_iter().find(|written| written.path.ends_with("one_of_many_dropped.txt"));
    let mut report = dropped.unwrap().story().tell(&[Duration::ZERO]).report;
    report.missing_evidence = vec![MissingEvidence {
        what: "nftables".to_owned(),
        why: "refused".to_owned(),
        places: vec!["node1".to_owned()],
    }];
    let flow = &mut report.flows[0];
    fill(flow);
    let mut told = Vec::new();
    for kind in lookups() {
        let event = Event {
            flow: flow.flow,
            time_ns: flow.first_ns,
            protocol: flow.protocol,
            source: flow.source.clone(),
            destination: flow.destination.clone(),
            kind,
        };
        output::json::event(&mut told, &event).unwrap();
    }
    output::json::report(&mut told, &report).unwrap();
    String::from_utf8(told).unwrap()
}

fn question() -> DnsQuestion {
    DnsQuestion { name: "svc.default".to_owned(), is_cut: false, record_type: Some("A".to_owned()) }
}

fn answer() -> DnsAnswer {
    DnsAnswer {
        code: "NOERROR".to_owned(),
        records: 1,
        is_truncated: false,
        latency_ns: Some(2000),
        server_ns: Some(1000),
    }
}

fn lookups() -> [EventKind; 3] {
    [
        EventKind::DnsQuestion(question()),
        EventKind::DnsAnswer { question: Some(question()), answer: answer() },
        EventKind::DnsAnswer { question: None, answer: answer() },
    ]
}

fn fill(flow: &mut FlowReport) {
    let place = PlaceName {
        node: "node1".to_owned(),
        pod: Some("default/pod".to_owned()),
        interface: "eth0".to_owned(),
        direction: Some(Direction::Ingress),
    };
    let lookup = DnsLookup {
        question: Some(question()),
        asked_ns: Some(Timestamp(1)),
        queries: 1,
        responses: 1,
        answer: Some(answer()),
    };
    flow.dns = Some(DnsReport { lookups: vec![lookup, DnsLookup::default()], further: 1 });
    flow.verdict = Some(verdict(&place));
    let lane = &mut flow.forward;
    lane.drops = vec![dropped(flow.tuples[0], &place)];
    lane.window_closed_since_ns = Some(Timestamp(1));
    lane.storm = Some(Storm { kind: StormKind::OneSegment, packets: 5, sequence: 1, times: 5 });
    let outliers = |at| Outliers {
        at,
        samples: 1,
        of: 20,
        fence_ns: 10,
        longest: vec![Outlier { time_ns: Timestamp(1), latency_ns: 11 }],
    };
    lane.outliers = vec![outliers(Some(place))];
    let latency = StepLatency { p50: Latency::Exact(1), p99: Latency::Exact(2), max: Latency::Exact(3) };
    lane.round_trip = Some(RoundTrip { latency, samples: 20, outliers: Some(outliers(None)) });
}

fn dropped(tuple: tracer_core::flow::FlowKey, after: &PlaceName) -> DropReport {
    DropReport {
        node: "node1".to_owned(),
        pod: Some("default/pod".to_owned()),
        netns: Some(4_026_531_840),
        direction: Some(Direction::Ingress),
        interface: Some("eth0".to_owned()),
        function: Some("nf_hook_slow".to_owned()),
        reason: Some("NETFILTER_DROP".to_owned()),
        is_benign: false,
        tuple,
        tunnels: vec![Tunnel {
            kind: TunnelKind::Ipip,
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
        }],
        after: Some(after.clone()),
        first_ns: Timestamp(1),
        packets: 1,
    }
}

fn verdict(place: &PlaceName) -> Verdict {
    let fact = |source| Fact {
        source,
        node: Some("node1".to_owned()),
        pod: Some("default/pod".to_owned()),
        text: "it says so".to_owned(),
    };
    let sources = [
        Source::Packets,
        Source::Drops,
        Source::Rules,
        Source::Conntrack,
        Source::Routes,
        Source::Links,
        Source::Sysctl,
        Source::Sockets,
        Source::Counters,
        Source::Cluster,
    ];
    Verdict {
        outcome: Outcome::BlackHoled,
        at: Some(Spot {
            node: Some("node1".to_owned()),
            pod: Some("default/pod".to_owned()),
            after: Some(place.clone()),
            before: Some(place.clone()),
        }),
        cause: Some(Cause::FirewallDrop),
        summary: "it was dropped".to_owned(),
        evidence: sources.map(fact).to_vec(),
        remedy: Some("remove the rule".to_owned()),
    }
}
