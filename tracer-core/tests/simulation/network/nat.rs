//! What is put in place of what.

use tracer_core::flow::{Endpoint, FlowKey, Port, Protocol};

use super::address::{node_address, outside_address, pod_address, service_address};
use super::{NODE_PORT, POD_PORT, SERVICE_PORT};
use crate::plan::{Client, Family, Flow, Kind, Plan, Target, Traffic};

/// What is put in place of what.
pub(super) struct Translation {
    /// As the client sends it.
    pub(super) outside: FlowKey,
    /// As the server sees it.
    pub(super) inside: FlowKey,
}

/// Addresses and ports of a flow on both sides of its NAT. Every flow has ports of its own.
pub(super) fn translation(plan: &Plan, number: usize, flow: &Flow) -> Translation {
    let family = flow.family;
    let server = flow.target.pod();
    let home = plan.pods[server].node;
    let port = u16::try_from(10_000 + number % 20_000).unwrap();
    let rewritten = u16::try_from(40_000 + (number * 7919) % 20_000).unwrap();
    let (entry, client) = match (flow.client, flow.target) {
        (Client::Pod(pod), _) => (plan.pods[pod].node, pod_address(family, plan.pods[pod].node, pod)),
        (Client::Outside, Target::NodePort { node, .. }) => (node, outside_address(family, number)),
        (Client::Outside, _) => panic!("who is outside reaches node ports only"),
    };
    let (front, front_port) = match flow.target {
        Target::Pod(_) => (pod_address(family, home, server), POD_PORT),
        Target::Service(_) => (service_address(family, server), SERVICE_PORT),
        Target::NodePort { node, .. } => {
            (node_address(family, node), NODE_PORT + u16::try_from(server).unwrap())
        }
    };
    let is_hairpin = flow.client == Client::Pod(server);
    let is_masqueraded = flow.is_masqueraded || is_hairpin || flow.client == Client::Outside;
    let (seen, seen_port) =
        if is_masqueraded { (node_address(family, entry), rewritten) } else { (client, port) };
    let protocol = protocol(flow);
    let key = |source, source_port, destination, destination_port| FlowKey {
        protocol,
        source: Endpoint { address: source, port: Port(source_port) },
        destination: Endpoint { address: destination, port: Port(destination_port) },
    };
    let back = pod_address(family, home, server);
    if protocol.is_icmp() {
        // An echo has its identifier at both ends; source NAT gives it another one.
        return Translation {
            outside: key(client, port, front, port),
            inside: key(seen, seen_port, back, seen_port),
        };
    }
    Translation {
        outside: key(client, port, front, front_port),
        inside: key(seen, seen_port, back, POD_PORT),
    }
}

fn protocol(flow: &Flow) -> Protocol {
    match (&flow.traffic, flow.family) {
        (Traffic::Tcp(_), _) => Protocol::TCP,
        (Traffic::Datagrams(datagrams), family) => match (datagrams.kind, family) {
            (Kind::Echo, Family::V4) => Protocol::ICMP,
            (Kind::Echo, Family::V6) => Protocol::ICMPV6,
            (Kind::Sctp, _) => Protocol::SCTP,
            _ => Protocol::UDP,
        },
    }
}
