//! The order of hops.
//!
//! 1. On one node by its own clock: it is monotonic and the same for all its interfaces.
//! 2. Between nodes by the innermost time to live, which every router lowers: no clock is involved.
//! 3. Where that does not tell (bridged networks), by the nodes' times.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::journey::Sighting;
use crate::point::{NodeId, Points};
use crate::units::Timestamp;

/// Sorts the hops of one packet from its first to its last.
pub(super) fn sort(hops: Vec<Sighting>, points: &Points) -> Vec<Sighting> {
    let mut by_node: BTreeMap<NodeId, Vec<Sighting>> = BTreeMap::new();
    for hop in hops {
        by_node.entry(points.at(hop.point.interface).node).or_default().push(hop);
    }
    let mut legs: Vec<Vec<Sighting>> = by_node.into_values().collect();
    for leg in &mut legs {
        leg.sort_by_key(|hop| hop.time);
    }
    legs.sort_by_key(|leg| rank(leg));
    legs.concat()
}

/// The highest time to live first, then the lowest one, then the time.
fn rank(leg: &[Sighting]) -> (Reverse<u8>, Reverse<u8>, Option<Timestamp>) {
    let highest = leg.iter().map(|hop| hop.ttl).max().unwrap_or_default();
    let lowest = leg.iter().map(|hop| hop.ttl).min().unwrap_or_default();
    (Reverse(highest), Reverse(lowest), leg.first().map(|hop| hop.time))
}
