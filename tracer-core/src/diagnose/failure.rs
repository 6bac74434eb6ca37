//! Places where packets of a flow ended: stops and drops made one.

use std::fmt::Write as _;

use super::afterthought::is_passed_over;
use super::case::Case;
use super::verdict::{Fact, Source, Spot};
use super::words;
use crate::drops::DropReport;
use crate::flow::{FlowKey, Protocol};
use crate::packet::Tunnel;
use crate::report::{FlowReport, Hop, LaneReport, Stop};
use crate::timeline::{Extent, Orientation};
use crate::trace::PlaceName;
use crate::units::Direction;

/// How it is known that packets ended.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Certainty {
    /// They were not seen any more, nobody answered, and it cannot be said that they did not go on unseen.
    Vanished,
    /// They were not seen any more where they would have been.
    Stopped,
    /// The kernel says that it dropped them.
    Dropped,
}

/// Packets of one direction of a flow that ended at one place.
#[derive(Clone, Debug)]
pub(super) struct Failure<'a> {
    /// Their direction.
    pub(super) direction: Orientation,
    /// Where. The node is there where they entered a namespace and did not leave it, and where the kernel says that it
    /// dropped them; absent between two.
    pub(super) spot: Spot,
    /// The last hop that saw them.
    pub(super) after: Option<&'a Hop>,
    /// The hop that they would have reached next.
    pub(super) before: Option<&'a Hop>,
    /// What they wore when they were seen last, or were dropped.
    pub(super) tuple: FlowKey,
    /// What was around them when they were seen last, outermost first.
    pub(super) tunnels: &'a [Tunnel],
    /// How many.
    pub(super) packets: u64,
    /// How that is known.
    pub(super) certainty: Certainty,
    /// What the kernel says, the benign left out.
    pub(super) drops: Vec<&'a DropReport>,
    /// The interface by which they came into the namespace in which they ended; absent if they were made there, or it is
    /// not known.
    pub(super) input: Option<&'a str>,
    /// Whether they were made in the namespace in which they ended.
    pub(super) is_local: bool,
    /// Their lengths and times, where they are known.
    pub(super) extent: Option<Extent>,
}

impl Failure<'_> {
    /// Whether the kernel gave one of these reasons.
    pub(super) fn has_reason(&self, reasons: &[&str]) -> bool {
        self.drops.iter().any(|drop| drop.reason.as_deref().is_some_and(|reason| reasons.contains(&reason)))
    }

    /// Whether one of these functions dropped some of them.
    pub(super) fn has_function(&self, functions: &[&str]) -> bool {
        let is_one = |name: &str| functions.contains(&name.split(['+', '.']).next().unwrap_or(name));
        self.drops.iter().any(|drop| drop.function.as_deref().is_some_and(is_one))
    }

    /// Whether the kernel says nothing of them at all.
    pub(super) fn is_silent(&self) -> bool {
        self.drops.is_empty()
    }

    /// Whether they entered the namespace named by the spot and did not leave it, or were dropped there.
    pub(super) fn is_within(&self) -> bool {
        self.spot.node.is_some()
    }

    /// Inode of the namespace in which the kernel dropped them, where it tells.
    pub(super) fn netns(&self) -> Option<u64> {
        self.drops.iter().find_map(|drop| drop.netns)
    }

    /// What the kernel and the packets say.
    pub(super) fn facts(&self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self.drops.iter().take(4).map(|drop| drop_fact(drop)).collect();
        if let Some(after) = self.after {
            let mut text = format!(
                "{} last seen at {}",
                words::count(self.packets, "packet"),
                words::place(&after.place())
            );
            if let Some(before) = self.before {
                let _ = write!(text, ", not at {}", words::place(&before.place()));
            }
            facts.push(Fact {
                source: Source::Packets,
                node: Some(after.node.clone()),
                pod: after.pod.clone(),
                text,
            });
        }
        facts
    }
}

fn drop_fact(drop: &DropReport) -> Fact {
    let reason = drop.reason.as_deref().unwrap_or("no reason told");
    let function = drop.function.as_deref().unwrap_or("an unknown function");
    let mut text = format!("{} dropped by {function}: {reason}", words::count(drop.packets, "packet"));
    if let Some(interface) = &drop.interface {
        let _ = write!(text, " on {interface}");
    }
    Fact { source: Source::Drops, node: Some(drop.node.clone()), pod: drop.pod.clone(), text }
}

/// Every failure of a flow, forward ones first, those of most packets first.
pub(super) fn failures<'a>(flow: &'a FlowReport, is_ours: &dyn Fn(&DropReport) -> bool) -> Vec<Failure<'a>> {
    let mut all = lane(flow, &flow.forward, Orientation::Forward, is_ours);
    all.extend(lane(flow, &flow.reply, Orientation::Reply, is_ours));
    all
}

fn lane<'a>(
    flow: &'a FlowReport,
    lane: &'a LaneReport,
    direction: Orientation,
    is_ours: &dyn Fn(&DropReport) -> bool,
) -> Vec<Failure<'a>> {
    let mut failures: Vec<Failure<'a>> = Vec::new();
    for stop in &lane.stopped {
        let same = failures.iter_mut().find(|known| is_at(known, stop));
        match same {
            Some(known) => {
                known.packets += stop.packets;
                known.certainty = known.certainty.max(stop_certainty(stop));
                known.extent = Extent::join(known.extent, stop.extent);
            }
            None => failures.push(of_stop(flow.protocol, stop, direction)),
        }
    }
    let is_meant = |drop: &&DropReport| {
        let is_theirs = drop.tuple.protocol == flow.protocol && is_ours(drop);
        is_theirs && !drop.is_benign && !is_passed_over(flow, drop, direction)
    };
    for drop in lane.drops.iter().filter(is_meant) {
        add(&mut failures, lane, drop, direction);
    }
    failures.retain(|failure| failure.packets > 0);
    if failures.is_empty() {
        failures.extend(vanished(flow, lane, direction));
    }
    failures.sort_by_key(|failure| std::cmp::Reverse(failure.packets));
    failures
}

fn stop_certainty(stop: &Stop) -> Certainty {
    if stop.uncertain.is_none() { Certainty::Stopped } else { Certainty::Vanished }
}

fn is_at(known: &Failure<'_>, stop: &Stop) -> bool {
    known
        .after
        .is_some_and(|after| after.place() == stop.after.place() && after.tunnels == stop.after.tunnels)
        && known.before.map(Hop::place) == stop.before.as_ref().map(Hop::place)
}

/// Whether a drop is of the packets that stopped: it was after the same hop, in a namespace that they were on the way
/// through.
fn is_of(known: &Failure<'_>, drop: &DropReport) -> bool {
    let is_same_place = known.after.map(Hop::place) == drop.after;
    let is_here = known.spot.node.as_ref() == Some(&drop.node) && known.spot.pod == drop.pod;
    match known.certainty {
        Certainty::Dropped => is_here && is_same_place,
        _ => is_same_place || (is_here && drop.after.is_none()),
    }
}

/// Adds a drop to the failure that it is of; what was dropped for another reason at the same place is another failure.
fn add<'a>(
    failures: &mut Vec<Failure<'a>>,
    lane: &'a LaneReport,
    drop: &'a DropReport,
    direction: Orientation,
) {
    let is_same = |known: &&mut Failure<'_>| {
        known.drops.iter().any(|other| is_alike(other, drop)) && is_of(known, drop)
    };
    if let Some(known) = failures.iter_mut().find(is_same) {
        known.packets += drop.packets;
        known.drops.push(drop);
        return;
    }
    let Some(stop) = failures.iter_mut().find(|known| known.drops.is_empty() && is_of(known, drop)) else {
        failures.push(of_drop(lane, drop, direction));
        return;
    };
    let mut dropped = stop.clone();
    // The kernel knows where it was; a stop knows only between what.
    dropped.spot.node = Some(drop.node.clone());
    dropped.spot.pod.clone_from(&drop.pod);
    (dropped.tuple, dropped.tunnels, dropped.packets) = (drop.tuple, &drop.tunnels, drop.packets);
    if dropped.input.is_none() && drop.direction == Some(Direction::Ingress) {
        dropped.input = drop.interface.as_deref();
    }
    dropped.is_local = drop.direction == Some(Direction::Egress);
    dropped.certainty = Certainty::Dropped;
    dropped.drops.push(drop);
    // The rest of what stopped between two nodes may have another cause; within one the kernel's count is as good.
    stop.packets = if stop.spot.node.is_some() { 0 } else { stop.packets.saturating_sub(drop.packets) };
    failures.push(dropped);
}

/// Whether the kernel gives the same reason; where it gives none, whether the same function dropped.
fn is_alike(one: &DropReport, other: &DropReport) -> bool {
    one.reason == other.reason && (one.reason.is_some() || one.function == other.function)
}

fn of_stop(protocol: Protocol, stop: &Stop, direction: Orientation) -> Failure<'_> {
    Failure {
        spot: spot(&stop.after, stop.before.as_ref()),
        before: stop.before.as_ref(),
        packets: stop.packets,
        certainty: stop_certainty(stop),
        extent: stop.extent,
        ..at(protocol, &stop.after, direction)
    }
}

fn of_drop<'a>(lane: &'a LaneReport, drop: &'a DropReport, direction: Orientation) -> Failure<'a> {
    let after = drop.after.as_ref().and_then(|after| hop_at(lane, after));
    let spot = Spot {
        node: Some(drop.node.clone()),
        pod: drop.pod.clone(),
        after: drop.after.clone(),
        before: after.and_then(|after| next(lane, after)).map(Hop::place),
    };
    let is_local = drop.direction == Some(Direction::Egress);
    Failure {
        direction,
        spot,
        after,
        before: after.and_then(|after| next(lane, after)),
        tuple: drop.tuple,
        tunnels: &drop.tunnels,
        packets: drop.packets,
        certainty: Certainty::Dropped,
        drops: vec![drop],
        input: after.and_then(input).or(drop.interface.as_deref()).filter(|_| !is_local),
        is_local,
        extent: None,
    }
}

/// Packets of a direction that nobody answers, and of which it is not known where they ended.
fn vanished<'a>(flow: &'a FlowReport, lane: &'a LaneReport, direction: Orientation) -> Option<Failure<'a>> {
    let other = match direction {
        Orientation::Forward => &flow.reply,
        Orientation::Reply => &flow.forward,
    };
    // What was sent once may have been all that there was to say.
    let is_unanswered = direction == Orientation::Forward && other.packets == 0 && lane.packets > 0;
    let after = lane.hops.last()?;
    let is_lost = is_unanswered && lane.delivered == 0 && lane.unknown > 0;
    is_lost.then(|| Failure { packets: lane.packets, ..at(flow.protocol, after, direction) })
}

/// Packets that were last seen at a hop, their number yet to be told.
pub(super) fn at(protocol: Protocol, after: &Hop, direction: Orientation) -> Failure<'_> {
    Failure {
        direction,
        spot: spot(after, None),
        after: Some(after),
        before: None,
        tuple: tuple_of(protocol, after),
        tunnels: &after.tunnels,
        packets: 0,
        certainty: Certainty::Vanished,
        drops: Vec::new(),
        input: input(after),
        is_local: false,
        extent: None,
    }
}

fn tuple_of(protocol: Protocol, hop: &Hop) -> FlowKey {
    FlowKey { protocol, source: hop.source.endpoint, destination: hop.destination.endpoint }
}

/// The interface by which packets come in at a hop.
fn input(hop: &Hop) -> Option<&str> {
    (hop.direction == Some(Direction::Ingress)).then_some(hop.interface.as_str())
}

/// Where packets ended between two hops: in the namespace that they had come into, or between two namespaces.
fn spot(after: &Hop, before: Option<&Hop>) -> Spot {
    let is_same = before.is_some_and(|before| before.node == after.node && before.pod == after.pod);
    let is_inside = after.direction == Some(Direction::Ingress) || is_same;
    Spot {
        node: is_inside.then(|| after.node.clone()),
        pod: after.pod.clone().filter(|_| is_inside),
        after: Some(after.place()),
        before: before.map(Hop::place),
    }
}

fn hop_at<'a>(lane: &'a LaneReport, place: &PlaceName) -> Option<&'a Hop> {
    let stops = lane.stopped.iter().map(|stop| &stop.after);
    lane.hops.iter().chain(stops).find(|hop| hop.place() == *place)
}

/// The hop that others of the same direction reached after this one.
fn next<'a>(lane: &'a LaneReport, after: &Hop) -> Option<&'a Hop> {
    let index = lane.hops.iter().position(|hop| hop.place() == after.place())?;
    lane.hops.get(index + 1)
}

impl Case<'_> {
    /// Failures of one direction.
    pub(super) fn failures_of(&self, direction: Orientation) -> impl Iterator<Item = &Failure<'_>> {
        self.failures.iter().filter(move |failure| failure.direction == direction)
    }
}
