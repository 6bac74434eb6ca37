//! Programs of others on the same interfaces, before and after ours: what they do to packets, their order, and that they
//! are there stays as it is.

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::signal::Signal;
use tests::neighbour::{Hook, Neighbour, PORTS, port};
use tracer_core::capture::Expected;

use crate::capture::{eventually, told};
use crate::running::Capture;
use crate::scene::{End, Scene, address};

const INTERFACE: &str = "near0";
/// Datagrams to each port.
const EACH: u32 = 20;

/// What becomes of what is sent to each of the ports.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Fates {
    /// Datagrams that arrive, by the link that they arrive on.
    arrived: Vec<[usize; 2]>,
    /// What the program of others saw since it was attached.
    seen: [u64; 5],
}

/// Sends to every port from the near end, and counts what arrives at the far one.
fn fates(scene: &Scene, neighbour: &Neighbour) -> Fates {
    let before = neighbour.seen().unwrap();
    let arrived = PORTS.map(|port| {
        // Redirected ones leave by another link, to the address of this one.
        let receiver = scene.far.run(|| UdpSocket::bind((address(End::Far, 0), port)).unwrap()).unwrap();
        receiver.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let links = [0, 1].map(|link| received(scene, link));
        let sender = scene.near.run(|| UdpSocket::bind((address(End::Near, 0), 0)).unwrap()).unwrap();
        let mut count = 0;
        for _ in 0..EACH {
            // A program that drops what leaves may tell the sender.
            if let Err(error) = sender.send_to(b"0123456789", (address(End::Far, 0), port)) {
                assert_eq!(error.raw_os_error(), Some(Errno::ENOBUFS as i32));
            }
        }
        while count < EACH && receiver.recv(&mut [0; 64]).is_ok() {
            count += 1;
        }
        [0, 1].map(|link: u8| received(scene, link) - links[usize::from(link)])
    });
    let after = neighbour.seen().unwrap();
    let mut seen = [0; 5];
    for (index, seen) in seen.iter_mut().enumerate() {
        *seen = after[index] - before[index];
    }
    Fates { arrived: arrived.to_vec(), seen }
}

/// Packets that came to the far end of a link.
fn received(scene: &Scene, link: u8) -> usize {
    let words = ["-j", "-s", "link", "show", "dev", &format!("far{link}")];
    let text = tests::run(&scene.far, "ip", &words, "").unwrap();
    let links: serde_json::Value = serde_json::from_str(&text).unwrap();
    usize::try_from(links[0]["stats64"]["rx"]["packets"].as_u64().unwrap()).unwrap()
}

/// What they are where nobody watches: the program is on the egress of the link.
fn expected() -> Fates {
    let all = EACH as usize;
    let arrived = vec![[all, 0], [0, 0], [all, 0], [0, all], [all, 0]];
    Fates { arrived, seen: [u64::from(EACH); 5] }
}

fn attach(scene: &Scene, hook: Hook) -> Neighbour {
    scene
        .near
        .run(|| {
            let to = if_nametoindex("near1").unwrap();
            Neighbour::attach(INTERFACE, TcAttachType::Egress, hook, to).unwrap()
        })
        .unwrap()
}

/// Ids of the programs on the egress of the link by TCX, in their order.
fn tcx(scene: &Scene) -> Vec<u32> {
    let query = || SchedClassifier::query_tcx(INTERFACE, TcAttachType::Egress).unwrap().1;
    scene.near.run(|| query().iter().map(ProgramInfo::id).collect()).unwrap()
}

/// Queueing disciplines and filters of the link, as tc has them.
fn clsact(scene: &Scene) -> Vec<String> {
    let show = |words: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        tests::run(&scene.near, "tc", &words, "").unwrap()
    };
    vec![show("qdisc show dev near0 clsact"), show("filter show dev near0 egress")]
}

fn start(scene: &Scene, mode: &str) -> Capture {
    scene.capture(&format!("-i near0 --attach {mode} -Q out -s 0 -w - -- udp"), Stdio::piped())
}

/// What the capture has: every packet, without the mark that is set behind it.
fn check(capture: Capture, rounds: u32) {
    let outcome = capture.stop();
    let near = &told_unordered(&outcome.stdout);
    assert_eq!((near.0, near.1), (rounds * EACH * 5, 0), "{}", outcome.stderr);
    assert!(near.2.iter().all(|mark| *mark == 0), "it saw the mark of a program behind it");
}

/// Packets, lost ones and marks.
fn told_unordered(bytes: &[u8]) -> (u32, u64, Vec<u32>) {
    let all = told(bytes, Expected::Stream);
    let near = &all[INTERFACE];
    (u32::try_from(near.packets()).unwrap(), near.counters.lost, near.marks.clone())
}

#[test]
fn a_tcx_program_stays_as_it_was() {
    let scene = Scene::new(2);
    for mode in ["tcx", "clsact"] {
        // It was there before, and it came after.
        for is_first in [true, false] {
            let early = is_first.then(|| attach(&scene, Hook::Tcx));
            let capture = start(&scene, mode);
            let neighbour = early.unwrap_or_else(|| attach(&scene, Hook::Tcx));
            let programs = tcx(&scene);
            assert_eq!(programs.last(), Some(&neighbour.id), "{mode}: theirs is behind ours");
            assert_eq!(programs.len(), if mode == "tcx" { 2 } else { 1 }, "{mode}");
            assert_eq!(fates(&scene, &neighbour), expected(), "{mode}, first {is_first}, while it captures");
            if mode == "tcx" {
                check(capture, 1);
            } else {
                // A TCX program comes before every filter: what it keeps to itself a filter does not see.
                drop(capture.stop());
            }
            assert_eq!(tcx(&scene), [neighbour.id], "{mode}");
            assert_eq!(fates(&scene, &neighbour), expected(), "{mode}, first {is_first}, after it");
            let killed = start(&scene, mode);
            killed.signal(Signal::SIGKILL);
            assert_eq!(killed.wait().code, None);
            eventually("ours are gone", || {
                tcx(&scene) == [neighbour.id] && !clsact(&scene)[1].contains("kflow-")
            });
            assert_eq!(fates(&scene, &neighbour), expected(), "{mode}, first {is_first}, after SIGKILL");
            drop(neighbour);
            eventually("theirs is gone", || tcx(&scene).is_empty());
        }
    }
}

#[test]
fn filters_stay_as_they_were() {
    for mode in ["tcx", "clsact"] {
        let scene = Scene::new(2);
        let neighbour = attach(&scene, Hook::Clsact(7));
        let before = clsact(&scene);
        assert!(before[0].contains("clsact") && before[1].contains("neighbour"), "{before:?}");
        let capture = start(&scene, mode);
        assert_eq!(fates(&scene, &neighbour), expected(), "{mode}, while it captures");
        check(capture, 1);
        assert_eq!(clsact(&scene), before, "{mode}, after it");
        assert_eq!(fates(&scene, &neighbour), expected(), "{mode}, after it");
        let killed = start(&scene, mode);
        killed.signal(Signal::SIGKILL);
        assert_eq!(killed.wait().code, None);
        eventually("ours are gone", || clsact(&scene) == before);
        assert_eq!(fates(&scene, &neighbour), expected(), "{mode}, after SIGKILL");
    }
}

/// kflow made the qdisc, and somebody else came to use it.
#[test]
fn a_qdisc_of_ours_that_others_use_stays() {
    for end in [Signal::SIGINT, Signal::SIGKILL] {
        let scene = Scene::new(2);
        assert_eq!(clsact(&scene)[0], "");
        let capture = start(&scene, "clsact");
        assert!(clsact(&scene)[0].contains("clsact"));
        let neighbour = attach(&scene, Hook::Clsact(7));
        assert_eq!(fates(&scene, &neighbour), expected(), "while it captures");
        capture.signal(end);
        drop(capture.wait());
        eventually("ours are gone", || !clsact(&scene)[1].contains("kflow-"));
        let left = clsact(&scene);
        assert!(left[0].contains("clsact") && left[1].contains("neighbour"), "{end}: {left:?}");
        assert_eq!(fates(&scene, &neighbour), expected(), "{end}: after it");
    }
}

/// A qdisc that was there before, with nothing in it yet, is not ours to remove.
#[test]
fn an_empty_qdisc_of_others_stays() {
    for end in [Signal::SIGINT, Signal::SIGKILL] {
        let scene = Scene::new(1);
        tests::run(&scene.near, "tc", &["qdisc", "add", "dev", INTERFACE, "clsact"], "").unwrap();
        let before = clsact(&scene);
        let capture = start(&scene, "clsact");
        capture.signal(end);
        drop(capture.wait());
        eventually("ours are gone", || !clsact(&scene)[1].contains("kflow-"));
        assert_eq!(clsact(&scene), before, "{end}");
    }
}

/// Actions of tc in front of and behind ours: what they set, drop and redirect stays.
#[test]
fn actions_of_tc_stay_as_they_were() {
    let scene = Scene::new(2);
    tests::run(&scene.near, "tc", &["qdisc", "add", "dev", INTERFACE, "clsact"], "").unwrap();
    let add = |preference: &str, port: u16, action: &[&str]| {
        let port = port.to_string();
        let head = ["filter", "add", "dev", INTERFACE, "egress", "pref", preference, "protocol", "ip", "u32"];
        let what = ["match", "ip", "protocol", "17", "0xff", "match", "ip", "dport", &port, "0xffff"];
        tests::run(&scene.near, "tc", &[&head[..], &what, action].concat(), "").unwrap();
    };
    // UDP to that port: `TC_ACT_SHOT`; all else goes on.
    let code = format!("4,40 0 0 36,21 0 1 {},6 0 0 2,6 0 0 4294967295", port::DROPPED);
    let words = ["filter", "add", "dev", INTERFACE, "egress", "pref", "1", "bpf", "da", "bytecode", &code];
    tests::run(&scene.near, "tc", &words, "").unwrap();
    add("9", port::REDIRECTED, &["action", "mirred", "egress", "redirect", "dev", "near1"]);
    let before = clsact(&scene);
    let count = |mode: Option<&str>| {
        let capture = mode.map(|mode| start(&scene, mode));
        let counts = [port::DROPPED, port::REDIRECTED, port::NEXT].map(|port| {
            let links = [0, 1].map(|link| received(&scene, link));
            scene.send(End::Near, 0, port, EACH, 100);
            [0, 1].map(|link: u8| received(&scene, link) - links[usize::from(link)])
        });
        (counts, capture)
    };
    let (alone, _) = count(None);
    let all = EACH as usize;
    assert_eq!(alone, [[0, 0], [0, all], [all, 0]]);
    for mode in ["tcx", "clsact"] {
        let (counts, capture) = count(Some(mode));
        assert_eq!(counts, alone, "{mode}");
        drop(capture.unwrap().stop());
        assert_eq!(clsact(&scene), before, "{mode}");
    }
    assert_eq!(count(None).0, alone);
}
