use crate::diagnose::testing::{delivered, dropped, evidence, flow, hop, ip, judged, key, lane, snapshot};
use crate::diagnose::{Cause, Outcome};
use crate::evidence::{Evidence, RouteKind, Snapshot, Socket, SocketState};
use crate::flow::{FlowKey, Protocol};
use crate::report::{FlowReport, Retransmissions};
use crate::units::Timestamp;

const SECOND: u64 = 1_000_000_000;

fn tuple(protocol: Protocol) -> FlowKey {
    key(protocol, "10.0.2.7:4000", "10.0.1.5:8080")
}

fn socket(protocol: Protocol, state: SocketState, waiting: u32, drops: u64) -> Socket {
    Socket {
        protocol,
        local: ip("0.0.0.0"),
        local_port: 8080,
        remote: ip("0.0.0.0"),
        remote_port: 0,
        state,
        receive_queue: waiting,
        send_queue: 8,
        drops,
        is_dual: false,
        receive_buffer: None,
    }
}

/// The namespace of the server, before and after.
fn server(counter: &str, rise: u64, before: Socket, after: Socket) -> Evidence {
    let at = |socket: Socket, count: u64| {
        let mut snapshot = snapshot("node1");
        snapshot.links.push(crate::diagnose::testing::link(2, "eth0", "physical", &["10.0.1.5/24"]));
        snapshot.routes.push(crate::diagnose::testing::route("0.0.0.0/0", RouteKind::Unicast, Some(2), None));
        snapshot.sockets.push(socket);
        snapshot.counters.protocols.insert(counter.to_owned(), count);
        snapshot
    };
    Evidence { before: at(before, 7), after: Some(at(after, 7 + rise)) }
}

fn listener(waiting: u32) -> Socket {
    socket(Protocol::TCP, SocketState::Listen, waiting, 0)
}

/// SYNs that arrived and were not answered.
fn unanswered() -> FlowReport {
    let tuple = tuple(Protocol::TCP);
    let mut flow = flow(
        tuple,
        delivered(3, vec![hop("node2 cali2 in", tuple, 3), hop("node1 eth0 in", tuple, 3)]),
        lane(),
    );
    flow.forward.retransmitted.push(Retransmissions { stopped_after: None, unknown: false, packets: 2 });
    flow
}

#[test]
fn a_listener_at_which_too_many_wait() {
    let crowded = server("TcpExtListenOverflows", 3, listener(9), listener(9));
    let verdict = judged(unanswered(), &[crowded]);
    assert_eq!(
        (verdict.cause, verdict.outcome),
        (Some(Cause::ListenOverflow), Outcome::Dropped),
        "{verdict:#?}"
    );
    assert!(verdict.summary.contains("(9 wait, and 8 may)"), "{}", verdict.summary);
    assert_eq!(verdict.at.unwrap().node.as_deref(), Some("node1"));
    let syn_queue = server("TcpExtTCPReqQFullDrop", 3, listener(0), listener(0));
    assert_eq!(judged(unanswered(), &[syn_queue]).cause, Some(Cause::ListenOverflow));
    let idle = server("TcpExtListenOverflows", 0, listener(0), listener(0));
    assert_eq!(judged(unanswered(), &[idle]).cause, None);
}

#[test]
fn connections_that_are_not_taken_for_want_of_a_route_back() {
    let dropping = server("TcpExtListenDrops", 3, listener(0), listener(0));
    assert_eq!(judged(unanswered(), std::slice::from_ref(&dropping)).cause, Some(Cause::ListenOverflow));
    let mut routeless = dropping;
    for snapshot in [Some(&mut routeless.before), routeless.after.as_mut()].into_iter().flatten() {
        snapshot.routes.clear();
        snapshot.rules.extend(crate::diagnose::testing::World::new().node1.before.rules);
    }
    let verdict = judged(unanswered(), &[routeless]);
    assert_eq!(verdict.cause, Some(Cause::NoRoute), "{verdict:#?}");
}

#[test]
fn an_overflow_of_others_is_nothing_to_a_connection_that_was_taken() {
    let tuple = tuple(Protocol::TCP);
    let back = delivered(3, vec![hop("node1 eth0 out", tuple.reversed(), 3)]);
    let works = flow(tuple, delivered(3, vec![hop("node1 eth0 in", tuple, 3)]), back);
    let crowded = server("TcpExtListenOverflows", 3, listener(9), listener(9));
    assert_eq!(judged(works, &[crowded]).cause, None);
}

#[test]
fn a_socket_without_room() {
    let tuple = tuple(Protocol::UDP);
    let sent = || flow(tuple, delivered(100, vec![hop("node1 eth0 in", tuple, 100)]), lane());
    let bound = |drops| socket(Protocol::UDP, SocketState::Bound, 200_000, drops);
    let verdict = judged(sent(), &[server("UdpRcvbufErrors", 40, bound(2), bound(42))]);
    assert_eq!(
        (verdict.cause, verdict.outcome),
        (Some(Cause::SocketBufferFull), Outcome::Dropped),
        "{verdict:#?}"
    );
    assert!(verdict.summary.contains("40 datagrams"), "{}", verdict.summary);
    // The counters of the namespace may be those of other sockets.
    assert_eq!(judged(sent(), &[server("UdpRcvbufErrors", 40, bound(2), bound(2))]).cause, None);
    let mut told = sent();
    told.forward.drops.push(dropped("node1", "SOCKET_RCVBUFF", "__udp_enqueue_schedule_skb", tuple, 40));
    assert_eq!(judged(told, &[]).cause, Some(Cause::SocketBufferFull));
}

/// A transfer of ten seconds whose receiver closed its window for so long.
fn transfer(closed: u64, is_still_closed: bool) -> FlowReport {
    let tuple = tuple(Protocol::TCP);
    let (there, back) = (hop("node1 eth0 in", tuple, 100), hop("node1 web:eth0 out", tuple.reversed(), 50));
    let mut flow = flow(tuple, delivered(100, vec![there]), delivered(50, vec![back]));
    flow.forward.last_ns = Some(Timestamp(10 * SECOND));
    flow.reply.zero_windows = 1;
    if is_still_closed {
        flow.reply.window_closed_since_ns = Some(Timestamp(10 * SECOND - closed));
    } else {
        flow.reply.zero_window_ns = closed;
    }
    flow
}

#[test]
fn a_receiver_that_does_not_read() {
    for is_still_closed in [false, true] {
        let verdict = judged(transfer(6 * SECOND, is_still_closed), &[]);
        assert_eq!(
            (verdict.cause, verdict.outcome),
            (Some(Cause::ZeroWindow), Outcome::Slow),
            "{verdict:#?}"
        );
        assert!(verdict.summary.contains("closed for 6000 ms of 10000 ms"), "{}", verdict.summary);
        assert_eq!(verdict.at.unwrap().pod.as_deref(), Some("default/web"));
        assert_eq!(judged(transfer(SECOND / 2, is_still_closed), &[]).cause, None);
        assert_eq!(judged(transfer(2 * SECOND, is_still_closed), &[]).cause, None);
    }
}

#[test]
fn nothing_is_said_of_a_namespace_that_says_nothing() {
    assert_eq!(judged(unanswered(), &[evidence(Snapshot::default())]).cause, None);
}
