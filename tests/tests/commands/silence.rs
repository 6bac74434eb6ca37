//! No packet matched: what was watched, what passed, and what nearly matched.

use crate::process::kflow;
use crate::running::run;
use crate::scene::{FROM, INTERFACE, PORT, Scene};

#[test]
fn silence_is_explained() {
    let scene = Scene::new();
    let start = |words: &str| scene.capture(&format!("-i {INTERFACE} {words}"));
    let near = start(&format!("-- udp port {PORT} and dst host 10.7.0.9"));
    let far = start("-- tcp");
    let inner = start(&format!("--inner -- udp port {PORT} and dst host 10.7.0.9"));
    let by_address = start("--host 10.7.0.9");
    let received = start("-Q in");
    scene.send(6, b"nobody looks");
    let line = format!("near0 Out IP 10.7.0.1.{FROM} > 10.7.0.2.{PORT}: UDP, length 12");
    let passed = "6 packets passed near0, and none of them matched the filter";
    for (name, capture) in [("near", near), ("far", far), ("inner", inner), ("address", by_address)] {
        let outcome = capture.stop();
        assert_eq!((outcome.code, outcome.three()), (Some(3), [0; 3]), "{name}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(passed) && outcome.stderr.contains(&line),
            "{name}: {}",
            outcome.stderr
        );
        let is_told = outcome.stderr.contains("match all but `dst host 10.7.0.9`:");
        assert_eq!(is_told, name == "near" || name == "inner", "{name}: {}", outcome.stderr);
        assert_eq!(outcome.text(), "");
    }
    let outcome = received.stop();
    assert!(outcome.stderr.ends_with("\nno packet at all passed near0\n"), "{}", outcome.stderr);
    let outcome = scene.capture("-i none* --duration 0.1").wait();
    assert!(outcome.stderr.ends_with("\nthere was no interface to capture on\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("capturing on no interface yet"), "{}", outcome.stderr);
}

/// A VXLAN packet: a frame with IPv4 and UDP in it.
fn vxlan(source_port: u16, destination_port: u16) -> Vec<u8> {
    const PAYLOAD: &[u8] = b"inside";
    let udp_len = 8 + u8::try_from(PAYLOAD.len()).unwrap();
    let mut bytes = vec![0x08, 0, 0, 0, 0, 0, 5, 0];
    bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    bytes.extend([0x45, 0, 0, 20 + udp_len, 0, 1, 0, 0, 64, 17, 0, 0, 10, 244, 1, 1, 10, 244, 2, 2]);
    bytes.extend([source_port.to_be_bytes(), destination_port.to_be_bytes()].concat());
    bytes.extend([0, udp_len, 0, 0]);
    bytes.extend(PAYLOAD);
    bytes
}

#[test]
fn what_only_tunnels_carry_is_told_of() {
    let scene = Scene::new();
    let outside = scene.capture(&format!("-i {INTERFACE} -- udp port 7777"));
    let inside = scene.capture(&format!("-i {INTERFACE} --vxlan-port {PORT} --inner -- udp port 7777"));
    let all = scene.capture(&format!("-i {INTERFACE} -w all.pcapng -- udp"));
    scene.send(6, &vxlan(7777, 53));
    assert_eq!(all.stop().code, Some(0));
    let outcome = outside.stop();
    assert!(
        outcome.stderr.contains("match inside of a tunnel, which `--inner` looks into:"),
        "{}",
        outcome.stderr
    );
    let outcome = inside.stop();
    assert_eq!((outcome.code, outcome.three()), (Some(0), [6, 6, 0]), "{}", outcome.stderr);
    for (filter, code, read) in
        [("--inner -- udp port 7777", 0, "6 matched"), ("-- udp port 7777", 3, "0 matched")]
    {
        let words = format!("-r {} {filter}", scene.path("all.pcapng").display());
        let outcome = run(&mut kflow(words.split_whitespace()));
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(read), "{}", outcome.stderr);
    }
}
