//! Packets that are too long for a link of the way, and whose sender does not learn of it.

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::nexthop::next_hops;
use super::verdict::{Cause, Fact, Outcome, Source};
use super::words;
use crate::evidence::Evidence;
use crate::flow::Protocol;
use crate::packet::TunnelKind;
use crate::report::IcmpError;

pub(super) const RULES: &[Rule] = &[too_long];

/// `ip_forward`, `ip6_forward` and `is_skb_forwardable`.
const REASONS: [&str; 1] = ["PKT_TOO_BIG"];
/// Functions that drop what they may not cut up, without that reason.
const FUNCTIONS: [&str; 2] = ["ip6_fragment", "ip_fragment"];
/// Counters of packets that would have to be fragmented and may not be.
const COUNTERS: [&str; 4] = ["IpFragFails", "Ip6FragFails", "Ip6InTooBigErrors", "Ip6OutFragFails"];
/// Payloads below this fit everywhere: the least MTU of IPv4 hosts (RFC 791) less headers.
const SHORT: u32 = 400;
/// Headers of IPv4 and UDP, or of TCP without options, in bytes.
const HEADERS_V4: u32 = 20;
const HEADERS_V6: u32 = 40;

fn too_long(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| too_long_one(case, failure)).collect()
}

fn too_long_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let is_told = failure.has_reason(&REASONS) || failure.has_function(&FUNCTIONS);
    let lost = failure.extent;
    let is_by_length = is_by_length(case, failure);
    let is_guessed = is_by_length && failure.is_silent();
    if !is_told && !is_guessed {
        return None;
    }
    let learned = learned(case, failure);
    if !is_told && learned.is_some() && has_recovered(case, failure) {
        return None;
    }
    let evidence = case.evidence_of(failure);
    let length = lost.map(|lost| lost.longest + headers(case, failure));
    let limit = evidence.and_then(|evidence| limit(evidence, failure, length));
    let risen = evidence.map(risen).unwrap_or_default();
    let swallowed = swallowed(failure, case);
    let is_supported = limit.is_some() || !risen.is_empty() || learned.is_some() || swallowed.is_some();
    let rank = match (is_told, is_supported || failure.packets > 1) {
        (true, _) => Rank::Proof,
        (false, true) => Rank::Strong,
        (false, false) => Rank::Hint,
    };
    let text = summary(case, failure, length, limit.as_ref().map(|(name, mtu)| (name.as_str(), *mtu)));
    let mut finding = Finding::of(failure, Cause::MtuBlackHole, rank, Outcome::BlackHoled, text);
    if let (Some(evidence), Some((name, mtu))) = (evidence, &limit) {
        finding = finding.fact(Fact::of(Source::Links, evidence.last(), format!("{name} takes {mtu} bytes")));
    }
    if let Some(evidence) = evidence {
        for text in risen {
            finding = finding.fact(Fact::of(Source::Counters, evidence.last(), text));
        }
    }
    if let (Some(lost), Some(arrived)) = (lost, case.lane(failure.direction).arrived) {
        let text = format!(
            "payloads of {} bytes and more were lost, the longest that arrived had {}",
            lost.shortest, arrived.longest
        );
        finding = finding.fact(Fact::general(Source::Packets, text));
    }
    if let Some(error) = learned {
        let mtu = error.mtu.map_or_else(String::new, |mtu| format!(", MTU {mtu}"));
        let text =
            format!("{} says: {}{mtu}, and the sender goes on", words::end(&error.sender), error.meaning);
        finding = finding.fact(Fact::general(Source::Packets, text));
    }
    if let Some(text) = swallowed {
        finding = finding.fact(Fact::general(Source::Drops, text));
    }
    let least = limit.map_or_else(|| "the least of the way".to_owned(), |(_, mtu)| mtu.to_string());
    Some(finding.remedy(format!(
        "set the MTU of the sender's interface to {least} less what tunnels add, or let ICMP \"fragmentation needed\" pass \
         (or clamp the MSS)"
    )))
}

fn summary(
    case: &Case<'_>,
    failure: &Failure<'_>,
    length: Option<u32>,
    limit: Option<(&str, u32)>,
) -> String {
    let subject = case.subject(failure);
    let place = match (&failure.spot.node, failure.after) {
        (None, Some(after)) => format!("after {}", words::place(&after.place())),
        _ => format!("in {}", words::actor(&failure.spot)),
    };
    let long = length.map_or_else(String::new, |length| format!(" of up to {length} bytes"));
    let link = limit.map_or_else(String::new, |(name, mtu)| format!(" ({name} takes {mtu})"));
    format!(
        "{subject}{long} vanish {place}: they are too long for a link of the way{link}, shorter ones pass"
    )
}

/// Whether all that was lost is longer than all that arrived.
fn is_by_length(case: &Case<'_>, failure: &Failure<'_>) -> bool {
    let (Some(lost), Some(arrived)) = (failure.extent, case.lane(failure.direction).arrived) else {
        return false;
    };
    lost.shortest > arrived.longest && lost.shortest > SHORT
}

/// Whether the sender went on with shorter packets: the error did what it is for.
fn has_recovered(case: &Case<'_>, failure: &Failure<'_>) -> bool {
    match (case.lane(failure.direction).arrived, failure.extent) {
        (Some(arrived), Some(lost)) => arrived.last > lost.last && arrived.longest > SHORT,
        _ => false,
    }
}

/// Bytes of headers that the inner packet has at least, and those of encapsulations around it.
fn headers(case: &Case<'_>, failure: &Failure<'_>) -> u32 {
    let ip = if failure.tuple.destination.address.is_ipv6() { HEADERS_V6 } else { HEADERS_V4 };
    let transport = match case.flow.protocol {
        Protocol::TCP => 20,
        _ => 8,
    };
    let around = |kind: TunnelKind| match kind {
        TunnelKind::Ipip | TunnelKind::Ip6 => 20,
        TunnelKind::Gre => 24,
        TunnelKind::Vxlan { .. } | TunnelKind::Geneve { .. } => 50,
    };
    let outer: u32 = failure.tunnels.iter().map(|tunnel| around(tunnel.kind)).sum();
    ip + transport + outer
}

/// The link or route that packets of a length do not fit, by which they would have gone on.
fn limit(evidence: &Evidence, failure: &Failure<'_>, length: Option<u32>) -> Option<(String, u32)> {
    let snapshot = evidence.last();
    let length = length?;
    let (destination, source) = (failure.tuple.destination.address, failure.tuple.source.address);
    let hops = next_hops(snapshot, destination, Some(source), failure.input);
    hops.iter().find_map(|hop| {
        let mtu = hop.route.mtu.unwrap_or(hop.link.mtu).min(hop.link.mtu);
        (mtu < length).then(|| (hop.link.name.clone(), mtu))
    })
}

fn risen(evidence: &Evidence) -> Vec<String> {
    let risen = COUNTERS.iter().map(|name| (name, evidence.rise(name))).filter(|(_, rise)| *rise > 0);
    risen.map(|(name, rise)| format!("{name} rose by {rise}")).collect()
}

/// An ICMP error that says so.
fn learned<'a>(case: &Case<'a>, failure: &Failure<'_>) -> Option<&'a IcmpError> {
    case.flow.icmp_errors.iter().find(|error| {
        let is_too_big =
            matches!((error.icmp, error.kind, error.code), (Protocol::ICMP, 3, 4) | (Protocol::ICMPV6, 2, _));
        error.quotes == failure.direction && is_too_big
    })
}

/// That an ICMP error was itself dropped.
fn swallowed(failure: &Failure<'_>, case: &Case<'_>) -> Option<String> {
    let drops = &case.lane(failure.direction).drops;
    let drop = drops.iter().find(|drop| drop.tuple.protocol.is_icmp() && !case.flow.protocol.is_icmp())?;
    let function = drop.function.as_deref().unwrap_or("the kernel");
    Some(format!("{} dropped the ICMP errors about them ({function})", drop.node))
}
