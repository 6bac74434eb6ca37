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
            let Span { from, to } = self.expected(node, journey, seen).wider(SLACK);
            if self.recorders.any(node, from, to) {
                clouds.push(Cloud::Lost(node));
            }
        }
        self.blind(journey, seen, &mut clouds);
        if self.options.is_merged {
            self.uncovered(journey, seen, &mut clouds);
        } else {
            self.absent(seen, &mut clouds);
        }
        clouds
    }

    /// Live captures that joined after a packet passed, or had broken off by then.
    fn absent(&self, seen: Timestamp, clouds: &mut Vec<Cloud>) {
        for source in &self.sources {
            let is_early = source.joined.is_some_and(|joined| seen < joined.offset(SLACK));
            let is_late = source.broke.is_some_and(|broke| seen > broke.offset(-SLACK));
            if is_early || is_late {
                clouds.extend(source.nodes().iter().copied().map(Cloud::Uncovered));
            }
        }
        clouds.sort_unstable();
        clouds.dedup();
    }

    /// Nodes that recorded something which may be this packet, cut too short to tell.
    fn blind(&self, journey: &Journey, seen: Timestamp, clouds: &mut Vec<Cloud>) {
        for node in self.recorders.blind_nodes() {
            let Span { from, to } = self.expected(node, journey, seen).wider(SLACK);
            let is_blind = |hop: &Sighting| {
                let flow = self.headers.flow(hop.headers);
                self.recorders.is_blind(node, &flow, from, to)
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
                // Clocks that were never compared are taken for right here: otherwise nothing could be said of packets that
                // never came to a node.
                let Span { from, to } =
                    self.known_times(node, journey).unwrap_or(Span { from: seen, to: seen });
                if begin > from || to > end {
                    clouds.push(Cloud::Uncovered(node));
                }
            }
        }
    }

    /// Between which times of a node's clock it would have recorded a journey.
    fn expected(&self, node: NodeId, journey: &Journey, seen: Timestamp) -> Span {
        self.known_times(node, journey).unwrap_or_else(|| {
            let here = Span { from: seen, to: seen };
            if self.options.is_merged {
                // The clocks may be as far apart as the window allows.
                return here.wider(i64::try_from(self.options.window.as_nanos()).unwrap_or(i64::MAX));
            }
            let source = self.sources.iter().find(|source| source.nodes().contains(&node));
            source
                .and_then(|source| source.own_time(seen))
                .map_or(Span::ALWAYS, |time| Span { from: time, to: time })
        })
    }

    /// When a node recorded a journey, or would have; absent where its clock was not compared with another yet.
    fn known_times(&self, node: NodeId, journey: &Journey) -> Option<Span> {
        let times = journey.hops.iter().filter(|hop| self.points.at(hop.point.interface).node == node);
        let range = times.fold(None, |range: Option<Span>, hop| match range {
            None => Some(Span { from: hop.time, to: hop.time }),
            Some(span) => Some(Span { from: span.from.min(hop.time), to: span.to.max(hop.time) }),
        });
        range.or_else(|| {
            let last = journey.last();
            let (here, there) = (self.points.clock(last.point.interface), self.points.clock_of(node));
            let offset = if here == there { Some(Offset::NONE) } else { self.clocks.recent(here, there) };
            let time = last.time.offset(offset?.offset);
            Some(Span { from: time, to: time })
        })
    }
}

/// Times of one clock.
#[derive(Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Span {
    const ALWAYS: Self = Self { from: Timestamp(0), to: Timestamp(u64::MAX) };

    fn wider(self, nanoseconds: i64) -> Self {
        Self { from: self.from.offset(-nanoseconds), to: self.to.offset(nanoseconds) }
    }
}
