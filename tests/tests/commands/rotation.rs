//! Files one after another, live.

use std::fs;

use crate::process::contents;
use crate::scene::{INTERFACE, Scene};

const SENT: u32 = 60;

#[test]
fn files_of_a_size_have_all_packets_between_them() {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -w x -C 2k -z true -- udp"));
    scene.send(SENT, &[0x5a; 100]);
    let outcome = capture.stop();
    assert_eq!(outcome.three(), [SENT.into(), SENT.into(), 0], "{}", outcome.stderr);
    let mut total = 0;
    let mut number = 0;
    loop {
        let name = if number == 0 { "x".to_owned() } else { format!("x{number}") };
        if !scene.path(&name).exists() {
            break;
        }
        let (packets, statistics) = contents(&scene.path(&name));
        assert!(packets > 0 && statistics.len() == 1, "{name}");
        total += packets;
        number += 1;
    }
    assert!(number > 3, "{number}");
    assert_eq!(total, u64::from(SENT));
}

#[test]
fn ring_of_files_keeps_the_last_packets() {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -w ring -C 2k -W 3 -- udp"));
    scene.send(SENT, &[0x5a; 100]);
    assert_eq!(capture.stop().number("captured"), u64::from(SENT));
    let mut names: Vec<_> = fs::read_dir(scene.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ring0", "ring1", "ring2"]);
}

#[test]
fn end_by_size_is_told_from_the_packets_that_it_leaves_out() {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -w small --max-size 4k -- udp"));
    scene.send(SENT, &[0x5a; 100]);
    let outcome = capture.wait();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let (packets, statistics) = contents(&scene.path("small"));
    assert_eq!((outcome.number("captured"), statistics[0].1.written), (packets, packets));
    assert!(packets > 10 && packets < SENT.into(), "{packets}");
}

#[test]
fn failing_program_behind_a_file_is_named() {
    let scene = Scene::new();
    let capture = scene.capture(&format!("-i {INTERFACE} -w x -C 2k -z no-such-program -- udp"));
    scene.send(20, &[0x5a; 100]);
    let outcome = capture.stop();
    assert!(outcome.stderr.contains("`no-such-program x` failed: cannot be started"), "{}", outcome.stderr);
    assert_eq!(outcome.three(), [20, 20, 0]);
}
