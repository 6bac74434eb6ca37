//! Addresses of services: what they answer, and pods that reach themselves through them.

use super::{Aim, refusal, refusal_fact, rules, spot_of, wore};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::verdict::{Cause, Fact, Outcome, Source};
use crate::evidence::Action;
use crate::flow::Protocol;
use crate::resolve::short;

/// Packets to an address of a service by a protocol, or to a port, that the service does not have:
///
/// 1. The cluster's state has a service with the address and none of its ports fits.
/// 2. Nothing translated the packets, and nobody answered.
pub(super) fn unserved(case: &Case<'_>) -> Vec<Finding> {
    let Some(state) = case.grounds.state else { return Vec::new() };
    let aim = Aim::of(case);
    let services = state.services_with(aim.front.address);
    let Some(service) = services.first() else { return Vec::new() };
    if aim.target.is_some() || !aim.entries.is_empty() || case.is_answered() {
        return Vec::new();
    }
    let name = short(&service.name);
    let ports: Vec<String> = services
        .iter()
        .flat_map(|service| &service.ports)
        .map(|port| match port.protocol {
            Some(protocol) => format!("{protocol} {}", port.port),
            None => port.port.to_string(),
        })
        .collect();
    let (address, protocol) = (aim.front.address, case.flow.protocol);
    let asked = if protocol.is_icmp() {
        protocol.to_string()
    } else {
        format!("{protocol} port {}", aim.front.port.0)
    };
    let summary = format!(
        "{address} is the address of service {name}, whose rules are for {} only: nobody answers {asked}",
        ports.join(", ")
    );
    let remedy = match protocol {
        Protocol::ICMP | Protocol::ICMPV6 => {
            format!("ask one of its ports instead of pinging it: no host has the address {address}")
        }
        _ => format!("ask one of its ports, or add {asked} to service {name}"),
    };
    let fact = Fact::general(Source::Cluster, format!("service {name} has {}", ports.join(", ")));
    vec![placed(case, Cause::ServiceAddressUnserved, summary).fact(fact).remedy(remedy)]
}

/// A pod's packet comes back to it with its own address as source:
///
/// 1. One of the flow's tuples has the same address at both ends, and the packets had been sent to another one. What a
///    kernel told itself of them (ICMP) is not one of these.
/// 2. Nobody answered.
pub(super) fn hairpin(case: &Case<'_>) -> Vec<Finding> {
    let aim = Aim::of(case);
    let source = case.flow.source.endpoint;
    let is_own = aim.front.address == source.address || source.address.is_loopback();
    let comes_back = wore(case, |tuple| {
        let is_theirs = tuple.protocol == case.flow.protocol;
        is_theirs && tuple.source.address == source.address && tuple.destination.address == source.address
    });
    if is_own || !comes_back || case.is_answered() {
        return Vec::new();
    }
    let who = super::Far::of(case, source.address).name(source.address);
    let through = aim
        .entry()
        .map_or_else(|| aim.front.to_string(), |entry| format!("service {} ({})", entry.name(), aim.front));
    let summary = format!(
        "{who} reaches itself through {through}, and its packets come back with its own address as source: \
         no rule masquerades them"
    );
    let mut finding = placed(case, Cause::HairpinWithoutMasquerade, summary)
        .fact(Fact::general(
            Source::Packets,
            format!("{} => {}: source and destination are both {}", aim.front, aim.end(), source.address),
        ))
        .remedy(
            "let kube-proxy masquerade what an endpoint sends to itself (its KUBE-SEP chain marks packets of the \
             endpoint's own address), and let the pod's port of the bridge send back by where it came in (hairpin mode)",
        );
    for fact in translations(case, &aim) {
        finding = finding.fact(fact);
    }
    vec![finding]
}

/// Rules that send to where the packets were led.
pub(super) fn translations(case: &Case<'_>, aim: &Aim) -> Vec<Fact> {
    let Some(target) = aim.target else { return Vec::new() };
    let mut facts = Vec::new();
    for snapshot in case.snapshots() {
        let leads = |action: &Action| {
            matches!(action, Action::Dnat { to }
                if to.address == Some(target.address) && to.port.is_none_or(|port| port == target.port.0))
        };
        let found = rules(snapshot).find(|(_, _, rule)| rule.actions.iter().any(leads));
        facts.extend(found.map(|(table, chain, rule)| super::rule_fact(snapshot, table, chain, rule)));
        facts.truncate(2);
    }
    facts
}

/// A finding where packets ended, or where they were refused.
pub(super) fn placed(case: &Case<'_>, reason: Cause, summary: String) -> Finding {
    placed_as(case, reason, Rank::Proof, summary)
}

/// The same, as well founded as told.
pub(super) fn placed_as(case: &Case<'_>, reason: Cause, rank: Rank, summary: String) -> Finding {
    let refused = refusal(case);
    let reset = case.flow.tcp.as_ref().is_some_and(|tcp| tcp.reset.is_some() && !tcp.answered);
    let outcome = match case.worst() {
        _ if refused.is_some() || reset => Outcome::Refused,
        Some(worst) if !worst.drops.is_empty() => Outcome::Dropped,
        _ => Outcome::BlackHoled,
    };
    let mut finding = match (case.worst(), refused) {
        (Some(worst), _) => Finding::of(worst, reason, rank, outcome, summary),
        (None, Some(error)) => Finding::new(reason, rank, outcome, summary).at(spot_of(error)),
        (None, None) => {
            let finding = Finding::new(reason, rank, outcome, summary);
            match case.flow.forward.hops.last() {
                Some(hop) => finding.at(super::super::verdict::Spot {
                    node: Some(hop.node.clone()),
                    pod: hop.pod.clone(),
                    after: Some(hop.place()),
                    before: None,
                }),
                None => finding,
            }
        }
    };
    finding.packets = finding.packets.max(case.flow.forward.packets);
    match refused {
        Some(error) => finding.fact(refusal_fact(error)),
        None => finding,
    }
}
