//! Outputs that take no more while the capture runs: nothing that was written is lost, and it is said.

use std::fs;
use std::path::Path;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tests::wireshark::tcpdump;

use crate::process::contents;
use crate::scene::{INTERFACE, Scene};

#[test]
fn full_disk_leaves_a_file_that_says_so() {
    let scene = Scene::new();
    let small = scene.path("small");
    fs::create_dir(&small).unwrap();
    thread::scope(|scope| {
        // A disk of this thread's own, and of the processes that it starts.
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&Path>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("tmpfs"), &small, Some("tmpfs"), MsFlags::empty(), Some("size=300k")).unwrap();
            let capture = scene.capture(&format!("-i {INTERFACE} -w small/x.pcapng"));
            scene.send(400, &[0x5a; 1400]);
            let outcome = capture.wait();
            assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
            let partial = small.join("x.pcapng.partial");
            assert!(outcome.stderr.contains("small/x.pcapng.partial ends before its time: No space left"));
            let (packets, _) = contents(&partial);
            assert!(packets > 100, "{packets}");
            assert_eq!(outcome.number("captured"), packets, "{}", outcome.stderr);
            assert_eq!(tcpdump(&partial).unwrap().len() as u64, packets);
            assert!(!small.join("x.pcapng").exists());
        });
        inside.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload));
    });
}

#[test]
fn rotation_without_a_next_file_ends_with_what_there_is() {
    let scene = Scene::new();
    let folder = scene.path("folder");
    fs::create_dir(&folder).unwrap();
    let capture = scene.capture(&format!("-i {INTERFACE} -w folder/x -C 2k"));
    fs::rename(&folder, scene.path("elsewhere")).unwrap();
    scene.send(40, &[0x5a; 100]);
    let outcome = capture.wait();
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("cannot create folder/x1: No such file"), "{}", outcome.stderr);
    assert_eq!(contents(&scene.path("elsewhere/x")).0, outcome.number("captured"));
}

#[test]
fn device_that_takes_nothing_is_named() {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -w /dev/full"));
    let outcome = capture.wait();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("cannot write the capture to /dev/full: No space left"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.three(), [0; 3]);
}
