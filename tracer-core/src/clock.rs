//! Clocks of nodes, and what two of them tell about a latency.
//!
//! Two nodes with one kernel share its clock. Otherwise packets themselves tell: `there` is the difference of the two
//! clocks' times of a packet from A to B, its delay and the offset of B's clock together; `back` is that of a packet
//! from B to A, its delay less the offset. No true delay is negative, so the offset lies between `-back` and `there`
//! of any packets of about the same time. No extra traffic is sent.

mod hull;
mod offset;
mod pair;

use std::collections::BTreeMap;

pub use offset::{Latency, Offset};

use crate::point::NodeId;
use crate::units::Timestamp;
use pair::{Estimate, Pair};

/// A packet's times at two hops with clocks of their own.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Crossing {
    /// Time at the second hop less time at the first, in nanoseconds: the delay and the offset together.
    pub difference: i64,
    /// When, by the clock of the node with the smaller number.
    pub axis: Timestamp,
    /// Which one of its pair of nodes it is, in the order in which they were noted.
    pub number: u32,
}

/// What is known of the clocks of all pairs of nodes.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    pairs: BTreeMap<(NodeId, NodeId), Pair>,
    steps: u64,
}

impl Clocks {
    /// Notes a packet that left `from` at one time and reached `to` at another, each by the node's own clock.
    pub fn note(&mut self, from: NodeId, to: NodeId, sent: Timestamp, reached: Timestamp) -> Crossing {
        let difference = reached.since(sent);
        let pair = self.pairs.entry((from.min(to), from.max(to))).or_default();
        let before = pair.steps();
        let (axis, number) = if from < to {
            (sent, pair.there(sent, difference))
        } else {
            (reached, pair.back(reached, difference))
        };
        self.steps += pair.steps() - before;
        Crossing { difference, axis, number }
    }

    /// What the clock of `to` shows more than that of `from`, by the last packets that went over; absent while none
    /// did.
    pub fn recent(&self, from: NodeId, to: NodeId) -> Option<Offset> {
        let offset = self.pairs.get(&(from.min(to), from.max(to)))?.recent()?;
        Some(if from < to { offset } else { offset.reversed() })
    }

    /// How often some clock was stepped so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The offsets that follow from what was noted.
    pub fn offsets(&self) -> Offsets {
        Offsets { pairs: self.pairs.iter().map(|(nodes, pair)| (*nodes, pair.estimate())).collect() }
    }
}

/// Offsets between the clocks of pairs of nodes over time.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    pairs: BTreeMap<(NodeId, NodeId), Estimate>,
}

impl Offsets {
    /// What the clock of `to` showed more than that of `from` when the packet went over; absent while packets were
    /// seen one way only, and in the moments in which a clock was stepped.
    pub fn between(&self, from: NodeId, to: NodeId, crossing: &Crossing) -> Option<Offset> {
        let pair = self.pairs.get(&(from.min(to), from.max(to)))?;
        let offset = pair.offset(crossing.number, crossing.axis)?;
        Some(if from < to { offset } else { offset.reversed() })
    }

    /// How often one of two clocks was stepped against the other, for pairs where that happened.
    pub fn steps(&self) -> impl Iterator<Item = (NodeId, NodeId, u64)> {
        let steps = self.pairs.iter().map(|((a, b), pair)| (*a, *b, pair.steps()));
        steps.filter(|(_, _, steps)| *steps > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);
    const MS: i64 = 1_000_000;
    const START: u64 = 1_700_000_000_000_000_000;

    /// B's clock as a function of A's.
    fn exchange(
        clocks: &mut Clocks,
        at: u64,
        b_shows: impl Fn(u64) -> u64,
        delay: u64,
    ) -> [(Crossing, u64); 2] {
        let there = clocks.note(A, B, Timestamp(at), Timestamp(b_shows(at + delay)));
        let answer = at + delay + 10_000;
        let back = clocks.note(B, A, Timestamp(b_shows(answer)), Timestamp(answer + delay));
        [(there, delay), (back, delay)]
    }

    fn check(offsets: &Offsets, crossings: &[(Crossing, u64)]) -> usize {
        let mut held = 0;
        for (index, (crossing, delay)) in crossings.iter().enumerate() {
            let (from, to) = if index % 2 == 0 { (A, B) } else { (B, A) };
            let Some(offset) = offsets.between(from, to, crossing) else { continue };
            held += usize::from(match Latency::of(crossing.difference, offset) {
                Latency::Exact(value) => value == *delay,
                Latency::Within(value, bound) => value.abs_diff(*delay) <= bound,
                Latency::Below(limit) => *delay <= limit,
            });
        }
        held
    }

    #[test]
    fn one_way_alone_says_nothing() {
        let mut clocks = Clocks::default();
        let crossing = clocks.note(A, B, Timestamp(START), Timestamp(START + 5));
        assert_eq!(clocks.offsets().between(A, B, &crossing), None);
    }

    #[test]
    fn two_ways_give_an_offset_and_its_bound() {
        let mut clocks = Clocks::default();
        let [(there, _), (back, _)] = exchange(&mut clocks, START, |t| t + 10_000_000_000, 40_000);
        let offset = clocks.offsets().between(A, B, &there).unwrap();
        assert!((offset.offset - 10_000_000_000).abs() <= offset.bound);
        assert!(offset.bound < 50_000, "{offset:?}");
        let reverse = clocks.offsets().between(B, A, &back).unwrap();
        assert!((reverse.offset + 10_000_000_000).abs() <= reverse.bound);
    }

    #[test]
    fn skew_is_followed_within_the_bound() {
        let mut clocks = Clocks::default();
        let shows = |t: u64| t - 3_000_000_000 + (t - START) / 10_000;
        let mut crossings = Vec::new();
        for n in 0..3000 {
            let delay = 50_000 + (n * 7919) % 100_000;
            crossings.extend(exchange(&mut clocks, START + n * 20_000_000, shows, delay));
        }
        assert_eq!(check(&clocks.offsets(), &crossings), crossings.len());
        let (middle, _) = crossings[3000];
        let bound = clocks.offsets().between(A, B, &middle).unwrap().bound;
        assert!(bound < 70_000, "the bound follows the smallest delays: {bound}");
    }

    #[test]
    fn a_step_begins_a_new_estimate() {
        for step in [5 * MS, -5 * MS, 10_000 * MS, -10_000 * MS] {
            let mut clocks = Clocks::default();
            let change = START + 2_000_000_000;
            let shows = |t: u64| if t < change { t } else { t.saturating_add_signed(step) };
            let mut crossings = Vec::new();
            for n in 0..400 {
                let delay = 50_000 + (n * 7919) % 50_000;
                crossings.extend(exchange(&mut clocks, START + n * 10_000_000, shows, delay));
            }
            let held = check(&clocks.offsets(), &crossings);
            assert!(held >= crossings.len() - 4, "{step}: {held} of {}", crossings.len());
            assert_eq!(clocks.offsets().steps().map(|(_, _, steps)| steps).sum::<u64>(), 1, "{step}");
        }
    }
}
