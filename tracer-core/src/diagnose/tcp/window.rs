//! Receivers that do not read: nothing is wrong with the network.

use crate::diagnose::case::Case;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::verdict::{Cause, Fact, Outcome, Source, Spot};
use crate::diagnose::words;
use crate::evidence::{Snapshot, SocketState};
use crate::flow::Endpoint;
use crate::report::{FlowReport, LaneReport};
use crate::timeline::Orientation;

/// For how long the window has to be closed in all, in nanoseconds: a sender that is faster than its receiver closes it for
/// moments, and that is what it is for.
const LONG: u64 = 1_000_000_000;
/// The share of the flow's time that it has to be closed: one in so many.
const SHARE: u64 = 4;

/// A side kept its receive window closed:
///
/// 1. In all for a second at least, and for a quarter of the flow's time.
/// 2. Its packets say so themselves, and it told nothing else: proof.
pub(super) fn closed(case: &Case<'_>) -> Vec<Finding> {
    let directions = [Orientation::Forward, Orientation::Reply];
    directions.into_iter().filter_map(|direction| of(case, direction)).collect()
}

fn of(case: &Case<'_>, direction: Orientation) -> Option<Finding> {
    let lane = case.lane(direction);
    let closed = closed_for(case.flow, lane);
    let whole = span(case.flow);
    if lane.zero_windows == 0 || closed < LONG || closed.saturating_mul(SHARE) < whole {
        return None;
    }
    let end = match direction {
        Orientation::Forward => &case.flow.source,
        Orientation::Reply => &case.flow.destination,
    };
    let other = case.lane(direction.reversed());
    let who = words::end(end);
    let still = if lane.window_closed_since_ns.is_some() { ", and has not opened it again" } else { "" };
    let summary = format!(
        "{who} does not read: it kept its receive window closed for {} ms of {} ms{still}",
        closed / 1_000_000,
        whole / 1_000_000
    );
    let text = format!(
        "its window was closed {}; {} of {} packets to it arrived",
        words::count(lane.zero_windows, "time"),
        other.delivered,
        other.packets
    );
    let first = lane.hops.first();
    let place = |hop: &crate::report::Hop| Spot {
        node: Some(hop.node.clone()),
        pod: hop.pod.clone(),
        after: other.hops.last().map(crate::report::Hop::place),
        before: None,
    };
    let mut finding = Finding::new(Cause::ZeroWindow, Rank::Proof, Outcome::Slow, summary)
        .packets(other.packets)
        .fact(Fact::general(Source::Packets, text))
        .remedy(format!("see what the program at {who} waits for: the network delivers what it is sent"));
    if let Some(hop) = first {
        finding = finding.at(place(hop));
    }
    let unread =
        case.snapshots().find_map(|snapshot| Some((snapshot, unread(snapshot, own_end(case, direction))?)));
    if let Some((snapshot, bytes)) = unread {
        let text = format!("{bytes} bytes wait to be read in its socket");
        finding = finding.fact(Fact::of(Source::Sockets, snapshot, text));
    }
    Some(finding)
}

/// The end that a direction comes from, as it is in its own namespace.
fn own_end(case: &Case<'_>, direction: Orientation) -> Option<Endpoint> {
    case.lane(direction).hops.first().map(|hop| hop.source.endpoint)
}

fn unread(snapshot: &Snapshot, end: Option<Endpoint>) -> Option<u32> {
    let end = end?;
    let is_it = |socket: &&crate::evidence::Socket| {
        socket.state == SocketState::Established
            && (socket.local, socket.local_port) == (end.address, end.port.0)
            && socket.receive_queue > 0
    };
    snapshot.sockets.iter().filter(is_it).map(|socket| socket.receive_queue).max()
}

/// Nanoseconds for which the window of a direction's sender was closed, until the flow's last packet where it still is.
fn closed_for(flow: &FlowReport, lane: &LaneReport) -> u64 {
    let last = last(flow);
    let still = lane.window_closed_since_ns.map_or(0, |since| last.saturating_sub(since.0));
    lane.zero_window_ns.saturating_add(still)
}

/// Nanoseconds from a flow's first packet to its last.
fn span(flow: &FlowReport) -> u64 {
    last(flow).saturating_sub(flow.first_ns.0)
}

fn last(flow: &FlowReport) -> u64 {
    [flow.forward.last_ns, flow.reply.last_ns]
        .into_iter()
        .flatten()
        .map(|time| time.0)
        .max()
        .unwrap_or_default()
}
