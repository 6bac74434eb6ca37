//! Packets that go round in circles.

use std::net::IpAddr;

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::nexthop::next_hops;
use super::routing::{route_text, way_of};
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::evidence::Snapshot;
use crate::flow::Protocol;
use crate::report::{Hop, IcmpError};
use crate::timeline::Orientation;

pub(super) const RULES: &[Rule] = &[going_round];

/// Nodes followed at most.
const MAX_NODES: usize = 16;
/// `ip_forward` and `ip6_forward`: the time to live is used up.
const REASONS: [&str; 2] = ["IP_INHDR", "IP_TTL"];

fn going_round(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| going_round_one(case, failure)).collect()
}

/// Whether the packets of a failure go round.
pub(super) fn is_loop(case: &Case<'_>, failure: &Failure<'_>) -> bool {
    !circle(case, failure).is_empty()
}

fn going_round_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let nodes = circle(case, failure);
    let repeated = repeated(&way_of(case, failure));
    let exceeded = exceeded(case, failure.direction);
    let is_told = exceeded.is_some() || failure.has_reason(&REASONS);
    let destination = failure.tuple.destination.address;
    let rank = match (nodes.is_empty(), repeated, is_told) {
        (false, _, true) | (_, true, true) => Rank::Proof,
        (false, true, false) => Rank::Strong,
        // Routes in a circle that packets were not seen on say nothing, nor does a short time to live.
        _ => return None,
    };
    let names: Vec<&str> = nodes.iter().map(|(snapshot, _)| snapshot.node.as_str()).collect();
    let circle = if names.is_empty() { "the same interfaces".to_owned() } else { names.join(" and ") };
    let text =
        format!("{} go round between {circle} until their time to live is used up", case.subject(failure));
    let mut finding = Finding::of(failure, Cause::RoutingLoop, rank, Outcome::Dropped, text);
    if failure.spot.node.is_none() {
        let node = nodes.first().map(|(snapshot, _)| snapshot.node.clone());
        let by_packets = || failure.after.map(|after| after.node.clone());
        finding = finding.at(Spot { node: node.or_else(by_packets), ..failure.spot.clone() });
    }
    for (snapshot, route) in &nodes {
        finding = finding.fact(Fact::of(Source::Routes, snapshot, format!("route {route}")));
    }
    if let Some(error) = exceeded {
        let text = format!("{} says: {}", words::end(&error.sender), error.meaning);
        finding = finding.fact(Fact::general(Source::Packets, text));
    }
    Some(
        finding.remedy(format!(
            "mend the route to {destination} on one of {circle}: each sends it to the other"
        )),
    )
}

/// That a time to live was used up on the way.
fn exceeded<'a>(case: &Case<'a>, direction: Orientation) -> Option<&'a IcmpError> {
    case.flow.icmp_errors.iter().find(|error| {
        let is_exceeded = matches!((error.icmp, error.kind), (Protocol::ICMP, 11) | (Protocol::ICMPV6, 3));
        error.quotes == direction && is_exceeded && error.code == 0
    })
}

/// Whether packets came by the same place again, wearing the same.
fn repeated(way: &[&Hop]) -> bool {
    way.iter().enumerate().any(|(index, hop)| {
        way[..index].iter().any(|earlier| earlier.place() == hop.place() && earlier.tunnels == hop.tunnels)
    })
}

/// The nodes whose routes send the destination of a failure to one another, with those routes; none where it does not come
/// back to a node.
fn circle<'a>(case: &Case<'a>, failure: &Failure<'_>) -> Vec<(&'a Snapshot, String)> {
    let destination = failure.tuple.destination.address;
    let start = failure.spot.node.as_deref().or_else(|| Some(failure.after?.node.as_str()));
    let mut way: Vec<(&'a Snapshot, String)> = Vec::new();
    let mut node = start.and_then(|node| case.evidence(node, None)).map(crate::evidence::Evidence::last);
    while let Some(snapshot) = node.filter(|_| way.len() < MAX_NODES) {
        if let Some(first) = way.iter().position(|(known, _)| known.node == snapshot.node) {
            return way.split_off(first);
        }
        let hops = next_hops(snapshot, destination, None, None);
        let Some(last) = hops.last() else { return Vec::new() };
        way.push((snapshot, route_text(hops[0].route, snapshot)));
        node = case.namespace_of(last.address).filter(|next| next.node != snapshot.node);
    }
    Vec::new()
}

impl<'a> Case<'a> {
    /// The node's own namespace that has an address.
    pub(super) fn namespace_of(&self, address: IpAddr) -> Option<&'a Snapshot> {
        self.snapshots().find(|snapshot| snapshot.pod.is_none() && snapshot.owns(address))
    }
}
