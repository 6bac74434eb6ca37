//! Journeys against what was seen.

use std::collections::{BTreeMap, HashMap};

use tracer_core::journey::Confidence;

use super::{Score, losses::Passed};
use crate::truth::{
    content::{self, Piece},
    instances::{Instance, Steps},
    replay::Told,
    seen::{Seen, Unit},
    way::Lane,
};

/// A packet and a step of its way, the one before the step.
type LinkKey = (u32, Instance, u8);

/// Everything that a journey is held against.
pub(super) struct Judge<'a> {
    pub(super) seen: &'a Seen,
    pub(super) steps: &'a Steps,
    pub(super) instances: &'a [Instance],
    pub(super) is_recut: bool,
}

impl Judge<'_> {
    pub(super) fn sights(&self, score: &mut Score) {
        for (sight, instance) in self.seen.sights.iter().zip(self.instances) {
            let is_first = self.steps.at(sight).is_some_and(|(_, step)| step == 0);
            match sight.unit {
                Unit::Known(_) => {
                    score.segments += u64::from(is_first);
                    score.unproved += u64::from(instance.is_none());
                }
                Unit::Untold => score.untold += 1,
                Unit::Bare => {}
            }
        }
    }

    /// How many links there are of each packet at each step. Between two places where it was seen several times there
    /// are as many as at the place that saw fewer.
    pub(super) fn links(&self, pieces: &[Vec<u32>]) -> HashMap<LinkKey, u16> {
        let mut links = HashMap::new();
        for (piece, sights) in (0..).zip(pieces) {
            let mut at: BTreeMap<(u16, u8), u16> = BTreeMap::new();
            for sight in sights {
                let place = self.steps.at(&self.seen.sights[*sight as usize]);
                if let (Some((_, step)), Some(instance)) = (place, self.instances[*sight as usize]) {
                    *at.entry((instance, step)).or_default() += 1;
                }
            }
            for ((instance, step), count) in &at {
                if let Some(next) = at.get(&(*instance, step + 1)) {
                    links.insert((piece, Some(*instance), *step), *count.min(next));
                }
            }
        }
        links
    }

    pub(super) fn journeys(&self, journeys: &[Told], mut left: HashMap<LinkKey, u16>, score: &mut Score) {
        for journey in journeys {
            score.ordinal += u64::from(journey.confidence == Confidence::Ordinal);
            for pair in journey.hops.windows(2) {
                self.link(pair[0], pair[1], journey.confidence, &mut left, score);
            }
        }
    }

    fn link(
        &self,
        from: Option<u32>,
        to: Option<u32>,
        confidence: Confidence,
        left: &mut HashMap<LinkKey, u16>,
        score: &mut Score,
    ) {
        let wrong = |score: &mut Score| {
            score.wrong += 1;
            score.wrong_exact += u64::from(confidence == Confidence::Exact);
        };
        let (Some(from), Some(to)) = (from, to) else {
            score.stated += 1;
            return wrong(score);
        };
        let sight = |number: u32| &self.seen.sights[number as usize];
        let (first, second) = (sight(from), sight(to));
        let steps = (self.steps.at(first), self.steps.at(second));
        if let (Some((one, before)), Some((other, after))) = steps {
            score.misordered += u64::from(one != other || before >= after);
        }
        let (piece, other) = match (first.unit, second.unit) {
            (Unit::Known(one), Unit::Known(other)) => (one, other),
            (Unit::Known(_), Unit::Bare) | (Unit::Bare, Unit::Known(_)) => (0, 1),
            _ => return,
        };
        score.stated += 1;
        let (instance, later) = (self.instances[from as usize], self.instances[to as usize]);
        if !self.is_same(piece, other) || (instance.is_some() && later.is_some() && instance != later) {
            return wrong(score);
        }
        let (Some((_, before)), Some((_, after))) = steps else { return };
        if after != before + 1 {
            return;
        }
        if let Some(count) = left.get_mut(&(piece, instance, before)).filter(|count| **count > 0) {
            *count -= 1;
            score.found += 1;
            score.certain += u64::from(matches!(confidence, Confidence::Exact | Confidence::Ordinal));
        }
    }

    fn is_same(&self, piece: u32, other: u32) -> bool {
        let number = |piece: u32| {
            let Piece { tag, start, .. } = self.seen.pieces[piece as usize];
            (tag, content::number_at(start))
        };
        piece == other || (self.is_recut && number(piece) == number(other))
    }

    /// How many pieces were seen, but not at the end of their way.
    pub(super) fn unseen(&self, pieces: &[Vec<u32>]) -> u64 {
        let is_at_end = |sight: &u32| {
            let at = self.steps.at(&self.seen.sights[*sight as usize]);
            at.is_some_and(|(lane, step)| step == self.steps.last(lane))
        };
        pieces.iter().filter(|sights| !sights.iter().any(is_at_end)).count() as u64
    }

    /// How many segments were seen at each step, and how many of those were not seen at the next.
    pub(super) fn passed(&self, pieces: &[Vec<u32>]) -> BTreeMap<(Lane, u8), Passed> {
        let mut passed: BTreeMap<(Lane, u8), Passed> = BTreeMap::new();
        let mut bare: BTreeMap<(Lane, u8), u64> = BTreeMap::new();
        for sight in &self.seen.sights {
            let Some(at) = self.steps.at(sight) else { continue };
            passed.entry(at).or_default().seen += 1;
            if !matches!(sight.unit, Unit::Known(_)) {
                *bare.entry(at).or_default() += 1;
            }
        }
        let mut stopped = |counts: &BTreeMap<(Lane, u8), u64>| {
            for ((lane, step), count) in counts {
                let next = counts.get(&(*lane, step + 1)).copied().unwrap_or_default();
                if *step < self.steps.last(*lane) {
                    passed.entry((*lane, *step)).or_default().stopped += count.saturating_sub(next);
                }
            }
        };
        stopped(&bare);
        for sights in pieces {
            let mut counts = BTreeMap::new();
            for sight in sights {
                if let Some(at) = self.steps.at(&self.seen.sights[*sight as usize]) {
                    *counts.entry(at).or_default() += 1;
                }
            }
            stopped(&counts);
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::{content::numbered, seen::Place};

    /// Two packets at the three places of a way, the second of which is not at the last.
    fn seen() -> (Seen, Steps) {
        let mut seen = Seen::default();
        let places = ["a", "b", "c"].map(|name| Place::new("node", name, None));
        for (number, place) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)] {
            let piece = Piece { tag: Lane::Forward.tag(0), start: numbered(number), len: 100 };
            seen.packet(
                &places[place],
                number * 10 + place as u64,
                Lane::Forward,
                &[Some(piece)],
                Unit::Untold,
            );
        }
        let steps = Steps::of(&seen, &[(Lane::Forward, places.to_vec())]);
        (seen, steps)
    }

    fn judged(hops: &[&[u32]], confidence: Confidence) -> Score {
        let (seen, steps) = seen();
        let pieces = crate::truth::instances::by_piece(&seen);
        let instances = vec![Some(0); seen.sights.len()];
        let judge = Judge { seen: &seen, steps: &steps, instances: &instances, is_recut: false };
        let mut score = Score::default();
        judge.sights(&mut score);
        let links = judge.links(&pieces);
        score.links = links.values().map(|count| u64::from(*count)).sum();
        let told = |hops: &&[u32]| Told { hops: hops.iter().copied().map(Some).collect(), confidence };
        let journeys: Vec<Told> = hops.iter().map(told).collect();
        judge.journeys(&journeys, links, &mut score);
        let passed = judge.passed(&pieces);
        score.lost = passed.values().map(|passed| passed.stopped).sum();
        score
    }

    #[test]
    fn the_truth_has_a_full_score() {
        let score = judged(&[&[0, 1, 4], &[2, 3]], Confidence::Exact);
        assert_eq!((score.segments, score.lost), (2, 1));
        assert_eq!((score.links, score.found, score.certain, score.stated, score.wrong), (3, 3, 3, 3, 0));
    }

    #[test]
    fn a_link_between_two_packets_is_wrong() {
        let score = judged(&[&[0, 1], &[2, 3, 4]], Confidence::Exact);
        assert_eq!((score.found, score.wrong, score.wrong_exact), (2, 1, 1));
        let score = judged(&[&[0, 3], &[2, 1, 4]], Confidence::Ordinal);
        assert_eq!((score.found, score.wrong, score.wrong_exact), (1, 2, 0));
    }

    #[test]
    fn a_journey_against_the_way_is_told() {
        let score = judged(&[&[1, 0, 4]], Confidence::Exact);
        assert_eq!((score.misordered, score.found, score.wrong), (1, 0, 0));
    }

    #[test]
    fn a_link_said_twice_counts_once() {
        let score = judged(&[&[0, 1], &[0, 1]], Confidence::Exact);
        assert_eq!((score.found, score.stated), (1, 2));
    }
}
