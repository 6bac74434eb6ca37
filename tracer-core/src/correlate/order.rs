//! The order of hops.
//!
//! 1. By the innermost time to live, which every router lowers and none raises: no clock is involved.
//! 2. Of equal time to live, the node that was the last one before goes first: it has lowered it.
//! 3. Where that does not tell, by direction and by what the packet wore: it leaves a node by egress and enters the
//!    next by ingress, with what it had when it left.
//! 4. Where that does not tell either (bridged networks), by the nodes' times.
//!
//! On one node, a pod's own interface sends before and receives after everything in the node's namespace. There what is
//! encapsulated comes in first and goes out last, and else the node's clock decides, which is the same for all its
//! interfaces. Times alone are not enough in captures of other tools: the kernel keeps a packet's time through
//! decapsulation, a coalesced packet has that of its first segment, and pcap has microseconds.

use std::cmp::Reverse;
use std::ops::Range;

use crate::headers::{HeadersId, HeadersTable};
use crate::journey::Sighting;
use crate::point::{NodeId, Points};
use crate::units::{Direction, Timestamp};

/// Sorts the hops of one packet from its first to its last.
pub(super) fn sort(hops: &mut Vec<Sighting>, headers: &HeadersTable, points: &Points) {
    let node = |hop: &Sighting| points.at(hop.point.interface).node;
    hops.sort_by_key(|hop| {
        let is_sent = hop.point.direction == Some(Direction::Egress);
        let place = (place_in_node(hop, points), place_in_stack(hop, headers));
        (Reverse(hop.ttl), node(hop), place, hop.time, is_sent)
    });
    let Some(first) = hops.first().map(node) else { return };
    if hops.iter().all(|hop| node(hop) == first) {
        return;
    }
    let mut sorted: Vec<Sighting> = Vec::with_capacity(hops.capacity());
    let mut legs: Vec<Leg> = Vec::with_capacity(4);
    for level in hops.chunk_by(|a, b| a.ttl == b.ttl) {
        legs.clear();
        let mut begin = 0;
        for leg in level.chunk_by(|a, b| node(a) == node(b)) {
            legs.push(Leg::of(leg, begin, node(&leg[0])));
            begin += leg.len();
        }
        for leg in untie(&mut legs, sorted.last().map(node)) {
            sorted.extend_from_slice(&level[leg.range.clone()]);
        }
    }
    *hops = sorted;
}

/// A pod's own interface before the node's when it sends, after them when it receives.
fn place_in_node(hop: &Sighting, points: &Points) -> u8 {
    let is_inside = points.at(hop.point.interface).pod.is_some();
    match (is_inside, hop.point.direction) {
        (true, Some(Direction::Egress)) => 0,
        (true, Some(Direction::Ingress)) => 2,
        _ => 1,
    }
}

/// Decapsulated after it came in, encapsulated before it goes out.
fn place_in_stack(hop: &Sighting, headers: &HeadersTable) -> isize {
    let tunnels = isize::try_from(headers.at(hop.headers).tunnels.len()).unwrap_or(isize::MAX);
    match hop.point.direction {
        Some(Direction::Ingress) => -tunnels,
        Some(Direction::Egress) => tunnels,
        None => 0,
    }
}

/// What one node saw of a packet with one time to live.
struct Leg {
    node: NodeId,
    range: Range<usize>,
    enters: (HeadersId, Option<Direction>),
    leaves: (HeadersId, Option<Direction>),
    time: Timestamp,
}

impl Leg {
    fn of(hops: &[Sighting], begin: usize, node: NodeId) -> Self {
        let (first, last) = (hops[0], hops[hops.len() - 1]);
        Self {
            node,
            range: begin..begin + hops.len(),
            enters: (first.headers, first.point.direction),
            leaves: (last.headers, last.point.direction),
            time: first.time,
        }
    }

    /// How well the other leg goes on from this one.
    fn leads_to(&self, next: &Self) -> u8 {
        let is_wire = self.leaves.1 != Some(Direction::Ingress) && next.enters.1 != Some(Direction::Egress);
        u8::from(is_wire) * 2 + u8::from(self.leaves.0 == next.enters.0)
    }
}

/// Legs of one time to live in their order, after hops that ended on the node `before`.
fn untie(legs: &mut [Leg], before: Option<NodeId>) -> &[Leg] {
    for begin in 0..legs.len().saturating_sub(1) {
        let rest = &legs[begin..];
        let is_other = |leg: &Leg| begin > 0 || Some(leg.node) != before;
        let is_later = |leg: &Leg| rest.iter().any(|other| other.leads_to(leg) > leg.leads_to(other));
        let rank = |index: &usize| (is_other(&rest[*index]), is_later(&rest[*index]), rest[*index].time);
        let first = (0..rest.len()).min_by_key(rank);
        legs.swap(begin, begin + first.unwrap_or_default());
    }
    legs
}
