//! One packet's way over all points.

use serde::Serialize;

use crate::headers::HeadersId;
use crate::identity::Segment;
use crate::point::Point;
use crate::units::Timestamp;

/// Number of an observed packet within one trace, in order of arrival.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObservationId(pub u64);

/// One wire segment seen once at one point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// Where.
    pub point: Point,
    /// When, by the clock of the point's node.
    pub time: Timestamp,
    /// What it wore there.
    pub headers: HeadersId,
    /// Time to live of the innermost packet: it falls along the way, whatever the clocks say.
    pub ttl: u8,
    /// The observed packet that it was part of.
    pub observation: ObservationId,
    /// Which wire segment of that packet it is, from 0.
    pub part: u16,
}

/// How sure it is that the hops of a journey are one packet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// No other packet had its key.
    Exact,
    /// Others had the same key: they are told apart by order and time, the k-th at one point being the k-th at the
    /// next.
    Ordinal,
    /// Others had the same key and some of them were lost or doubled: how many is certain, which ones is not.
    Flow,
    /// It may go on, or have begun, under other addresses: more than one translation fitted.
    Unknown,
}

/// The ordered hops of one wire segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Journey {
    /// What travelled.
    pub segment: Segment,
    /// Where it was seen, first to last; never empty.
    pub hops: Vec<Sighting>,
    /// How sure it is that this is one packet.
    pub confidence: Confidence,
    /// Whether it is a duplicate that came into being on the way, before its first hop.
    pub is_copy: bool,
}

impl Journey {
    /// The first hop.
    pub fn first(&self) -> &Sighting {
        &self.hops[0]
    }

    /// The last hop.
    pub fn last(&self) -> &Sighting {
        &self.hops[self.hops.len() - 1]
    }
}
