//! What comes and goes a thousand times leaves nothing behind.

use tests::{
    aftermath::Aftermath,
    attached, kflow,
    pair::{self, NEAR_INTERFACE, Pair},
    process::Held,
};

use crate::{
    file::{Contents, assert_readable},
    running::{Folder, Running},
};

/// Cycles before the first look: what is done the first time only is done by then.
const BEFORE: usize = 10;
/// KiB that resident memory may grow by, whatever the allocator takes at once: a thousand cycles that each leave one of its
/// pieces for a link (300 bytes and more, with a descriptor) take more.
const MOST: u64 = 256;

#[test]
fn a_capture_is_not_larger_for_interfaces_that_come_and_go() {
    come_and_go(12);
}

#[test]
#[ignore = "two minutes: `cargo xtask test faults` runs it"]
fn a_capture_is_not_larger_for_1000_interfaces_that_come_and_go() {
    come_and_go(1000);
}

#[test]
fn captures_that_start_and_stop_leave_nothing() {
    start_and_stop(10);
}

#[test]
#[ignore = "three minutes: `cargo xtask test faults` runs it"]
fn a_thousand_captures_that_start_and_stop_leave_nothing() {
    start_and_stop(1000);
}

fn come_and_go(times: usize) {
    let pair = Pair::up().unwrap();
    let folder = Folder::new(&format!("{}-cycles", pair.near.name()));
    for attach in ["tcx", "clsact"] {
        let file = folder.0.join(format!("{attach}.pcapng"));
        let mut aftermath = Aftermath::of([&pair.near]).unwrap();
        let mut command = aftermath.command(kflow::program());
        command.args(["capture", "-i", NEAR_INTERFACE, "-i", "brief*", "--attach", attach, "--netns"]);
        let mut capture = Running::start(command.arg(pair.near.path()).arg("-w").arg(&file));
        capture.wait_for("capturing on near0", 1);
        let mut first = Held::default();
        for cycle in 1..=BEFORE + times {
            pair.link("brief0", "brief1").unwrap();
            capture.wait_for("also capturing on brief0", cycle);
            pair::ip(&pair.near, "link del brief0").unwrap();
            capture.wait_for("no longer capturing on brief0", cycle);
            if cycle == BEFORE {
                first = Held::of(capture.id()).unwrap();
            }
        }
        let last = Held::of(capture.id()).unwrap();
        println!("{attach}: {first:?}, after {times} cycles more {last:?}");
        assert_eq!((last.descriptors, last.objects()), (first.descriptors, first.objects()), "{attach}");
        assert_eq!(last.map_bytes, first.map_bytes, "{attach}");
        let grown = last.resident.saturating_sub(first.resident);
        assert!(grown <= MOST, "{attach}: {grown} KiB more, {MOST} at most");
        aftermath.look();
        let outcome = capture.stop();
        assert_eq!(outcome.code, Some(3), "no packet passed: {outcome:?}");
        aftermath.check().unwrap();
        let contents = Contents::of(&file);
        assert_eq!(contents.interfaces.len(), BEFORE + times + 1, "{attach}");
        let are_told = contents.interfaces.iter().all(|(_, counters)| counters.is_some());
        assert!(are_told, "{attach}: {:?}", contents.interfaces);
        assert_readable(&file, &contents);
    }
}

fn start_and_stop(times: usize) {
    let pair = Pair::up().unwrap();
    let mut aftermath = Aftermath::of([&pair.near]).unwrap();
    for cycle in 0..times {
        let attach = ["tcx", "clsact"][cycle % 2];
        let mut command = aftermath.command(kflow::program());
        command.args(["capture", "-i", NEAR_INTERFACE, "-w", "/dev/null", "--attach", attach, "--netns"]);
        let mut capture = Running::start(command.arg(pair.near.path()));
        capture.wait_for("capturing on", 1);
        let attached = attached::within(&pair.near).unwrap();
        assert_eq!(attached.len(), 2, "cycle {cycle}, {attach}: {attached:#?}");
        aftermath.look();
        let outcome = capture.stop();
        assert_eq!(outcome.code, Some(3), "no packet passed: {outcome:?}");
    }
    let [maps, programs, links] = aftermath.seen();
    println!("{times} captures had {maps} maps, {programs} programs and {links} links");
    assert!(programs >= 2 * times && links >= times, "{maps}, {programs}, {links}");
    aftermath.check().unwrap();
}
