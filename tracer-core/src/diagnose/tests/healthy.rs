use super::super::testing::{delivered, dropped, flow, hop, key, there, way, way_back};
use super::{Outcome, assert_no_cause, loses_between, stops_after, world};
use crate::evidence::RouteKind;
use crate::flow::Protocol;
use crate::report::LaneReport;
use crate::timeline::Orientation;

#[test]
fn a_flow_that_works_has_no_cause_whatever_the_nodes_say() {
    let world = world().one(|node| {
        for counter in ["IpInAddrErrors", "TcpExtIPReversePathFilter", "TcpInCsumErrors", "IpFragFails"] {
            node.counters.protocols.insert(counter.to_owned(), 100);
        }
        node.routes.push(super::super::testing::route("10.9.0.0/16", RouteKind::Blackhole, None, None));
        node.sysctls.insert("net/ipv4/ip_forward".to_owned(), "0".to_owned());
        node.links[1].is_up = false;
    });
    let verdict = world.judge(flow(there(), delivered(9, way(9)), delivered(9, way_back(9))));
    assert_no_cause(&verdict, Outcome::Delivered);
}

#[test]
fn what_is_dropped_of_a_connection_that_works_is_nothing() {
    let mut forward = delivered(9, way(9));
    forward.drops.push(dropped("node1", "TCP_OLD_SEQUENCE", "tcp_rcv_established", there(), 1));
    let verdict = world().judge(flow(there(), forward, delivered(9, way_back(9))));
    assert_no_cause(&verdict, Outcome::Delivered);
}

#[test]
fn a_reset_after_both_sides_were_done_is_no_refusal() {
    let mut flow = flow(there(), delivered(9, way(9)), delivered(9, way_back(9)));
    let tcp = flow.tcp.as_mut().unwrap();
    tcp.fin = vec![Orientation::Forward, Orientation::Reply];
    tcp.reset = Some(Orientation::Forward);
    assert_no_cause(&world().judge(flow), Outcome::Delivered);
}

#[test]
fn datagrams_that_nobody_answers_are_delivered() {
    let key = key(Protocol::UDP, "10.244.111.72:40000", "10.244.131.5:53");
    let hops = ["node2 client:eth0 out", "node2 cali0 in", "node1 server:eth0 in"];
    let hops = hops.map(|place| hop(place, key, 5)).to_vec();
    let verdict = world().judge(flow(key, delivered(5, hops), LaneReport::default()));
    assert_no_cause(&verdict, Outcome::Delivered);
}

#[test]
fn packets_that_vanish_in_a_node_that_is_well_have_no_cause() {
    let verdict = world().judge(stops_after(1, 3));
    assert_no_cause(&verdict, Outcome::BlackHoled);
    assert_eq!(verdict.at.unwrap().node.as_deref(), Some("node2"));
}

#[test]
fn without_evidence_the_place_stands_alone() {
    let verdict = super::super::testing::judged(stops_after(4, 3), &[]);
    assert_no_cause(&verdict, Outcome::BlackHoled);
    assert_eq!(verdict.at.unwrap().node.as_deref(), Some("node1"));
    let verdict = super::super::testing::judged(stops_after(3, 3), &[]);
    assert_no_cause(&verdict, Outcome::BlackHoled);
    assert_eq!(verdict.at.unwrap().node, None);
}

#[test]
fn what_is_lost_inside_a_node_is_not_lost_on_the_wire() {
    assert_no_cause(&world().judge(loses_between(1, 1, 9)), Outcome::Slow);
}

#[test]
fn drops_of_another_cluster_on_the_same_kernel_are_not_ours() {
    let mut world = world();
    let mut pod = super::super::testing::snapshot("node1");
    (pod.pod, pod.netns) = (Some("default/server".to_owned()), 77);
    world.more.push(super::super::testing::evidence(pod));
    let mut forward = LaneReport::default();
    let mut drop = dropped("node1", "NETFILTER_DROP", "nf_hook_slow", there(), 3);
    (drop.pod, drop.netns) = (Some("default/server".to_owned()), Some(78));
    forward.drops.push(drop.clone());
    assert_no_cause(&world.judge(flow(there(), forward.clone(), LaneReport::default())), Outcome::Unknown);
    // The same of a pod that nobody looked into, by what the node's links lead to.
    world.more.clear();
    let world = world.one(|node| node.links[2].peer_netns = Some(77));
    assert_no_cause(&world.judge(flow(there(), forward, LaneReport::default())), Outcome::Unknown);
    drop.netns = Some(77);
    let ours = LaneReport { drops: vec![drop], ..LaneReport::default() };
    assert_eq!(
        world.judge(flow(there(), ours, LaneReport::default())).cause,
        Some(super::super::Cause::FirewallDrop)
    );
}

#[test]
fn what_tcp_passes_over_is_no_cause() {
    let mut forward = delivered(9, way(9));
    let mut drop = dropped("node1", "TCP_RFC7323_PAWS", "tcp_validate_incoming", there(), 2);
    drop.pod = Some("default/server".to_owned());
    forward.drops.push(drop);
    let again = crate::report::Retransmissions { stopped_after: None, unknown: false, packets: 2 };
    forward.retransmitted.push(again);
    let verdict = world().judge(flow(there(), forward, delivered(9, way_back(9))));
    assert_eq!(verdict.cause, None, "{verdict:#?}");
}

#[test]
fn what_comes_to_a_socket_that_has_ended_is_no_cause() {
    let mut late = dropped("node2", "NO_SOCKET", "tcp_v4_rcv", there().reversed(), 1);
    late.pod = Some("default/client".to_owned());
    let reply = LaneReport { drops: vec![late], ..delivered(9, way_back(9)) };
    let mut flow = flow(there(), delivered(9, way(9)), reply);
    // What was sent again makes it a flow that is looked into.
    let again = crate::report::Retransmissions { stopped_after: None, unknown: false, packets: 1 };
    flow.reply.retransmitted.push(again);
    let verdict = world().judge(flow.clone());
    assert_eq!(verdict.cause, Some(super::super::Cause::KernelDrop), "{verdict:#?}");
    if let Some(tcp) = &mut flow.tcp {
        tcp.fin.push(Orientation::Forward);
    }
    assert_no_cause(&world().judge(flow), Outcome::Delivered);
}
