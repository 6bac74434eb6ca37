use super::super::testing::{delivered, flow, hop, lane, link, reset, route, there, way};
use super::{Cause, Outcome, assert_cause, world};
use crate::evidence::RouteKind;

#[test]
fn a_pod_of_ones_own_with_the_address_of_another_nodes() {
    let twin = hop("node2 twin0 out", there(), 2);
    let hops = [way(2)[..2].to_vec(), vec![twin.clone()]].concat();
    let flow = reset(flow(there(), delivered(2, hops), lane()), &twin);
    let twice = world().two(|node| {
        node.links.push(link(9, "twin0", "veth", &[]));
        node.routes.push(route("10.244.131.5/32", RouteKind::Unicast, Some(9), None));
    });
    let verdict = twice.judge(flow.clone());
    assert_cause(&verdict, Cause::DuplicateAddress, Outcome::Refused, Some("node2"));
    assert!(verdict.summary.contains("twin0") && verdict.summary.contains("node1"), "{}", verdict.summary);
    // The pod's own node has lost it: it may have moved.
    let moved = twice.one(|node| node.routes.retain(|route| route.prefix != 32 || route.table == 255));
    assert_ne!(moved.judge(flow).cause, Some(Cause::DuplicateAddress));
}
