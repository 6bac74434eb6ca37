//! Causes in interfaces: such that are down, queues that are full, programs that drop.

use std::net::IpAddr;

use super::case::{Case, is_tunnel};
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::nexthop::next_hops;
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::evidence::{Evidence, Link, Prefix, Program, ProgramHook, Route, RouteKind, Snapshot};
use crate::report::Hop;
use crate::units::Direction;

pub(super) const RULES: &[Rule] = &[down, queues, programs];

/// Full queues: of disciplines, of processors, of devices (`include/net/dropreason-core.h`).
const QUEUES: [&str; 9] = [
    "QDISC_DROP",
    "QDISC_OVERLIMIT",
    "QDISC_CONGESTED",
    "CAKE_FLOOD",
    "FQ_BAND_LIMIT",
    "FQ_HORIZON_LIMIT",
    "FQ_FLOW_LIMIT",
    "CPU_BACKLOG",
    "FULL_RING",
];
/// Programs' decisions.
const PROGRAMS: [&str; 5] = ["XDP", "TC_INGRESS", "TC_EGRESS", "BPF_CGROUP_EGRESS", "TC_CHAIN_NOTFOUND"];

/// Interfaces of the way that are down.
fn down(case: &Case<'_>) -> Vec<Finding> {
    let Some(worst) = case.worst() else { return Vec::new() };
    let addresses = addresses(case, worst);
    let found =
        case.grounds.evidence.iter().filter_map(|evidence| down_in(case, worst, evidence, &addresses));
    found.collect()
}

fn down_in(
    case: &Case<'_>,
    failure: &Failure<'_>,
    evidence: &Evidence,
    addresses: &[IpAddr],
) -> Option<Finding> {
    let snapshot = evidence.last();
    let is_down = |link: &&Link| link.kind.0 != "loopback" && (!link.is_up || !link.has_carrier);
    let (link, why) = snapshot
        .links
        .iter()
        .filter(is_down)
        .find_map(|link| Some((link, tie(case, failure, evidence, link, addresses)?)))?;
    let who = snapshot
        .pod
        .as_deref()
        .map_or_else(|| snapshot.node.clone(), |pod| format!("pod {}", crate::resolve::short(pod)));
    let state = if link.is_up { "has no carrier" } else { "is down" };
    let name = &link.name;
    let text = format!("{} do not get through: {name} of {who} {state} ({why})", case.subject(failure));
    // What the other end of a pair has not set up is not this end's fault.
    let rank = if link.is_up && link.is_peer_elsewhere { Rank::Strong } else { Rank::Proof };
    let finding = Finding::of(failure, Cause::InterfaceDown, rank, Outcome::BlackHoled, text)
        .at(Spot {
            after: failure.spot.after.clone(),
            before: failure.spot.before.clone(),
            ..words::spot_of(snapshot)
        })
        .fact(Fact::of(Source::Links, snapshot, format!("{name} {state}")));
    Some(finding.remedy(if link.is_up {
        format!("see what {name} of {who} is connected to: the other end is down")
    } else {
        format!("`ip link set {name} up` in {who}, and find out who set it down")
    }))
}

/// Addresses that the flow's packets need: of its ends, of its tunnels, of its next hops.
fn addresses(case: &Case<'_>, failure: &Failure<'_>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    let hops = case.all_hops().map(|(_, hop)| hop);
    for hop in hops {
        all.extend([hop.source.endpoint.address, hop.destination.endpoint.address]);
        all.extend(hop.tunnels.iter().flat_map(|tunnel| [tunnel.source, tunnel.destination]));
    }
    for tuple in &case.flow.tuples {
        all.extend([tuple.source.address, tuple.destination.address]);
    }
    if let Some(evidence) = case.evidence_of(failure) {
        let tuple = failure.tuple;
        let next =
            next_hops(evidence.last(), tuple.destination.address, Some(tuple.source.address), failure.input);
        all.extend(next.iter().map(|hop| hop.address));
    }
    for home in [failure.tuple.source.address, failure.tuple.destination.address] {
        let nodes = case.home(home).into_iter().filter_map(|node| case.evidence(node, None));
        all.extend(nodes.flat_map(|evidence| uplinks(evidence.last())));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// The addresses by which a node speaks to others: of the links that its gateways are behind.
fn uplinks(snapshot: &Snapshot) -> Vec<IpAddr> {
    let with_gateway = snapshot.routes.iter().filter(|route| route.gateway.is_some());
    let links = with_gateway.filter_map(|route| snapshot.link(route.link?));
    links.flat_map(|link| link.addresses.iter().map(|own| own.address)).collect()
}

/// Why a link that is down has to do with a failure; absent where it has not.
fn tie(
    case: &Case<'_>,
    failure: &Failure<'_>,
    evidence: &Evidence,
    link: &Link,
    addresses: &[IpAddr],
) -> Option<String> {
    let snapshot = evidence.last();
    if let Some(own) = link.addresses.iter().find(|own| addresses.contains(&own.address)) {
        return Some(format!("it has {}", own.address));
    }
    let (source, destination) = (failure.tuple.source.address, failure.tuple.destination.address);
    let led = |snapshot: &Snapshot, address: IpAddr| leads(snapshot, address, link);
    let both = [source, destination];
    if let Some(address) =
        both.into_iter().find(|address| led(&evidence.before, *address) || led(snapshot, *address))
    {
        return Some(format!("the route to {address} is by it"));
    }
    if snapshot.pod.is_some() {
        return None;
    }
    let homes = both.map(|address| case.home(address));
    let is_home = homes.contains(&Some(snapshot.node.as_str()));
    if is_home && homes[0] != homes[1] {
        if let Some(near) = neighbour_of(link, addresses) {
            return Some(format!("{near} is in its network"));
        }
        let is_counterpart = |other: &str| has_counterpart(case, other, link, both);
        if is_tunnel(link) && (!link.addresses.is_empty() || homes.into_iter().flatten().any(is_counterpart))
        {
            return Some("packets between the nodes are put into it".to_owned());
        }
    }
    let of_pods = case
        .grounds
        .evidence
        .iter()
        .map(Evidence::last)
        .filter(|pod| pod.pod.is_some() && pod.node == snapshot.node);
    let mut pairs = of_pods.flat_map(|pod| pod.links.iter().map(move |end| (pod, end)));
    let pair = pairs.find(|(pod, end)| {
        end.peer == Some(link.index)
            && end.is_peer_elsewhere
            && end.addresses.iter().any(|own| both.contains(&own.address))
            && link.peer_netns.is_none_or(|netns| netns == pod.netns)
    });
    if let Some((pod, end)) = pair {
        // The node's end tells of the pod's: if that is down, it is the cause.
        return (end.is_up || !link.is_up).then(|| {
            format!("it is the other end of {} of {}", end.name, pod.pod.as_deref().unwrap_or_default())
        });
    }
    let lonely = link.is_peer_elsewhere && !link.is_up && is_home;
    let unreached = both.into_iter().find(|address| {
        case.home(*address) == Some(snapshot.node.as_str())
            && case.is_pod(*address)
            && !has_own_route(snapshot, *address)
    });
    lonely.then_some(unreached).flatten().map(|address| format!("{address} has lost its route"))
}

/// An address that packets need, of a network that a link is in.
fn neighbour_of(link: &Link, addresses: &[IpAddr]) -> Option<IpAddr> {
    link.addresses.iter().find_map(|own| {
        let network = Prefix { address: own.address, length: own.prefix };
        addresses.iter().copied().find(|address| *address != own.address && network.contains(*address))
    })
}

/// Whether another node has such a link, and sends packets of the flow by it: a link that is down has lost its addresses of
/// IPv6, and the routes by it.
fn has_counterpart(case: &Case<'_>, node: &str, link: &Link, ends: [IpAddr; 2]) -> bool {
    let Some(snapshot) = case.evidence(node, None).map(Evidence::last) else { return false };
    let Some(other) = snapshot.link_named(&link.name).filter(|other| other.kind == link.kind) else {
        return false;
    };
    other.is_up && ends.into_iter().any(|address| leads(snapshot, address, other))
}

/// Whether the best route to an address, usable or not, is by a link.
fn leads(snapshot: &Snapshot, address: IpAddr, link: &Link) -> bool {
    best(snapshot, address).is_some_and(|route| route.prefix > 0 && route.link == Some(link.index))
}

fn has_own_route(snapshot: &Snapshot, address: IpAddr) -> bool {
    best(snapshot, address)
        .is_some_and(|route| route.prefix > 0 && route.kind == RouteKind::Unicast && route.gateway.is_none())
}

/// The most specific route of all tables, those of links that are down included.
fn best(snapshot: &Snapshot, address: IpAddr) -> Option<&Route> {
    let covers = |route: &&Route| {
        let prefix = Prefix { address: route.destination, length: route.prefix };
        prefix.contains(address)
    };
    snapshot.routes.iter().filter(covers).max_by_key(|route| route.prefix)
}

/// Queues that were full.
fn queues(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| queue(case, failure)).collect()
}

fn queue(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let is_told = failure.has_reason(&QUEUES);
    if !is_told && !failure.is_silent() {
        return None;
    }
    let after = failure.after.filter(|after| after.direction == Some(Direction::Egress));
    let full = after.and_then(|after| overflow(case, after, failure.packets));
    if !is_told && full.is_none() {
        return None;
    }
    let node = failure.spot.node.clone().or_else(|| Some(after?.node.clone()))?;
    let interface = failure.drops.iter().find_map(|drop| drop.interface.as_deref());
    let link = interface.or(after.map(|after| after.interface.as_str())).unwrap_or("an interface");
    let text = format!("{node} dropped {}: a queue of {link} is full", case.subject(failure));
    let rank = if is_told { Rank::Proof } else { Rank::Strong };
    let mut finding = Finding::of(failure, Cause::QueueFull, rank, Outcome::Dropped, text)
        .at(Spot { node: Some(node.clone()), ..failure.spot.clone() });
    if let Some(fact) = full {
        finding = finding.fact(fact);
    }
    Some(finding.remedy(format!(
        "send less by {link}, or give its queue more room (`tc -s qdisc show dev {link}`, net.core.netdev_max_backlog)"
    )))
}

/// That a queue behind a hop dropped at least as many as were lost.
fn overflow(case: &Case<'_>, after: &Hop, packets: u64) -> Option<Fact> {
    let evidence = case.evidence(&after.node, after.pod.as_deref())?;
    let snapshot = evidence.last();
    let link = snapshot.link_named(&after.interface)?;
    let dropped = evidence.link_rise(link, |link| link.qdisc_drops);
    if dropped >= packets.max(1) {
        let text = format!("the queueing discipline of {} dropped {dropped}", link.name);
        return Some(Fact::of(Source::Counters, snapshot, text));
    }
    let backlog = evidence.softnet_rise();
    (backlog >= packets.max(1)).then(|| {
        let text = format!("processors dropped {backlog} received packets: their backlog was full");
        Fact::of(Source::Counters, snapshot, text)
    })
}

/// Programs of others that dropped.
fn programs(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| program(case, failure)).collect()
}

fn program(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let reason = PROGRAMS.iter().find(|reason| failure.has_reason(&[reason]));
    let drop = failure.drops.iter().find(|drop| drop.reason.as_deref() == reason.copied());
    let interface = drop.and_then(|drop| drop.interface.as_deref()).filter(|_| reason.is_some());
    let snapshot = case.evidence_of(failure).map(Evidence::last);
    let found = match (reason, snapshot) {
        (Some(reason), Some(snapshot)) => interface.and_then(|name| attached(snapshot, name, reason)),
        (None, _) => unseen_xdp(case, failure),
        (Some(_), None) => None,
    };
    if reason.is_none() && found.is_none() {
        return None;
    }
    let kind = reason.map_or("XDP", |reason| if *reason == "XDP" { "XDP" } else { "TC" });
    let (snapshot, what) = match found {
        Some((snapshot, program, link)) => {
            (Some(snapshot), format!("{kind} program {} of {link}", program_name(program)))
        }
        None => (snapshot, format!("a {kind} program")),
    };
    let rank = if reason.is_some() { Rank::Proof } else { Rank::Hint };
    let actor = snapshot
        .map_or_else(|| words::actor(&failure.spot), |snapshot| words::actor(&words::spot_of(snapshot)));
    let text = format!("{actor} dropped {}: {what} did", case.subject(failure));
    let mut finding = Finding::of(failure, Cause::ProgramDrop, rank, Outcome::Dropped, text);
    if let (Some(snapshot), true) = (snapshot, found.is_some()) {
        finding = finding.fact(Fact::of(Source::Links, snapshot, format!("{what} is attached")));
    }
    Some(finding.remedy(format!(
        "find out whose {what} on {actor} is (`bpftool net`, `bpftool prog`) and why it drops these"
    )))
}

fn program_name(program: &Program) -> String {
    match (&program.name, program.id) {
        (Some(name), Some(id)) => format!("{name} (id {id})"),
        (Some(name), None) => name.clone(),
        (None, Some(id)) => format!("id {id}"),
        (None, None) => program.kind.clone(),
    }
}

type Attached<'a> = (&'a Snapshot, &'a Program, &'a str);

fn attached<'a>(snapshot: &'a Snapshot, interface: &str, reason: &str) -> Option<Attached<'a>> {
    let link = snapshot.link_named(interface)?;
    let fits = |program: &&Program| {
        let is_hook = match reason {
            "XDP" => program.hook == ProgramHook::Xdp,
            "TC_EGRESS" => matches!(program.hook, ProgramHook::TcxEgress | ProgramHook::TcEgress),
            _ => matches!(program.hook, ProgramHook::TcxIngress | ProgramHook::TcIngress),
        };
        program.link == link.index && !program.is_own && is_hook
    };
    snapshot.programs.iter().find(fits).map(|program| (snapshot, program, link.name.as_str()))
}

/// An XDP program, which sees packets before anybody else, at the link where they would have come in next.
fn unseen_xdp<'a>(case: &Case<'a>, failure: &Failure<'_>) -> Option<Attached<'a>> {
    let before =
        failure.before.filter(|before| before.packets == 0 && failure.is_silent() && !failure.is_within())?;
    let snapshot = case.evidence(&before.node, before.pod.as_deref())?.last();
    attached(snapshot, &before.interface, "XDP")
}
