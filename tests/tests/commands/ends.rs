//! Every end of a capture leaves a whole file and the three lines.

use std::io::Read as _;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tests::wireshark::capinfos;

use crate::process::contents;
use crate::running::{Capture, Outcome};
use crate::scene::{INTERFACE, PORT, Scene};

const SENT: u32 = 20;

#[test]
fn every_end_leaves_the_file_and_its_statistics() {
    let scene = Scene::new();
    let filter = format!("-- udp port {PORT}");
    let start =
        |name: &str, words: &str| scene.capture(&format!("-i {INTERFACE} -w {name} {words} {filter}"));
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].map(|signal| {
        let name = format!("{signal}.pcapng");
        (start(&name, ""), signal, name)
    });
    let enough = start("enough.pcapng", &format!("--max-packets {SENT}"));
    let brief = start("brief.pcapng", "--duration 2");
    scene.send(SENT, b"until the end");
    let mut outcomes = Vec::new();
    for (capture, signal, name) in signals {
        capture.signal(signal);
        outcomes.push((name, capture.wait()));
    }
    outcomes.push(("enough.pcapng".to_owned(), enough.wait()));
    outcomes.push(("brief.pcapng".to_owned(), brief.wait()));
    let sent = u64::from(SENT);
    for (name, outcome) in outcomes {
        assert_eq!((outcome.code, outcome.three()), (Some(0), [sent, sent, 0]), "{name}: {}", outcome.stderr);
        let file = scene.path(&name);
        let (packets, statistics) = contents(&file);
        assert_eq!(packets, sent, "{name}");
        let [(interface, last)] = &statistics[..] else { panic!("{name}: {statistics:?}") };
        assert_eq!(
            (interface.as_str(), last.written, last.matched, last.lost),
            (INTERFACE, sent, sent, 0),
            "{name}"
        );
        assert!(last.seen >= sent, "{name}");
        assert!(capinfos(&file).unwrap().contains("Number of packets:   20"), "{name}");
    }
}

#[test]
fn closed_pipe_is_a_good_end() {
    let scene = Scene::new();
    for words in ["-w -", "-X", "--pcap"] {
        let mut capture = scene.capture(&format!("-i {INTERFACE} {words}"));
        scene.send(2, b"for the reader");
        let mut stdout = capture.child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 16]).unwrap();
        drop(stdout);
        let outcome = capture.wait();
        assert_eq!((outcome.code, outcome.three()), (Some(0), [2, 2, 0]), "{words}: {}", outcome.stderr);
    }
}

#[test]
fn hangup_is_ignored_under_nohup() {
    let scene = Scene::new();
    let kflow = scene.kflow(&format!("-i {INTERFACE} -w kept.pcapng"));
    let mut command = Command::new("nohup");
    command.arg(kflow.get_program()).args(kflow.get_args()).current_dir(scene.directory());
    let capture = Capture::start(command.stdin(Stdio::null()).stdout(Stdio::null()));
    capture.signal(Signal::SIGHUP);
    // Had it ended, these would not be in the file.
    scene.send(5, b"after the hangup");
    assert_eq!(capture.stop().three(), [5, 5, 0]);
}

#[test]
fn pager_that_is_not_read_on_cannot_hold_the_capture() {
    let scene = Scene::new();
    // The pipe stays open and is not read.
    for words in ["-X", "-w -"] {
        let mut capture = scene.capture(&format!("-i {INTERFACE} {words}"));
        let stdout = capture.child.stdout.take();
        // More than a pipe of a mebibyte holds.
        scene.send(1000, &[0x5a; 1400]);
        let outcome = capture.stop();
        drop(stdout);
        assert_eq!(outcome.code, Some(1), "{words}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("the reader of the output takes no more packets"),
            "{}",
            outcome.stderr
        );
        assert_eq!(outcome.number("received by filter"), 1000, "{words}: {}", outcome.stderr);
    }
}

#[test]
fn fifo_waits_for_its_reader_and_not_behind_signals() {
    let scene = Scene::new();
    let fifo = scene.path("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let outcome = signalled_early(&mut scene.kflow(&format!("-i {INTERFACE} -w fifo")), signal);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("cannot create fifo: nobody reads from it"), "{}", outcome.stderr);
    }
    let mut reader = Command::new("cat").arg(&fifo).stdout(Stdio::piped()).spawn().unwrap();
    let capture = scene.capture(&format!("-i {INTERFACE} -w fifo"));
    scene.send(3, b"through the fifo");
    assert_eq!(capture.stop().three(), [3, 3, 0]);
    let mut bytes = Vec::new();
    reader.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    assert!(reader.wait().unwrap().success());
    std::fs::write(scene.path("read.pcapng"), bytes).unwrap();
    assert_eq!(contents(&scene.path("read.pcapng")).0, 3);
}

#[test]
fn signal_before_it_is_ready_ends_it_in_order() {
    let scene = Scene::new();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let outcome = signalled_early(&mut scene.kflow(&format!("-i {INTERFACE} -w early.pcapng")), signal);
        assert_eq!((outcome.code, outcome.three()), (Some(3), [0; 3]), "{signal}: {}", outcome.stderr);
        assert_eq!(contents(&scene.path("early.pcapng")).0, 0, "{signal}");
    }
}

/// Starts a command, and sends it a signal as soon as it takes signals over, long before it is ready.
fn signalled_early(command: &mut Command, signal: Signal) -> Outcome {
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let bit = 1_u64 << (signal as u64 - 1);
    let is_taken = |status: &str| {
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap_or("0");
        u64::from_str_radix(blocked, 16).unwrap() & bit != 0
    };
    while !is_taken(&std::fs::read_to_string(&status).unwrap()) {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    Outcome {
        code: output.status.code(),
        stdout: Vec::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
