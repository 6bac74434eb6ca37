use super::super::testing::{dropped, flow, lane, link, neighbour, snapshot, stopped, there, way, way_back};
use super::{Cause, Outcome, assert_cause, assert_no_cause, loses_between, stops_after, world};
use crate::evidence::{Evidence, NeighbourState, Program, ProgramHook};
use crate::report::{Reordering, Retransmissions};
use crate::way::LinkIndex;

#[test]
fn nobody_answers_for_the_next_hop() {
    let failed = neighbour("172.18.0.2", 2, None, NeighbourState::Failed);
    let world = world().two(|node| node.neighbours = vec![failed.clone()]);
    let verdict = world.judge(stops_after(2, 3));
    assert_cause(&verdict, Cause::NeighbourFailed, Outcome::Dropped, Some("node2"));
    assert!(verdict.summary.contains("172.18.0.2 on eth0"), "{}", verdict.summary);
    let mut told = stops_after(1, 3);
    told.forward.drops.push(dropped("node2", "NEIGH_FAILED", "arp_error_report", there(), 3));
    assert_cause(&world.judge(told), Cause::NeighbourFailed, Outcome::Dropped, Some("node2"));
}

#[test]
fn a_neighbour_that_failed_and_that_packets_do_not_go_to() {
    let failed = neighbour("172.18.0.77", 2, None, NeighbourState::Failed);
    let world = world().two(|node| node.neighbours.push(failed.clone()));
    assert_no_cause(&world.judge(stops_after(1, 3)), Outcome::BlackHoled);
}

#[test]
fn an_interface_of_the_way_that_is_down_outweighs_what_follows_from_it() {
    let failed = neighbour("172.18.0.2", 2, None, NeighbourState::Failed);
    let world =
        world().two(|node| node.neighbours = vec![failed.clone()]).one(|node| node.links[0].is_up = false);
    let mut flow = stops_after(1, 3);
    flow.forward.drops.push(dropped("node2", "NEIGH_FAILED", "arp_error_report", there(), 3));
    let verdict = world.judge(flow);
    assert_cause(&verdict, Cause::InterfaceDown, Outcome::BlackHoled, Some("node1"));
    assert!(verdict.summary.contains("eth0 of node1 is down"), "{}", verdict.summary);
}

#[test]
fn the_end_of_a_pod_that_is_down_takes_its_route_with_it() {
    let world = world().one(|node| {
        node.links[2].is_up = false;
        node.routes.retain(|route| route.link != Some(LinkIndex(4)));
    });
    let verdict = world.judge(stops_after(5, 3));
    assert_cause(&verdict, Cause::InterfaceDown, Outcome::BlackHoled, Some("node1"));
    assert!(verdict.summary.contains("cali0 of node1 is down"), "{}", verdict.summary);
}

#[test]
fn a_pods_own_interface() {
    let mut world = world().one(|node| node.links[2].has_carrier = false);
    let mut pod = snapshot("node1");
    pod.pod = Some("default/server".to_owned());
    let mut eth0 = link(1, "eth0", "veth", &["10.244.131.5/32"]);
    (eth0.is_up, eth0.has_carrier, eth0.peer) = (false, false, Some(LinkIndex(4)));
    pod.links = vec![eth0];
    world.more.push(Evidence { before: pod.clone(), after: Some(pod) });
    let verdict = world.judge(stops_after(6, 3));
    assert_cause(&verdict, Cause::InterfaceDown, Outcome::BlackHoled, Some("node1"));
    assert_eq!(verdict.at.unwrap().pod.as_deref(), Some("default/server"));
}

#[test]
fn an_interface_that_is_down_and_has_nothing_to_do_with_it() {
    let world = world().one(|node| {
        let mut other = link(20, "cali9", "veth", &[]);
        other.is_up = false;
        let mut dock = link(21, "docker0", "bridge", &["172.17.0.1/16"]);
        dock.has_carrier = false;
        node.links.extend([other, dock]);
    });
    assert_no_cause(&world.judge(stops_after(5, 3)), Outcome::BlackHoled);
}

#[test]
fn a_queue_that_is_full() {
    let mut told = loses_between(3, 2, 20);
    told.forward.drops.push(dropped("node2", "QDISC_DROP", "__dev_queue_xmit", there(), 2));
    told.forward.drops[0].after = Some(way(1)[3].place());
    assert_cause(&world().judge(told), Cause::QueueFull, Outcome::Dropped, Some("node2"));
    let counted = world().two(|node| node.links[0].qdisc_drops = 2);
    assert_cause(&counted.judge(loses_between(3, 2, 20)), Cause::QueueFull, Outcome::Dropped, Some("node2"));
    // Fewer than were lost: that queue is not it.
    let fewer = world().two(|node| node.links[0].qdisc_drops = 1);
    assert_cause(&fewer.judge(loses_between(3, 2, 20)), Cause::WireLoss, Outcome::Slow, None);
}

#[test]
fn a_program_that_drops() {
    let program = Program {
        link: LinkIndex(2),
        hook: ProgramHook::TcIngress,
        id: Some(7),
        name: Some("guard".to_owned()),
        kind: "bpf".to_owned(),
        priority: Some(1),
        is_own: false,
    };
    let mut flow = flow(there(), stopped(3, way(3)[..5].to_vec(), None), lane());
    let mut drop = dropped("node1", "TC_INGRESS", "__netif_receive_skb_core", there(), 3);
    drop.interface = Some("eth0".to_owned());
    flow.forward.drops.push(drop);
    let verdict = world().one(|node| node.programs = vec![program.clone()]).judge(flow.clone());
    assert_cause(&verdict, Cause::ProgramDrop, Outcome::Dropped, Some("node1"));
    assert!(verdict.summary.contains("guard (id 7) of eth0"), "{}", verdict.summary);
    let unseen = world().judge(flow);
    assert_cause(&unseen, Cause::ProgramDrop, Outcome::Dropped, Some("node1"));
}

#[test]
fn a_checksum_that_is_wrong() {
    let mut flow = stops_after(7, 3);
    let mut drop = dropped("node1", "TCP_CSUM", "tcp_v4_rcv", there(), 3);
    drop.pod = Some("default/server".to_owned());
    drop.after = Some(way(1)[7].place());
    flow.forward.drops.push(drop);
    let verdict = world().judge(flow);
    assert_cause(&verdict, Cause::BadChecksum, Outcome::Dropped, Some("node1"));
}

#[test]
fn a_drop_that_nothing_explains_is_told_as_the_kernel_says_it() {
    let mut flow = stops_after(4, 3);
    flow.forward.drops.push(dropped("node1", "XFRM_POLICY", "ip_local_deliver", there(), 3));
    let verdict = world().judge(flow);
    assert_cause(&verdict, Cause::KernelDrop, Outcome::Dropped, Some("node1"));
    assert!(verdict.summary.contains("XFRM_POLICY"), "{}", verdict.summary);
}

#[test]
fn what_one_place_drops_for_two_reasons_are_two_failures() {
    let mut flow = stops_after(4, 9);
    let place = Some(way(1)[4].place());
    for (reason, packets) in [("PKT_TOO_BIG", 6), ("XFRM_POLICY", 3)] {
        let mut drop = dropped("node1", reason, "ip_forward", there(), packets);
        drop.after.clone_from(&place);
        flow.forward.drops.push(drop);
    }
    let verdict = world().judge(flow);
    assert_cause(&verdict, Cause::MtuBlackHole, Outcome::BlackHoled, Some("node1"));
    assert!(verdict.summary.starts_with("6 SYNs"), "{}", verdict.summary);
}

#[test]
fn an_uplink_that_is_down_before_packets_were_wrapped() {
    let world = world().two(|node| {
        node.links[0].is_up = false;
        node.routes.retain(|route| route.link != Some(LinkIndex(2)));
    });
    let mut flow = stops_after(2, 2);
    flow.forward.drops.push(dropped("node2", "IP_OUTNOROUTES", "vxlan_xmit_one", there(), 2));
    let verdict = world.judge(flow);
    assert_cause(&verdict, Cause::InterfaceDown, Outcome::BlackHoled, Some("node2"));
    assert!(verdict.summary.contains("eth0 of node2 is down"), "{}", verdict.summary);
}

#[test]
fn a_tunnel_that_is_down_and_has_lost_its_addresses_and_its_routes() {
    let down = |node: &mut crate::evidence::Snapshot| {
        (node.links[1].is_up, node.links[1].addresses) = (false, Vec::new());
        node.routes.retain(|route| route.link != Some(LinkIndex(3)));
    };
    let hops =
        [way(3)[..2].to_vec(), vec![super::super::testing::hop("node2 eth0 out", there(), 3)]].concat();
    let flow = flow(there(), stopped(3, hops, None), lane());
    let mut always = world().two(down);
    down(&mut always.node2.before);
    let verdict = always.judge(flow.clone());
    assert_cause(&verdict, Cause::InterfaceDown, Outcome::BlackHoled, Some("node2"));
    // One that nobody uses is not to blame.
    let unused = always.one(|node| node.links.retain(|link| link.name != "tunl0"));
    assert_ne!(unused.judge(flow).cause, Some(Cause::InterfaceDown));
}

#[test]
fn packets_that_overtake_others_on_the_wire() {
    let told = |overtook: u64, again: u64| {
        let hops = way(400);
        let mut forward = super::super::testing::delivered(400, hops.clone());
        forward.reordered = vec![Reordering { at: hops[4].place(), packets: overtook }];
        forward.retransmitted = vec![Retransmissions { stopped_after: None, unknown: false, packets: again }];
        let back = super::super::testing::delivered(400, way_back(400));
        world().judge(flow(there(), forward, back)).cause
    };
    assert_eq!(told(20, 1), Some(Cause::WireReordering));
    assert_eq!(told(8, 20), Some(Cause::WireReordering));
    assert_eq!(told(60, 0), None);
    // Two processors overtake each other now and then, and somebody is asked twice.
    assert_eq!(told(8, 5), None);
    assert_eq!(told(5, 40), None);
}
