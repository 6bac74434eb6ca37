//! Words for places and numbers in sentences.

use super::verdict::Spot;
use crate::evidence::Snapshot;
use crate::report::{Hop, NamedEndpoint};
use crate::resolve::short;
use crate::trace::PlaceName;

/// A number of things: `1 packet`, `3 packets`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `k8s-node1 eth0`, or `pod-src eth0` inside a pod.
pub(super) fn place(place: &PlaceName) -> String {
    match &place.pod {
        Some(pod) => format!("{} {}", short(pod), place.interface),
        None => format!("{} {}", place.node, place.interface),
    }
}

/// The one who did something: the node, or the pod.
pub(super) fn actor(spot: &Spot) -> String {
    match (&spot.pod, &spot.node) {
        (Some(pod), _) => format!("pod {}", short(pod)),
        (None, Some(node)) => node.clone(),
        (None, None) => "somebody between the nodes".to_owned(),
    }
}

/// The name of an end with its address: `pod-src (10.244.111.72:4000)`.
pub(super) fn end(end: &NamedEndpoint) -> String {
    match &end.name {
        Some(name) => format!("{name} ({})", end.endpoint),
        None => end.endpoint.to_string(),
    }
}

impl Hop {
    /// Where it is.
    pub(crate) fn place(&self) -> PlaceName {
        PlaceName {
            node: self.node.clone(),
            pod: self.pod.clone(),
            interface: self.interface.clone(),
            direction: self.direction,
        }
    }
}

/// The namespace that a snapshot is of.
pub(super) fn spot_of(snapshot: &Snapshot) -> Spot {
    Spot { node: Some(snapshot.node.clone()), pod: snapshot.pod.clone(), after: None, before: None }
}
