//! Causes in tunnels: packets wrapped for the wrong node, networks of another number, encapsulation that does not pass.

use std::net::IpAddr;

use super::case::{Case, is_tunnel};
use super::failure::{Certainty, Failure};
use super::finding::{Finding, Rank, Rule};
use super::firewall::Told;
use super::looping;
use super::nexthop::{far_end, fdb_entry, is_unanswered, neighbour, next_hops};
use super::routing::{route_text, way_of};
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use crate::evidence::{Lookup, RouteAnswer, RouteKind, Snapshot};
use crate::packet::{Tunnel, TunnelKind};
use crate::report::Hop;
use crate::resolve::Owner;
use crate::timeline::Orientation;
use crate::units::Direction;

pub(super) const RULES: &[Rule] = &[wrong_peer, no_peer, wrong_next_node, wrong_network, filtered];

/// `vxlan_rcv` in `drivers/net/vxlan/vxlan_core.c`.
const NO_NETWORK: &str = "VXLAN_VNI_NOT_FOUND";
/// `vxlan_xmit`: no entry tells where to.
const NO_PEER: [&str; 2] = ["VXLAN_NO_REMOTE", "NO_TX_TARGET"];

impl<'a> Case<'a> {
    /// The node whose own namespace has an address, by the evidence or by the cluster's state.
    fn node_at(&self, address: IpAddr) -> Option<&'a str> {
        let has = |snapshot: &&Snapshot| snapshot.pod.is_none() && snapshot.owns(address);
        let by_links = self.snapshots().find(has).map(|snapshot| snapshot.node.as_str());
        let is_node = || {
            self.grounds.names.owners(address).find_map(|owner| match owner {
                Owner::Node { name } => Some(name.as_str()),
                _ => None,
            })
        };
        is_node().or(by_links)
    }
}

fn at_sender(hop: &Hop) -> Spot {
    Spot { node: Some(hop.node.clone()), pod: hop.pod.clone(), after: Some(hop.place()), before: None }
}

/// Packets wrapped for another node than the one that their destination is on.
fn wrong_peer(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| wrong_peer_one(case, failure)).collect()
}

fn wrong_peer_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let wrapped = wrapped(case, failure)?;
    let (tunnel, destination, sender) = (wrapped.tunnel, wrapped.destination, wrapped.sender);
    let home = case.home(destination)?;
    let reached = case.node_at(tunnel.destination);
    let is_right = reached == Some(home) || (reached.is_none() && !is_known(case, home));
    if is_right || looping::is_loop(case, failure) {
        return None;
    }
    let who = reached.map_or_else(|| "nobody's that is known".to_owned(), |node| format!("that of {node}"));
    let text = format!(
        "{sender} sent {} in {} to {}, {who}, but {destination} is on {home}",
        case.subject(failure),
        tunnel.kind,
        tunnel.destination
    );
    let rank =
        if reached.is_some_and(|node| is_dropped_at(failure, node)) { Rank::Hint } else { Rank::Proof };
    let mut finding = Finding::of(failure, Cause::TunnelPeerWrong, rank, Outcome::BlackHoled, text)
        .at(wrapped.at)
        .remedy(format!(
            "on {sender} mend the entry for {destination} (route, forwarding table of the tunnel): the peer is {home}"
        ));
    if let Some(snapshot) = case.evidence(sender, None).map(crate::evidence::Evidence::last) {
        for fact in entries(snapshot, destination) {
            finding = finding.fact(fact);
        }
    }
    Some(finding.fact(Fact::general(Source::Cluster, format!("{destination} is on {home}"))))
}

/// Whether the node that packets were led to took them, and dropped them for a reason that its kernel tells: it may be a
/// router on their way.
fn is_dropped_at(failure: &Failure<'_>, node: &str) -> bool {
    failure.spot.node.as_deref() == Some(node) && Told::of(failure) != Told::Nothing
}

/// What was around packets first, and who had wrapped them.
struct Wrapped<'a> {
    tunnel: Tunnel,
    destination: IpAddr,
    sender: &'a str,
    at: Spot,
}

/// By the first hop that saw them wrapped; where none did, by what its kernel dropped.
fn wrapped<'a>(case: &Case<'a>, failure: &'a Failure<'a>) -> Option<Wrapped<'a>> {
    let way = way_of(case, failure);
    if let Some(hop) = way.into_iter().find(|hop| !hop.tunnels.is_empty()) {
        let (tunnel, destination) = (*hop.tunnels.first()?, hop.destination.endpoint.address);
        return Some(Wrapped { tunnel, destination, sender: &hop.node, at: at_sender(hop) });
    }
    let (tunnel, sender) = (*failure.tunnels.first()?, failure.spot.node.as_deref()?);
    (case.node_at(tunnel.source) == Some(sender)).then(|| Wrapped {
        tunnel,
        destination: failure.tuple.destination.address,
        sender,
        at: failure.spot.clone(),
    })
}

/// Whether the addresses of a node are known, so that an address can be said not to be one of them.
fn is_known(case: &Case<'_>, node: &str) -> bool {
    case.evidence(node, None).is_some()
}

/// The route of an address and what its tunnel knows of the far end.
fn entries(snapshot: &Snapshot, destination: IpAddr) -> Vec<Fact> {
    let mut facts = Vec::new();
    for hop in next_hops(snapshot, destination, None, None) {
        let text = format!("route {}", route_text(hop.route, snapshot));
        facts.push(Fact::of(Source::Routes, snapshot, text));
        if let Some(entry) = fdb_entry(snapshot, hop.link, hop.address) {
            let remote = entry.remote.map_or_else(String::new, |remote| format!(" dst {remote}"));
            let text = format!("forwarding entry {} dev {}{remote}", entry.mac, hop.link.name);
            facts.push(Fact::of(Source::Links, snapshot, text));
        }
    }
    facts
}

/// Packets that ended in a tunnel's device that knows no far end for them, or the wrong one.
fn no_peer(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| no_peer_one(case, failure)).collect()
}

fn no_peer_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let node = failure.spot.node.as_deref()?;
    let is_told = failure.has_reason(&NO_PEER) || failure.has_function(&["vxlan_xmit", "vxlan_xmit_one"]);
    if failure.spot.pod.is_some() || !failure.tunnels.is_empty() || !(is_told || failure.is_silent()) {
        return None;
    }
    let evidence = case.evidence_of(failure)?;
    let snapshot = evidence.last();
    let (destination, source) = (failure.tuple.destination.address, failure.tuple.source.address);
    let home = case.home(destination).filter(|home| *home != node)?;
    let hops = next_hops(snapshot, destination, Some(source), failure.input);
    let hop = *hops.iter().find(|hop| is_tunnel(hop.link))?;
    let entry = fdb_entry(snapshot, hop.link, hop.address);
    let remote = far_end(snapshot, hop.link, hop.address);
    let is_missing = hop.link.kind.0 == "vxlan" && remote.is_none();
    let is_anothers = |remote| case.node_at(remote).map_or(is_known(case, home), |other| other != home);
    let is_wrong = remote.is_some_and(is_anothers);
    if (!is_missing && !is_wrong) || looping::is_loop(case, failure) {
        return None;
    }
    let link = &hop.link.name;
    let what = match remote {
        Some(remote) => format!("{link} sends what is for {} to {remote}, which is not {home}", hop.address),
        None => format!("{link} does not know to whom to send what is for {}", hop.address),
    };
    let text = format!("{node} dropped {}: {what}", case.subject(failure));
    let rank = if is_told { Rank::Proof } else { Rank::Strong };
    let mut finding =
        Finding::of(failure, Cause::TunnelPeerWrong, rank, Outcome::Dropped, text).fact(Fact::of(
            Source::Links,
            snapshot,
            if entry.is_some() || remote.is_some() {
                what.clone()
            } else {
                format!("no forwarding entry of {link} for {}", hop.address)
            },
        ));
    for fact in entries(snapshot, destination) {
        finding = finding.fact(fact);
    }
    Some(
        finding
            .remedy(format!("on {node} add the entry of {link} for {home}, or restart the network plugin")),
    )
}

/// Packets that went plain to another node than the one that their destination is on.
fn wrong_next_node(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| wrong_next_node_one(case, failure)).collect()
}

fn wrong_next_node_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    way_of(case, failure).into_iter().find_map(|hop| {
        let is_exit = hop.direction == Some(Direction::Egress) && hop.pod.is_none() && hop.tunnels.is_empty();
        let destination = hop.destination.endpoint.address;
        let home =
            case.home(destination).filter(|home| is_exit && *home != hop.node && case.is_pod(destination))?;
        let snapshot = case.evidence(&hop.node, None)?.last();
        let source = Some(hop.source.endpoint.address);
        let answer = snapshot.route_to(Lookup { destination, source, mark: 0, input: None });
        let RouteAnswer::Route(route) = answer else { return None };
        let link = snapshot.link(route.link?).filter(|link| link.name == hop.interface)?;
        let gateway = route.gateway?;
        let other = case.node_at(gateway).filter(|other| *other != home)?;
        if route.prefix == 0 || route.kind != RouteKind::Unicast || looping::is_loop(case, failure) {
            return None;
        }
        let text = format!(
            "{} sent {} to {other} ({gateway}), but {destination} is on {home}",
            hop.node,
            case.subject(failure)
        );
        let rank = if is_dropped_at(failure, other) { Rank::Hint } else { Rank::Strong };
        let finding = Finding::of(failure, Cause::TunnelPeerWrong, rank, Outcome::BlackHoled, text)
            .at(at_sender(hop))
            .fact(Fact::of(Source::Routes, snapshot, format!("route {}", route_text(route, snapshot))))
            .fact(Fact::general(Source::Cluster, format!("{destination} is on {home}")));
        Some(finding.remedy(format!("on {} route {destination} to {home} by {}", hop.node, link.name)))
    })
}

/// Packets of a virtual network that the other end does not have.
fn wrong_network(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| wrong_network_one(case, failure)).collect()
}

fn wrong_network_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let way = way_of(case, failure);
    let tunnel = failure.tunnels.first().or_else(|| way.last()?.tunnels.first())?;
    let (TunnelKind::Vxlan { vni } | TunnelKind::Geneve { vni }) = tunnel.kind else { return None };
    let is_told = failure.has_reason(&[NO_NETWORK]);
    let node = case.node_at(tunnel.destination);
    let snapshot = node.and_then(|node| case.evidence(node, None)).map(crate::evidence::Evidence::last);
    let tunnels = snapshot.into_iter().flat_map(|snapshot| &snapshot.links);
    let tunnels: Vec<_> = tunnels.filter_map(|link| Some((link, link.tunnel.as_ref()?))).collect();
    let takes_any = tunnels.iter().any(|(_, tunnel)| tunnel.is_external || tunnel.vni == Some(vni));
    let others: Vec<_> = tunnels.iter().filter_map(|(link, tunnel)| Some((link, tunnel.vni?))).collect();
    if takes_any || (others.is_empty() && !is_told) || !(is_told || failure.is_silent()) {
        return None;
    }
    let receiver = node.unwrap_or("the other end");
    let have: Vec<String> = others.iter().map(|(link, vni)| format!("{} has {vni}", link.name)).collect();
    let text = format!(
        "{} arrive at {receiver} in {} and no device there has that network{}",
        case.subject(failure),
        tunnel.kind,
        if have.is_empty() { String::new() } else { format!(" ({})", have.join(", ")) }
    );
    let rank = if is_told { Rank::Proof } else { Rank::Strong };
    let mut finding = Finding::of(failure, Cause::WrongVni, rank, Outcome::Dropped, text);
    if let Some(snapshot) = snapshot {
        for (link, other) in others {
            let text = format!("{} has network {other}, the packets {vni}", link.name);
            finding = finding.fact(Fact::of(Source::Links, snapshot, text));
        }
    }
    Some(finding.remedy(format!(
        "give the tunnel devices of both nodes the same network ({vni}, or that of {receiver})"
    )))
}

/// Packets in an encapsulation of which none arrives, though the nodes reach each other.
fn filtered(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| filtered_one(case, failure)).collect()
}

fn filtered_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let after = failure.after.filter(|_| !failure.is_within() && failure.is_silent())?;
    let tunnel = after.tunnels.first()?;
    let is_last = failure.certainty == Certainty::Stopped || case.is_stuck(failure.direction);
    let receiver = case.node_at(tunnel.destination).filter(|node| *node != after.node)?;
    let arrives = |hop: &Hop| hop.node == receiver && hop.direction == Some(Direction::Ingress);
    let ceased = ceased(case, failure);
    let passed = case.lane(failure.direction).hops.iter().any(|hop| arrives(hop) && hop.packets > 0);
    let evidence = case.evidence(&after.node, None)?;
    // Whether anything came in there is known only where somebody watched.
    let far = case.evidence(receiver, None)?.last();
    if !is_last || (passed && !ceased) {
        return None;
    }
    let own = far.owner(tunnel.destination).map(|(link, _)| link)?;
    if !own.is_up || !own.has_carrier {
        return None;
    }
    let snapshot = evidence.last();
    let next = *next_hops(snapshot, tunnel.destination, Some(tunnel.source), None).last()?;
    let known = neighbour(snapshot, next.link, next.address).filter(|known| !is_unanswered(known))?;
    let is_its = next.address != tunnel.destination
        || far.links.iter().any(|link| link.mac.is_some() && link.mac == known.mac);
    let plain = plain_passes(case, &after.node, receiver);
    if !is_its && plain.is_none() {
        return None;
    }
    let text = format!(
        "{} in {} leave {} by {} and never come to {receiver}: the network between does not let {} pass",
        case.subject(failure),
        tunnel.kind,
        after.node,
        after.interface,
        protocol_words(tunnel.kind)
    );
    let mac = known.mac.as_deref().unwrap_or("its hardware address");
    let mut finding = Finding::of(failure, Cause::TunnelFiltered, Rank::Strong, Outcome::BlackHoled, text)
        .fact(Fact::of(Source::Links, snapshot, format!("neighbour {} answers, at {mac}", next.address)))
        .fact(Fact::of(Source::Links, far, format!("{} is up and has {}", own.name, tunnel.destination)));
    if let Some(plain) = plain {
        finding = finding.fact(Fact::general(Source::Packets, plain));
    }
    Some(finding.remedy(format!(
        "let {} pass between {} and {} (security groups, firewalls, switches between the nodes)",
        protocol_words(tunnel.kind),
        tunnel.source,
        tunnel.destination
    )))
}

/// Whether nothing of the direction arrived any more after the first of these was lost.
pub(super) fn ceased(case: &Case<'_>, failure: &Failure<'_>) -> bool {
    match (case.lane(failure.direction).arrived, failure.extent) {
        (Some(arrived), Some(lost)) => arrived.last < lost.first && failure.packets > 1,
        _ => false,
    }
}

fn protocol_words(kind: TunnelKind) -> &'static str {
    match kind {
        TunnelKind::Ipip => "IP protocol 4 (IPIP)",
        TunnelKind::Ip6 => "IP protocol 41 (IPv6 in IP)",
        TunnelKind::Gre => "IP protocol 47 (GRE)",
        TunnelKind::Vxlan { .. } => "the UDP port of VXLAN",
        TunnelKind::Geneve { .. } => "the UDP port of Geneve",
    }
}

/// That packets of some flow passed between two nodes without encapsulation.
fn plain_passes(case: &Case<'_>, from: &str, to: &str) -> Option<String> {
    let lanes = case.report.flows.iter().flat_map(|flow| {
        [(flow, &flow.forward, Orientation::Forward), (flow, &flow.reply, Orientation::Reply)]
    });
    lanes.into_iter().find_map(|(flow, lane, _)| {
        let passes = lane.hops.windows(2).any(|pair| {
            let is_plain = pair.iter().all(|hop| hop.tunnels.is_empty() && hop.pod.is_none());
            let ends = (pair[0].node.as_str(), pair[1].node.as_str());
            is_plain && pair[1].packets > 0 && (ends == (from, to) || ends == (to, from))
        });
        passes.then(|| {
            format!("packets of flow {} pass between {from} and {to} without encapsulation", flow.flow)
        })
    })
}
