//! Observations to journeys.
//!
//! Sightings with the same key are gathered in a group. A group closes when every stream has delivered what it saw
//! up to one window after the group's first sighting: the order in which streams deliver does not matter, nor how
//! far one lags behind another. A closed group is split into journeys: one per packet that had the key.

mod direction;
mod interval;
mod order;
mod pair;
mod split;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

pub use direction::Directions;
pub use interval::{Piece, elementary};
pub use split::{Related, Split};

use crate::identity::{Segment, SegmentKey};
use crate::journey::{ObservationId, Sighting};
use crate::units::Timestamp;

/// Emptied groups whose memory is kept for new ones.
const SPARE: usize = 4096;

/// All sightings of one key within one window.
#[derive(Clone, Debug)]
pub struct Group<M = Sighting> {
    /// What was seen.
    pub segment: Segment,
    /// When it was first seen, by the trace's own clock.
    pub seen: Timestamp,
    /// Where, in order of arrival.
    pub members: Vec<M>,
    /// Whether it was closed before its time, so that sightings may be missing.
    pub is_cut_short: bool,
}

/// What is gathered under a key.
pub trait Member {
    /// The observation that it is part of.
    fn observation(&self) -> ObservationId;
}

impl Member for Sighting {
    fn observation(&self) -> ObservationId {
        self.observation
    }
}

/// Keys are a keyed hash already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// When a group was first seen, and which one it is: the order in which groups close.
type Due = Reverse<(Timestamp, u64, u32)>;

#[derive(Debug)]
struct Open<M> {
    serial: u64,
    group: Group<M>,
}

/// Gathers sightings by key; bounded by the window and by a budget.
#[derive(Debug)]
pub struct Correlator<M = Sighting> {
    window: Duration,
    budget: usize,
    index: HashMap<SegmentKey, u32, BuildHasherDefault<AsIs>>,
    groups: Vec<Option<Open<M>>>,
    free: Vec<u32>,
    due: BinaryHeap<Due>,
    /// In order of arrival, closed ones included until they come first.
    arrived: VecDeque<(u64, u32)>,
    serial: u64,
    spare: Vec<Vec<M>>,
    members: usize,
    evicted: u64,
    /// When the newest group that was evicted had been seen.
    evicted_until: Option<Timestamp>,
}

impl<M: Member> Correlator<M> {
    /// `window` is how long a packet may be on its way, `budget` the sightings held at most.
    pub fn new(window: Duration, budget: usize) -> Self {
        Self {
            window,
            budget,
            index: HashMap::default(),
            groups: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            arrived: VecDeque::new(),
            serial: 0,
            spare: Vec::new(),
            members: 0,
            evicted: 0,
            evicted_until: None,
        }
    }

    /// Takes a sighting made at `seen` by the trace's own clock.
    pub fn push(&mut self, segment: Segment, member: M, seen: Timestamp) {
        self.members += 1;
        let number = match self.index.get(&segment.key) {
            Some(number) => *number,
            None => self.open_group(segment, seen),
        };
        let Some(open) = &mut self.groups[number as usize] else { return };
        open.group.members.push(member);
        if seen < open.group.seen {
            // A stream that lagged had seen it first.
            open.group.seen = seen;
            self.due.push(Reverse((seen, open.serial, number)));
        }
    }

    fn open_group(&mut self, segment: Segment, seen: Timestamp) -> u32 {
        let members = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(8));
        let group = Group { segment, seen, members, is_cut_short: false };
        self.serial += 1;
        let open = Some(Open { serial: self.serial, group });
        let number = if let Some(number) = self.free.pop() {
            self.groups[number as usize] = open;
            number
        } else {
            self.groups.push(open);
            // The budget bounds the groups far below 2^32.
            u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX)
        };
        self.index.insert(segment.key, number);
        self.due.push(Reverse((seen, self.serial, number)));
        self.arrived.push_back((self.serial, number));
        number
    }

    /// The next group that is closed, in the order in which they were first seen: every stream has delivered up to
    /// `delivered`, past the group's window; or the budget is exceeded.
    pub fn closed(&mut self, delivered: Timestamp) -> Option<Group<M>> {
        let is_due = self.oldest_seen()? <= delivered.before(self.window);
        if !is_due && self.members <= self.budget {
            return None;
        }
        let mut group = self.take()?;
        if !is_due {
            self.evicted += 1;
            self.evicted_until = self.evicted_until.max(Some(group.seen));
        }
        group.is_cut_short |= !is_due;
        Some(group)
    }

    /// The group that was seen first, complete or not: for the end of a trace.
    pub fn take(&mut self) -> Option<Group<M>> {
        self.oldest_seen()?;
        let Reverse((_, _, number)) = self.due.pop()?;
        let Open { mut group, .. } = self.groups[number as usize].take()?;
        self.index.remove(&group.segment.key);
        self.free.push(number);
        self.members -= group.members.len();
        // The other part of what was evicted may have come since, and look like a packet of its own.
        let reaches = |evicted: Timestamp| group.seen.before(self.window) <= evicted;
        group.is_cut_short = self.evicted_until.is_some_and(reaches);
        while self.arrived.front().is_some_and(|(serial, number)| !self.is_open(*serial, *number)) {
            self.arrived.pop_front();
        }
        Some(group)
    }

    /// Takes back the memory of a group that was closed.
    pub fn recycle(&mut self, mut members: Vec<M>) {
        if self.spare.len() < SPARE {
            members.clear();
            self.spare.push(members);
        }
    }

    /// All open groups, in order of arrival.
    pub fn open(&self) -> impl Iterator<Item = &Group<M>> {
        let groups = self.arrived.iter().filter(|(serial, number)| self.is_open(*serial, *number));
        groups.filter_map(|(_, number)| Some(&self.groups[*number as usize].as_ref()?.group))
    }

    /// Groups that were closed before their time because the budget was exceeded.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// When the open group that was seen first was seen.
    pub fn oldest_seen(&mut self) -> Option<Timestamp> {
        loop {
            let Reverse((seen, serial, number)) = *self.due.peek()?;
            let open = self.groups[number as usize].as_ref();
            if open.is_some_and(|open| open.serial == serial && open.group.seen == seen) {
                return Some(seen);
            }
            // It was seen earlier than this entry says, or is closed.
            self.due.pop();
        }
    }

    /// The first observation that an open group holds.
    pub fn oldest(&self) -> Option<ObservationId> {
        let (_, number) = self.arrived.front()?;
        self.groups[*number as usize].as_ref()?.group.members.first().map(Member::observation)
    }

    fn is_open(&self, serial: u64, number: u32) -> bool {
        self.groups[number as usize].as_ref().is_some_and(|open| open.serial == serial)
    }
}
