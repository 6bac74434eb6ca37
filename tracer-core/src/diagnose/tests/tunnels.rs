use super::super::testing::{dropped, flow, hop, ip, lane, link, neighbour, route, there, way, wrapped};
use super::{Cause, Outcome, assert_cause, assert_no_cause, loses_between, stops_after, world};
use crate::evidence::{NeighbourState, RouteKind, Tunnel};
use crate::packet::TunnelKind;
use crate::report::{IcmpError, NamedEndpoint};
use crate::timeline::{Extent, Orientation};
use crate::units::Timestamp;
use crate::way::LinkIndex;

#[test]
fn an_encapsulation_that_does_not_pass_between_nodes_that_reach_each_other() {
    let verdict = world().judge(stops_after(3, 3));
    assert_cause(&verdict, Cause::TunnelFiltered, Outcome::BlackHoled, None);
    assert!(verdict.summary.contains("protocol 4"), "{}", verdict.summary);
    let unknown = world().two(|node| node.neighbours.clear());
    assert_no_cause(&unknown.judge(stops_after(3, 3)), Outcome::BlackHoled);
}

#[test]
fn a_tunnel_to_the_wrong_node_is_told_by_its_outer_address() {
    let wrong = wrapped(hop("node2 eth0 out", there(), 3), "172.18.0.3", "172.18.0.4", TunnelKind::Ipip);
    let mut hops = way(3)[..3].to_vec();
    hops.push(wrong);
    let verdict = world().judge(flow(there(), super::super::testing::stopped(3, hops, None), lane()));
    assert_cause(&verdict, Cause::TunnelPeerWrong, Outcome::BlackHoled, Some("node2"));
    assert!(verdict.summary.contains("node3") && verdict.summary.contains("node1"), "{}", verdict.summary);
}

#[test]
fn a_network_that_the_other_end_does_not_have() {
    let world = world().one(|node| {
        let mut device = link(9, "vxlan0", "vxlan", &["10.244.131.0/32"]);
        device.tunnel = Some(Tunnel { vni: Some(4097), ..Tunnel::default() });
        node.links.push(device);
    });
    let kind = TunnelKind::Vxlan { vni: 4096 };
    let mut hops = way(3)[..3].to_vec();
    hops.push(wrapped(hop("node2 eth0 out", there(), 3), "172.18.0.3", "172.18.0.2", kind));
    hops.push(wrapped(hop("node1 eth0 in", there(), 3), "172.18.0.3", "172.18.0.2", kind));
    let mut flow = flow(there(), super::super::testing::stopped(3, hops, None), lane());
    let verdict = world.judge(flow.clone());
    assert_cause(&verdict, Cause::WrongVni, Outcome::Dropped, Some("node1"));
    flow.forward.drops.push(dropped("node1", "VXLAN_VNI_NOT_FOUND", "vxlan_rcv", there(), 3));
    let verdict = world.judge(flow);
    assert_cause(&verdict, Cause::WrongVni, Outcome::Dropped, Some("node1"));
}

#[test]
fn some_that_are_lost_between_the_nodes() {
    let verdict = world().judge(loses_between(3, 2, 20));
    assert_cause(&verdict, Cause::WireLoss, Outcome::Slow, None);
    assert!(verdict.summary.contains("2 ") && verdict.summary.contains("of 20"), "{}", verdict.summary);
}

fn sizes(shortest: u32, longest: u32, from: u64, to: u64) -> Extent {
    Extent { shortest, longest, first: Timestamp(from), last: Timestamp(to) }
}

#[test]
fn only_long_ones_are_lost() {
    let mut flow = loses_between(3, 4, 9);
    flow.forward.stopped[0].extent = Some(sizes(1400, 1400, 10, 90));
    flow.forward.arrived = Some(sizes(0, 300, 0, 20));
    let verdict = world().judge(flow.clone());
    assert_cause(&verdict, Cause::MtuBlackHole, Outcome::BlackHoled, None);
    // The same lengths arrive as well: it is not the length.
    flow.forward.arrived = Some(sizes(0, 1400, 0, 80));
    assert_cause(&world().judge(flow), Cause::WireLoss, Outcome::Slow, None);
}

#[test]
fn a_sender_that_learns_of_the_length_is_in_no_black_hole() {
    let mut flow = loses_between(3, 1, 9);
    flow.forward.stopped[0].extent = Some(sizes(1400, 1400, 10, 10));
    flow.forward.arrived = Some(sizes(0, 1300, 0, 90));
    flow.icmp_errors.push(error(4));
    let verdict = world().judge(flow);
    assert_ne!(verdict.cause, Some(Cause::MtuBlackHole), "{verdict:#?}");
}

fn error(code: u8) -> IcmpError {
    let hop = hop("node2 cali0 out", there(), 1);
    IcmpError {
        quotes: Orientation::Forward,
        icmp: crate::flow::Protocol::ICMP,
        kind: if code == 4 { 3 } else { 11 },
        code: if code == 4 { 4 } else { 0 },
        meaning: "said".to_owned(),
        mtu: None,
        sender: NamedEndpoint { endpoint: super::super::testing::endpoint("172.18.0.3"), name: None },
        seen_at: hop.place(),
        packets: 1,
    }
}

#[test]
fn routes_in_a_circle_that_packets_went_round() {
    // Each sends the pod's address to the other.
    let world = world()
        .one(|node| {
            node.routes.push(route("10.244.131.5/32", RouteKind::Unicast, Some(2), Some("172.18.0.3")));
        })
        .two(|node| {
            node.routes.push(route("10.244.131.5/32", RouteKind::Unicast, Some(2), Some("172.18.0.2")));
        });
    let world = world.one(|node| node.routes.retain(|route| route.link.map(|link| link.0) != Some(4)));
    let round = ["node2 cali0 in", "node2 eth0 out", "node1 eth0 in", "node1 eth0 out", "node2 eth0 in"];
    let hops: Vec<_> = round.iter().map(|place| hop(place, there(), 3)).collect();
    let mut flow = flow(there(), super::super::testing::stopped(3, hops, None), lane());
    flow.icmp_errors.push(error(0));
    let verdict = world.judge(flow);
    assert_cause(&verdict, Cause::RoutingLoop, Outcome::Dropped, Some("node2"));
    assert!(verdict.summary.contains("node1") && verdict.summary.contains("node2"), "{}", verdict.summary);
}

#[test]
fn a_time_to_live_that_was_short_is_no_circle() {
    let mut flow = stops_after(4, 1);
    flow.icmp_errors.push(error(0));
    let verdict = world().judge(flow);
    assert_ne!(verdict.cause, Some(Cause::RoutingLoop), "{verdict:#?}");
}

#[test]
fn the_next_hop_is_at_somebody_elses_hardware_address() {
    let rogue = neighbour("172.18.0.2", 2, Some("02:00:00:00:00:99"), NeighbourState::Known);
    let world = world().two(|node| node.neighbours = vec![rogue.clone()]);
    let verdict = world.judge(stops_after(3, 3));
    assert_cause(&verdict, Cause::DuplicateAddress, Outcome::BlackHoled, None);
}

#[test]
fn a_tunnel_to_nobody_whose_packets_wait_for_an_address_or_were_given_up() {
    let failed = neighbour("172.18.0.99", 2, None, NeighbourState::Incomplete);
    let world = world().two(|node| {
        for route in node.routes.iter_mut().filter(|route| route.link == Some(LinkIndex(3))) {
            route.gateway = Some(ip("172.18.0.99"));
        }
        node.neighbours.push(failed.clone());
    });
    let mut flow = stops_after(2, 3);
    assert_cause(&world.judge(flow.clone()), Cause::TunnelPeerWrong, Outcome::Dropped, Some("node2"));
    let mut drop = dropped("node2", "NEIGH_FAILED", "arp_error_report", there(), 3);
    let (source, destination) = (ip("172.18.0.3"), ip("172.18.0.99"));
    drop.tunnels = vec![crate::packet::Tunnel { kind: TunnelKind::Ipip, source, destination }];
    flow.forward.drops.push(drop);
    assert_cause(&world.judge(flow), Cause::TunnelPeerWrong, Outcome::BlackHoled, Some("node2"));
}

#[test]
fn a_node_that_was_to_hand_packets_on_and_dropped_them_for_a_reason_of_its_own() {
    let outer = |place| wrapped(hop(place, there(), 3), "172.18.0.3", "172.18.0.4", TunnelKind::Ipip);
    let hops = [way(3)[..3].to_vec(), vec![outer("node2 eth0 out"), outer("node3 eth0 in")]].concat();
    let mut flow = flow(there(), super::super::testing::stopped(3, hops, None), lane());
    assert_cause(&world().judge(flow.clone()), Cause::TunnelPeerWrong, Outcome::BlackHoled, Some("node2"));
    for (reason, function) in [("PKT_TOO_BIG", "ip_forward"), ("NOT_SPECIFIED", "ip6_fragment")] {
        flow.forward.drops = vec![dropped("node3", reason, function, there(), 3)];
        let verdict = world().judge(flow.clone());
        assert_cause(&verdict, Cause::MtuBlackHole, Outcome::BlackHoled, Some("node3"));
    }
}
