//! What happens between the nodes: loss, packets that overtake each other, packets that are changed.

use super::case::Case;
use super::failure::{Certainty, Failure};
use super::finding::{Finding, Rank, Rule};
use super::tunnels::ceased;
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::evidence::Evidence;
use crate::flow::Protocol;
use crate::report::{Hop, LaneReport};
use crate::timeline::Orientation;
use crate::units::Direction;

pub(super) const RULES: &[Rule] = &[checksums, loss, reordering];

/// Reasons of drops for a checksum that is wrong (`include/net/dropreason-core.h`).
const REASONS: [&str; 6] = ["TCP_CSUM", "UDP_CSUM", "ICMP_CSUM", "IP_CSUM", "SKB_CSUM", "CSUM"];
/// Counters of the same.
const COUNTERS: [&str; 8] = [
    "TcpInCsumErrors",
    "UdpInCsumErrors",
    "IcmpInCsumErrors",
    "IpExtInCsumErrors",
    "Udp6InCsumErrors",
    "Icmp6InCsumErrors",
    "UdpLiteInCsumErrors",
    "TcpExtTCPMD5Failure",
];
/// Packets that have to overtake others before it is told.
const REORDERED_AT_LEAST: u64 = 2;
/// And one in so many of all: processors overtake each other now and then on a way that is in order.
const REORDERED_OF: u64 = 20;
/// One in so many is enough where one in [`REORDERED_OF`] was sent again though nothing was lost.
const REORDERED_OF_WITH_EFFECT: u64 = 50;

/// Packets that were changed on their way.
fn checksums(case: &Case<'_>) -> Vec<Finding> {
    let arrival = case.arrival();
    let told = case.failures.iter().filter(|failure| failure.has_reason(&REASONS));
    let mut findings: Vec<Finding> = told.map(|failure| changed(case, failure, Rank::Proof)).collect();
    if findings.is_empty() {
        let silent =
            case.failures.iter().filter(|failure| failure.is_within() && failure.is_silent()).chain(&arrival);
        let counted = silent
            .filter(|failure| case.evidence_of(failure).is_some_and(|evidence| !risen(evidence).is_empty()));
        findings.extend(counted.map(|failure| changed(case, failure, Rank::Strong)));
    }
    findings
}

fn risen(evidence: &Evidence) -> Vec<String> {
    let risen = COUNTERS.iter().map(|name| (name, evidence.rise(name))).filter(|(_, rise)| *rise > 0);
    risen.map(|(name, rise)| format!("{name} rose by {rise}")).collect()
}

fn changed(case: &Case<'_>, failure: &Failure<'_>, rank: Rank) -> Finding {
    let actor = words::actor(&failure.spot);
    let text = format!(
        "{actor} dropped {}: their checksum is wrong, they were changed on the way",
        case.subject(failure)
    );
    let mut finding = Finding::of(failure, Cause::BadChecksum, rank, Outcome::Dropped, text);
    if let Some(evidence) = case.evidence_of(failure) {
        for text in risen(evidence) {
            finding = finding.fact(Fact::of(Source::Counters, evidence.last(), text));
        }
    }
    finding.remedy(
        "look for the device that changes them: a broken link or network card, checksum offload of a tunnel \
         (`ethtool -K DEVICE tx off` to try)",
    )
}

/// Packets that are lost between two nodes while others pass.
fn loss(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| lost(case, failure)).collect()
}

fn lost(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let (after, before) = (failure.after?, failure.before?);
    let is_between = after.node != before.node && after.direction == Some(Direction::Egress);
    let is_certain = failure.certainty == Certainty::Stopped && failure.is_silent();
    let passed = before.packets;
    if !is_between || !is_certain || passed == 0 || ceased(case, failure) {
        return None;
    }
    let text = format!(
        "{} of {} were lost between {} and {}",
        case.subject(failure),
        after.packets.max(failure.packets),
        words::place(&after.place()),
        words::place(&before.place())
    );
    let mut finding = Finding::of(failure, Cause::WireLoss, Rank::Hint, Outcome::Slow, text);
    for (hop, name) in [(after, "sent"), (before, "received")] {
        if let Some(fact) = quiet(case, hop, name) {
            finding = finding.fact(fact);
        }
    }
    Some(finding.remedy(format!(
        "look at the network between {} and {}: switches, cables, the hypervisor, limits of the cloud's instances",
        after.node, before.node
    )))
}

/// What the counters of an interface say of loss at itself.
fn quiet(case: &Case<'_>, hop: &Hop, verb: &str) -> Option<Fact> {
    let evidence = case.evidence(&hop.node, hop.pod.as_deref())?;
    let link = evidence.last().link_named(&hop.interface)?;
    let rise = |counter: fn(&crate::evidence::LinkCounters) -> u64| {
        evidence.link_rise(link, |link| counter(&link.counters))
    };
    let (dropped, errors) = match verb {
        "sent" => (rise(|of| of.tx_dropped), rise(|of| of.tx_errors)),
        _ => (rise(|of| of.rx_dropped) + rise(|of| of.rx_missed), rise(|of| of.rx_errors)),
    };
    let text = match (dropped, errors) {
        (0, 0) => format!("{} counts no drop and no error of what it {verb}", link.name),
        (dropped, errors) => {
            format!("{} counts {dropped} drops and {errors} errors of what it {verb}", link.name)
        }
    };
    Some(Fact::of(Source::Counters, evidence.last(), text))
}

/// Packets that overtake each other between two nodes.
fn reordering(case: &Case<'_>) -> Vec<Finding> {
    [Orientation::Forward, Orientation::Reply]
        .into_iter()
        .filter_map(|direction| reordered(case, case.lane(direction)))
        .collect()
}

/// Of TCP only where it had an effect: something was sent again though nothing of it was lost.
fn reordered(case: &Case<'_>, lane: &LaneReport) -> Option<Finding> {
    let arrived = lane.retransmitted.iter().filter(|again| again.stopped_after.is_none());
    let again: u64 = arrived.map(|again| again.packets).sum();
    if case.flow.protocol == Protocol::TCP && again == 0 {
        return None;
    }
    lane.reordered.iter().find_map(|order| {
        let index = lane.hops.iter().position(|hop| hop.place() == order.at)?;
        let (before, hop) = (lane.hops.get(index.checked_sub(1)?)?, &lane.hops[index]);
        let has_effect = again * REORDERED_OF >= hop.packets;
        let of = if has_effect { REORDERED_OF_WITH_EFFECT } else { REORDERED_OF };
        let is_many = order.packets >= REORDERED_AT_LEAST && order.packets * of >= hop.packets;
        if before.node == hop.node || !is_many {
            return None;
        }
        let number = words::count(order.packets, "packet");
        let text = format!(
            "{number} of {} overtook others between {} and {}",
            hop.packets,
            words::place(&before.place()),
            words::place(&hop.place())
        );
        let at = Spot { node: None, pod: None, after: Some(before.place()), before: Some(hop.place()) };
        let mut finding =
            Finding::new(Cause::WireReordering, Rank::Hint, Outcome::Slow, text).at(at).packets(order.packets).fact(Fact {
                source: Source::Packets,
                node: Some(hop.node.clone()),
                pod: hop.pod.clone(),
                text: format!("{number} came to {} before one that had been sent before", hop.interface),
            });
        if again > 0 {
            let text = format!("{} sent again though nothing of them was lost", words::count(again, "segment"));
            finding = finding.fact(Fact::general(Source::Packets, text));
        }
        Some(finding.remedy(format!(
            "look for paths of different length between {} and {} (bonds, equal-cost routes, queues of a shaper)",
            before.node, hop.node
        )))
    })
}
