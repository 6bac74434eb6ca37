//! How captures end, and how they refuse to begin.

use crate::attachments::tcx_programs;
use crate::pair::{FAR, NEAR_INTERFACE, Pair};
use crate::process::{Capture, command};
use crate::{PORT, assert_adds_up, near};
use nix::sys::signal::Signal;
use std::io::Read as _;
use std::process::Command;
use std::process::Stdio;

#[test]
fn every_end_is_in_good_order() {
    let pair = Pair::new();
    // Enough packets; not one more.
    let capture = Capture::start(&pair, &near(&["--max-packets", "3"]));
    pair.udp(FAR, PORT, 5, 30);
    let outcome = capture.wait();
    assert_eq!((outcome.frames().count(), outcome.code()), (3, Some(0)));
    // The time is over.
    let outcome = Capture::start(&pair, &near(&["--duration", "0.2"])).wait();
    assert_eq!(outcome.code(), Some(3), "no packet came: {}", outcome.stderr);
    // Standard input ends.
    let mut capture = Capture::start(&pair, &near(&["--until-stdin-closes", "--quiet"]));
    pair.udp(FAR, PORT, 2, 30);
    drop(capture.stdin());
    let outcome = capture.wait();
    assert_eq!((outcome.frames().count(), outcome.code()), (4, Some(0)));
    assert_eq!(outcome.stderr, "");
    assert_adds_up(&outcome, NEAR_INTERFACE);
    // SIGTERM.
    let capture = Capture::start(&pair, &near(&[]));
    pair.udp(FAR, PORT, 1, 30);
    capture.signal(Signal::SIGTERM);
    assert_eq!(capture.wait().code(), Some(0));
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn closed_output_is_an_end_like_any_other() {
    let pair = Pair::new();
    let mut child = command(&near(&["-w", "-"]))
        .arg("--netns")
        .arg(pair.near_path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    drop(stdout);
    // Without any packet.
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn reader_that_stopped_reading_cannot_hold_the_capture() {
    let pair = Pair::new();
    let mut child = command(&near(&["-s", "0", "-w", "-"]))
        .arg("--netns")
        .arg(pair.near_path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 16]).unwrap();
    pair.udp(FAR, PORT, 200, 60_000);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("the reader of the output takes no more packets"), "{stderr}");
    assert_eq!(tcx_programs(&pair), 0);
}

#[test]
fn mistakes_are_told_apart() {
    let pair = Pair::new();
    let netns = pair.near_path().into_os_string().into_string().unwrap();
    let table: [(&[&str], i32, &str); 6] = [
        (
            &["-i", "nera0", "--netns", &netns],
            1,
            "there is no interface nera0 (did you mean near0?); there are lo, near0",
        ),
        (&["--netns", "/run/netns/no-such"], 1, "there is no network namespace /run/netns/no-such"),
        (&["--netns", "/etc/passwd"], 1, "/etc/passwd is no network namespace"),
        (&["--netns", "4194304"], 1, "there is no process 4194304"),
        (&["--host", "pod-a"], 2, "expected an address"),
        (&["-i", "a["], 2, "`a[` is no pattern of interface names"),
    ];
    for (arguments, code, words) in table {
        let output = command(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn missing_capability_is_named() {
    let kflow = tests::kflow::program();
    let output = Command::new("setpriv")
        .args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"])
        .arg(&kflow)
        .args(["capture", "-i", "lo"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("CAP_NET_ADMIN") && stderr.contains("setcap cap_bpf,cap_net_admin,cap_perfmon+ep")
    );
}
