//! An offset with its bound, and a latency by two clocks.

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

    /// The offset that lies between two bounds.
    pub fn between(lower: i64, upper: i64) -> Self {
        let width = upper.saturating_sub(lower).saturating_abs();
        Self { offset: i64::midpoint(lower, upper), bound: width / 2 + width % 2 }
    }

    /// That of the first clock against the second.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { offset: -self.offset, ..self }
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
            _ if bound >= value => Self::Below(value + bound),
            _ => Self::Within(value, bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_never_negative_and_says_its_bound() {
        assert_eq!(Latency::of(-7, Offset::NONE), Latency::Exact(0));
        assert_eq!(Latency::of(90, Offset { offset: 50, bound: 30 }), Latency::Within(40, 30));
        assert_eq!(Latency::of(60, Offset { offset: 50, bound: 30 }), Latency::Below(40));
        assert_eq!(Latency::of(80, Offset { offset: 50, bound: 30 }), Latency::Below(60));
        assert_eq!(Latency::of(40, Offset { offset: 50, bound: 30 }), Latency::Below(30));
    }
}
