//! What matches, what is lost, what comes and goes: every packet is counted.

use crate::pair::{FAR, NEAR_INTERFACE, Pair};
use crate::process::{Capture, Said};
use crate::{PORT, assert_adds_up, near};
use nix::sys::signal::Signal;
use std::net::Ipv4Addr;

#[test]
fn only_matching_packets_are_recorded_and_all_are_counted() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["--host", "10.9.0.2:7000/udp"]));
    pair.udp(FAR, PORT, 10, 30);
    pair.udp(FAR, PORT + 1, 15, 30);
    let outcome = capture.stop();
    let statistics = outcome.statistics(NEAR_INTERFACE);
    assert_eq!((statistics.seen, statistics.matched, statistics.written, statistics.lost), (50, 20, 20, 0));
    assert_adds_up(&outcome, NEAR_INTERFACE);
    assert!(
        outcome
            .stderr
            .ends_with("20 packets captured\n20 packets received by filter\n0 packets dropped by kernel\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn silence_comes_with_its_reason() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["--host", "10.1.1.1"]));
    pair.udp(FAR, PORT, 10, 30);
    let outcome = capture.stop();
    assert_eq!(outcome.code(), Some(3));
    let told = "20 packets passed near0, and none of them matched the filter\nof 8 looked at, for example:\n";
    let (_, examples) = outcome.stderr.split_once(told).unwrap_or_else(|| panic!("{}", outcome.stderr));
    assert_eq!(examples.matches("10.9.0.2.7000").count(), 3, "{examples}");
}

#[test]
fn full_ring_is_counted_and_told() {
    const FLOOD: u32 = 3000;
    let pair = Pair::new();
    let mut capture = Capture::start(&pair, &near(&["-s", "128", "-B", "64", "--host", "10.9.0.2:7000/udp"]));
    capture.signal(Signal::SIGSTOP);
    pair.flood(PORT, FLOOD);
    capture.signal(Signal::SIGCONT);
    // A live reader learns of losses while the capture goes on.
    capture.wait_for("a loss", |said| matches!(said, Said::Statistics(_, statistics) if statistics.lost > 0));
    pair.udp(FAR, PORT, 1, 30);
    let outcome = capture.stop();
    let statistics = outcome.statistics(NEAR_INTERFACE);
    assert_eq!(statistics.seen, u64::from(FLOOD) + 2);
    assert_eq!(statistics.matched, statistics.seen);
    assert!(statistics.lost > 0 && statistics.written > 2, "{statistics:?}");
    assert_adds_up(&outcome, NEAR_INTERFACE);
    let told: u64 = outcome.frames().map(|frame| frame.lost_before).sum();
    assert!(0 < told && told <= statistics.lost, "{told} of {statistics:?}");
    assert_eq!(outcome.code(), Some(3));
}

#[test]
fn interfaces_are_followed() {
    let pair = Pair::new();
    let mut capture = Capture::start(&pair, &["-i", "near*"]);
    let described = |name: &'static str| move |said: &Said| matches!(said, Said::Interface(_, interface) if interface.name == name);
    let (near_address, far_address) = (Ipv4Addr::new(10, 9, 1, 1), Ipv4Addr::new(10, 9, 1, 2));
    // It appears.
    pair.link("near1", "far1");
    capture.wait_for("near1", described("near1"));
    capture.wait_for("that it is attached", |said| matches!(said, Said::Statistics(..)));
    pair.addresses("near1", "far1", near_address, far_address);
    pair.udp(far_address, PORT, 3, 30);
    capture.wait_for_frames(6);
    // It gets another name.
    pair.near("link set near1 down");
    pair.near("link set near1 name near2");
    pair.near("link set near2 up");
    pair.near(&format!("neigh replace {far_address} lladdr 02:00:00:00:00:02 dev near2 nud permanent"));
    capture.wait_for("near2", described("near2"));
    pair.udp(far_address, PORT, 2, 30);
    capture.wait_for_frames(4);
    // It gets a name that was not asked for.
    pair.near("link set near2 down");
    pair.near("link set near2 name other");
    pair.near("link set other up");
    pair.near(&format!("neigh replace {far_address} lladdr 02:00:00:00:00:02 dev other nud permanent"));
    pair.udp(far_address, PORT, 2, 30);
    // Another one appears and goes.
    pair.link("near3", "far3");
    capture.wait_for("near3", described("near3"));
    pair.near("link del near3");
    capture.wait_for("the end of near3", |said| matches!(said, Said::Statistics(..)));
    let outcome = capture.stop();
    assert_eq!(outcome.statistics("near1").written, 6);
    assert_eq!(outcome.statistics("near2").written, 4);
    assert_eq!(outcome.statistics("near3").seen, 0);
    assert!(outcome.heard.iter().all(|said| !described("other")(said)));
    for name in [NEAR_INTERFACE, "near1", "near2", "near3"] {
        assert_adds_up(&outcome, name);
    }
    assert_ne!(outcome.interface("near1").1.ifindex, outcome.interface("near3").1.ifindex);
    assert_eq!(outcome.interface("near1").1.ifindex, outcome.interface("near2").1.ifindex);
}
