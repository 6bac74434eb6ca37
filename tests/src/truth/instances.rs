//! Which transmission of a packet a sight belongs to, where a sender sent the same bytes more than once.
//!
//! Bytes alone do not tell a retransmission from the first transmission. What tells is that a packet which has
//! arrived, or was dropped where drops are recorded, is not seen again: all namespaces of the lab are on one kernel
//! and its one clock, so whatever is seen before the sender sent the bytes again was the transmission before. That is
//! a proof only if every transmission was seen to its end before the next one began; where one was not, nothing is
//! claimed about which is which.

use std::collections::HashMap;

use super::{
    content::Piece,
    seen::{Place, Seen, Sight, Unit},
    way::Lane,
};

/// How far the recorders' clocks may be apart, in nanoseconds. Each maps the kernel's clock to wall time by a
/// measurement of its own, whose error is far below that.
const CLOCKS: u64 = 20_000;

/// Which transmission a sight belongs to, from 0; absent where that cannot be proved.
pub type Instance = Option<u16>;

/// The steps of a way by the numbers of its places.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    by_place: HashMap<(Lane, u16), u8>,
    lens: HashMap<Lane, u8>,
}

impl Steps {
    /// The places of both directions, in their order.
    pub fn of(seen: &Seen, paths: &[(Lane, Vec<Place>)]) -> Self {
        let mut steps = Self::default();
        for (lane, places) in paths {
            steps.lens.insert(*lane, u8::try_from(places.len()).unwrap_or(u8::MAX));
            for (step, place) in (0..).zip(places) {
                if let Some(number) = seen.place_number(place) {
                    steps.by_place.insert((*lane, number), step);
                }
            }
        }
        steps
    }

    /// The direction of a sight and its step, from 0; absent where packets should not be.
    pub fn at(&self, sight: &Sight) -> Option<(Lane, u8)> {
        Some((sight.lane, *self.by_place.get(&(sight.lane, sight.place))?))
    }

    /// The number of the last step.
    pub fn last(&self, lane: Lane) -> u8 {
        self.lens.get(&lane).map_or(0, |len| len - 1)
    }
}

/// The sights of each piece, by the piece's number.
pub fn by_piece(seen: &Seen) -> Vec<Vec<u32>> {
    let mut sights = vec![Vec::new(); seen.pieces.len()];
    for (number, sight) in (0..).zip(&seen.sights) {
        if let Unit::Known(piece) = sight.unit {
            sights[piece as usize].push(number);
        }
    }
    sights
}

/// The instance of every sight; of those that are no known piece it means nothing.
pub fn instances(seen: &Seen, steps: &Steps, pieces: &[Vec<u32>], dropped: &[Piece]) -> Vec<Instance> {
    let mut of = vec![Some(0); seen.sights.len()];
    let drops = Drops::of(dropped);
    for (sights, piece) in pieces.iter().zip(&seen.pieces) {
        let sent = sent(seen, steps, sights);
        if sent.len() < 2 {
            continue;
        }
        let intervals = intervals(seen, &sent, sights);
        let is_proved = are_proved(seen, steps, &intervals, drops.count(piece));
        for (number, interval) in (0..).zip(&intervals) {
            for sight in interval {
                of[*sight as usize] = is_proved.then_some(number);
            }
        }
    }
    of
}

/// When the sender sent the piece, in order.
fn sent(seen: &Seen, steps: &Steps, sights: &[u32]) -> Vec<u64> {
    let at_first = |sight: &&u32| steps.at(&seen.sights[**sight as usize]).is_some_and(|(_, step)| step == 0);
    let mut times: Vec<u64> =
        sights.iter().filter(at_first).map(|sight| seen.sights[*sight as usize].time).collect();
    times.sort_unstable();
    times
}

/// The sights from each transmission to the next.
fn intervals(seen: &Seen, sent: &[u64], sights: &[u32]) -> Vec<Vec<u32>> {
    let mut intervals = vec![Vec::new(); sent.len()];
    for sight in sights {
        let time = seen.sights[*sight as usize].time;
        let begun = sent.partition_point(|begin| begin.saturating_sub(CLOCKS) <= time);
        intervals[begun.saturating_sub(1)].push(*sight);
    }
    intervals
}

/// Whether every transmission was seen step by step to its end, be it the last step or a recorded drop, and none of
/// that so close to the next transmission that clocks could mislead.
fn are_proved(seen: &Seen, steps: &Steps, intervals: &[Vec<u32>], dropped: usize) -> bool {
    let mut unfinished = 0;
    let mut end = 0;
    for interval in intervals {
        let mut passed: Vec<u8> = Vec::new();
        let mut begin = u64::MAX;
        let mut last_time = 0;
        let mut end_step = 0;
        for sight in interval {
            let sight = &seen.sights[*sight as usize];
            let Some((lane, step)) = steps.at(sight) else { return false };
            passed.push(step);
            begin = begin.min(sight.time);
            last_time = last_time.max(sight.time);
            end_step = steps.last(lane);
        }
        passed.sort_unstable();
        let is_way = passed.iter().zip(0..).all(|(step, expected)| *step == expected);
        if passed.is_empty() || !is_way || begin < end + CLOCKS {
            return false;
        }
        unfinished += usize::from(passed.last() != Some(&end_step));
        end = last_time;
    }
    unfinished == dropped
}

/// Recorded drops, to be asked for one piece after the other.
struct Drops<'a> {
    /// In order of their flow and start.
    sorted: Vec<&'a Piece>,
    longest: u64,
}

impl<'a> Drops<'a> {
    fn of(dropped: &'a [Piece]) -> Self {
        let mut sorted: Vec<&Piece> = dropped.iter().collect();
        sorted.sort_unstable();
        let longest = dropped.iter().map(|piece| u64::from(piece.len)).max().unwrap_or_default();
        Self { sorted, longest }
    }

    /// How often the piece was dropped.
    fn count(&self, piece: &Piece) -> usize {
        let from = Piece { start: piece.start.saturating_sub(self.longest), len: 0, tag: piece.tag };
        let begin = self.sorted.partition_point(|drop| **drop < from);
        let near = self.sorted[begin..].iter();
        near.take_while(|drop| drop.tag == piece.tag && drop.start <= piece.start)
            .filter(|drop| drop.holds(piece))
            .count()
    }
}
