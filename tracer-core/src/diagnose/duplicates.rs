//! Addresses that two have.

use std::net::IpAddr;

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::nexthop::{neighbour, next_hops};
use super::routing::{route_text, way_of};
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::evidence::{Evidence, Link, Lookup, Route, RouteAnswer, RouteKind, Snapshot};
use crate::report::Hop;
use crate::resolve::Owner;
use crate::timeline::Orientation;
use crate::units::Direction;

pub(super) const RULES: &[Rule] = &[owned_twice, led_to_another];

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

/// Packets to a pod that a node handed to another one of its own:
///
/// 1. They left by a link of a node that is not the pod's by the cluster's state, and that node's route to the pod is of this
///    one address and ends at that link.
/// 2. The pod's own node has such a route as well: two pods have the address.
fn led_to_another(case: &Case<'_>) -> Vec<Finding> {
    case.flow.forward.hops.iter().find_map(|hop| led_to_another_at(case, hop)).into_iter().collect()
}

fn led_to_another_at(case: &Case<'_>, hop: &Hop) -> Option<Finding> {
    let address = hop.destination.endpoint.address;
    let is_exit = hop.direction == Some(Direction::Egress) && hop.pod.is_none() && hop.tunnels.is_empty();
    let home = case.home(address).filter(|home| is_exit && *home != hop.node && case.is_pod(address))?;
    let here = case.evidence(&hop.node, None).map(Evidence::last)?;
    let there = case.evidence(home, None).map(Evidence::last)?;
    let (route, link) = own_route(here, address).filter(|(_, link)| link.name == hop.interface)?;
    let (other, _) = own_route(there, address)?;
    let text = format!(
        "{} handed what is for {address} to a pod of its own by {}, and {home} has a pod with the same address",
        hop.node, link.name
    );
    let is_reset = case.flow.tcp.as_ref().is_some_and(|tcp| tcp.reset == Some(Orientation::Reply));
    let is_refused = is_reset || !case.flow.icmp_errors.is_empty();
    let outcome = if is_refused { Outcome::Refused } else { Outcome::BlackHoled };
    let at = Spot { node: Some(hop.node.clone()), pod: None, after: Some(hop.place()), before: None };
    let finding = Finding::new(Cause::DuplicateAddress, Rank::Strong, outcome, text)
        .at(at)
        .packets(hop.packets)
        .fact(Fact::of(Source::Routes, here, format!("route {}", route_text(route, here))))
        .fact(Fact::of(Source::Routes, there, format!("route {}", route_text(other, there))))
        .fact(Fact::general(Source::Cluster, format!("{address} is on {home}")));
    Some(finding.remedy(format!(
        "find the pod behind {} of {}, and give one of the two another address (the address manager handed it out twice)",
        link.name, hop.node
    )))
}

/// A route of one address alone to a link of the namespace itself.
fn own_route(snapshot: &Snapshot, address: IpAddr) -> Option<(&Route, &Link)> {
    let lookup = Lookup { destination: address, source: None, mark: 0, input: None };
    let RouteAnswer::Route(route) = snapshot.route_to(lookup) else { return None };
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let is_own = route.kind == RouteKind::Unicast && route.prefix == whole && route.gateway.is_none();
    let link = route.link.filter(|_| is_own).and_then(|link| snapshot.link(link))?;
    Some((route, link))
}
