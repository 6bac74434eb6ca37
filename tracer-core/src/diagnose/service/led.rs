//! Where a node's rules would lead what is sent to a service.

use crate::diagnose::case::Case;
use crate::evidence::{Hook, Probe, Snapshot};
use crate::flow::{Endpoint, FlowKey};
use crate::report::Hop;
use crate::timeline::Orientation;
use crate::units::Direction;

/// Ends that the rules of the namespace in which the packets ended lead to, most probable first; none where they do not
/// translate, or were not read.
pub(super) fn led_to(case: &Case<'_>, front: Endpoint) -> Vec<Endpoint> {
    let Some((snapshot, input)) = translator(case) else { return Vec::new() };
    let key = FlowKey { protocol: case.flow.protocol, source: case.flow.source.endpoint, destination: front };
    let hook = if input.is_some() { Hook::Prerouting } else { Hook::Output };
    let is_local = snapshot.owns(front.address);
    let probe = Probe { input: input.map(str::to_owned), is_local, ..Probe::new(key) };
    let mut ends: Vec<Endpoint> = Vec::new();
    for walk in snapshot.firewall.walk(hook, &probe) {
        let end = walk.key.destination;
        if end != front && walk.doubts.is_empty() && !ends.contains(&end) {
            ends.push(end);
        }
    }
    ends
}

/// The node whose rules the packets met first, and the interface by which they came to it; absent for its own packets.
fn translator<'c>(case: &'c Case<'_>) -> Option<(&'c Snapshot, Option<&'c str>)> {
    let is_of_node = |hop: &&Hop| hop.pod.is_none();
    if let Some(hop) = case.flow.forward.hops.iter().find(is_of_node) {
        let input = (hop.direction == Some(Direction::Ingress)).then_some(hop.interface.as_str());
        return Some((case.evidence(&hop.node, None)?.last(), input));
    }
    let failure = case.failures_of(Orientation::Forward).find(|failure| failure.spot.pod.is_none())?;
    let evidence = case.evidence(failure.spot.node.as_deref()?, None)?;
    Some((evidence.last(), failure.input))
}
