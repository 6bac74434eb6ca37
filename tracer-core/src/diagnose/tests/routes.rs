use super::super::testing::{delivered, dropped, flow, lane, route, there, way, way_back};
use super::{Cause, Outcome, assert_cause, assert_no_cause, stopping, stops_after, world};
use crate::evidence::{RouteKind, Snapshot};

/// Takes the routes to a network away.
fn without(snapshot: &mut Snapshot, prefix: u8) {
    snapshot.routes.retain(|route| route.prefix != prefix);
}

#[test]
fn no_route_at_all() {
    let world = world().two(|node| {
        without(node, 26);
        without(node, 0);
    });
    let verdict = world.judge(stops_after(1, 3));
    assert_cause(&verdict, Cause::NoRoute, Outcome::Dropped, Some("node2"));
    assert!(verdict.summary.contains("no route to 10.244.131.5"), "{}", verdict.summary);
}

#[test]
fn packets_that_leave_by_the_default_route_instead_of_the_tunnel() {
    let world = world().two(|node| without(node, 26));
    let plain = super::super::testing::hop("node2 eth0 out", there(), 3);
    let mut hops = way(3)[..2].to_vec();
    hops.push(plain);
    let verdict = world.judge(flow(there(), super::super::testing::stopped(3, hops, None), lane()));
    assert_cause(&verdict, Cause::NoRoute, Outcome::BlackHoled, Some("node2"));
}

#[test]
fn routes_that_refuse_have_causes_of_their_own() {
    for (kind, cause) in [
        (RouteKind::Blackhole, Cause::BlackholeRoute),
        (RouteKind::Prohibit, Cause::ProhibitRoute),
        (RouteKind::Unreachable, Cause::UnreachableRoute),
    ] {
        let world = world().two(|node| node.routes.push(route("10.244.131.5/32", kind, None, None)));
        let mut flow = stops_after(1, 3);
        assert_cause(&world.judge(flow.clone()), cause, Outcome::Dropped, Some("node2"));
        flow.forward.drops.push(dropped("node2", "NOT_SPECIFIED", "ip_error", there(), 3));
        assert_cause(&world.judge(flow), cause, Outcome::Dropped, Some("node2"));
    }
}

#[test]
fn a_route_that_refuses_others_is_not_the_cause() {
    let world =
        world().two(|node| node.routes.push(route("10.244.131.6/32", RouteKind::Blackhole, None, None)));
    assert_no_cause(&world.judge(stops_after(1, 3)), Outcome::BlackHoled);
}

#[test]
fn what_the_kernel_dropped_for_another_reason_is_not_the_routes_fault() {
    let world = world().two(|node| without(node, 26));
    let mut flow = stops_after(1, 3);
    flow.forward.drops.push(dropped("node2", "NOMEM", "some_function", there(), 3));
    assert_cause(&world.judge(flow), Cause::KernelDrop, Outcome::Dropped, Some("node2"));
}

#[test]
fn a_node_that_does_not_forward() {
    let world = world().two(|node| {
        node.sysctls.insert("net/ipv4/ip_forward".to_owned(), "0".to_owned());
        node.sysctls.insert("net/ipv4/conf/cali0/forwarding".to_owned(), "0".to_owned());
    });
    let verdict = world.judge(stops_after(1, 3));
    assert_cause(&verdict, Cause::ForwardingDisabled, Outcome::Dropped, Some("node2"));
    assert!(verdict.summary.contains("net.ipv4.ip_forward is 0"), "{}", verdict.summary);
}

#[test]
fn the_reverse_path_filter_by_the_kernels_word_or_by_its_counter() {
    let strict = |node: &mut Snapshot| {
        node.sysctls.insert("net/ipv4/conf/tunl0/rp_filter".to_owned(), "1".to_owned());
        node.routes.retain(|route| route.prefix != 26);
    };
    let flow = stops_after(5, 3);
    // Set, and the way back is another one: but nothing says that it dropped anything.
    let silent = world().one(strict).judge(flow.clone());
    assert_ne!(silent.cause, Some(Cause::ReversePathFilter), "{silent:#?}");
    let counted = world().one(|node| {
        strict(node);
        node.counters.protocols.insert("TcpExtIPReversePathFilter".to_owned(), 3);
    });
    assert_cause(&counted.judge(flow.clone()), Cause::ReversePathFilter, Outcome::Dropped, Some("node1"));
    let mut told = flow;
    told.forward.drops.push(dropped("node1", "IP_RPFILTER", "ip_rcv_finish_core", there(), 3));
    assert_cause(&world().one(strict).judge(told), Cause::ReversePathFilter, Outcome::Dropped, Some("node1"));
}

#[test]
fn answers_that_have_no_route_are_the_fault_of_the_node_they_stop_at() {
    let world = world().one(|node| {
        without(node, 26);
        without(node, 0);
    });
    let reply = stopping(&way_back(3), 1, 3);
    let verdict = world.judge(flow(there(), delivered(3, way(3)), reply));
    assert_cause(&verdict, Cause::NoRoute, Outcome::Dropped, Some("node1"));
}

#[test]
fn datagrams_whose_receiver_has_no_route_back() {
    let mut tuple = there();
    tuple.protocol = crate::flow::Protocol::UDP;
    let mut pod = crate::diagnose::testing::snapshot("node1");
    pod.pod = Some("default/server".to_owned());
    pod.rules = world().node1.before.rules;
    pod.routes = vec![route("0.0.0.0/0", RouteKind::Unicast, Some(2), Some("169.254.1.1"))];
    pod.links = vec![crate::diagnose::testing::link(2, "eth0", "veth", &["10.244.131.5/32"])];
    let sent = flow(tuple, delivered(3, way(3)), lane());
    let judge = |pod: &Snapshot| {
        let mut world = world();
        world.more.push(crate::diagnose::testing::evidence(pod.clone()));
        world.judge(sent.clone())
    };
    assert_no_cause(&judge(&pod), Outcome::Delivered);
    pod.routes.push(route("10.244.111.72/32", RouteKind::Blackhole, None, None));
    assert_cause(&judge(&pod), Cause::BlackholeRoute, Outcome::OneWay, Some("node1"));
    pod.routes.clear();
    assert_cause(&judge(&pod), Cause::NoRoute, Outcome::OneWay, Some("node1"));
}
