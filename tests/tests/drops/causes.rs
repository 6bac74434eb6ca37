//! What drops packets, each for itself: reason, function, namespace, direction and count.

use std::net::{IpAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use tests::Namespace;
use tracer_core::drops::Nature;
use tracer_core::flow::Protocol;
use tracer_core::units::Direction;

use crate::Tested;
use crate::line::{FAR, FAR_6, Line, NEAR, NOBODY, NOWHERE, counted, inode, ip, set, tables};
use crate::recorder::{Outcome, Recorder, Told};

const PORT: u16 = 7001;
const OTHER_PORT: u16 = 7002;
const COUNT: usize = 7;

/// All drops of packets to [`PORT`], which must be so many, in this namespace, and alike.
fn alike<'a>(outcome: &'a Outcome, here: &Namespace, protocol: Protocol, count: usize) -> &'a Told {
    let told = outcome.to(protocol, PORT);
    assert_eq!(told.len(), count, "{:#?}", outcome.drops);
    for one in &told {
        assert_eq!(one.notice.netns, Some(inode(here)), "{one:?}");
        assert_eq!((one.foreign, one.notice.is_clone), (None, false), "{one:?}");
        assert_eq!(
            (&one.notice.reason, &one.notice.function),
            (&told[0].notice.reason, &told[0].notice.function)
        );
        assert_eq!(one.nature, told[0].nature);
        assert!(one.notice.function.is_some() && one.notice.offset.is_some(), "{one:?}");
    }
    told[0]
}

fn reason(told: &Told) -> &str {
    told.notice.reason.as_deref().unwrap()
}

fn interface(told: &Told) -> &str {
    told.notice.interface.as_deref().unwrap_or_default()
}

/// Sends to the far end while drops are recorded in one namespace.
fn recorded(line: &Line, here: &Namespace, to: impl Into<IpAddr>) -> Outcome {
    let recorder = Recorder::start(here, &["--drops"]);
    line.send(to, PORT, COUNT, 30);
    recorder.stop()
}

#[test]
fn rules_of_the_router() {
    let line = Line::new();
    let rule = format!("FORWARD -p udp --dport {PORT} -j DROP");
    for (program, to) in [("iptables", IpAddr::from(FAR)), ("ip6tables", IpAddr::from(FAR_6))] {
        tables(&line.router, program, &format!("-A {rule}"));
        let outcome = recorded(&line, &line.router, to);
        let told = alike(&outcome, &line.router, Protocol::UDP, counted(&line.router, program, "FORWARD"));
        assert_eq!((reason(told), told.nature), ("NETFILTER_DROP", Nature::Lost));
        assert_eq!((told.direction, interface(told)), (Some(Direction::Ingress), "to_near0"));
        assert_eq!(outcome.to(Protocol::UDP, PORT).len(), COUNT);
        let header = if to.is_ipv4() { 20 } else { 40 };
        assert_eq!(told.original_len, 14 + header + 8 + 30);
        assert_eq!(outcome.section.netns, Some(inode(&line.router)));
        assert!(outcome.packets >= COUNT);
        let statistics = outcome.statistics;
        assert_eq!((statistics.written, statistics.lost), (outcome.drops.len() as u64, 0));
    }
}

#[test]
fn rules_of_the_two_ends() {
    let line = Line::new();
    tables(&line.far, "iptables", &format!("-A INPUT -p udp --dport {PORT} -j DROP"));
    let outcome = recorded(&line, &line.far, FAR);
    let told = alike(&outcome, &line.far, Protocol::UDP, COUNT);
    assert_eq!(
        (reason(told), told.direction, interface(told)),
        ("NETFILTER_DROP", Some(Direction::Ingress), "far0")
    );
    tables(&line.near, "iptables", &format!("-A OUTPUT -p udp --dport {PORT} -j DROP"));
    let outcome = recorded(&line, &line.near, FAR);
    let told = alike(&outcome, &line.near, Protocol::UDP, counted(&line.near, "iptables", "OUTPUT"));
    assert_eq!(
        (reason(told), told.direction, interface(told)),
        ("NETFILTER_DROP", Some(Direction::Egress), "near0")
    );
}

/// What TCP sends is a clone, whose original it keeps to send it again.
#[test]
fn a_syn_is_told_wherever_it_is_dropped() {
    let line = Line::new();
    for (here, chain, device) in
        [(&line.far, "INPUT", "far0"), (&line.router, "FORWARD", "to_near0"), (&line.near, "OUTPUT", "near0")]
    {
        tables(here, "iptables", &format!("-A {chain} -p tcp --dport {PORT} -j DROP"));
        let recorder = Recorder::start(here, &["--drops"]);
        assert!(line.connect(PORT).is_err());
        let outcome = recorder.stop();
        let told = alike(&outcome, here, Protocol::TCP, counted(here, "iptables", chain));
        assert_eq!((reason(told), interface(told), told.nature), ("NETFILTER_DROP", device, Nature::Lost));
    }
}

#[test]
fn sockets_that_are_not_there_or_full() -> Tested {
    let line = Line::new();
    let outcome = recorded(&line, &line.far, FAR);
    let told = alike(&outcome, &line.far, Protocol::UDP, COUNT);
    assert_eq!((reason(told), told.nature), ("NO_SOCKET", Nature::Refused));
    let recorder = Recorder::start(&line.far, &["--drops"]);
    assert!(line.connect(PORT).is_err());
    let outcome = recorder.stop();
    let told = alike(&outcome, &line.far, Protocol::TCP, 1);
    assert_eq!((reason(told), told.nature), ("NO_SOCKET", Nature::Refused));

    let socket = line.far.run(|| UdpSocket::bind((FAR, PORT)))??;
    let recorder = Recorder::start(&line.far, &["--drops"]);
    let sent = line.send(FAR, PORT, 2000, 1000);
    let outcome = recorder.stop();
    socket.set_nonblocking(true)?;
    let received = std::iter::from_fn(|| socket.recv(&mut [0; 2000]).ok()).count();
    let told = alike(&outcome, &line.far, Protocol::UDP, sent - received);
    assert_eq!((reason(told), told.nature), ("SOCKET_RCVBUFF", Nature::Lost));
    Ok(())
}

#[test]
fn settings_and_routes_of_the_router() {
    let line = Line::new();
    let check = |to: IpAddr, expected: &[&str]| {
        let outcome = recorded(&line, &line.router, to);
        let told = alike(&outcome, &line.router, Protocol::UDP, COUNT);
        assert!(expected.contains(&reason(told)), "{told:?}");
        assert_eq!((told.nature, told.direction), (Nature::Lost, Some(Direction::Ingress)), "{told:?}");
        told.notice.function.clone().unwrap_or_default()
    };
    // Old kernels do not say why they have no route.
    check(NOWHERE.into(), &["IP_INNOROUTES", "NOT_SPECIFIED"]);
    ip(&line.router, &format!("route add blackhole {NOWHERE}"));
    check(NOWHERE.into(), &["IP_INNOROUTES", "NOT_SPECIFIED"]);
    ip(&line.router, &format!("-4 rule add from {NEAR} to {FAR} prohibit"));
    check(FAR.into(), &["IP_INNOROUTES", "NOT_SPECIFIED"]);
    ip(&line.router, &format!("-4 rule del from {NEAR} to {FAR} prohibit"));
    set(&line.router, "net/ipv4/ip_forward", "0");
    check(FAR.into(), &["IP_INADDRERRORS", "IP_INNOROUTES", "NOT_SPECIFIED"]);
    set(&line.router, "net/ipv4/ip_forward", "1");
    set(&line.router, "net/ipv4/conf/to_near0/rp_filter", "1");
    ip(&line.router, "route del 10.31.1.0/24");
    ip(&line.router, "route add 10.31.1.0/24 dev to_far0");
    check(FAR.into(), &["IP_RPFILTER"]);
}

#[test]
fn packets_that_are_too_long_or_have_no_next_hop() {
    let line = Line::new();
    ip(&line.router, "link set to_far0 mtu 1280");
    set(&line.near, "net/ipv4/ip_no_pmtu_disc", "0");
    let recorder = Recorder::start(&line.router, &["--drops"]);
    line.send(FAR, PORT, 1, 1400);
    line.send(NOBODY, OTHER_PORT, 1, 30);
    // The router asks three times, a second apart, for who has the address.
    std::thread::sleep(std::time::Duration::from_millis(3600));
    let outcome = recorder.stop();
    let told = outcome.to(Protocol::UDP, PORT);
    assert_eq!((told.len(), reason(told[0])), (1, "PKT_TOO_BIG"), "{told:?}");
    let told = outcome.to(Protocol::UDP, OTHER_PORT);
    assert_eq!((told.len(), reason(told[0]), interface(told[0])), (1, "NEIGH_FAILED", "to_far0"), "{told:?}");
}

/// One socket buffer that is five datagrams on the wire.
#[test]
fn a_super_packet_tells_its_segments() {
    const SEGMENT: i32 = 500;
    let line = Line::new();
    tables(&line.router, "iptables", &format!("-A FORWARD -p udp --dport {PORT} -j DROP"));
    let recorder = Recorder::start(&line.router, &["--drops"]);
    let sent = line.near.run(|| {
        let socket = UdpSocket::bind((NEAR, 0)).unwrap();
        setsockopt(&socket, sockopt::UdpGsoSegment, &SEGMENT).unwrap();
        socket.send_to(&[0x5a; 2500], (FAR, PORT)).unwrap()
    });
    assert_eq!(sent.unwrap(), 2500);
    let outcome = recorder.stop();
    let told = alike(&outcome, &line.router, Protocol::UDP, 1);
    assert_eq!((told.segments, told.original_len), (5, 14 + 20 + 8 + 2500));
}

/// Only what has an address of the set and passes the filter is told, and only in the own namespace or in those joined to it.
#[test]
fn drops_are_chosen_by_address_namespace_and_filter() {
    let line = Line::new();
    tables(&line.far, "iptables", &format!("-A INPUT -p udp --dport {PORT} -j DROP"));
    tables(&line.router, "iptables", &format!("-A FORWARD -p udp --dport {OTHER_PORT} -j DROP"));
    let both = || {
        line.send(FAR, PORT, COUNT, 30);
        line.send(FAR, OTHER_PORT, 1, 30);
    };
    let address = NEAR.to_string();
    let recorder = Recorder::start(&line.router, &["--drops=joined", "--host", &address]);
    both();
    let all = recorder.stop();
    let there = all.to(Protocol::UDP, PORT);
    assert_eq!(there.len(), COUNT);
    assert!(
        there.iter().all(|told| told.foreign == Some(inode(&line.far)) && told.notice.netns == told.foreign)
    );
    assert_eq!(all.to(Protocol::UDP, OTHER_PORT).len(), 1);

    let other_port = format!("{FAR}:{OTHER_PORT}/udp");
    let recorder = Recorder::start(&line.router, &["--drops=joined", "--host", &other_port]);
    both();
    let some = recorder.stop();
    assert_eq!((some.to(Protocol::UDP, PORT).len(), some.to(Protocol::UDP, OTHER_PORT).len()), (0, 1));

    let filter = format!("udp port {OTHER_PORT}");
    let recorder = Recorder::start(&line.router, &["--drops=joined", "-f", &filter]);
    both();
    let some = recorder.stop();
    assert_eq!((some.to(Protocol::UDP, PORT).len(), some.to(Protocol::UDP, OTHER_PORT).len()), (0, 1));

    let recorder = Recorder::start(&line.router, &["--drops", "--host", "10.99.99.99"]);
    both();
    assert!(recorder.stop().drops.is_empty());
}
