//! Where the journeys of one path ended, by rules in this order:
//!
//! 1. Another path of the same direction goes on from there: they stopped between the two hops.
//! 2. The last hop is the end of the way by the cluster's state: delivered.
//! 3. Packets of another flow to the same address went on from there: stopped before the hop that those reached.
//! 4. The destination's own interfaces are watched and did not see them: stopped after the last hop.
//! 5. Otherwise unknown: they left what is observed.
//!
//! A stop is certain only if the recorders that would have seen the packets lost none and went on, and, where none of the
//! same direction went on and no next hop is known or the destination is yet to be translated, if nothing came back either.

use super::Reporter;
use crate::loss::BrokenStream;
use crate::resolve::Owner;
use crate::timeline::{Lane, Place, is_beginning};
use crate::units::Direction;

/// Where journeys ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Delivered,
    Stopped { after: Place, before: Option<Place> },
    Unknown,
}

/// What the cluster's state says of a hop, given the packet's destination there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// The destination's last hop.
    Reached,
    /// The destination's last hop is watched, and is another one.
    Elsewhere,
    /// The destination is not known, or not watched.
    Unwatched,
}

impl Reporter<'_> {
    pub(super) fn fate(&self, lane: &Lane, path: &[Place]) -> Fate {
        let Some(after) = path.last().copied() else { return Fate::Unknown };
        if let Some(next) = successor(lane, path) {
            return Fate::Stopped { after, before: Some(next) };
        }
        let end = self.end(after);
        if end == End::Reached {
            return Fate::Delivered;
        }
        match (self.next.after(after, self.headers), end) {
            (Some(next), _) => Fate::Stopped { after, before: Some(next) },
            (None, End::Elsewhere) => Fate::Stopped { after, before: None },
            (None, _) => Fate::Unknown,
        }
    }

    fn end(&self, place: Place) -> End {
        let headers = self.headers.at(place.headers);
        let interface = self.points.at(place.point.interface);
        let node = &self.points.node_of(place.point.interface).name;
        let is_plain = headers.tunnels.is_empty();
        let mut end = End::Unwatched;
        let is_undirected = place.point.direction.is_none();
        for owner in self.names.owners(headers.flow.destination.address) {
            let (is_watched, is_here) = match owner {
                Owner::Pod { name, .. } if self.points.observes_pod(name) => (
                    true,
                    interface.pod.as_ref() == Some(name) && place.point.direction == Some(Direction::Ingress),
                ),
                Owner::Pod { node: Some(home), .. } => {
                    let leaves = interface.pod.is_none() && place.point.direction == Some(Direction::Egress);
                    (self.points.observes_node(home), home == node && leaves)
                }
                Owner::Node { name } => {
                    let enters = interface.pod.is_none() && place.point.direction == Some(Direction::Ingress);
                    let is_node_port = self.names.is_node_port(headers.flow);
                    (self.points.observes_node(name), name == node && enters && !is_node_port)
                }
                // A service's address is nobody's: a packet that came in with it has to leave with another.
                Owner::Service { .. } => (place.point.direction == Some(Direction::Ingress), false),
                Owner::Pod { node: None, .. } => (false, false),
            };
            // Of an interface that may as well have received it nothing follows.
            let home = match owner {
                Owner::Pod { node: home, .. } => home.as_ref(),
                Owner::Node { name } => Some(name),
                Owner::Service { .. } => None,
            };
            if is_undirected && home == Some(node) {
                return End::Unwatched;
            }
            if is_watched && is_here && is_plain {
                return End::Reached;
            }
            if is_watched {
                end = End::Elsewhere;
            }
        }
        end
    }

    /// Why packets that stopped may have gone on unseen all the same; absent where they did not.
    ///
    /// `is_reacted_to` where the other side reacted to packets of which none is known to have gone on.
    pub(super) fn doubt(&self, after: Place, before: Option<Place>, is_reacted_to: bool) -> Option<String> {
        let node = &self.points.node_of(before.unwrap_or(after).point.interface).name;
        // Without a next hop the packets may have been on any node.
        let is_beyond = |broken: &&BrokenStream| before.is_none() || &broken.node == node;
        if let Some(broken) = self.loss.broken_streams.iter().find(is_beyond) {
            return Some(format!("a capture on {} ended early", broken.node));
        }
        let is_contradicted = is_reacted_to && (before.is_none() || self.is_to_be_translated(after));
        is_contradicted.then(|| {
            "the other side sent packets as well, so some may have gone on under an address that the cluster \
             state does not tell"
                .to_owned()
        })
    }
}

impl Reporter<'_> {
    /// Whether the destination at a place is that of a service, which a node makes another one.
    fn is_to_be_translated(&self, place: Place) -> bool {
        let flow = self.headers.at(place.headers).flow;
        let mut owners = self.names.owners(flow.destination.address);
        self.names.is_node_port(flow) || owners.any(|owner| matches!(owner, Owner::Service { .. }))
    }
}

/// Whether packets of the same direction went on where a path ends.
pub(super) fn goes_on(lane: &Lane, path: &[Place]) -> bool {
    successor(lane, path).is_some()
}

/// The next hop of the longest path that goes on where this one ends.
fn successor(lane: &Lane, path: &[Place]) -> Option<Place> {
    let last = path.last()?;
    let longer = lane.paths().map(|(other, _)| other).filter(|other| is_beginning(path, other));
    let longest = longer.max_by_key(|other| other.len())?;
    let end = longest.iter().position(|place| place == last)?;
    longest.get(end + 1).copied()
}
