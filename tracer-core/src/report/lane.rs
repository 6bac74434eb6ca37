//! One direction of a flow: how many packets took which way, and what happened to them.

use serde::Serialize;

use super::fate::{Fate, goes_on};
use super::{Hop, Outliers, Reporter, RoundTrip, Storm};
use crate::drops::DropReport;
use crate::loss::Cloud;
use crate::timeline::{Earlier, Extent, Flow, Lane, Orientation, PathCount, Place};
use crate::trace::PlaceName;
use crate::units::Timestamp;

/// One direction of a flow.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LaneReport {
    /// Wire segments, each counted once however often it was seen.
    pub packets: u64,
    /// Transport payload bytes of them.
    pub payload_bytes: u64,
    /// Of these, bytes that had been sent before (TCP).
    pub retransmitted_bytes: u64,
    /// When the first segment was seen first, in nanoseconds since the epoch; absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ns: Option<Timestamp>,
    /// The same of the last segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ns: Option<Timestamp>,
    /// Wire segments that reached the end of their way.
    pub delivered: u64,
    /// Their lengths and times; absent where there are none.
    #[serde(skip)]
    pub arrived: Option<Extent>,
    /// Wire segments of which it cannot be said where they ended: they left the observed nodes, were at an edge
    /// of the trace, or had more than one translation that fits.
    pub unknown: u64,
    /// Wire segments that were recognised by their order only.
    pub ordinal: u64,
    /// Wire segments of which only the number is certain: equal ones were lost or doubled.
    pub counted: u64,
    /// The way that the packets took.
    pub hops: Vec<Hop>,
    /// Where packets stopped, if any did.
    pub stopped: Vec<Stop>,
    /// What the kernels say that they dropped of it.
    pub drops: Vec<DropReport>,
    /// TCP data that was sent again, by what became of the transmission before.
    pub retransmitted: Vec<Retransmissions>,
    /// Retransmissions that no loss of the network explains, if there are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// Of what was sent again, segments that were sent while the receiver's window was closed.
    pub probes: u64,
    /// Where packets overtook others.
    pub reordered: Vec<Reordering>,
    /// Where packets were doubled.
    pub duplicated: Vec<Duplicates>,
    /// How often the sender of this direction closed its receive window (TCP).
    pub zero_windows: u64,
    /// Nanoseconds for which it was closed, as far as it was opened again.
    pub zero_window_ns: u64,
    /// Since when it is closed, in nanoseconds since the epoch; absent where it is open at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_closed_since_ns: Option<Timestamp>,
    /// How long after its packets their answers were back at their first hop; absent where none was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip: Option<RoundTrip>,
    /// Steps between hops on which packets took much longer than others.
    pub outliers: Vec<Outliers>,
}

/// Retransmissions of segments whose transmission before ended alike.
#[derive(Clone, Debug, Serialize)]
pub struct Retransmissions {
    /// The last hop that saw the transmission before; absent where that was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_after: Option<PlaceName>,
    /// Whether it is unknown what became of the transmission before.
    pub unknown: bool,
    /// Wire segments that were sent again.
    pub packets: u64,
}

/// Packets that came to a hop before the one that had been sent before them.
#[derive(Clone, Debug, Serialize)]
pub struct Reordering {
    /// The first hop at which the order is another one.
    pub at: PlaceName,
    /// Wire segments.
    pub packets: u64,
}

/// Packets that arose on the way: the hop before saw fewer of them.
#[derive(Clone, Debug, Serialize)]
pub struct Duplicates {
    /// The first hop that saw them.
    pub at: PlaceName,
    /// Wire segments.
    pub packets: u64,
}

/// Packets that were not seen any more after some hop.
#[derive(Clone, Debug, Serialize)]
pub struct Stop {
    /// The last hop that saw them.
    pub after: Hop,
    /// The hop that others of the same way reached next; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Hop>,
    /// Wire segments.
    pub packets: u64,
    /// Why it is not certain that they were lost; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<String>,
    /// Lengths and times of all segments that ended there; absent where they are not known.
    #[serde(skip)]
    pub extent: Option<Extent>,
}

/// Whether the other side sent what it sends only to those whom it has heard. Answers are heard by whom TCP acknowledges them;
/// other protocols send on without.
fn is_answered(flow: &Flow, orientation: Orientation) -> bool {
    match orientation {
        Orientation::Forward => flow.lane(Orientation::Reply).segments() > 0,
        Orientation::Reply => flow.tcp.acknowledged,
    }
}

impl Reporter<'_> {
    pub(super) fn lane(&self, flow: &Flow, orientation: Orientation) -> LaneReport {
        let lane = flow.lane(orientation);
        let is_answered = is_answered(flow, orientation);
        let retransmitted = self.retransmitted(lane);
        let mut report = LaneReport {
            packets: lane.segments(),
            payload_bytes: lane.payload(),
            retransmitted_bytes: lane.sequence().bytes_again(),
            first_ns: lane.span().map(|span| span.0),
            last_ns: lane.span().map(|span| span.1),
            delivered: 0,
            arrived: None,
            unknown: lane.overflow,
            ordinal: 0,
            counted: 0,
            hops: self.hops(lane, lane.main_path(), orientation),
            stopped: Vec::new(),
            drops: self.drops(flow, orientation),
            storm: Storm::of(lane.sequence(), &retransmitted, lane.segments()),
            retransmitted,
            probes: lane.sequence().probes(),
            reordered: lane
                .reordered()
                .map(|(at, packets)| Reordering { at: self.name(at), packets })
                .collect(),
            duplicated: Vec::new(),
            zero_windows: lane.sequence().zero_windows(),
            zero_window_ns: lane.sequence().closed_for(),
            window_closed_since_ns: lane.sequence().closed_since(),
            round_trip: Self::round_trip(lane),
            outliers: self.outliers(lane, lane.main_path()),
        };
        for (path, count) in lane.paths() {
            report.ordinal += count.ordinal;
            report.counted += count.counted;
            if let (Some(first), 1..) = (path.first(), count.copies) {
                report.duplicated.push(Duplicates { at: self.name(*first), packets: count.copies });
            }
            match self.fate(lane, path) {
                Fate::Delivered => {
                    report.delivered += count.segments - count.dropped;
                    report.arrived = Extent::join(report.arrived, count.extent);
                    report.stopped.extend(self.dropped_at_the_end(lane, path, count, orientation));
                }
                Fate::Unknown => {
                    report.unknown += count.segments - count.dropped;
                    report.stopped.extend(self.dropped_at_the_end(lane, path, count, orientation));
                }
                Fate::Stopped { after, before } => {
                    let may_vanish = !before.is_some_and(|before| self.keeps_fragments(lane, after, before));
                    let vanished = if may_vanish { count.fragments } else { 0 };
                    let unsure = (count.open_ended + vanished).min(count.segments);
                    report.unknown += unsure;
                    let sure = count.segments - unsure;
                    let hop = |place| self.hop(lane, None, place, orientation);
                    let is_reacted_to = is_answered && !goes_on(lane, path);
                    for (packets, uncertain) in self.certainty(sure, count, after, before, is_reacted_to) {
                        let (after, before) = (hop(after), before.map(hop));
                        report.stopped.push(Stop { after, before, packets, uncertain, extent: count.extent });
                    }
                }
            }
        }
        report
    }

    /// Segments that a kernel dropped after the last hop of a path from which nobody is known to go on.
    fn dropped_at_the_end(
        &self,
        lane: &Lane,
        path: &[Place],
        count: &PathCount,
        orientation: Orientation,
    ) -> Option<Stop> {
        let after = self.hop(lane, None, *path.last()?, orientation);
        let packets = count.dropped;
        (packets > 0).then_some(Stop { after, before: None, packets, uncertain: None, extent: count.extent })
    }

    /// Segments that stopped, by whether and why it is not certain that they were lost. Those that a kernel says that it
    /// dropped are certain.
    fn certainty(
        &self,
        sure: u64,
        count: &PathCount,
        after: Place,
        before: Option<Place>,
        is_reacted_to: bool,
    ) -> Vec<(u64, Option<String>)> {
        let beyond = before.map(|before| self.points.at(before.point.interface).node);
        let proven = count.dropped.min(sure);
        let mut clear = sure - proven;
        let mut told = Vec::new();
        for (cloud, clouded) in &count.clouded {
            if beyond.is_none_or(|node| node == cloud.node()) {
                // Several clouds may be of the same packets: then the first one is told.
                let packets = clear.min(*clouded);
                clear -= packets;
                told.push((packets, Some(self.cause(*cloud))));
            }
        }
        match self.doubt(after, before, is_reacted_to) {
            None => told.insert(0, (proven + clear, None)),
            doubt => told.splice(0..0, [(proven, None), (clear, doubt)]).for_each(drop),
        }
        told.retain(|(packets, _)| *packets > 0);
        told
    }

    /// Whether fragments reach the next place as they are: on a node that tracks connections they are made whole, and
    /// perhaps cut anew.
    fn keeps_fragments(&self, lane: &Lane, after: Place, before: Place) -> bool {
        let node = |place: Place| self.points.at(place.point.interface).node;
        node(after) != node(before) && lane.has_fragments_at(before)
    }

    fn cause(&self, cloud: Cloud) -> String {
        let node = &self.points.node_at(cloud.node()).name;
        match cloud {
            Cloud::Blind(_) => {
                format!("packets on {node} were captured too short to be recognised")
            }
            Cloud::Lost(_) => match self.loss.lost_on(node) {
                1 => format!("1 record was lost on {node}"),
                lost => format!("{lost} records were lost on {node}"),
            },
            Cloud::Uncovered(_) => format!("no capture of {node} shows that it recorded at that time"),
        }
    }

    fn retransmitted(&self, lane: &Lane) -> Vec<Retransmissions> {
        let mut all: Vec<Retransmissions> = Vec::new();
        for (earlier, packets) in lane.sequence().retransmitted() {
            let fate = match earlier {
                Earlier::Arrived => Fate::Delivered,
                Earlier::Took(path) => self.fate(lane, lane.path(path)),
            };
            let stopped_after = match fate {
                Fate::Stopped { after, .. } => Some(self.name(after)),
                Fate::Delivered | Fate::Unknown => None,
            };
            let unknown = fate == Fate::Unknown;
            let is_same = |known: &&mut Retransmissions| {
                known.stopped_after == stopped_after && known.unknown == unknown
            };
            match all.iter_mut().find(is_same) {
                Some(known) => known.packets += packets,
                None => all.push(Retransmissions { stopped_after, unknown, packets }),
            }
        }
        all
    }

    fn name(&self, place: Place) -> PlaceName {
        PlaceName::of(self.points, place)
    }
}
