//! Whether every capture was there to see a packet: what was not recorded is not lost.

use super::Tracer;
use crate::clock::Offset;
use crate::journey::{Journey, Sighting};
use crate::loss::Cloud;
use crate::point::NodeId;
use crate::units::Timestamp;

/// A packet is recorded within so many nanoseconds of the time at which it is expected on a node.
pub(super) const SLACK: i64 = 500_000_000;

impl Tracer {
    /// Why nodes may not have recorded a journey that was first seen at `seen` by the trace's clock.
    pub(super) fn clouds(&self, journey: &Journey, seen: Timestamp) -> Vec<Cloud> {
        let mut clouds = Vec::new();
        for node in self.recorders.nodes() {
            let (from, to) = self.expected(node, journey, seen);
            if self.recorders.any(node, from.offset(-SLACK), to.offset(SLACK)) {
                clouds.push(Cloud::Lost(node));
            }
        }
        self.blind(journey, seen, &mut clouds);
        if self.options.is_merged {
            self.uncovered(journey, seen, &mut clouds);
        }
        clouds
    }

    /// Nodes that recorded something which may be this packet, cut too short to tell.
    fn blind(&self, journey: &Journey, seen: Timestamp, clouds: &mut Vec<Cloud>) {
        for node in self.recorders.blind_nodes() {
            let (from, to) = self.expected(node, journey, seen);
            let is_blind = |hop: &Sighting| {
                let flow = self.headers.flow(hop.headers);
                self.recorders.is_blind(node, &flow, from.offset(-SLACK), to.offset(SLACK))
            };
            if journey.hops.iter().any(is_blind) {
                clouds.push(Cloud::Blind(node));
            }
        }
    }

    /// Captures that began after a packet passed, or had ended by then.
    fn uncovered(&self, journey: &Journey, seen: Timestamp, clouds: &mut Vec<Cloud>) {
        let window = i64::try_from(self.options.window.as_nanos()).unwrap_or(i64::MAX);
        for source in &self.sources {
            let Some((begin, end)) = source.span() else { continue };
            // However far the clocks are off, as long as packets are recognised at all.
            if begin.offset(window) <= seen && seen.offset(window) <= end {
                continue;
            }
            let is_seen = |hop: &Sighting| source.has(hop.point.interface);
            if journey.hops.iter().any(is_seen) {
                continue;
            }
            for node in source.nodes().iter().copied() {
                if clouds.contains(&Cloud::Uncovered(node)) {
                    continue;
                }
                let (from, to) = self.expected(node, journey, seen);
                if begin > from || to > end {
                    clouds.push(Cloud::Uncovered(node));
                }
            }
        }
    }

    /// Between which times of a node's clock it would have recorded a journey.
    fn expected(&self, node: NodeId, journey: &Journey, seen: Timestamp) -> (Timestamp, Timestamp) {
        let times = journey.hops.iter().filter(|hop| self.points.at(hop.point.interface).node == node);
        let range = times.fold(None, |range: Option<(Timestamp, Timestamp)>, hop| match range {
            None => Some((hop.time, hop.time)),
            Some((from, to)) => Some((from.min(hop.time), to.max(hop.time))),
        });
        range.unwrap_or_else(|| {
            let last = journey.last();
            let (here, there) = (self.points.clock(last.point.interface), self.points.clock_of(node));
            let offset = if here == there { Some(Offset::NONE) } else { self.clocks.recent(here, there) };
            let time = offset.map_or(seen, |offset| last.time.offset(offset.offset));
            (time, time)
        })
    }
}
