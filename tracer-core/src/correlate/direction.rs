//! Directions that a capture does not tell.
//!
//! On a node that routes a packet the sightings before the routing have a higher time to live than those after it:
//! the former were received, the latter sent. An interface sees the packets between two addresses in one direction,
//! so what one packet showed holds for others that were seen on one side only.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Group;
use crate::headers::HeadersTable;
use crate::journey::Sighting;
use crate::point::{InterfaceIndex, NodeId, Points};
use crate::units::Direction;

/// Pairs of addresses that are remembered at most.
const CAPACITY: usize = 262_144;

/// What is known of directions.
#[derive(Clone, Debug, Default)]
pub struct Directions {
    learnt: HashMap<(InterfaceIndex, IpAddr, IpAddr), Direction>,
}

impl Directions {
    /// Fills in the directions of a group's sightings as far as they can be told, and remembers them.
    pub fn fill(&mut self, group: &mut Group, headers: &HeadersTable, points: &Points) {
        if group.members.iter().all(|hop| hop.point.direction.is_some()) {
            return;
        }
        self.learn(group, headers, points);
        for hop in group.members.iter_mut().filter(|hop| hop.point.direction.is_none()) {
            let flow = headers.flow(hop.headers);
            let (source, destination) = (flow.source.address, flow.destination.address);
            let known = |from, to| self.learnt.get(&(hop.point.interface, from, to)).copied();
            hop.point.direction =
                known(source, destination).or_else(|| known(destination, source).map(Direction::reversed));
        }
    }

    /// Fills in directions along a packet's way: it leaves one node and enters the next.
    pub fn fill_along(&mut self, hops: &mut [Sighting], headers: &HeadersTable, points: &Points) {
        for index in 1..hops.len() {
            let (before, after) = (hops[index - 1].point, hops[index].point);
            if points.at(before.interface).node == points.at(after.interface).node {
                continue;
            }
            for (number, direction) in [(index - 1, Direction::Egress), (index, Direction::Ingress)] {
                if hops[number].point.direction.is_none() {
                    hops[number].point.direction = Some(direction);
                    self.remember(&hops[number], direction, headers);
                }
            }
        }
    }

    fn remember(&mut self, hop: &Sighting, direction: Direction, headers: &HeadersTable) {
        if self.learnt.len() < CAPACITY {
            let flow = headers.flow(hop.headers);
            let pair = (hop.point.interface, flow.source.address, flow.destination.address);
            self.learnt.insert(pair, direction);
        }
    }

    /// Remembers what a group's sightings tell about directions.
    pub fn learn(&mut self, group: &Group, headers: &HeadersTable, points: &Points) {
        let places: Vec<(NodeId, bool)> = group
            .members
            .iter()
            .map(|hop| {
                let interface = points.at(hop.point.interface);
                (interface.node, interface.pod.is_none())
            })
            .collect();
        for (hop, place) in group.members.iter().zip(&places) {
            if hop.point.direction.is_some() {
                continue;
            }
            let here =
                || group.members.iter().zip(&places).filter(|(_, other)| other.0 == place.0 && other.1);
            let told = if place.1 {
                by_routing(hop, here().map(|(other, _)| other))
            } else {
                by_host(hop, here().map(|(other, _)| other))
            };
            if let Some(direction) = told {
                self.remember(hop, direction, headers);
            }
        }
    }
}

/// In the node's own namespace: received before the node routed the packet, sent after it.
fn by_routing<'a>(hop: &Sighting, here: impl Iterator<Item = &'a Sighting> + Clone) -> Option<Direction> {
    let highest = here.clone().map(|other| other.ttl).max()?;
    let lowest = here.map(|other| other.ttl).min()?;
    // Routed more than once here, as in a loop: which time this is cannot be told.
    if highest - lowest > 1 {
        return None;
    }
    match (hop.ttl == highest, hop.ttl == lowest) {
        (true, false) => Some(Direction::Ingress),
        (false, true) => Some(Direction::Egress),
        _ => None,
    }
}

/// Inside a pod: sent before the node has it, received after it.
fn by_host<'a>(hop: &Sighting, here: impl Iterator<Item = &'a Sighting> + Clone) -> Option<Direction> {
    let order = |other: &Sighting| (std::cmp::Reverse(other.ttl), other.time);
    let (first, last) = (here.clone().map(order).min()?, here.map(order).max()?);
    let own = order(hop);
    match (own < first, own > last) {
        (true, false) => Some(Direction::Egress),
        (false, true) => Some(Direction::Ingress),
        _ => None,
    }
}
