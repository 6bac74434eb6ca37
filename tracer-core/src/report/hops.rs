//! The hops of a path with what changed and how long it took.

use serde::{Serialize, Serializer};

use super::{NamedEndpoint, Reporter};
use crate::clock::{Latency, Offset, Offsets};
use crate::packet::Tunnel;
use crate::timeline::{Change, Lane, Orientation, Place, Samples, changes};
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
    /// Clock offsets between nodes, from every step of every flow.
    pub(super) fn offsets(&self) -> Offsets {
        let mut offsets = Offsets::default();
        for (_, flow) in self.flows {
            for (from, to, samples) in flow.forward.steps().chain(flow.reply.steps()) {
                let (first, second) = (from.point.interface, to.point.interface);
                if let (false, Some(smallest)) = (self.points.share_clock(first, second), samples.min()) {
                    offsets.note(self.points.at(first).node, self.points.at(second).node, smallest);
                }
            }
        }
        offsets
    }

    pub(super) fn hops(
        &self,
        lane: &Lane,
        path: &[Place],
        orientation: Orientation,
        offsets: &Offsets,
    ) -> Vec<Hop> {
        let before = std::iter::once(None).chain(path.iter().copied().map(Some));
        before.zip(path).map(|(before, place)| self.hop(lane, before, *place, orientation, offsets)).collect()
    }

    pub(super) fn hop(
        &self,
        lane: &Lane,
        before: Option<Place>,
        place: Place,
        orientation: Orientation,
        offsets: &Offsets,
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
            latency: before
                .and_then(|before| latency(lane.step(before, place)?, self.offset(before, place, offsets)?)),
        }
    }

    fn offset(&self, before: Place, place: Place, offsets: &Offsets) -> Option<Offset> {
        let (first, second) = (before.point.interface, place.point.interface);
        if self.points.share_clock(first, second) {
            return Some(Offset::NONE);
        }
        offsets.between(self.points.at(first).node, self.points.at(second).node)
    }
}

fn latency(samples: &Samples, offset: Offset) -> Option<StepLatency> {
    let at = |share| Some(Latency::of(samples.quantile(share)?, offset));
    Some(StepLatency { p50: at(0.5)?, p99: at(0.99)? })
}
