//! Disks that are full, that take nothing, and directories that go: it is told, and what was written is whole.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tracer_core::capture::{CaptureReader, Item};

use crate::capture::{eventually, kflow};
use crate::nodes::{NODES, record};
use crate::running::{Outcome, run};
use crate::scene::{End, PORT, Scene};

/// Datagrams of 1,000 bytes: more than there is room for.
const SENT: u32 = 600;

/// Runs `work` where the directory `disk` of the scene is a file system of its own, which nobody else sees.
fn with_disk(scene: &Scene, options: &str, work: impl FnOnce() + Send) {
    fs::create_dir(scene.path("disk")).unwrap();
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&Path>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            cover(&scene.path("disk"), MsFlags::empty(), options);
            work();
        });
        inside.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
    });
}

fn cover(path: &Path, flags: MsFlags, options: &str) {
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options)).unwrap();
}

fn make_read_only(path: &Path) {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, None::<&Path>).unwrap();
}

/// Packets of a file of which every block is whole.
fn packets(path: &Path) -> u64 {
    let mut reader = CaptureReader::new(File::open(path).unwrap()).unwrap();
    let mut packets = 0;
    while let Some(item) = reader.next_item().unwrap() {
        packets += u64::from(matches!(item, Item::Frame(_)));
    }
    packets
}

/// Names in a directory, in order.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_told(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    for words in words {
        assert!(outcome.stderr.contains(words), "no \"{words}\": {}", outcome.stderr);
    }
}

/// Two captures that can be traced, outside of the disk.
fn recorded(scene: &Scene) {
    for (number, name) in NODES.into_iter().enumerate() {
        fs::write(scene.path(name), record(number, 40, |time| time)).unwrap();
    }
}

/// Commands that write a file into `DIR/disk`, each with its exit code and words where it cannot make the file.
const WRITERS: [(&str, i32, &str); 8] = [
    ("capture --netns NEAR -i near0 -w DIR/disk/x", 1, "cannot create"),
    ("capture --netns NEAR -i near0 -C 2k -w DIR/disk/x", 1, "cannot create"),
    ("capture --netns NEAR -i near0 -G 1 -w DIR/disk/x%S", 1, "cannot create"),
    ("capture --netns NEAR -i near0 --pcap -w DIR/disk/x", 1, "cannot create"),
    ("capture -r DIR/node-a -w DIR/disk/x", 1, "cannot create"),
    ("trace -r DIR/node-a -r DIR/node-b -w DIR/disk/x", 1, "cannot create"),
    ("trace -r DIR/node-a -r DIR/node-b --bundle DIR/disk/x", 1, "cannot"),
    ("trace --node a=netns:NEAR -w DIR/disk/x 10.77.0.1", 1, "cannot create"),
];

#[test]
fn a_read_only_disk_is_told_before_anything_is_attached() {
    let scene = Scene::new(1);
    recorded(&scene);
    with_disk(&scene, "size=1m", || {
        make_read_only(&scene.path("disk"));
        for (words, code, said) in WRITERS {
            let outcome = run(&mut kflow(&scene, words));
            assert_told(&outcome, code, &[said, "disk/x", "Read-only file system"]);
            assert!(!outcome.stderr.contains("capturing on"), "{words}: {}", outcome.stderr);
        }
        assert!(names(&scene.path("disk")).is_empty());
    });
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let scene = Scene::new(1);
    recorded(&scene);
    for (words, code, said) in WRITERS {
        let outcome = run(&mut kflow(&scene, words));
        assert_told(&outcome, code, &[said, "disk/x", "No such file or directory"]);
    }
}

/// What reads files and writes others, where there is room for a part.
#[test]
fn a_disk_that_becomes_full_is_told() {
    let scene = Scene::new(1);
    for (number, name) in NODES.into_iter().enumerate() {
        fs::write(scene.path(name), record(number, 3000, |time| time)).unwrap();
    }
    with_disk(&scene, "size=64k", || {
        let disk = scene.path("disk");
        let clear = || names(&disk).iter().for_each(|name| fs::remove_file(disk.join(name)).unwrap());
        for (words, left) in [
            ("capture -r DIR/node-a -w DIR/disk/x", "x.partial"),
            ("capture -r DIR/node-a --pcap -w DIR/disk/x", "x.partial"),
            ("capture -r DIR/node-a -C 20k -w DIR/disk/x", "x2.partial"),
            ("trace -r DIR/node-a -r DIR/node-b -w DIR/disk/x", "x"),
        ] {
            let outcome = run(&mut kflow(&scene, words));
            assert_told(&outcome, 3, &["disk/x", "No space left on device"]);
            assert_eq!(names(&disk).last().map(String::as_str), Some(left), "{words}: {}", outcome.stderr);
            if left.ends_with("partial") {
                assert!(packets(&disk.join(left)) > 0, "{words}");
            }
            clear();
        }
        // The archive is written at the end, beside what is told.
        let outcome = run(&mut kflow(&scene, "trace -r DIR/node-a -r DIR/node-b --bundle DIR/disk/x"));
        if outcome.code != Some(0) {
            assert_told(&outcome, 3, &["disk/x", "No space left on device"]);
        }
        assert!(!outcome.stdout.is_empty(), "the verdict is told all the same");
    });
}

/// A capture that found no room has ended: it does not go on with a gap that nobody sees. The next one has the room.
#[test]
fn room_that_comes_back_is_for_the_next_capture() {
    let scene = Scene::new(1);
    with_disk(&scene, "size=600k", || {
        let disk = scene.path("disk");
        fs::write(disk.join("ballast"), vec![0; 300 << 10]).unwrap();
        let words = "-i near0 -s 0 -w DIR/disk/x -- udp port 7000";
        let capture = scene.capture(words, Stdio::null());
        scene.send(End::Near, 0, PORT, SENT, 1000);
        let outcome = capture.wait();
        assert_told(&outcome, 3, &["x.partial ends before its time", "No space left on device"]);
        let [captured, received, _] = outcome.three();
        assert_eq!(packets(&disk.join("x.partial")), captured);
        assert!(captured < u64::from(SENT) && captured <= received, "{}", outcome.stderr);
        fs::remove_file(disk.join("ballast")).unwrap();
        fs::remove_file(disk.join("x.partial")).unwrap();
        let capture = scene.capture(words, Stdio::null());
        scene.send(End::Near, 0, PORT, SENT / 3, 1000);
        let outcome = capture.stop();
        let all = u64::from(SENT / 3);
        assert_eq!((outcome.three(), outcome.code), ([all, all, 0], Some(0)), "{}", outcome.stderr);
        assert_eq!(packets(&disk.join("x")), all);
    });
}

/// Between two files of a rotation the disk takes no further one: it is covered by one that is read-only.
#[test]
fn a_rotation_onto_a_disk_that_became_read_only_ends() {
    let scene = Scene::new(1);
    with_disk(&scene, "size=10m", || {
        let (disk, below) = (scene.path("disk"), scene.path("below"));
        fs::create_dir(&below).unwrap();
        let capture = scene.capture("-i near0 -s 0 -C 50k -w DIR/disk/x -- udp port 7000", Stdio::null());
        let none = None::<&Path>;
        mount(Some(&disk), &below, none, MsFlags::MS_BIND, none).unwrap();
        cover(&disk, MsFlags::MS_RDONLY, "size=1m");
        scene.send(End::Near, 0, PORT, SENT, 1000);
        let outcome = capture.wait();
        assert_told(&outcome, 3, &["cannot create", "disk/x1", "Read-only file system"]);
        assert_eq!(names(&below), ["x"]);
        assert_eq!(packets(&below.join("x")), outcome.three()[0]);
    });
}

/// A file that was removed is written on: nobody is told, as nothing fails. The next one cannot be made.
#[test]
fn a_directory_that_is_removed_ends_a_rotation_and_no_capture() {
    let scene = Scene::new(1);
    let directory = scene.path("gone");
    for (words, ends) in [("", false), ("-C 50k", true)] {
        fs::create_dir(&directory).unwrap();
        let words = format!("-i near0 -s 0 {words} -w DIR/gone/x -- udp port 7000");
        let capture = scene.capture(&words, Stdio::null());
        eventually("it is there", || directory.join("x").exists());
        let open = File::open(directory.join("x")).unwrap();
        fs::remove_dir_all(&directory).unwrap();
        scene.send(End::Near, 0, PORT, SENT, 1000);
        let outcome = if ends { capture.wait() } else { capture.stop() };
        let [captured, received, dropped] = outcome.three();
        assert_eq!((received, dropped), (u64::from(SENT), 0), "{}", outcome.stderr);
        if ends {
            assert_told(&outcome, 3, &["cannot create", "gone/x1", "No such file or directory"]);
        } else {
            assert_eq!((captured, outcome.code), (u64::from(SENT), Some(0)), "{}", outcome.stderr);
        }
        let mut reader = CaptureReader::new(open).unwrap();
        let mut packets = 0;
        while let Some(item) = reader.next_item().unwrap() {
            packets += u64::from(matches!(item, Item::Frame(_)));
        }
        assert_eq!(packets, captured);
    }
}
