//! The hops of a path with what changed and how long it took.

use serde::{Serialize, Serializer};

use super::{NamedEndpoint, Reporter};
use crate::clock::{Crossing, Latency, Offset};
use crate::packet::Tunnel;
use crate::timeline::{Change, Lane, Orientation, Place, changes, quantile};
use crate::units::Direction;

/// One hop of a direction of a flow.
#[derive(Clone, Debug, Serialize)]
pub struct Hop {
    /// Node.
    pub node: String,
    /// Pod whose network namespace the interface is in; absent in the node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Interface.
    pub interface: String,
    /// Direction relative to the interface; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Innermost source here.
    pub source: NamedEndpoint,
    /// Innermost destination here.
    pub destination: NamedEndpoint,
    /// Encapsulations here, outermost first.
    pub tunnels: Vec<Tunnel>,
    /// What changed since the hop before.
    pub changes: Vec<Change>,
    /// Wire segments seen here.
    pub packets: u64,
    /// Time since the hop before; absent at the first hop, and where two clocks cannot be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<StepLatency>,
}

/// Time since the hop before, over all packets that were seen at both.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepLatency {
    /// Median.
    #[serde(serialize_with = "nanoseconds")]
    pub p50: Latency,
    /// 99th percentile.
    #[serde(serialize_with = "nanoseconds")]
    pub p99: Latency,
    /// The longest.
    #[serde(serialize_with = "nanoseconds")]
    pub max: Latency,
}

/// A latency as JSON: its value and bound in nanoseconds, or the value that it is below.
fn nanoseconds<S: Serializer>(latency: &Latency, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap;
    let mut map = serializer.serialize_map(None)?;
    match latency {
        Latency::Exact(value) => map.serialize_entry("ns", value)?,
        Latency::Within(value, bound) => {
            map.serialize_entry("ns", value)?;
            map.serialize_entry("bound_ns", bound)?;
        }
        Latency::Below(value) => map.serialize_entry("below_ns", value)?,
    }
    map.end()
}

impl Reporter<'_> {
    pub(super) fn hops(&self, lane: &Lane, path: &[Place], orientation: Orientation) -> Vec<Hop> {
        let before = std::iter::once(None).chain(path.iter().copied().map(Some));
        before.zip(path).map(|(before, place)| self.hop(lane, before, *place, orientation)).collect()
    }

    pub(super) fn hop(
        &self,
        lane: &Lane,
        before: Option<Place>,
        place: Place,
        orientation: Orientation,
    ) -> Hop {
        let headers = self.headers.at(place.headers);
        let interface = self.points.at(place.point.interface);
        let changed = before.map(|before| changes(self.headers.at(before.headers), headers, orientation));
        Hop {
            node: self.points.node_of(place.point.interface).name.clone(),
            pod: interface.pod.clone(),
            interface: interface.name.clone(),
            direction: place.point.direction,
            source: self.named(headers.flow.protocol, headers.flow.source),
            destination: self.named(headers.flow.protocol, headers.flow.destination),
            tunnels: headers.tunnels.clone(),
            changes: changed.unwrap_or_default(),
            packets: lane.segments_at(place),
            latency: before.and_then(|before| self.latency(lane, before, place)),
        }
    }

    fn latency(&self, lane: &Lane, before: Place, place: Place) -> Option<StepLatency> {
        let samples = lane.step(before, place)?;
        let (first, second) = (before.point.interface, place.point.interface);
        if self.points.share_clock(first, second) {
            let mut sorted: Vec<i64> = samples.local.kept().to_vec();
            sorted.sort_unstable();
            let of = |difference| Latency::of(difference, Offset::NONE);
            return Some(StepLatency {
                p50: of(quantile(&sorted, 0.5)?),
                p99: of(quantile(&sorted, 0.99)?),
                max: of(samples.local.greatest()?),
            });
        }
        let (from, to) = (self.points.clock(first), self.points.clock(second));
        let of = |crossing: &Crossing| {
            let offset = self.offsets.between(from, to, crossing)?;
            Some((crossing.difference.saturating_sub(offset.offset), offset.bound))
        };
        let mut sorted: Vec<(i64, i64)> = samples.between.kept().iter().filter_map(of).collect();
        // By what each is at most: with bounds of their own, a greater value may be the smaller limit.
        sorted.sort_unstable_by_key(|(value, bound)| (value.saturating_add(*bound), *value));
        let told = |(value, bound)| Latency::of(value, Offset { offset: 0, bound });
        let greatest = samples.between.greatest().as_ref().and_then(of);
        Some(StepLatency {
            p50: told(quantile(&sorted, 0.5)?),
            p99: told(quantile(&sorted, 0.99)?),
            max: told(
                sorted
                    .last()
                    .copied()
                    .into_iter()
                    .chain(greatest)
                    .max_by_key(|(value, bound)| value.saturating_add(*bound))?,
            ),
        })
    }
}
