//! Synthetic flows and evidence for the tests of rules.

mod world;

use std::net::IpAddr;

pub(super) use world::{World, neighbour, there, way, way_back, wrapped};

use super::{Grounds, Verdict, judge};
use crate::drops::DropReport;
pub(super) use crate::evidence::testing::route;
use crate::evidence::{Evidence, Link, Snapshot, testing};
use crate::flow::{Endpoint, FlowKey, Port, Protocol};
use crate::loss::LossReport;
use crate::report::{FlowReport, Hop, LaneReport, NamedEndpoint, Report, Stop, TcpReport};
use crate::resolve::{ClusterState, Names};
use crate::timeline::Orientation;
use crate::units::{Direction, Timestamp};

/// An address.
pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An endpoint from `address:port`, or an address alone.
pub(super) fn endpoint(text: &str) -> Endpoint {
    match text.parse::<std::net::SocketAddr>() {
        Ok(socket) => Endpoint { address: socket.ip(), port: Port(socket.port()) },
        Err(_) => Endpoint { address: ip(text), port: Port(0) },
    }
}

/// A five-tuple.
pub(super) fn key(protocol: Protocol, source: &str, destination: &str) -> FlowKey {
    FlowKey { protocol, source: endpoint(source), destination: endpoint(destination) }
}

fn named(endpoint: Endpoint) -> NamedEndpoint {
    NamedEndpoint { endpoint, name: None }
}

/// A hop from `node interface direction`, or `node pod:interface direction`, with what its packets wear.
pub(super) fn hop(place: &str, tuple: FlowKey, packets: u64) -> Hop {
    let words: Vec<&str> = place.split(' ').collect();
    let [node, interface, direction] = words[..] else { panic!("{place}") };
    let (pod, interface) = match interface.split_once(':') {
        Some((pod, interface)) => (Some(format!("default/{pod}")), interface),
        None => (None, interface),
    };
    Hop {
        node: node.to_owned(),
        pod,
        interface: interface.to_owned(),
        direction: Some(if direction == "in" { Direction::Ingress } else { Direction::Egress }),
        source: named(tuple.source),
        destination: named(tuple.destination),
        tunnels: Vec::new(),
        changes: Vec::new(),
        packets,
        latency: None,
    }
}

/// A direction without packets.
pub(super) fn lane() -> LaneReport {
    LaneReport::default()
}

/// A direction whose packets all took these hops and arrived.
pub(super) fn delivered(packets: u64, hops: Vec<Hop>) -> LaneReport {
    LaneReport { packets, delivered: packets, hops, ..lane() }
}

/// A direction whose packets all stopped after the last of these hops.
pub(super) fn stopped(packets: u64, hops: Vec<Hop>, before: Option<Hop>) -> LaneReport {
    let after = hops.last().unwrap().clone();
    let stop = Stop { after, before, packets, uncertain: None, extent: None };
    LaneReport { packets, hops, stopped: vec![stop], ..lane() }
}

/// A flow of one tuple; TCP ones were opened, and answered if anything came back.
pub(super) fn flow(tuple: FlowKey, forward: LaneReport, reply: LaneReport) -> FlowReport {
    let tcp = TcpReport {
        opened: true,
        answered: reply.packets > 0,
        handshake_ns: None,
        fin: Vec::new(),
        reset: None,
        reset_from: None,
    };
    FlowReport {
        flow: 1,
        protocol: tuple.protocol,
        source: named(tuple.source),
        destination: named(tuple.destination),
        tuples: vec![tuple],
        first_ns: Timestamp(0),
        tcp: (tuple.protocol == Protocol::TCP).then_some(tcp),
        icmp_errors: Vec::new(),
        dns: None,
        forward,
        reply,
        verdict: None,
    }
}

/// The flow's answers were a RST.
pub(super) fn reset(mut flow: FlowReport, from: &Hop) -> FlowReport {
    if let Some(tcp) = &mut flow.tcp {
        (tcp.answered, tcp.reset, tcp.reset_from) = (false, Some(Orientation::Reply), Some(from.place()));
    }
    flow
}

/// What a kernel says that it dropped.
pub(super) fn dropped(node: &str, reason: &str, function: &str, tuple: FlowKey, packets: u64) -> DropReport {
    DropReport {
        node: node.to_owned(),
        pod: None,
        netns: None,
        direction: Some(Direction::Ingress),
        interface: None,
        function: Some(function.to_owned()),
        reason: Some(reason.to_owned()),
        is_benign: false,
        tuple,
        tunnels: Vec::new(),
        after: None,
        first_ns: Timestamp(0),
        packets,
    }
}

/// Evidence of a node's own namespace that did not change.
pub(super) fn evidence(snapshot: Snapshot) -> Evidence {
    Evidence { before: snapshot.clone(), after: Some(snapshot) }
}

/// A node's snapshot without anything.
pub(super) fn snapshot(node: &str) -> Snapshot {
    Snapshot { node: node.to_owned(), ..Snapshot::default() }
}

/// A link that is up and has a hardware address, with addresses as `address/prefix`.
pub(super) fn link(index: u32, name: &str, kind: &str, addresses: &[&str]) -> Link {
    let link = testing::link(index, name, kind, addresses);
    Link { mac: Some(format!("02:00:00:00:00:{index:02x}")), ..link }
}

/// The verdict of a flow that is alone.
pub(super) fn judged(flow: FlowReport, evidence: &[Evidence]) -> Verdict {
    judged_in(flow, evidence, None)
}

/// The verdict of a flow that is alone, in a cluster.
pub(super) fn judged_in(flow: FlowReport, evidence: &[Evidence], state: Option<&ClusterState>) -> Verdict {
    let names = state.map(Names::of).unwrap_or_default();
    let mut report = Report {
        flows: vec![flow],
        others: 0,
        nearest: Vec::new(),
        clock_steps: Vec::new(),
        missing_evidence: Vec::new(),
        loss: LossReport::default(),
    };
    judge(&mut report, Grounds { evidence, names: &names, state });
    report.flows.remove(0).verdict.unwrap()
}
