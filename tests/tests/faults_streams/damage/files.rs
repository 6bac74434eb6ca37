//! Damaged files, given to kflow.

use std::fs;

use tracer_core::capture::Expected;

use super::{Damaged, Random, blocks, cut, flipped, mixed_up, packets_until, read, whole};
use crate::capture::kflow;
use crate::running::run;
use crate::scene::Scene;

/// Asserts that both commands read as much as there is, and say what this process finds.
fn check(scene: &Scene, damaged: &Damaged, all: usize) {
    let Damaged { what, bytes, .. } = damaged;
    fs::write(scene.path("node-b"), bytes).unwrap();
    let (packets, told) = read(bytes, Expected::File);
    let read = run(&mut kflow(scene, "capture -r DIR/node-b -w DIR/copied"));
    let traced = run(&mut kflow(scene, "trace -o json -r DIR/node-b"));
    let said = format!("{}{}", traced.stderr, traced.text());
    let Some(told) = told else {
        let code = if packets == 0 { 3 } else { 0 };
        assert_eq!((read.code, traced.code == Some(1)), (Some(code), false), "{what}: {read:?}");
        assert!(packets >= all, "{what}");
        return;
    };
    // One that does not even begin is refused.
    let is_refused = read.stderr.contains("cannot read ");
    let code = if is_refused { 1 } else { 3 };
    assert_eq!((read.code, traced.code), (Some(code), Some(code)), "{what}: {read:?}\n{said}");
    for text in [&read.stderr, &said] {
        let text = text.replace("\\\"", "\"");
        assert!(text.contains("node-b") && text.contains(&told), "{what}: no \"{told}\" in {text}");
    }
    if !is_refused {
        let plural = if packets == 1 { "" } else { "s" };
        let line = format!("{packets} packet{plural} read");
        assert!(read.stderr.contains(&line), "{what}: no \"{line}\" in {}", read.stderr);
    }
}

/// Where the cut cannot be seen, all that is before it is read.
fn check_cut(scene: &Scene, whole: &[u8], at: usize, all: usize) {
    let damaged = cut(whole, at);
    let is_silent = read(&damaged.bytes, Expected::File).1.is_none();
    check(scene, &damaged, if is_silent { damaged.before } else { all });
}

fn damaged(step: usize) {
    let scene = Scene::new(0);
    let whole = whole();
    let all = packets_until(&blocks(&whole), whole.len());
    check(&scene, &Damaged { what: "nothing".to_owned(), bytes: whole.clone(), before: all }, all);
    let mut random = Random(0x9e37_79b9);
    for at in (0..whole.len()).step_by(step) {
        check_cut(&scene, &whole, at, all);
        check(&scene, &flipped(&whole, at, &mut random), all);
    }
    // A whole number of blocks is cut off.
    for block in blocks(&whole).iter().step_by(step.div_ceil(40)) {
        check_cut(&scene, &whole, block.end, all);
    }
    for damaged in mixed_up(&whole, &mut random).iter().step_by(step.div_ceil(20)) {
        check(&scene, damaged, all);
    }
}

#[test]
fn damaged_files_are_read_as_far_as_they_go() {
    damaged(1500);
}

#[test]
#[ignore = "every byte of a file, each with two processes: some minutes"]
fn damaged_files_are_read_as_far_as_they_go_at_every_byte() {
    damaged(1);
}
