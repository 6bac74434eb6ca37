//! Readers that stall: what they had no room for is counted, what is not counted arrives in its order, and memory stays as
//! it was.

use std::fs::{self, File, Permissions};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tracer_core::capture::Expected;

use crate::capture::{eventually, freeze, kflow, resident, thaw, told};
use crate::running::{Capture, Outcome};
use crate::scene::{End, PORT, Scene};

/// Far more than the largest pipe and the smallest ring hold.
const SENT: u32 = 20_000;
/// What a capture may take more while nobody reads, in KiB.
const GROWTH: u64 = 8192;

/// What went through a pipe, of which the reader slept for a while.
fn check(bytes: &[u8], outcome: &Outcome) {
    let told = told(bytes, Expected::Stream);
    let near = &told["near0"];
    near.assert_adds_up("near0");
    assert_eq!(near.counters.matched, u64::from(SENT));
    assert!(near.counters.lost > 0, "the ring had room for all");
    assert_eq!(near.sent[0], 0, "the first ones were there before");
    let expected = [near.packets(), u64::from(SENT), near.counters.lost];
    assert_eq!((outcome.three(), outcome.code), (expected, Some(3)), "{}", outcome.stderr);
}

/// Sends it all while the reader sleeps; the memory of the capture stays as it was.
fn flood(scene: &Scene, capture: &Capture) {
    let before = resident(capture.pid());
    scene.send(End::Near, 0, PORT, SENT, 400);
    let grown = resident(capture.pid()).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} KiB more than before");
}

/// A program that copies its standard input into a file.
fn copier(input: impl Into<Stdio>, to: &Path) -> Child {
    let mut command = Command::new("cat");
    command.stdin(input).stdout(File::create(to).unwrap()).spawn().unwrap()
}

#[test]
fn a_pipe() {
    for words in ["-w -", "-U -w -"] {
        let scene = Scene::new(1);
        let mut capture =
            scene.capture(&format!("-i near0 -B 64 -s 128 {words} -- udp port 7000"), Stdio::piped());
        let path = scene.path("copied");
        let mut reader = copier(capture.child.stdout.take().unwrap(), &path);
        let id = reader.id().cast_signed();
        freeze(id);
        flood(&scene, &capture);
        thaw(id);
        let outcome = capture.stop();
        assert!(reader.wait().unwrap().success());
        check(&fs::read(path).unwrap(), &outcome);
    }
}

#[test]
fn a_fifo() {
    let scene = Scene::new(1);
    let fifo = scene.path("fifo");
    mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let (go_on, wait) = channel();
    let reader = thread::spawn(move || {
        let mut file = File::open(fifo).unwrap();
        let mut bytes = vec![0; 100];
        file.read_exact(&mut bytes).unwrap();
        wait.recv().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    });
    let capture = scene.capture("-i near0 -B 64 -s 128 -w DIR/fifo -- udp port 7000", Stdio::null());
    flood(&scene, &capture);
    go_on.send(()).unwrap();
    let outcome = capture.stop();
    check(&reader.join().unwrap(), &outcome);
}

#[test]
fn wireshark() {
    let scene = Scene::new(1);
    let programs = scene.path("programs");
    fs::create_dir(&programs).unwrap();
    let script = "#!/bin/sh\necho $$ > pid.new\nmv pid.new pid\nexec cat > copied\n";
    fs::write(programs.join("wireshark"), script).unwrap();
    fs::set_permissions(programs.join("wireshark"), Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let words = "capture --netns NEAR -i near0 -B 64 -s 128 --wireshark -- udp port 7000";
    let mut command = kflow(&scene, words);
    command.current_dir(scene.directory()).env("PATH", path).env_remove("SUDO_UID").stdout(Stdio::null());
    let capture = Capture::start(&mut command);
    eventually("it has begun", || scene.path("pid").exists());
    let id = fs::read_to_string(scene.path("pid")).unwrap().trim().parse().unwrap();
    freeze(id);
    flood(&scene, &capture);
    thaw(id);
    // Its standard error is also that of the reader: both have ended when it has.
    let outcome = capture.stop();
    check(&fs::read(scene.path("copied")).unwrap(), &outcome);
}

/// Lines for a person go the same way.
#[test]
fn a_reader_of_lines() {
    let scene = Scene::new(1);
    let mut capture = scene.capture("-i near0 -B 64 -s 128 -- udp port 7000", Stdio::piped());
    let path = scene.path("lines");
    let mut reader = copier(capture.child.stdout.take().unwrap(), &path);
    let id = reader.id().cast_signed();
    freeze(id);
    flood(&scene, &capture);
    thaw(id);
    let outcome = capture.stop();
    assert!(reader.wait().unwrap().success());
    let [captured, received, dropped] = outcome.three();
    assert_eq!((received, captured + dropped), (u64::from(SENT), u64::from(SENT)), "{}", outcome.stderr);
    let lines = fs::read_to_string(path).unwrap().lines().count() as u64;
    assert_eq!((lines, outcome.code), (captured, Some(3)));
}
