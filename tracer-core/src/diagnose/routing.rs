//! Causes in the routes of a namespace: none, such that refuse, forwarding that is off.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::firewall::Told;
use super::passage::{Passage, route};
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::evidence::{Evidence, Lookup, Route, RouteAnswer, RouteKind, Snapshot};
use crate::report::Hop;
use crate::timeline::Orientation;
use crate::units::Direction;

pub(super) const RULES: &[Rule] = &[ended, way_back, left_by_default];

/// Reasons of drops for want of a route (`include/net/dropreason-core.h`).
const REASONS: [&str; 7] = [
    "IP_INNOROUTES",
    "IP_OUTNOROUTES",
    "IP_INADDRERRORS",
    "IP6_INNOROUTES",
    "IPV6_BAD_EXTHDR",
    "IP_INVALID_DEST",
    "IP_ROUTEERROR",
];
/// Functions that drop for want of a route, or because the node does not forward.
const FUNCTIONS: [&str; 14] = [
    "ip_error",
    "ip_forward",
    "ip6_forward",
    "ip6_pkt_drop",
    "ip6_pkt_discard",
    "ip6_pkt_prohibit",
    "dst_discard",
    "dst_discard_out",
    "ip_rcv_finish",
    "ip_rcv_finish_core",
    "ip_rcv_finish_core.isra.0",
    "ip_local_deliver",
    "__ip_queue_xmit",
    "ip_list_rcv_finish",
];
/// Counters that rise when packets cannot be routed (RFC 4293, RFC 4292).
const COUNTERS: [&str; 8] = [
    "IpInAddrErrors",
    "IpExtInNoRoutes",
    "IpInNoRoutes",
    "IpOutNoRoutes",
    "Ip6InNoRoutes",
    "Ip6OutNoRoutes",
    "Ip6InAddrErrors",
    "IpOutDiscards",
];

/// What is wrong with the route of a packet.
struct Fault {
    cause: Cause,
    text: String,
    fact: String,
    source: Source,
    remedy: String,
}

/// Packets that ended in a namespace because of its routes.
fn ended(case: &Case<'_>) -> Vec<Finding> {
    let failures = case.failures.iter().filter(|failure| failure.is_within());
    failures.filter_map(|failure| ended_one(case, failure)).collect()
}

fn ended_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let is_told = failure.has_reason(&REASONS) || failure.has_function(&FUNCTIONS);
    if !is_told && Told::of(failure) != Told::Nothing {
        return None;
    }
    let actor = words::actor(&failure.spot);
    for passage in Passage::of(case, failure) {
        // Where an interface lets packets in but they are for the inside of a tunnel, the inner route does not count yet.
        for routed in passage.routed() {
            let destination = routed.key.destination.address;
            let Some(fault) = fault(&passage, &routed.answer, destination, &actor) else { continue };
            let subject = case.subject(failure);
            let summary = format!("{actor} dropped {subject}: {}", fault.text);
            let rank = if is_told { Rank::Proof } else { Rank::Strong };
            let mut finding = Finding::of(failure, fault.cause, rank, Outcome::Dropped, summary)
                .fact(Fact::of(fault.source, passage.snapshot(), fault.fact))
                .remedy(fault.remedy);
            for fact in risen(passage.evidence) {
                finding = finding.fact(fact);
            }
            return Some(finding);
        }
    }
    None
}

fn risen(evidence: &Evidence) -> Vec<Fact> {
    let risen = COUNTERS.iter().map(|name| (name, evidence.rise(name))).filter(|(_, rise)| *rise > 0);
    let text = |(name, rise): (&&str, u64)| format!("{name} rose by {rise}");
    risen.map(|each| Fact::of(Source::Counters, evidence.last(), text(each))).collect()
}

fn fault(passage: &Passage<'_>, answer: &RouteAnswer<'_>, destination: IpAddr, actor: &str) -> Option<Fault> {
    let snapshot = passage.snapshot();
    match answer {
        RouteAnswer::Route(route) => match refusal(route.kind) {
            Some(cause) => Some(Fault {
                cause,
                text: format!("its route to {destination} is `{}`", route_text(route, snapshot)),
                fact: format!("route {}", route_text(route, snapshot)),
                source: Source::Routes,
                remedy: format!("remove that route on {actor}, or add a more specific one to {destination}"),
            }),
            None if route.kind == RouteKind::Unicast => not_forwarding(passage, destination, actor),
            None => None,
        },
        RouteAnswer::Refused(kind) => Some(Fault {
            cause: refusal(*kind)?,
            text: format!("a routing rule makes {destination} {}", kind_word(*kind)),
            fact: format!("routing rules answer `{}` for {destination}", kind_word(*kind)),
            source: Source::Routes,
            remedy: format!("remove that rule on {actor} (`ip rule`)"),
        }),
        RouteAnswer::None => Some(Fault {
            cause: Cause::NoRoute,
            text: format!("it has no route to {destination}"),
            fact: format!("no route to {destination} in any table that is asked"),
            source: Source::Routes,
            remedy: format!(
                "add a route to {destination} on {actor}, or restart the network plugin that should have"
            ),
        }),
        RouteAnswer::Unknown => None,
    }
}

fn not_forwarding(passage: &Passage<'_>, destination: IpAddr, actor: &str) -> Option<Fault> {
    let input = passage.input?;
    let is_ipv6 = destination.is_ipv6();
    (passage.snapshot().forwards(input, is_ipv6) == Some(false)).then(|| {
        let family = if is_ipv6 { "ipv6" } else { "ipv4" };
        let general = if is_ipv6 { "net/ipv6/conf/all/forwarding" } else { "net/ipv4/ip_forward" };
        let own = format!("net/{family}/conf/{input}/forwarding");
        let is_general = passage.snapshot().number(general) == Some(0);
        let name = if is_general { general } else { own.as_str() };
        let dotted = name.replace('/', ".");
        Fault {
            cause: Cause::ForwardingDisabled,
            text: format!("it does not forward what comes in by {input} ({dotted} is 0)"),
            fact: format!("{dotted} = 0"),
            source: Source::Sysctl,
            remedy: format!("`sysctl -w {dotted}=1` on {actor}, and find out who set it to 0"),
        }
    })
}

fn refusal(kind: RouteKind) -> Option<Cause> {
    match kind {
        RouteKind::Blackhole => Some(Cause::BlackholeRoute),
        RouteKind::Prohibit => Some(Cause::ProhibitRoute),
        RouteKind::Unreachable => Some(Cause::UnreachableRoute),
        _ => None,
    }
}

fn kind_word(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Blackhole => "blackhole",
        RouteKind::Prohibit => "prohibit",
        RouteKind::Unreachable => "unreachable",
        RouteKind::Throw => "throw",
        RouteKind::Local => "local",
        _ => "",
    }
}

/// A route as `ip route` prints it, about.
pub(super) fn route_text(route: &Route, snapshot: &Snapshot) -> String {
    let mut text = match (route.prefix, kind_word(route.kind)) {
        (0, "") => "default".to_owned(),
        (prefix, "") => format!("{}/{prefix}", route.destination),
        (prefix, kind) => format!("{kind} {}/{prefix}", route.destination),
    };
    if let Some(gateway) = route.gateway {
        let _ = write!(text, " via {gateway}");
    }
    if let Some(link) = route.link.and_then(|link| snapshot.link(link)) {
        let _ = write!(text, " dev {}", link.name);
    }
    if route.table != 254 && route.table != 255 {
        let _ = write!(text, " table {}", route.table);
    }
    text
}

/// Packets that arrived, and whose answers have no route: strong where an answer belongs to them, or where counters say that
/// one was tried; else a hint.
fn way_back(case: &Case<'_>) -> Vec<Finding> {
    way_back_of(case).into_iter().collect()
}

fn way_back_of(case: &Case<'_>) -> Option<Finding> {
    let arrival = case.unanswered()?;
    let evidence = case.evidence_of(&arrival)?;
    let (back, own) = (arrival.tuple.source.address, arrival.tuple.destination.address);
    let passage = Passage::of(case, &arrival).pop()?;
    let lookup = Lookup { destination: back, source: Some(own), mark: 0, input: None };
    let answer = route(evidence.last(), lookup);
    let actor = words::actor(&arrival.spot);
    let fault =
        fault(&passage, &answer, back, &actor).filter(|fault| fault.cause != Cause::ForwardingDisabled)?;
    let is_tried = case.arrival().is_some() || !risen(evidence).is_empty();
    let rank = if is_tried { Rank::Strong } else { Rank::Hint };
    let summary = format!("{actor} cannot answer {}: {}", case.subject(&arrival), fault.text);
    let mut finding = Finding::of(&arrival, fault.cause, rank, Outcome::OneWay, summary)
        .fact(Fact::of(fault.source, evidence.last(), fault.fact))
        .remedy(fault.remedy);
    for fact in risen(evidence) {
        finding = finding.fact(fact);
    }
    Some(finding)
}

/// Packets to a pod that left a node by its default route, because it has no other, and were lost.
fn left_by_default(case: &Case<'_>) -> Vec<Finding> {
    let failures = case.failures.iter().filter(|failure| failure.is_silent() || !failure.is_within());
    failures.filter_map(|failure| left_by_default_one(case, failure)).collect()
}

fn left_by_default_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let hops = way_of(case, failure);
    hops.iter().find_map(|hop| left_at(case, failure, hop))
}

/// The hops that packets of a failure passed, its last one included.
pub(super) fn way_of<'a>(case: &Case<'a>, failure: &Failure<'a>) -> Vec<&'a Hop> {
    let hops = &case.lane(failure.direction).hops;
    let Some(after) = failure.after else { return Vec::new() };
    let end = hops.iter().position(|hop| hop.place() == after.place() && hop.tunnels == after.tunnels);
    match end {
        Some(end) => hops[..=end].iter().collect(),
        None => vec![after],
    }
}

fn left_at(case: &Case<'_>, failure: &Failure<'_>, hop: &Hop) -> Option<Finding> {
    let destination = hop.destination.endpoint.address;
    let is_plain_exit =
        hop.direction == Some(Direction::Egress) && hop.pod.is_none() && hop.tunnels.is_empty();
    let home = case.home(destination).filter(|_| is_plain_exit && case.is_pod(destination))?;
    let evidence = case.evidence(&hop.node, None)?;
    let snapshot = evidence.last();
    let source = hop.source.endpoint.address;
    let lookup = |destination, source| Lookup { destination, source: Some(source), mark: 0, input: None };
    let RouteAnswer::Route(route) = route(snapshot, lookup(destination, source)) else { return None };
    let link = snapshot.link(route.link?)?;
    if route.prefix != 0 || link.name != hop.interface {
        return None;
    }
    // The other node's route back shows that there are such routes.
    let back = case.evidence(home, None).and_then(|other| {
        match other.last().route_to(lookup(source, destination)) {
            RouteAnswer::Route(back) if back.prefix > 0 && back.kind == RouteKind::Unicast => {
                let text = format!("route back {}", route_text(back, other.last()));
                Some(Fact::of(Source::Routes, other.last(), text))
            }
            _ => None,
        }
    });
    let rank = if back.is_some() || home == hop.node { Rank::Strong } else { Rank::Hint };
    let actor = &hop.node;
    let summary = format!(
        "{actor} has no route to {destination} but the default one: {} left by {} and got lost",
        case.subject(failure),
        hop.interface
    );
    let at = Spot { node: Some(actor.clone()), pod: None, after: Some(hop.place()), before: None };
    let mut finding = Finding::of(failure, Cause::NoRoute, rank, Outcome::BlackHoled, summary)
        .at(at)
        .fact(Fact::of(Source::Routes, snapshot, format!("route {}", route_text(route, snapshot))))
        .remedy(format!(
            "add the route to {destination} on {actor}, or restart the network plugin that should have"
        ));
    if let Some(back) = back {
        finding = finding.fact(back);
    }
    Some(finding)
}

impl Case<'_> {
    /// Whether an address is a pod's.
    pub(super) fn is_pod(&self, address: IpAddr) -> bool {
        let mut owners = self.grounds.names.owners(address);
        owners.any(|owner| matches!(owner, crate::resolve::Owner::Pod { .. }))
    }

    /// The hops of both directions and those that stopped packets were last seen at.
    pub(super) fn all_hops(&self) -> impl Iterator<Item = (Orientation, &Hop)> {
        [Orientation::Forward, Orientation::Reply].into_iter().flat_map(|direction| {
            let lane = self.lane(direction);
            let stops = lane.stopped.iter().map(|stop| &stop.after);
            lane.hops.iter().chain(stops).map(move |hop| (direction, hop))
        })
    }
}
