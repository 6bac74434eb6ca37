//! `kflow capture -r`: what it reads, what it refuses, and the file that it never destroys.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::{contents, kflow};
use crate::running::run;
use crate::scene::{INTERFACE, Scene};

/// A scene with `a.pcapng`, of 10 packets, in its directory.
fn recorded() -> Scene {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -w a.pcapng -- udp"));
    scene.send(10, b"to be read again");
    assert_eq!(capture.stop().number("captured"), 10);
    scene
}

#[test]
fn file_that_is_read_is_not_written_over() {
    let scene = recorded();
    let original = fs::read(scene.path("a.pcapng")).unwrap();
    symlink("a.pcapng", scene.path("link")).unwrap();
    fs::hard_link(scene.path("a.pcapng"), scene.path("b1")).unwrap();
    let refused = |words: &str, stdin: Stdio, stdout: Stdio| {
        let mut command = kflow(words.split_whitespace());
        let outcome = run(command.current_dir(scene.directory()).stdin(stdin).stdout(stdout));
        assert!(
            outcome.stderr.contains("is the file that is read: writing to it would destroy it"),
            "{words}: {}",
            outcome.stderr
        );
        assert_eq!(outcome.code, Some(2), "{words}");
        assert_eq!(fs::read(scene.path("a.pcapng")).unwrap(), original, "{words}");
    };
    for words in [
        "-r a.pcapng -w a.pcapng",
        "-r link -w a.pcapng",
        "-r a.pcapng -w link",
        "-r a.pcapng -w ./a.pcapng -- tcp",
    ] {
        refused(words, Stdio::null(), Stdio::piped());
    }
    let input = File::open(scene.path("a.pcapng")).unwrap();
    refused("-r - -w a.pcapng", input.into(), Stdio::piped());
    let output = OpenOptions::new().append(true).open(scene.path("a.pcapng")).unwrap();
    refused("-r a.pcapng -w -", Stdio::null(), output.into());
    // The second file of a rotation.
    refused("-r a.pcapng -w b -C 1k", Stdio::null(), Stdio::piped());
}

#[test]
fn nonsense_is_told_apart() {
    let scene = recorded();
    let whole = fs::read(scene.path("a.pcapng")).unwrap();
    fs::write(scene.path("cut"), &whole[..whole.len() - 150]).unwrap();
    fs::write(scene.path("empty"), "").unwrap();
    let table = [
        ("-r missing", 1, "cannot open missing: No such file"),
        (
            "-r /etc/passwd",
            1,
            "cannot read /etc/passwd: this is no capture: it begins neither as pcap nor as pcapng",
        ),
        ("-r .", 1, "cannot read .: "),
        ("-r empty", 1, "cannot read empty: the capture is empty"),
        ("-r -", 1, "cannot read standard input: the capture is empty"),
        ("-r cut", 3, "cut: the capture ends in the middle of a packet or block"),
        ("-r a.pcapng -- tcp prot 80", 2, "\n      ^^^^\n"),
        ("-r a.pcapng -- tcp", 3, "10 packets read, 0 matched"),
        ("-r a.pcapng -w missing/x", 1, "cannot create missing/x: No such file"),
        ("-r a.pcapng -w /dev/full", 1, "cannot write the capture to /dev/full: No space left"),
    ];
    for (words, code, said) in table {
        let mut command = kflow(words.split_whitespace());
        let outcome = run(command.current_dir(scene.directory()));
        assert_eq!(outcome.code, Some(code), "{words}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{words}: {}", outcome.stderr);
    }
}

#[test]
fn what_is_read_is_written() {
    let scene = recorded();
    let table = [
        ("-r a.pcapng -w all", 10),
        ("-r a.pcapng -w all.pcap --pcap", 10),
        ("-r a.pcapng -w out -Q out", 10),
        ("-r a.pcapng -w in -Q in", 0),
        ("-r a.pcapng -w few --max-packets 3", 3),
        ("-r a.pcapng -w none -- tcp", 0),
    ];
    for (words, expected) in table {
        let mut command = kflow(words.split_whitespace());
        let outcome = run(command.current_dir(scene.directory()));
        let code = if expected == 0 { 3 } else { 0 };
        assert_eq!(outcome.code, Some(code), "{words}: {}", outcome.stderr);
        let name = words.split_whitespace().nth(3).unwrap();
        assert_eq!(contents(&scene.path(name)).0, expected, "{words}");
        assert!(tests::wireshark::capinfos(&scene.path(name)).is_ok(), "{words}");
    }
}

#[test]
fn packets_of_a_pipe_are_printed_as_they_come() {
    let scene = recorded();
    let (input, writer) = std::io::pipe().unwrap();
    let mut command = kflow(["-r", "-"]);
    let mut child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(command);
    let bytes = fs::read(scene.path("a.pcapng")).unwrap();
    (&writer).write_all(&bytes).unwrap();
    // The pipe stays open.
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.take(10).filter(|line| line.as_ref().unwrap().contains("UDP, length 16")).count(), 10);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(writer);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "10 packets read, 10 matched\n");
}
