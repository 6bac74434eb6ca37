//! Frames that wait until the journeys of their segments are known.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::capture::Frame;
use crate::headers::HeadersTable;
use crate::journey::{Confidence, Journey, ObservationId};
use crate::point::InterfaceIndex;
use crate::timeline::{Change, FlowId, Orientation, changes};
use crate::units::Timestamp;

/// How far frames of different streams may be apart in time and still be written in order.
const REORDER: Duration = Duration::from_secs(1);

/// A frame's place on its packet's way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// Direction within the flow.
    pub orientation: Orientation,
    /// Which hop this is, from 1.
    pub hop: usize,
    /// Hops of this packet.
    pub hops: usize,
    /// What changed since the hop before.
    pub changes: Vec<Change>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Wire segments of this frame that were followed.
    pub segments: u32,
    flow: FlowId,
}

/// A frame of a traced flow.
#[derive(Clone, Debug)]
pub struct TracedFrame {
    /// Where it was seen.
    pub interface: InterfaceIndex,
    /// The frame as captured; its interface number is that of its own capture.
    pub frame: Frame<'static>,
    /// Number of its flow.
    pub flow: u32,
    /// Its place on its packet's way.
    pub note: Note,
}

#[derive(Debug)]
struct Waiting {
    interface: InterfaceIndex,
    arrival: Timestamp,
    frame: Frame<'static>,
    note: Option<Note>,
}

#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Number of the first one that waits; the others follow without a gap.
    first: u64,
    waiting: VecDeque<Waiting>,
    resolved: BTreeMap<(Timestamp, u64), TracedFrame>,
    ordered: u64,
    /// When the newest one that was put in line arrived.
    newest: Timestamp,
}

impl Frames {
    /// Keeps a frame; every observation is kept, in the order of their numbers.
    pub(super) fn keep(
        &mut self,
        observation: ObservationId,
        interface: InterfaceIndex,
        frame: &Frame<'_>,
        arrival: Timestamp,
    ) {
        debug_assert_eq!(observation.0, self.first + self.waiting.len() as u64);
        self.waiting.push_back(Waiting { interface, arrival, frame: frame.clone().into_owned(), note: None });
    }

    /// Notes the place of every frame of a journey.
    pub(super) fn note(
        &mut self,
        journey: &Journey,
        flow: FlowId,
        orientation: Orientation,
        headers: &HeadersTable,
    ) {
        for (index, hop) in journey.hops.iter().enumerate() {
            let Some(position) = hop.observation.0.checked_sub(self.first) else { continue };
            let Some(waiting) = usize::try_from(position).ok().and_then(|at| self.waiting.get_mut(at)) else {
                continue;
            };
            if let Some(note) = &mut waiting.note {
                note.segments += 1;
                continue;
            }
            let here = headers.at(hop.headers);
            let before = index.checked_sub(1).map(|before| headers.at(journey.hops[before].headers));
            waiting.note = Some(Note {
                orientation,
                hop: index + 1,
                hops: journey.hops.len(),
                changes: before.map(|before| changes(before, here, orientation)).unwrap_or_default(),
                confidence: journey.confidence,
                segments: 1,
                flow,
            });
        }
    }

    /// Frames older than `oldest`, the first one of the oldest open group; all without one.
    pub(super) fn resolved(&mut self, oldest: Option<ObservationId>) -> Vec<(FlowId, PlacedFrame)> {
        let mut resolved = Vec::new();
        while oldest.is_none_or(|oldest| self.first < oldest.0) {
            let Some(waiting) = self.waiting.pop_front() else { break };
            self.first += 1;
            if let Some(note) = waiting.note {
                let Waiting { interface, arrival, frame, .. } = waiting;
                let frame = PlacedFrame { interface, arrival, frame, note };
                resolved.push((frame.note.flow, frame));
            }
        }
        resolved
    }

    /// Puts a frame of a traced flow in line.
    pub(super) fn order(&mut self, flow: u32, placed: PlacedFrame) {
        let PlacedFrame { interface, arrival, frame, note } = placed;
        self.ordered += 1;
        self.newest = self.newest.max(arrival);
        self.resolved.insert((frame.time, self.ordered), TracedFrame { interface, frame, flow, note });
    }

    /// Frames that no other one is expected to precede: much newer ones came, or none for long.
    pub(super) fn ordered(&mut self, now: Timestamp) -> Vec<TracedFrame> {
        if self.newest <= now.before(REORDER) {
            return self.rest();
        }
        let Some((newest, _)) = self.resolved.last_key_value().map(|(key, _)| *key) else {
            return Vec::new();
        };
        let later = self.resolved.split_off(&(newest.before(REORDER), 0));
        std::mem::replace(&mut self.resolved, later).into_values().collect()
    }

    /// All frames that are left.
    pub(super) fn rest(&mut self) -> Vec<TracedFrame> {
        std::mem::take(&mut self.resolved).into_values().collect()
    }
}

/// A frame whose place is known, and whose flow's number is not yet.
pub(super) struct PlacedFrame {
    interface: InterfaceIndex,
    arrival: Timestamp,
    frame: Frame<'static>,
    note: Note,
}
