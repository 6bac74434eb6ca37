//! The offset between two clocks over time.
//!
//! The smallest difference of each direction is kept per interval of time. A difference that no offset of the last
//! moments allows, even with all the drift that a clock may have, says that one of the clocks was stepped: a new epoch
//! begins. What was noted between the last packet that proves the old epoch and the first that proves the new one
//! belongs to neither.

use std::collections::BTreeMap;

use super::Offset;
use super::hull::{self, DRIFT, Sample};
use crate::units::Timestamp;

/// Width of an interval at first, in nanoseconds.
const INTERVAL: u64 = 50_000_000;
/// Intervals kept of one direction of one epoch; beyond, two become one.
const MAX_INTERVALS: usize = 4096;
/// Epochs kept; a clock that is stepped more often has no offset that could be told.
const MAX_EPOCHS: usize = 1024;
/// How far an offset may be off that packets of one direction tell, in nanoseconds: a delay within a cluster.
const ONE_WAY: i64 = 10_000_000;
/// Time over which the offset is taken for a straight line, in nanoseconds.
const CHUNK: u64 = 60_000_000_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    epochs: Vec<Epoch>,
    noted: u32,
}

/// A time in which neither clock was stepped.
#[derive(Clone, Debug, Default)]
struct Epoch {
    /// Numbers of the first crossing and of the last one that is certainly in it.
    first: u32,
    last: u32,
    /// Number of the last crossing that was about as fast as the fastest: it is not from after a step.
    tight: u32,
    there: Smallest,
    /// Of the way back; its upper bound is that of the negative offset.
    back: Smallest,
}

/// The smallest differences of one direction.
#[derive(Clone, Debug, Default)]
struct Smallest {
    samples: Vec<Sample>,
    width: u64,
    /// The smallest difference, raised since by all the drift that there may have been.
    recent: Option<Sample>,
}

impl Smallest {
    /// The least that the difference can have been at a time, by the packets so far.
    fn limit(&self, time: u64) -> Option<i64> {
        self.recent.map(|(at, value)| value.saturating_add(drift(at, time)))
    }

    fn add(&mut self, sample: Sample) {
        let (time, value) = sample;
        if self.limit(time).is_none_or(|limit| value < limit) {
            self.recent = Some(sample);
        }
        self.width = self.width.max(INTERVAL);
        let width = self.width;
        match self.samples.last_mut().filter(|last| last.0 / width == time / width) {
            Some(last) if value < last.1 => *last = sample,
            Some(_) => {}
            None => self.samples.push(sample),
        }
        if self.samples.len() > MAX_INTERVALS {
            self.width *= 2;
            let width = self.width;
            self.samples.dedup_by(|next, kept| {
                let is_same = kept.0 / width == next.0 / width;
                if is_same && next.1 < kept.1 {
                    *kept = *next;
                }
                is_same
            });
        }
    }

    fn bounds(&self) -> Bounds {
        let mut samples = self.samples.clone();
        samples.sort_unstable();
        let mut chunks = BTreeMap::new();
        for chunk in samples.chunk_by(|a, b| a.0 / CHUNK == b.0 / CHUNK) {
            let number = chunk[0].0 / CHUNK;
            // Neighbours on both sides hold the hull at the chunk's ends.
            let near = samples.iter().filter(|sample| (sample.0 / CHUNK).abs_diff(number) <= 1);
            chunks.insert(number, hull::lower(near.copied()));
        }
        Bounds { chunks, whole: hull::lower(samples.into_iter()) }
    }
}

fn drift(from: u64, to: u64) -> i64 {
    i64::try_from(from.abs_diff(to)).unwrap_or(i64::MAX) / DRIFT
}

impl Pair {
    /// Notes a packet from the first node to the second; returns its number.
    pub(super) fn there(&mut self, axis: Timestamp, difference: i64) -> u32 {
        self.note((axis.0, difference), |epoch| (&mut epoch.there, &epoch.back))
    }

    /// Notes a packet from the second node to the first; returns its number.
    pub(super) fn back(&mut self, axis: Timestamp, difference: i64) -> u32 {
        self.note((axis.0, difference), |epoch| (&mut epoch.back, &epoch.there))
    }

    fn note(&mut self, sample: Sample, ways: impl Fn(&mut Epoch) -> (&mut Smallest, &Smallest)) -> u32 {
        let number = self.noted;
        self.noted = self.noted.saturating_add(1);
        if self.epochs.is_empty() {
            self.epochs.push(Epoch { first: number, ..Epoch::default() });
        }
        let can_begin = self.epochs.len() < MAX_EPOCHS;
        let Some(epoch) = self.epochs.last_mut() else { return number };
        let (_, other) = ways(epoch);
        // The sum of both ways is two delays, whatever the offset: it is not negative within one epoch.
        let is_impossible = other.limit(sample.0).is_some_and(|limit| limit.saturating_add(sample.1) < 0);
        if is_impossible && can_begin {
            epoch.last = epoch.tight;
            self.epochs.push(Epoch { first: number, last: number, tight: number, ..Epoch::default() });
        }
        let Some(epoch) = self.epochs.last_mut() else { return number };
        let (way, other) = ways(epoch);
        let round_trip = other.limit(sample.0).zip(way.limit(sample.0)).map(|(a, b)| a.saturating_add(b));
        let excess = way.limit(sample.0).map(|limit| sample.1.saturating_sub(limit));
        let is_tight = excess.is_none_or(|excess| excess <= round_trip.unwrap_or_default().max(0));
        way.add(sample);
        epoch.last = number;
        if is_tight {
            epoch.tight = number;
        }
        number
    }

    /// The offset by the last packets; of one direction alone, off by an unknown delay.
    pub(super) fn recent(&self) -> Option<Offset> {
        let epoch = self.epochs.last()?;
        let upper = epoch.there.recent.map(|sample| sample.1);
        let lower = epoch.back.recent.map(|sample| sample.1.saturating_neg());
        match (upper, lower) {
            (Some(upper), Some(lower)) => Some(Offset::between(lower, upper)),
            (one, other) => one.or(other).map(|offset| Offset { offset, bound: ONE_WAY }),
        }
    }

    /// How often one of the clocks was stepped so far.
    pub(super) fn steps(&self) -> u64 {
        self.epochs.len().saturating_sub(1) as u64
    }

    /// The offset over time, as far as it was noted.
    pub(super) fn estimate(&self) -> Estimate {
        let count = self.epochs.len();
        let epoch = |(index, epoch): (usize, &Epoch)| Bounded {
            first: epoch.first,
            last: if index + 1 == count { u32::MAX } else { epoch.last },
            there: epoch.there.bounds(),
            back: epoch.back.bounds(),
        };
        Estimate { epochs: self.epochs.iter().enumerate().map(epoch).collect() }
    }
}

/// Upper bounds of one direction's differences less their delays.
#[derive(Clone, Debug)]
struct Bounds {
    chunks: BTreeMap<u64, Vec<Sample>>,
    whole: Vec<Sample>,
}

impl Bounds {
    fn at(&self, time: u64) -> Option<i64> {
        let hull = self.chunks.get(&(time / CHUNK)).unwrap_or(&self.whole);
        hull::at(hull, time)
    }
}

#[derive(Clone, Debug)]
struct Bounded {
    first: u32,
    last: u32,
    there: Bounds,
    back: Bounds,
}

/// The offset between two clocks over time.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    epochs: Vec<Bounded>,
}

impl Estimate {
    /// What the second clock shows more than the first at a time of a crossing's epoch.
    pub(super) fn offset(&self, number: u32, axis: Timestamp) -> Option<Offset> {
        let index = self.epochs.partition_point(|epoch| epoch.first <= number).checked_sub(1)?;
        let epoch = &self.epochs[index];
        if number > epoch.last {
            return None;
        }
        let upper = epoch.there.at(axis.0)?;
        let lower = epoch.back.at(axis.0)?.checked_neg()?;
        Some(Offset::between(lower, upper))
    }

    /// How often one of the clocks was stepped.
    pub(super) fn steps(&self) -> u64 {
        self.epochs.len().saturating_sub(1) as u64
    }
}
