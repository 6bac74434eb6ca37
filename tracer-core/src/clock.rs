//! Offsets between the clocks of nodes.
//!
//! Two nodes with one kernel share its clock. Otherwise packets themselves tell: with `forward` the smallest
//! measured delay from A to B (offset included) and `back` the smallest from B to A, the offset of B against A is
//! `(forward - back) / 2`, and cannot be further off than `(forward + back) / 2`, since no true delay is
//! negative. No extra traffic is sent.

use std::collections::BTreeMap;

use crate::point::NodeId;

/// An offset with its error bound, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offset {
    /// What the second clock shows more than the first.
    pub offset: i64,
    /// Half-width of the interval that holds the true offset; 0 where both are one clock.
    pub bound: i64,
}

impl Offset {
    /// The offset of a clock against itself.
    pub const NONE: Self = Self { offset: 0, bound: 0 };
}

/// The smallest delays seen between pairs of nodes that do not share a clock.
#[derive(Clone, Debug, Default)]
pub struct Offsets {
    smallest: BTreeMap<(NodeId, NodeId), i64>,
}

impl Offsets {
    /// Notes the smallest difference of times of packets that went from one node to the next.
    pub fn note(&mut self, from: NodeId, to: NodeId, nanoseconds: i64) {
        let smallest = self.smallest.entry((from, to)).or_insert(nanoseconds);
        *smallest = (*smallest).min(nanoseconds);
    }

    /// The offset of `to` against `from`; absent until packets were seen both ways.
    pub fn between(&self, from: NodeId, to: NodeId) -> Option<Offset> {
        if from == to {
            return Some(Offset::NONE);
        }
        let forward = *self.smallest.get(&(from, to))?;
        let back = *self.smallest.get(&(to, from))?;
        let offset = i64::midpoint(forward, -back);
        // A negative sum means that a clock was stepped in between: nothing can be said then.
        let round_trip = forward.checked_add(back)?;
        (round_trip >= 0).then_some(Offset { offset, bound: (round_trip + 1) / 2 })
    }
}

/// A latency between two hops, in nanoseconds; never negative.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Latency {
    /// Measured by one clock.
    Exact(u64),
    /// Measured by two clocks: the value, and how far off it may be.
    Within(u64, u64),
    /// Measured by two clocks whose error exceeds the value: less than this.
    Below(u64),
}

impl Latency {
    /// The latency behind a difference of two clocks' times.
    pub fn of(difference: i64, offset: Offset) -> Self {
        let value = difference.saturating_sub(offset.offset).max(0).unsigned_abs();
        let bound = offset.bound.unsigned_abs();
        match bound {
            0 => Self::Exact(value),
            _ if bound > value => Self::Below(value + bound),
            _ => Self::Within(value, bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    #[test]
    fn two_ways_give_an_offset_and_its_bound() {
        let mut offsets = Offsets::default();
        // B's clock is 1,000,000 ns ahead; 30 ns there, 50 ns back.
        offsets.note(A, B, 1_000_030);
        assert_eq!(offsets.between(A, B), None);
        offsets.note(B, A, -1_000_000 + 50);
        let offset = offsets.between(A, B).unwrap();
        assert!((offset.offset - 1_000_000).abs() <= offset.bound);
        assert_eq!(offset.bound, 40);
        let back = offsets.between(B, A).unwrap();
        assert!((back.offset + 1_000_000).abs() <= back.bound);
    }

    #[test]
    fn a_stepped_clock_says_nothing() {
        let mut offsets = Offsets::default();
        offsets.note(A, B, -5000);
        offsets.note(B, A, 100);
        assert_eq!(offsets.between(A, B), None);
    }

    #[test]
    fn a_latency_is_never_negative_and_says_its_bound() {
        assert_eq!(Latency::of(-7, Offset::NONE), Latency::Exact(0));
        assert_eq!(Latency::of(90, Offset { offset: 50, bound: 30 }), Latency::Within(40, 30));
        assert_eq!(Latency::of(60, Offset { offset: 50, bound: 30 }), Latency::Below(40));
        assert_eq!(Latency::of(40, Offset { offset: 50, bound: 30 }), Latency::Below(30));
    }
}
