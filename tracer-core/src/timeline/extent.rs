//! Lengths and times of the segments that took a path.

use crate::units::Timestamp;

/// The shortest and the longest of some segments, the first and the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extent {
    /// Least transport payload, in bytes.
    pub shortest: u32,
    /// Greatest transport payload, in bytes.
    pub longest: u32,
    /// When the first was seen first.
    pub first: Timestamp,
    /// When the last was seen first.
    pub last: Timestamp,
}

impl Extent {
    /// The extent of one segment.
    pub fn of(payload: u32, time: Timestamp) -> Self {
        Self { shortest: payload, longest: payload, first: time, last: time }
    }

    /// The extent of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            shortest: self.shortest.min(other.shortest),
            longest: self.longest.max(other.longest),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    /// The extent of all that are there.
    pub fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        }
    }
}
