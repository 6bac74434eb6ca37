//! A flow with all that is known of it.

use std::net::IpAddr;

use super::Grounds;
use super::failure::{Certainty, Failure, failures};
use super::verdict::Spot;
use super::words;
use crate::drops::DropReport;
use crate::evidence::{Evidence, Link, LinkAddress, Snapshot};
use crate::flow::Protocol;
use crate::report::{FlowReport, LaneReport, Report};
use crate::resolve::Owner;
use crate::timeline::Orientation;
use crate::units::Direction;

/// One flow before the judge.
pub(super) struct Case<'a> {
    /// The flow.
    pub(super) flow: &'a FlowReport,
    /// All flows, and what was not seen.
    pub(super) report: &'a Report,
    /// Evidence, names and state.
    pub(super) grounds: Grounds<'a>,
    /// Where packets ended, forward ones first, within a direction those of most packets first. Empty for a flow that
    /// works: what the kernel drops of it then (a packet after the end of a connection) harms nobody.
    pub(super) failures: Vec<Failure<'a>>,
}

impl<'a> Case<'a> {
    pub(super) fn of(flow: &'a FlowReport, report: &'a Report, grounds: Grounds<'a>) -> Self {
        let mut failures = failures(flow, &|drop| is_ours(drop, grounds.evidence));
        if is_working(flow) {
            failures.clear();
        }
        let mut case = Self { flow, report, grounds, failures };
        case.place_tunnels();
        case
    }

    /// What was sent into a device of the node that wraps packets, or hands them on, has not left the node by that.
    fn place_tunnels(&mut self) {
        let mut failures = std::mem::take(&mut self.failures);
        for failure in failures.iter_mut().filter(|failure| failure.spot.node.is_none()) {
            let Some(after) = failure.after else { continue };
            let evidence = self.evidence(&after.node, after.pod.as_deref());
            let link = evidence.and_then(|evidence| evidence.last().link_named(&after.interface));
            if link.is_some_and(is_inner) && failure.before.is_none_or(|before| before.node == after.node) {
                failure.spot.node = Some(after.node.clone());
                failure.spot.pod.clone_from(&after.pod);
            }
        }
        self.failures = failures;
    }

    /// The evidence of a node's own namespace, or of a pod's; absent where it could not be asked.
    pub(super) fn evidence(&self, node: &str, pod: Option<&str>) -> Option<&'a Evidence> {
        let is_it = |evidence: &&Evidence| {
            let snapshot = evidence.last();
            snapshot.node == node && snapshot.pod.as_deref() == pod
        };
        self.grounds.evidence.iter().find(is_it)
    }

    /// The evidence of the namespace that a spot names.
    pub(super) fn evidence_at(&self, spot: &Spot) -> Option<&'a Evidence> {
        self.evidence(spot.node.as_deref()?, spot.pod.as_deref())
    }

    /// The evidence of the namespace in which packets ended; absent where it was not asked, as of a pod's namespace that the
    /// node's capture saw a drop in.
    pub(super) fn evidence_of(&self, failure: &Failure<'_>) -> Option<&'a Evidence> {
        let Some(netns) = failure.netns() else { return self.evidence_at(&failure.spot) };
        let is_it = |evidence: &&Evidence| evidence.last().netns == netns;
        let by_spot = || self.evidence_at(&failure.spot).filter(|evidence| evidence.last().netns == 0);
        self.grounds.evidence.iter().find(is_it).or_else(by_spot)
    }

    /// The later snapshot of every namespace.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &'a Snapshot> + use<'a> {
        self.grounds.evidence.iter().map(Evidence::last)
    }

    /// One direction of the flow.
    pub(super) fn lane(&self, direction: Orientation) -> &'a LaneReport {
        match direction {
            Orientation::Forward => &self.flow.forward,
            Orientation::Reply => &self.flow.reply,
        }
    }

    /// Whether the one that it was opened to was heard: a SYN with ACK, or any packet where there is no such thing.
    pub(super) fn is_answered(&self) -> bool {
        is_answered(self.flow)
    }

    /// Whether nothing of a direction is known to have arrived, though packets were sent.
    pub(super) fn is_stuck(&self, direction: Orientation) -> bool {
        let lane = self.lane(direction);
        lane.delivered == 0 && (lane.packets > 0 || !lane.drops.is_empty())
    }

    /// The node that an address is at by the cluster's state: a pod's, or the node that has it.
    pub(super) fn home(&self, address: IpAddr) -> Option<&'a str> {
        self.grounds.names.owners(address).find_map(|owner| match owner {
            Owner::Pod { node, .. } => node.as_deref(),
            Owner::Node { name } => Some(name.as_str()),
            Owner::Service { .. } => None,
        })
    }

    /// What failed, in words: `3 SYNs to 10.244.131.5:8080`.
    pub(super) fn subject(&self, failure: &Failure<'_>) -> String {
        let what = match (self.flow.protocol, failure.direction, &self.flow.tcp) {
            (Protocol::TCP, Orientation::Forward, Some(tcp)) if tcp.opened && !tcp.answered => {
                "SYN".to_owned()
            }
            (Protocol::ICMP | Protocol::ICMPV6, Orientation::Forward, _) => "echo request".to_owned(),
            (protocol, Orientation::Forward, _) => format!("{protocol} packet"),
            (protocol, Orientation::Reply, _) => format!("{protocol} answer"),
        };
        let (number, to) = (failure.packets, failure.tuple.destination);
        if self.flow.protocol.is_icmp() {
            format!("{} to {}", words::count(number, &what), to.address)
        } else {
            format!("{} to {to}", words::count(number, &what))
        }
    }
}

/// Whether a drop was in a namespace of its node: one kernel may carry several clusters with the same addresses.
fn is_ours(drop: &DropReport, all: &[Evidence]) -> bool {
    let Some(netns) = drop.netns else { return true };
    let snapshots = || all.iter().map(Evidence::last).filter(|snapshot| snapshot.node == drop.node);
    if snapshots().any(|snapshot| snapshot.netns == netns) {
        return true;
    }
    let is_pods = |snapshot: &Snapshot| snapshot.pod.is_some() && snapshot.pod == drop.pod;
    if snapshots().any(|snapshot| is_pods(snapshot) && snapshot.netns != 0) {
        return false;
    }
    let own = snapshots().filter(|snapshot| snapshot.pod.is_none());
    let pairs = own.flat_map(|snapshot| &snapshot.links).filter(|link| link.peer_netns.is_some());
    let (uplinks, ends): (Vec<&Link>, Vec<&Link>) = pairs.partition(|link| has_network(link));
    let leads_there = |links: &[&Link]| links.iter().any(|link| link.peer_netns == Some(netns));
    leads_there(&ends) || (ends.is_empty() && !leads_there(&uplinks))
}

/// Whether a link has an address of a network of several: what is at its other end is a network, and no pod.
fn has_network(link: &Link) -> bool {
    let is_network = |own: &LinkAddress| match own.address {
        IpAddr::V4(_) => own.prefix < 31,
        IpAddr::V6(address) => own.prefix < 127 && !address.is_unicast_link_local(),
    };
    link.addresses.iter().any(is_network)
}

/// Whether packets sent by a link are still on the node: tunnels wrap them, bridges pass them on.
fn is_inner(link: &Link) -> bool {
    is_tunnel(link) || link.kind.0 == "bridge"
}

/// Whether a link puts packets into others.
pub(super) fn is_tunnel(link: &Link) -> bool {
    const KINDS: [&str; 12] = [
        "vxlan",
        "geneve",
        "ipip",
        "sit",
        "gre",
        "gretap",
        "ip6tnl",
        "ip6gre",
        "ip6gretap",
        "tun",
        "wireguard",
        "vti",
    ];
    KINDS.contains(&link.kind.0.as_str())
}

fn is_answered(flow: &FlowReport) -> bool {
    match &flow.tcp {
        Some(tcp) => tcp.answered || (!tcp.opened && flow.reply.packets > 0 && tcp.reset.is_none()),
        None => flow.reply.packets > 0,
    }
}

/// Whether nothing failed that anybody would notice: all packets went on, or TCP had nothing to send again.
fn is_working(flow: &FlowReport) -> bool {
    let lanes = [&flow.forward, &flow.reply];
    let is_short = lanes.iter().any(|lane| lane.stopped.iter().any(|stop| stop.uncertain.is_none()));
    let is_repeated = lanes.iter().any(|lane| !lane.retransmitted.is_empty());
    let is_refused = !flow.icmp_errors.is_empty() || flow.tcp.as_ref().is_some_and(|tcp| tcp.reset.is_some());
    let is_dropped = lanes.iter().any(|lane| lane.drops.iter().any(|drop| !drop.is_benign));
    let is_tcp = flow.protocol == Protocol::TCP;
    is_answered(flow)
        && !is_short
        && !is_repeated
        && (is_tcp || !is_dropped)
        && (!is_refused || is_closed(flow))
}

/// Whether both sides had said that they were done.
fn is_closed(flow: &FlowReport) -> bool {
    flow.tcp.as_ref().is_some_and(|tcp| tcp.fin.len() == 2) && flow.icmp_errors.is_empty()
}

impl Case<'_> {
    /// The failure that ended the flow, or harmed it most: certain ones first, of these what nothing passed, then the one
    /// of most packets.
    pub(super) fn worst(&self) -> Option<&Failure<'_>> {
        self.failures.iter().rev().max_by_key(|failure| {
            let is_certain = failure.certainty > Certainty::Vanished;
            (is_certain, self.is_stuck(failure.direction), failure.packets)
        })
    }
}

impl<'a> Case<'a> {
    /// Packets that came into the namespace of their end and that nobody there answered, though an answer belongs to them;
    /// absent where something failed on the way.
    pub(super) fn arrival(&self) -> Option<Failure<'a>> {
        let expects_answer = self.flow.protocol == Protocol::TCP
            || self.flow.protocol.is_icmp()
            || self.flow.dns.is_some()
            || !self.flow.icmp_errors.is_empty();
        self.unanswered().filter(|_| expects_answer)
    }

    /// Packets that came into the namespace of their end and that nobody there answered; absent where something failed on
    /// the way. With UDP that may be as it should.
    pub(super) fn unanswered(&self) -> Option<Failure<'a>> {
        let lane = self.lane(Orientation::Forward);
        let last = lane.hops.last()?;
        let is_in = last.direction == Some(Direction::Ingress) && lane.delivered > 0;
        let fails = self.failures_of(Orientation::Forward).next().is_some();
        (is_in && !self.is_answered() && !fails).then(|| {
            let mut failure = super::failure::at(self.flow.protocol, last, Orientation::Forward);
            failure.packets = lane.delivered;
            failure
        })
    }
}
