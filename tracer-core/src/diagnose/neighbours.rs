//! Next hops that nobody answers for, and such that two answer for.

use std::net::IpAddr;

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::firewall::Told;
use super::nexthop::{NextHop, is_unanswered, neighbour, next_hops};
use super::passage::Passage;
use super::routing::{route_text, way_of};
use super::verdict::{Cause, Fact, Outcome, Source};
use super::words;
use crate::evidence::{Link, Snapshot};
use crate::resolve::Owner;
use crate::units::Direction;

pub(super) const RULES: &[Rule] = &[failed, owned_twice];

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

/// Addresses that two have: of the flow's ends by the cluster or by their links, or of a next hop by its hardware address.
fn owned_twice(case: &Case<'_>) -> Vec<Finding> {
    let failures = case.failures.iter().chain(&[]);
    let mut findings: Vec<Finding> =
        failures.clone().filter_map(|failure| wrong_station(case, failure)).collect();
    if let Some(worst) = case.worst() {
        findings.extend(detected(case, worst));
        findings.extend(same_address(case, worst));
    }
    findings
}

/// The next hop's address was answered for by another than the one who has it.
fn wrong_station(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    way_of(case, failure).into_iter().rev().find_map(|hop| {
        if hop.direction != Some(Direction::Egress) {
            return None;
        }
        let evidence = case.evidence(&hop.node, hop.pod.as_deref())?;
        let outer = hop.tunnels.first().map(|tunnel| (tunnel.destination, tunnel.source));
        let (destination, source) =
            outer.unwrap_or((hop.destination.endpoint.address, hop.source.endpoint.address));
        [&evidence.before, evidence.last()].into_iter().find_map(|snapshot| {
            let next = *next_hops(snapshot, destination, Some(source), None).last()?;
            if next.link.name != hop.interface {
                return None;
            }
            let mac = neighbour(snapshot, next.link, next.address)?.mac.as_deref()?;
            let (owner, link) = owner_of(case, next.address, snapshot)?;
            let is_its = owner.links.iter().any(|link| link.mac.as_deref() == Some(mac));
            (!is_its).then(|| {
                let own = link.mac.as_deref().unwrap_or("another address");
                let text = format!(
                    "{} sent {} to {} at {mac}, which is not {} ({own}): somebody else has the same address",
                    hop.node,
                    case.subject(failure),
                    next.address,
                    owner.node
                );
                Finding::of(failure, Cause::DuplicateAddress, Rank::Strong, Outcome::BlackHoled, text)
                    .fact(Fact::of(
                        Source::Links,
                        snapshot,
                        format!("neighbour {} dev {} is at {mac}", next.address, next.link.name),
                    ))
                    .fact(Fact::of(
                        Source::Links,
                        owner,
                        format!("{} has {} and is at {own}", link.name, next.address),
                    ))
                    .remedy(format!(
                        "find who has {mac}, take {} away from it, then delete that neighbour on {}",
                        next.address, hop.node
                    ))
            })
        })
    })
}

/// The node's own namespace, other than the asking one, that has an address, and by which link.
fn owner_of<'a>(case: &Case<'a>, address: IpAddr, asking: &Snapshot) -> Option<(&'a Snapshot, &'a Link)> {
    let mut others = case.snapshots().filter(|other| other.pod.is_none() && other.node != asking.node);
    others.find_map(|other| Some((other, other.owner(address)?.0)))
}

/// A kernel found out by itself that somebody else has one of its addresses (RFC 4862).
fn detected(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let ends = flow_addresses(case);
    case.snapshots().find_map(|snapshot| {
        let mut links = snapshot.links.iter();
        let (link, address) = links.find_map(|link| {
            let twice = link.addresses.iter().find(|own| own.is_duplicate && ends.contains(&own.address))?;
            Some((link, twice.address))
        })?;
        let who = snapshot.pod.as_deref().unwrap_or(&snapshot.node);
        let text = format!("{who} does not use its address {address}: somebody else on {} has it", link.name);
        let fact = format!("{address} on {}: duplicate address detection failed", link.name);
        let finding = Finding::of(failure, Cause::DuplicateAddress, Rank::Proof, Outcome::BlackHoled, text)
            .at(words::spot_of(snapshot))
            .fact(Fact::of(Source::Links, snapshot, fact));
        Some(finding.remedy(format!("find who else has {address}, and give one of the two another one")))
    })
}

/// Two pods, or two namespaces, have an address of the flow.
fn same_address(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    flow_addresses(case).into_iter().find_map(|address| {
        let mut who: Vec<String> = case
            .grounds
            .names
            .owners(address)
            .filter(|owner| !matches!(owner, Owner::Service { .. }))
            .map(Owner::label)
            .collect();
        let mut facts = Vec::new();
        if who.len() > 1 {
            facts.push(Fact::general(
                Source::Cluster,
                format!("{address} is the address of {}", who.join(" and ")),
            ));
        }
        let having: Vec<(&Snapshot, &Link)> =
            case.snapshots().filter_map(|snapshot| Some((snapshot, snapshot.owner(address)?.0))).collect();
        let is_shared = having.iter().any(|(_, link)| is_shared_by_design(link));
        if having.len() > 1 && !is_shared {
            who = having
                .iter()
                .map(|(snapshot, _)| snapshot.pod.clone().unwrap_or(snapshot.node.clone()))
                .collect();
            facts.extend(having.iter().map(|(snapshot, link)| {
                Fact::of(Source::Links, snapshot, format!("{} has {address}", link.name))
            }));
        }
        if facts.is_empty() {
            return None;
        }
        let text = format!(
            "{} vanished or were dropped: {} have the same address {address}",
            case.subject(failure),
            who.join(" and ")
        );
        let mut finding =
            Finding::of(failure, Cause::DuplicateAddress, Rank::Strong, Outcome::BlackHoled, text);
        for fact in facts {
            finding = finding.fact(fact);
        }
        Some(finding.remedy(format!("give one of {} another address", who.join(" and "))))
    })
}

/// Every node has addresses of services on such links (IPVS, node-local caches), and none of them answers ARP for others.
fn is_shared_by_design(link: &Link) -> bool {
    matches!(link.kind.0.as_str(), "dummy" | "loopback")
}

/// The addresses of the flow's ends, services' excepted.
fn flow_addresses(case: &Case<'_>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for tuple in &case.flow.tuples {
        for address in [tuple.source.address, tuple.destination.address] {
            let is_service =
                case.grounds.names.owners(address).any(|owner| matches!(owner, Owner::Service { .. }));
            if !is_service && !all.contains(&address) {
                all.push(address);
            }
        }
    }
    all
}
