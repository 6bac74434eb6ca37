//! Several kflows on the same interfaces: each sees everything, and the end of one is nothing to the others.

use std::process::Stdio;

use nix::sys::signal::Signal;
use tests::Kflow;
use tracer_core::capture::Expected;

use crate::capture::{told, told_by_file};
use crate::running::Capture;
use crate::scene::{End, PORT, Scene};

const SENT: u32 = 200;

fn start(scene: &Scene, mode: &str) -> Capture {
    scene.capture(&format!("-i near* --attach {mode} -s 0 -w - -- udp port 7000"), Stdio::piped())
}

/// Ends it, and checks that it saw all that was sent `rounds` times.
fn check(capture: Capture, rounds: u32, mode: &str) {
    let outcome = capture.stop();
    let told = told(&outcome.stdout, Expected::Stream);
    for link in 0..2 {
        let near = &told[&format!("near{link}")];
        let counters = near.counters;
        assert_eq!((counters.written, counters.lost), (u64::from(2 * rounds * SENT), 0), "{mode}");
        assert_eq!(near.sent.len(), near.received.len(), "{mode}");
    }
    assert_eq!(outcome.code, Some(0), "{mode}: {}", outcome.stderr);
}

fn send(scene: &Scene) {
    for link in 0..2 {
        scene.send(End::Near, link, PORT, SENT, 100);
        scene.send(End::Far, link, PORT, SENT, 100);
    }
}

#[test]
fn captures_do_not_disturb_one_another() {
    captures([["tcx", "clsact"]]);
}

#[test]
#[ignore = "the same with programs of one kind: half a minute"]
fn captures_of_one_kind_do_not_disturb_one_another() {
    captures([["tcx", "tcx"], ["clsact", "clsact"]]);
}

fn captures<const N: usize>(all: [[&str; 2]; N]) {
    for modes in all {
        let scene = Scene::new(2);
        let stays = start(&scene, modes[0]);
        let [ends, killed] = [1, 1].map(|mode| start(&scene, modes[mode]));
        send(&scene);
        check(ends, 1, modes[1]);
        send(&scene);
        killed.signal(Signal::SIGKILL);
        assert_eq!(killed.wait().code, None);
        send(&scene);
        let late = start(&scene, modes[1]);
        send(&scene);
        check(late, 1, modes[1]);
        send(&scene);
        check(stays, 5, modes[0]);
    }
}

fn trace(scene: &Scene, file: &str) -> Kflow {
    let words = format!(
        "trace -o json --no-evidence --node node-a=netns:{} --node node-b=netns:{} -w {} 10.77.0.1 10.77.0.2",
        scene.near.path().display(),
        scene.far.path().display(),
        scene.path(file).display(),
    );
    Kflow::tracing(&tests::kflow::program(), words.split_whitespace()).unwrap()
}

/// Ends it, and checks that it followed so many packets over both hops.
fn check_trace(trace: Kflow, scene: &Scene, file: &str, packets: u32) {
    let outcome = trace.stop().unwrap();
    let told = outcome.told().unwrap();
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let [flow] = told.flows.as_slice() else { panic!("{:#?}", told.flows) };
    let hops = flow["forward"]["hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2, "{hops:#?}");
    assert!(hops.iter().all(|hop| hop["packets"] == packets), "{hops:#?}");
    let written = told_by_file(&scene.path(file));
    for name in ["near0", "far0"] {
        assert_eq!(written[name].packets(), u64::from(packets), "{file}: {name}");
    }
}

#[test]
fn traces_of_the_same_addresses_do_not_disturb_one_another() {
    let scene = Scene::new(1);
    let capture = scene.capture("-i near* -s 0 -w - -- udp port 7000", Stdio::piped());
    let [one, other, killed] = ["one", "other", "killed"].map(|file| trace(&scene, file));
    scene.send(End::Near, 0, PORT, SENT, 100);
    drop(killed.end(Signal::SIGKILL).unwrap());
    scene.send(End::Near, 0, PORT, SENT, 100);
    check_trace(one, &scene, "one", 2 * SENT);
    scene.send(End::Near, 0, PORT, SENT, 100);
    check_trace(other, &scene, "other", 3 * SENT);
    let outcome = capture.stop();
    let near = &told(&outcome.stdout, Expected::Stream)["near0"];
    assert_eq!((near.counters.written, near.counters.lost), (u64::from(3 * SENT), 0));
}
