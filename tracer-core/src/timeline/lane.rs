//! One direction of a flow: the paths that its packets took.

use super::path::{Circumstances, PathCount, Place};
use super::round::RoundTrips;
use super::sequence::{Earlier, PathId, Sequence, Window};
use super::step::StepSamples;
use crate::clock::Crossing;
use crate::flow::Protocol;
use crate::journey::{Confidence, Journey, Sighting};
use crate::units::Timestamp;

/// Distinct paths kept for one direction of a flow; the rest is counted.
const MAX_PATHS: usize = 256;
/// A direction with fewer segments has no usual path yet.
const YOUNG: u64 = 16;

#[derive(Clone, Debug)]
struct Path {
    places: Vec<Place>,
    stops: Vec<Stop>,
    count: PathCount,
}

#[derive(Clone, Copy, Debug)]
struct Stop {
    /// Its number in [`Lane::places`].
    place: usize,
    /// The number in [`Lane::steps`] of the step that leads to it; 0 for the first.
    step: usize,
    /// Whether the path comes by for the second time.
    is_again: bool,
}

#[derive(Clone, Copy, Debug)]
struct Visited {
    place: Place,
    segments: u64,
    /// When the segment sent before was seen there. A clock that is set back makes one pair look wrong, not all
    /// that follow.
    previous: Timestamp,
    /// How often some clock had been stepped by then.
    clock_steps: u64,
    /// Segments that came here before the one that had been sent before them.
    reordered: u64,
    /// Whether fragments other than the first of their packets come here.
    has_fragments: bool,
}

#[derive(Clone, Debug)]
struct Step {
    from: Place,
    to: Place,
    samples: StepSamples,
}

/// All journeys of one direction of a flow.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    paths: Vec<Path>,
    places: Vec<Visited>,
    steps: Vec<Step>,
    /// The path that the journey before took.
    recent: usize,
    /// The most places of any path.
    longest: usize,
    sequence: Sequence,
    round_trips: RoundTrips,
    /// When the first and the last segment were seen first.
    span: Option<(Timestamp, Timestamp)>,
    /// Segments whose path was one too many.
    pub overflow: u64,
}

/// What a journey added to its lane.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct News {
    /// Its path; absent when it was one too many.
    pub path: Option<PathId>,
    /// It is a retransmission, and what became of the transmission before.
    pub retransmission: Option<Earlier>,
    /// What it did to the receive window.
    pub window: Option<Window>,
    /// The place that it reached before the segment that had been sent before it.
    pub reordered_at: Option<Place>,
}

impl Lane {
    /// Adds a journey. Only journeys that are certain tell latencies.
    ///
    /// `is_closed` while the receiver's window is (TCP).
    pub fn add(
        &mut self,
        journey: &Journey,
        protocol: Protocol,
        circumstances: &Circumstances<'_>,
        is_closed: bool,
    ) -> News {
        let time = journey.first().time;
        self.span = Some(self.span.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        let Some(id) = self.path_of(&journey.hops) else {
            self.overflow += 1;
            return News::default();
        };
        let number = id.0 as usize;
        let mut news = News { path: Some(id), ..News::default() };
        if !journey.is_copy {
            news.reordered_at = self.note_order(number, &journey.hops, circumstances.clock_steps);
        }
        for (stop, hop) in self.paths[number].stops.iter().zip(&journey.hops) {
            let visited = &mut self.places[stop.place];
            visited.segments += u64::from(!stop.is_again);
            visited.previous = hop.time;
            visited.clock_steps = circumstances.clock_steps;
            visited.has_fragments |= journey.segment.may_vanish;
        }
        if journey.confidence == Confidence::Exact {
            self.note_times(number, &journey.hops, circumstances.crossings);
        }
        let young = self.segments() < YOUNG;
        let path = &mut self.paths[number];
        let count = &mut path.count;
        if journey.is_copy {
            count.copies += 1;
            return news;
        }
        count.note(journey, circumstances);
        if protocol == Protocol::TCP {
            let is_short = path.places.len() < self.longest || young;
            news.retransmission = self.sequence.note_while(&journey.segment, id, is_short, is_closed);
            if journey.confidence == Confidence::Exact {
                let is_again = news.retransmission.is_some();
                self.round_trips.sent(&journey.segment, journey.first(), is_again);
            }
            news.window = self.sequence.note_window(&journey.segment, journey.first().time);
        }
        news
    }

    /// Takes over all journeys of another lane.
    pub fn absorb(&mut self, other: Self) {
        self.overflow += other.overflow;
        let mut renumbered = Vec::with_capacity(other.paths.len());
        for path in other.paths {
            let id = self.known(&path.places).or_else(|| self.insert(path.places));
            renumbered.push(id);
            match id {
                Some(PathId(number)) => self.paths[number as usize].count.absorb(path.count),
                None => self.overflow += path.count.segments,
            }
        }
        for visited in other.places {
            let number = self.place_number(visited.place);
            let mine = &mut self.places[number];
            mine.segments += visited.segments;
            mine.previous = mine.previous.max(visited.previous);
            mine.reordered += visited.reordered;
            mine.has_fragments |= visited.has_fragments;
        }
        for step in other.steps {
            let number = self.step_number(step.from, step.to);
            self.steps[number].samples.merge(&step.samples);
        }
        self.round_trips.absorb(&other.round_trips);
        self.span = match (self.span, other.span) {
            (Some(mine), Some(theirs)) => Some((mine.0.min(theirs.0), mine.1.max(theirs.1))),
            (mine, theirs) => mine.or(theirs),
        };
        let renumber = |path: PathId| renumbered.get(path.0 as usize).copied().flatten().unwrap_or(path);
        self.sequence.absorb(other.sequence, renumber);
    }

    /// Every path with its journeys.
    pub fn paths(&self) -> impl Iterator<Item = (&[Place], &PathCount)> {
        self.paths.iter().map(|path| (path.places.as_slice(), &path.count))
    }

    /// The places of a path.
    pub fn path(&self, id: PathId) -> &[Place] {
        self.paths.get(id.0 as usize).map_or(&[], |path| &path.places)
    }

    /// The path to show: the longest; of equally long ones that with the most journeys.
    pub fn main_path(&self) -> &[Place] {
        let longest = self.paths.iter().rev().max_by_key(|path| (path.places.len(), path.count.segments));
        longest.map_or(&[], |path| &path.places)
    }

    /// Whether some path has more places than this one.
    pub fn is_short(&self, id: PathId) -> bool {
        self.path(id).len() < self.longest
    }

    /// Wire segments of this direction, each counted once.
    pub fn segments(&self) -> u64 {
        self.paths.iter().map(|path| path.count.segments).sum::<u64>() + self.overflow
    }

    /// Transport payload bytes of this direction, retransmitted ones included.
    pub fn payload(&self) -> u64 {
        self.paths.iter().map(|path| path.count.payload).sum()
    }

    /// Wire segments that passed a place, duplicates included.
    pub fn segments_at(&self, place: Place) -> u64 {
        self.visited(place).map_or(0, |visited| visited.segments)
    }

    /// Whether fragments come to a place: before it, packets may be made whole again.
    pub fn has_fragments_at(&self, place: Place) -> bool {
        self.visited(place).is_some_and(|visited| visited.has_fragments)
    }

    /// Segments that came to a place before the one that had been sent before them, and had been in order so far.
    pub fn reordered(&self) -> impl Iterator<Item = (Place, u64)> {
        let some = self.places.iter().filter(|visited| visited.reordered > 0);
        some.map(|visited| (visited.place, visited.reordered))
    }

    /// What was retransmitted, and how often the receive window was closed (TCP).
    pub fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    /// How long after its packets their answers came back.
    pub fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    pub(super) fn round_trips_mut(&mut self) -> &mut RoundTrips {
        &mut self.round_trips
    }

    /// When the first and the last segment were seen first; absent without any.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// Time differences between two places that follow each other.
    pub fn step(&self, from: Place, to: Place) -> Option<&StepSamples> {
        self.steps.iter().find(|step| step.from == from && step.to == to).map(|step| &step.samples)
    }

    /// All steps: places that follow each other.
    pub fn steps(&self) -> impl Iterator<Item = (Place, Place)> {
        self.steps.iter().map(|step| (step.from, step.to))
    }

    fn visited(&self, place: Place) -> Option<&Visited> {
        self.places.iter().find(|visited| visited.place == place)
    }

    fn path_of(&mut self, hops: &[Sighting]) -> Option<PathId> {
        let is_this = |path: &Path| {
            path.places.len() == hops.len()
                && path.places.iter().zip(hops).all(|(place, hop)| *place == Place::of(hop))
        };
        if !self.paths.get(self.recent).is_some_and(is_this) {
            match self.paths.iter().position(is_this) {
                Some(number) => self.recent = number,
                None => return self.insert(hops.iter().map(Place::of).collect()),
            }
        }
        u32::try_from(self.recent).ok().map(PathId)
    }

    fn known(&self, places: &[Place]) -> Option<PathId> {
        let number = self.paths.iter().position(|path| path.places == places)?;
        u32::try_from(number).ok().map(PathId)
    }

    fn insert(&mut self, places: Vec<Place>) -> Option<PathId> {
        let id = u32::try_from(self.paths.len()).ok().filter(|_| self.paths.len() < MAX_PATHS).map(PathId)?;
        let mut stops = Vec::with_capacity(places.len());
        for (index, place) in places.iter().enumerate() {
            let step = match index.checked_sub(1) {
                Some(before) => self.step_number(places[before], *place),
                None => 0,
            };
            let is_again = places[..index].contains(place);
            stops.push(Stop { place: self.place_number(*place), step, is_again });
        }
        self.longest = self.longest.max(places.len());
        self.paths.push(Path { places, stops, count: PathCount::default() });
        self.recent = self.paths.len() - 1;
        Some(id)
    }

    fn place_number(&mut self, place: Place) -> usize {
        if let Some(number) = self.places.iter().position(|visited| visited.place == place) {
            return number;
        }
        self.places.push(Visited {
            place,
            segments: 0,
            previous: Timestamp(0),
            clock_steps: 0,
            reordered: 0,
            has_fragments: false,
        });
        self.places.len() - 1
    }

    fn step_number(&mut self, from: Place, to: Place) -> usize {
        if let Some(number) = self.steps.iter().position(|step| step.from == from && step.to == to) {
            return number;
        }
        self.steps.push(Step { from, to, samples: StepSamples::default() });
        self.steps.len() - 1
    }

    /// Where this journey overtook the one that was sent before it.
    fn note_order(&mut self, number: usize, hops: &[Sighting], clock_steps: u64) -> Option<Place> {
        let stops = &self.paths[number].stops;
        let is_inverted = |index: usize| {
            let visited = &self.places[stops[index].place];
            let is_comparable = !stops[index].is_again && visited.clock_steps == clock_steps;
            is_comparable && hops[index].time < visited.previous
        };
        // At the first hop an inversion only says that journeys are not told in the order of their sending.
        let first = (0..hops.len()).find(|index| is_inverted(*index)).filter(|index| *index > 0)?;
        let visited = &mut self.places[stops[first].place];
        visited.reordered += 1;
        Some(visited.place)
    }

    fn note_times(&mut self, number: usize, hops: &[Sighting], crossings: &[Option<Crossing>]) {
        let stops = &self.paths[number].stops;
        for (index, pair) in hops.windows(2).enumerate() {
            let samples = &mut self.steps[stops[index + 1].step].samples;
            let crossing = crossings.get(index).copied().flatten();
            samples.note(&pair[0], &pair[1], crossing);
        }
    }
}
