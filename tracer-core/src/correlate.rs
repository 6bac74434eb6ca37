//! Observations to journeys.
//!
//! Sightings with the same key are gathered in a group. A group closes when every stream has delivered what it saw
//! up to one window after the group's first sighting: the order in which streams deliver does not matter, nor how
//! far one lags behind another. A closed group is split into journeys: one per packet that had the key.

mod order;
mod split;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

pub use split::{Related, Split};

use crate::identity::{Segment, SegmentKey};
use crate::journey::{ObservationId, Sighting};
use crate::units::Timestamp;

/// All sightings of one key within one window.
#[derive(Clone, Debug)]
pub struct Group {
    /// What was seen.
    pub segment: Segment,
    /// When it was first seen, by the trace's own clock.
    pub seen: Timestamp,
    /// Where, in order of arrival.
    pub sightings: Vec<Sighting>,
    /// Whether it was closed before its time, so that sightings may be missing.
    pub is_cut_short: bool,
}

/// Gathers sightings by key; bounded by the window and by a budget.
#[derive(Debug)]
pub struct Correlator {
    window: Duration,
    budget: usize,
    groups: HashMap<SegmentKey, Group>,
    queue: VecDeque<SegmentKey>,
    sightings: usize,
    evicted: u64,
}

impl Correlator {
    /// `window` is how long a packet may be on its way, `budget` the sightings held at most.
    pub fn new(window: Duration, budget: usize) -> Self {
        Self { window, budget, groups: HashMap::new(), queue: VecDeque::new(), sightings: 0, evicted: 0 }
    }

    /// Takes a sighting made at `seen` by the trace's own clock.
    pub fn push(&mut self, segment: Segment, sighting: Sighting, seen: Timestamp) {
        self.sightings += 1;
        self.groups
            .entry(segment.key)
            .or_insert_with(|| {
                self.queue.push_back(segment.key);
                Group { segment, seen, sightings: Vec::new(), is_cut_short: false }
            })
            .sightings
            .push(sighting);
    }

    /// The next group that is closed: every stream has delivered up to `delivered`, past the group's window; or the
    /// budget is exceeded.
    pub fn closed(&mut self, delivered: Timestamp) -> Option<Group> {
        let is_due = self.front()?.seen <= delivered.before(self.window);
        if !is_due && self.sightings <= self.budget {
            return None;
        }
        let mut group = self.take()?;
        if !is_due {
            self.evicted += 1;
            group.is_cut_short = true;
        }
        Some(group)
    }

    /// The oldest group, complete or not: for the end of a trace.
    pub fn take(&mut self) -> Option<Group> {
        let key = self.queue.pop_front()?;
        let group = self.groups.remove(&key)?;
        self.sightings -= group.sightings.len();
        Some(group)
    }

    /// Groups that were closed before their time because the budget was exceeded.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The first observation of the oldest open group: no open group holds an older one.
    pub fn oldest(&self) -> Option<ObservationId> {
        self.front()?.sightings.first().map(|sighting| sighting.observation)
    }

    fn front(&self) -> Option<&Group> {
        self.groups.get(self.queue.front()?)
    }
}
