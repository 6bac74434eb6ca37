//! A path that packets took, and how many did.

use std::collections::BTreeMap;

use super::extent::Extent;
use crate::clock::Crossing;
use crate::headers::HeadersId;
use crate::journey::{Confidence, Journey, Sighting};
use crate::loss::Cloud;
use crate::point::Point;

/// A place on a path: the observation point and what packets wear there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Where.
    pub point: Point,
    /// What they wear.
    pub headers: HeadersId,
}

impl Place {
    /// The place of one sighting.
    pub fn of(hop: &Sighting) -> Self {
        Self { point: hop.point, headers: hop.headers }
    }
}

/// Journeys that took one path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PathCount {
    /// Wire segments, without duplicates that arose on the way.
    pub segments: u64,
    /// Of these, such that may have gone on unseen: at an edge of the trace, or with more than one translation
    /// that fits.
    pub open_ended: u64,
    /// Of these, such that were recognised by order only.
    pub ordinal: u64,
    /// Of these, such of which only the number is certain.
    pub counted: u64,
    /// Of these, fragments other than the first of their packets.
    pub fragments: u64,
    /// Transport payload bytes.
    pub payload: u64,
    /// Duplicates that arose on the way, before the path's first place.
    pub copies: u64,
    /// Of the segments, such as a kernel says that it dropped after the path's last place.
    pub dropped: u64,
    /// Segments in whose time some node may not have recorded them.
    pub clouded: BTreeMap<Cloud, u64>,
    /// Their lengths and times; absent without any.
    pub extent: Option<Extent>,
}

impl PathCount {
    /// Adds a journey that is no duplicate.
    pub(super) fn note(&mut self, journey: &Journey, circumstances: &Circumstances<'_>) {
        self.segments += 1;
        self.open_ended += u64::from(
            circumstances.is_at_edge
                || (journey.confidence == Confidence::Unknown && !circumstances.is_dropped),
        );
        self.ordinal += u64::from(journey.confidence == Confidence::Ordinal);
        self.counted += u64::from(journey.confidence == Confidence::Flow);
        self.fragments += u64::from(journey.segment.may_vanish && !circumstances.is_dropped);
        self.dropped += u64::from(circumstances.is_dropped);
        self.payload += u64::from(journey.segment.payload_len);
        let extent = Extent::of(journey.segment.payload_len, journey.first().time);
        self.extent = Extent::join(self.extent, Some(extent));
        for cloud in circumstances.clouded {
            *self.clouded.entry(*cloud).or_default() += 1;
        }
    }

    /// Takes over the journeys of another lane's path.
    pub(super) fn absorb(&mut self, other: Self) {
        self.segments += other.segments;
        self.open_ended += other.open_ended;
        self.ordinal += other.ordinal;
        self.counted += other.counted;
        self.fragments += other.fragments;
        self.payload += other.payload;
        self.copies += other.copies;
        self.dropped += other.dropped;
        self.extent = Extent::join(self.extent, other.extent);
        for (cloud, count) in other.clouded {
            *self.clouded.entry(cloud).or_default() += count;
        }
    }
}

/// What is known of a journey besides its hops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances<'a> {
    /// It began before every point was watched, or the trace ended too soon after it.
    pub is_at_edge: bool,
    /// Why nodes may not have recorded it.
    pub clouded: &'a [Cloud],
    /// For each step between hops with clocks of their own, the two times; absent for one clock.
    pub crossings: &'a [Option<Crossing>],
    /// How often some clock was stepped so far: times before and after that have no order.
    pub clock_steps: u64,
    /// A kernel says that it dropped it after its last hop.
    pub is_dropped: bool,
}

/// Whether `part` is the beginning of `whole` as far as it goes, places that recorded nothing passed over.
pub fn is_beginning(part: &[Place], whole: &[Place]) -> bool {
    let Some(last) = part.last() else { return false };
    let Some(end) = whole.iter().position(|place| place == last) else { return false };
    let mut rest = whole[..=end].iter();
    part.iter().all(|place| rest.any(|candidate| candidate == place)) && end + 1 < whole.len()
}
