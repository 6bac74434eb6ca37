//! One direction of a flow: the paths that its packets took.

use std::collections::{BTreeMap, HashMap};

use super::samples::Samples;
use crate::headers::HeadersId;
use crate::journey::{Confidence, Journey};
use crate::point::Point;

/// Distinct paths kept for one direction of a flow; the rest is counted.
const MAX_PATHS: usize = 256;

/// A place on a path: the observation point and what packets wear there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Where.
    pub point: Point,
    /// What they wear.
    pub headers: HeadersId,
}

/// Journeys that took one path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PathCount {
    /// Wire segments.
    pub segments: u64,
    /// Of these, such that may have gone on unseen: at an edge of the trace, or with more than one translation
    /// that fits.
    pub open_ended: u64,
    /// Of these, such that were recognised by order only.
    pub ordinal: u64,
    /// Transport payload bytes.
    pub payload: u64,
}

/// All journeys of one direction of a flow.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    paths: BTreeMap<Vec<Place>, PathCount>,
    steps: HashMap<(Place, Place), Samples>,
    /// Segments whose path was one too many.
    pub overflow: u64,
}

impl Lane {
    /// Adds a journey; `is_at_edge` when it began before every point was watched, or the trace ended too soon
    /// after it. Only journeys that are certain tell latencies.
    pub fn add(&mut self, journey: &Journey, is_at_edge: bool) {
        let path: Vec<Place> = journey.hops.iter().map(|hop| place(hop.point, hop.headers)).collect();
        if self.paths.len() >= MAX_PATHS && !self.paths.contains_key(&path) {
            self.overflow += 1;
            return;
        }
        let is_exact = journey.confidence == Confidence::Exact;
        for pair in journey.hops.windows(2).filter(|_| is_exact) {
            let step = (place(pair[0].point, pair[0].headers), place(pair[1].point, pair[1].headers));
            self.steps.entry(step).or_default().add(pair[1].time.since(pair[0].time));
        }
        let count = self.paths.entry(path).or_default();
        count.segments += 1;
        let is_open_ended = is_at_edge || journey.confidence == Confidence::Unknown;
        count.open_ended += u64::from(is_open_ended);
        count.ordinal += u64::from(journey.confidence == Confidence::Ordinal);
        count.payload += u64::from(journey.segment.payload_len);
    }

    /// Takes over all journeys of another lane.
    pub fn absorb(&mut self, other: Self) {
        self.overflow += other.overflow;
        for (path, count) in other.paths {
            let mine = self.paths.entry(path).or_default();
            mine.segments += count.segments;
            mine.open_ended += count.open_ended;
            mine.ordinal += count.ordinal;
            mine.payload += count.payload;
        }
        for (step, samples) in other.steps {
            self.steps.entry(step).or_default().merge(&samples);
        }
    }

    /// Every path with its journeys.
    pub fn paths(&self) -> impl Iterator<Item = (&[Place], &PathCount)> {
        self.paths.iter().map(|(path, count)| (path.as_slice(), count))
    }

    /// The path to show: the longest; of equally long ones that with the most journeys.
    pub fn main_path(&self) -> &[Place] {
        let longest = self.paths.iter().max_by_key(|(path, count)| (path.len(), count.segments));
        longest.map_or(&[], |(path, _)| path)
    }

    /// Wire segments of this direction, each counted once.
    pub fn segments(&self) -> u64 {
        self.paths.values().map(|count| count.segments).sum::<u64>() + self.overflow
    }

    /// Transport payload bytes of this direction, retransmitted ones included.
    pub fn payload(&self) -> u64 {
        self.paths.values().map(|count| count.payload).sum()
    }

    /// Wire segments that passed a place.
    pub fn segments_at(&self, place: Place) -> u64 {
        let passing = self.paths.iter().filter(|(path, _)| path.contains(&place));
        passing.map(|(_, count)| count.segments).sum()
    }

    /// Time differences between two places that follow each other.
    pub fn step(&self, from: Place, to: Place) -> Option<&Samples> {
        self.steps.get(&(from, to))
    }

    /// All steps with their time differences.
    pub fn steps(&self) -> impl Iterator<Item = (Place, Place, &Samples)> {
        self.steps.iter().map(|((from, to), samples)| (*from, *to, samples))
    }
}

/// Whether `part` is the beginning of `whole` as far as it goes, places that recorded nothing passed over.
pub fn is_beginning(part: &[Place], whole: &[Place]) -> bool {
    let Some(last) = part.last() else { return false };
    let Some(end) = whole.iter().position(|place| place == last) else { return false };
    let mut rest = whole[..=end].iter();
    part.iter().all(|place| rest.any(|candidate| candidate == place)) && end + 1 < whole.len()
}

fn place(point: Point, headers: HeadersId) -> Place {
    Place { point, headers }
}
