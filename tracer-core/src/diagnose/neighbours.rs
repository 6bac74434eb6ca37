//! Next hops that nobody answers for.

use std::net::IpAddr;

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::firewall::Told;
use super::nexthop::{NextHop, is_unanswered, neighbour, next_hops};
use super::passage::Passage;
use super::routing::route_text;
use super::verdict::{Cause, Fact, Outcome, Source};
use super::words;

pub(super) const RULES: &[Rule] = &[failed];

/// Reasons of drops for want of a neighbour's hardware address (`net/core/neighbour.c`).
const REASONS: [&str; 5] =
    ["NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD", "NEIGH_CREATEFAIL", "NEIGH_HH_FILLFAIL"];
const FUNCTIONS: [&str; 6] = [
    "arp_error_report",
    "ndisc_error_report",
    "neigh_invalidate",
    "__neigh_event_send",
    "neigh_connected_output",
    "neigh_resolve_output",
];

fn failed(case: &Case<'_>) -> Vec<Finding> {
    let failures = case.failures.iter().filter(|failure| failure.is_within());
    failures.filter_map(|failure| failed_one(case, failure)).collect()
}

fn failed_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let is_told = failure.has_reason(&REASONS) || failure.has_function(&FUNCTIONS);
    if !is_told && Told::of(failure) != Told::Nothing {
        return None;
    }
    let actor = words::actor(&failure.spot);
    let subject = case.subject(failure);
    let found = Passage::of(case, failure).iter().find_map(|passage| {
        let snapshot = passage.snapshot();
        let hops = passage.routed().into_iter().flat_map(|routed| {
            let key = routed.key;
            next_hops(snapshot, key.destination.address, Some(key.source.address), passage.input)
        });
        let mut hops: Vec<NextHop<'_>> = hops.collect();
        hops.reverse();
        let known =
            |hop: &&NextHop<'_>| neighbour(snapshot, hop.link, hop.address).is_some_and(is_unanswered);
        hops.iter().find(known).copied().map(|hop| (snapshot, hop))
    });
    let rank = if is_told { Rank::Proof } else { Rank::Strong };
    let finding = |text: String| Finding::of(failure, Cause::NeighbourFailed, rank, Outcome::Dropped, text);
    match found {
        Some((snapshot, hop)) => {
            let (address, link) = (hop.address, &hop.link.name);
            let (protocol, verb) = (resolution(address), "answers");
            let text = format!(
                "{actor} dropped {subject}: nobody {verb} {protocol} for the next hop {address} on {link}"
            );
            let state = neighbour(snapshot, hop.link, address).map(|known| known.state);
            let entry = match state {
                Some(crate::evidence::NeighbourState::Incomplete) => "incomplete",
                _ => "failed",
            };
            let finding = finding(text)
                .fact(Fact::of(Source::Links, snapshot, format!("neighbour {address} dev {link} is {entry}")))
                .fact(Fact::of(
                    Source::Routes,
                    snapshot,
                    format!("route {}", route_text(hop.route, snapshot)),
                ));
            Some(finding.remedy(format!(
                "check that {address} is up, is in the same network as {link} of {actor} and answers {protocol}; else mend the route"
            )))
        }
        None if is_told => {
            let text = format!("{actor} dropped {subject}: nobody answers ARP or NDP for the next hop");
            Some(finding(text).remedy(format!("look at `ip neighbour` on {actor} for entries that failed")))
        }
        None => None,
    }
}

fn resolution(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ARP" } else { "NDP" }
}
