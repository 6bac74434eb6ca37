//! The ring overflows: what was sent is written or counted as lost, per interface and direction.

use std::fs;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::Kflow;
use tests::wireshark::capinfos;
use tracer_core::capture::Expected;

use crate::capture::{Told, children, freeze, resident, thaw, told, told_by_file};
use crate::running::Capture;
use crate::scene::{End, PORT, Scene};

const LINKS: u8 = 3;
/// Far more than the smallest ring holds.
const FLOOD: u32 = 2000;
/// What does not match.
const OTHERS: u32 = 300;

/// Datagrams that leave by a link, each link another number.
fn leaving(link: u8) -> u32 {
    FLOOD + 500 * u32::from(link)
}

/// Those that come.
fn coming(link: u8) -> u32 {
    FLOOD / 2 + 100 * u32::from(link)
}

/// More than a ring holds on every link while its reader sleeps, and a little when it is awake again.
fn flood(scene: &Scene, capture: &Capture) {
    freeze(capture.pid());
    for link in 0..LINKS {
        scene.send(End::Near, link, PORT, leaving(link), 200);
        scene.send(End::Far, link, PORT, coming(link), 200);
        scene.send(End::Near, link, PORT + 1, OTHERS, 200);
    }
    thaw(capture.pid());
}

/// Whether a capture of this direction sees what leaves, and what comes.
fn ways(direction: &str) -> [bool; 2] {
    [direction != "in", direction != "out"]
}

/// Asserts that the sums are those of what was sent. Returns written and lost over all interfaces.
fn check(told: &[Told], direction: &str, is_filtered: bool) -> (u64, u64) {
    let (mut written, mut lost) = (0, 0);
    for (link, told) in (0..).zip(told) {
        let name = format!("near{link} {direction}");
        let [leaves, comes] = ways(direction).map(u32::from);
        let matching = leaves * leaving(link) + comes * coming(link);
        let passing = matching + leaves * OTHERS;
        let counters = told.counters;
        assert_eq!(counters.seen, u64::from(passing), "{name}");
        assert_eq!(counters.matched, u64::from(if is_filtered { matching } else { passing }), "{name}");
        assert_eq!(counters.matched, counters.written + counters.lost, "{name}: {counters:?}");
        assert_eq!(counters.written, told.packets(), "{name}");
        assert!(told.lost_before <= counters.lost, "{name}");
        assert!(leaves == 1 || told.sent.is_empty(), "{name}");
        assert!(comes == 1 || told.received.is_empty(), "{name}");
        if is_filtered {
            told.assert_adds_up(&name);
        }
        (written, lost) = (written + counters.written, lost + counters.lost);
    }
    assert!(lost > 0 && written > 0, "{direction}: {written} written, {lost} lost");
    (written, lost)
}

#[test]
fn a_stream_tells_of_every_packet_of_every_interface() {
    let scene = Scene::new(LINKS);
    for (direction, filter) in [("inout", "-- udp port 7000"), ("in", "-- udp port 7000"), ("out", "")] {
        let words = format!("-i near* -B 64 -s 128 -v -Q {direction} -w - {filter}");
        let capture = scene.capture(&words, Stdio::piped());
        flood(&scene, &capture);
        let outcome = capture.stop();
        let told: Vec<_> = told(&outcome.stdout, Expected::Stream).into_values().collect();
        assert_eq!(told.len(), usize::from(LINKS));
        let (written, lost) = check(&told, direction, !filter.is_empty());
        assert_eq!(outcome.three(), [written, written + lost, lost], "{}", outcome.stderr);
        for (link, told) in told.iter().enumerate() {
            let counters = told.counters;
            let line = format!(
                "  near{link}: {} captured, {} received by filter, {} dropped, {} passed",
                counters.written, counters.matched, counters.lost, counters.seen
            );
            assert!(outcome.stderr.contains(&line), "{line}: {}", outcome.stderr);
        }
        assert_eq!(outcome.code, Some(3));
    }
}

#[test]
fn files_tell_of_every_packet_and_others_count_the_same() {
    let scene = Scene::new(LINKS);
    let capture = scene.capture("-i near* -B 64 -s 128 -w DIR/one -- udp port 7000", Stdio::null());
    let rotated = scene.capture("-i near* -B 64 -s 128 -C 50k -w DIR/many -- udp port 7000", Stdio::null());
    freeze(rotated.pid());
    flood(&scene, &capture);
    thaw(rotated.pid());
    let (one, many) = (capture.stop(), rotated.stop());
    let told: Vec<_> = told_by_file(&scene.path("one")).into_values().collect();
    let (written, lost) = check(&told, "inout", true);
    assert_eq!((one.three(), one.code), ([written, written + lost, lost], Some(3)), "{}", one.stderr);
    let said = capinfos(&scene.path("one")).unwrap();
    assert!(said.contains(&format!("Number of packets:   {written}")), "{said}");
    // All files of a rotation together.
    let (mut packets, mut newest) = (0, 0);
    for entry in fs::read_dir(scene.directory()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(number) = name.strip_prefix("many") else { continue };
        let number: u32 = number.parse().unwrap_or_default();
        let told = told_by_file(&path);
        packets += told.values().map(Told::packets).sum::<u64>();
        if number >= newest {
            newest = number;
        }
    }
    assert!(newest > 0, "one file is no rotation");
    let [captured, received, dropped] = many.three();
    assert_eq!((captured, received), (packets, packets + dropped), "{}", many.stderr);
    assert_eq!(received, written + lost);
    let name = format!("many{newest}");
    let end = told_by_file(&scene.path(&name));
    let lost: u64 = end.values().map(|told| told.counters.lost).sum();
    assert_eq!(lost, dropped, "the last file tells of all that was lost");
}

/// How a trace of both ends of the pairs is started, with rings that soon overflow.
const TRACE: &str = "trace -o json --no-evidence -B 64 --node node-a=netns:NEAR --node node-b=netns:FAR \
                     -w DIR/traced 10.77.0.1 10.77.0.2";

fn words(scene: &Scene) -> Vec<String> {
    let words = TRACE
        .replace("DIR", &scene.directory().display().to_string())
        .replace("NEAR", &scene.near.path().display().to_string())
        .replace("FAR", &scene.far.path().display().to_string());
    words.split_whitespace().map(str::to_owned).collect()
}

/// What the summary tells of an interface: seen, matched, lost.
fn counted(summary: &Value, node: &str, interface: &str) -> [u64; 3] {
    let all = summary["loss"]["interfaces"].as_array().unwrap();
    let found = all.iter().find(|one| one["node"] == node && one["interface"] == interface);
    let found = found.unwrap_or_else(|| panic!("no {interface} of {node}: {summary:#}"));
    ["seen", "matched", "lost"].map(|key| found[key].as_u64().unwrap())
}

/// One capture of a trace sleeps: its losses are told with its node, and no packet is called lost because of them.
#[test]
fn a_trace_tells_how_many_were_lost_and_on_which_node() {
    const PAUSED: u32 = 3000;
    let scene = Scene::new(2);
    let pid = std::process::id().cast_signed();
    let trace = Kflow::tracing(&tests::kflow::program(), words(&scene)).unwrap();
    let traces = children(pid, scene.near.name());
    let captures: Vec<i32> = traces.iter().flat_map(|trace| children(*trace, "node-a")).collect();
    assert_eq!(captures.len(), 1, "{traces:?}");
    freeze(captures[0]);
    scene.send(End::Near, 0, PORT, PAUSED, 100);
    thaw(captures[0]);
    scene.send(End::Near, 0, PORT + 1, 20, 100);
    let outcome = trace.stop().unwrap();
    let told = outcome.told().unwrap();
    let sent = u64::from(PAUSED) + 20;
    let [seen, matched, lost] = counted(&told.summary, "node-a", "near0");
    assert_eq!((seen, matched), (sent, sent));
    assert!(lost > 0, "nothing was lost");
    let there = counted(&told.summary, "node-b", "far0");
    assert_eq!(there[..2], [sent, sent]);
    assert_eq!(counted(&told.summary, "node-a", "near1"), [0; 3]);
    let packets = |name: &str| told_by_file(&scene.path("traced")).get(name).map_or(0, Told::packets);
    assert_eq!(packets("near0"), matched - lost, "what was not lost is in the file");
    assert_eq!(packets("far0"), matched - there[2]);
    assert_eq!(outcome.code, Some(3));
    for flow in &told.flows {
        let stops = flow["forward"]["stopped"].as_array().cloned().unwrap_or_default();
        // At the end of the way the kernel drops what the socket has no room for, and says so.
        let is_certain = |stop: &&Value| stop["uncertain"].is_null() && stop["after"]["interface"] != "far0";
        let certain: Vec<_> = stops.iter().filter(is_certain).collect();
        assert!(certain.is_empty(), "{certain:#?}");
    }
    let text = format!("{lost}");
    assert!(told.summary.to_string().contains(&text), "{:#}", told.summary);
}

/// The reader of all streams sleeps: rings overflow at their ends, memory does not grow, and the sums are told.
#[test]
fn a_trace_that_stalls_lets_the_rings_overflow() {
    const PAUSED: u32 = 30_000;
    let scene = Scene::new(1);
    let pid = std::process::id().cast_signed();
    let trace = Kflow::tracing(&tests::kflow::program(), words(&scene)).unwrap();
    let client = children(pid, scene.near.name())[0];
    let captures = children(client, "capture");
    assert_eq!(captures.len(), 2);
    let before: Vec<u64> = captures.iter().map(|capture| resident(*capture)).collect();
    freeze(client);
    scene.send(End::Near, 0, PORT, PAUSED, 100);
    for (capture, before) in captures.iter().zip(before) {
        let grown = resident(*capture).saturating_sub(before);
        assert!(grown < 8192, "{grown} KiB more than before");
    }
    thaw(client);
    scene.send(End::Near, 0, PORT + 1, 10, 100);
    let outcome = trace.end(Signal::SIGINT).unwrap();
    let told = outcome.told().unwrap();
    let sent = u64::from(PAUSED) + 10;
    for (node, interface) in [("node-a", "near0"), ("node-b", "far0")] {
        let [seen, matched, lost] = counted(&told.summary, node, interface);
        assert_eq!((seen, matched), (sent, sent), "{node}");
        assert!(lost > 0, "{node}: nothing was lost");
        let file = told_by_file(&scene.path("traced"));
        assert_eq!(file[interface].packets(), matched - lost, "{node}");
    }
    assert_eq!(told.summary["loss"]["broken_streams"].as_array().map(Vec::len), Some(0));
    assert_eq!(outcome.code, Some(3));
}
