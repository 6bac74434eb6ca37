//! Several interfaces, and those that come and go while they are captured.

use crate::process::contents;
use crate::scene::{INTERFACE, Scene};

#[test]
fn each_interface_has_its_numbers_where_asked_for() {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -i lo -v -w both.pcapng -- udp"));
    scene.send(7, b"one way");
    scene.send_over_loopback(4);
    let outcome = capture.stop();
    // Loopback shows each packet where it is sent and where it is received.
    let (packets, statistics) = contents(&scene.path("both.pcapng"));
    assert_eq!(outcome.number("captured"), packets, "{}", outcome.stderr);
    for (name, one) in &statistics {
        let line = format!(
            "  {name}: {} captured, {} received by filter, {} dropped, {} passed",
            one.written, one.matched, one.lost, one.seen
        );
        assert!(outcome.stderr.lines().any(|told| told == line), "{line}\n{}", outcome.stderr);
    }
    let sum = |part: fn(&tracer_core::capture::Statistics) -> u64| -> u64 {
        statistics.iter().map(|(_, one)| part(one)).sum()
    };
    let sums = [sum(|one| one.written), sum(|one| one.matched), sum(|one| one.lost)];
    assert_eq!(outcome.three(), sums);
    let near = statistics.iter().find(|(name, _)| name == INTERFACE).unwrap();
    assert_eq!(near.1.written, 7);
}

#[test]
fn interface_that_goes_and_comes_is_told_of() {
    let scene = Scene::new();
    scene.link("brief0", "brief1");
    let mut capture = scene.capture("-i brief0 -w brief.pcapng");
    scene.near_ip("link del brief0");
    capture.wait_for("no longer capturing on brief0, and on no other: waiting for one to come");
    scene.link("brief0", "brief1");
    capture.wait_for("also capturing on brief0");
    scene.near_ip("link set brief0 down");
    scene.near_ip("link set brief0 name other0");
    capture.wait_for("no longer capturing on brief0");
    let outcome = capture.stop();
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.stderr.ends_with("\nno packet at all passed brief0\n"), "{}", outcome.stderr);
    assert_eq!(contents(&scene.path("brief.pcapng")).1.len(), 2);
}

#[test]
fn pcap_holds_one_link_type() {
    let scene = Scene::new();
    let mut capture = scene.capture("-i * --pcap --true-link-types -w one.pcap -- udp");
    scene.send(3, b"before");
    scene.near_ip("tuntap add mode tun name tun7");
    capture.wait_for("not capturing on tun7: a pcap file has one link type");
    scene.send(3, b"after");
    let outcome = capture.stop();
    assert_eq!(outcome.three(), [6, 6, 0], "{}", outcome.stderr);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("\nnot captured on tun7\n"), "{}", outcome.stderr);
    assert_eq!(tests::wireshark::tcpdump(&scene.path("one.pcap")).unwrap().len(), 6);
    // From the beginning it is refused.
    let refused = crate::running::run(&mut scene.kflow("--pcap --true-link-types -w one.pcap"));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("near0 is of type 1 and tun7 of type 101"), "{}", refused.stderr);
}
