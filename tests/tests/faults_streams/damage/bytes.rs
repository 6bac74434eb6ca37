//! Every byte, in this process.

use std::time::Duration;

use tracer_core::capture::{CaptureReader, Expected};
use tracer_core::identity::HashKey;
use tracer_core::packet::Decoder;
use tracer_core::resolve::Names;
use tracer_core::trace::{Budget, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::Timestamp;

use super::{Damaged, Random, blocks, cut, flipped, mixed_up, packets_until, read, whole};
use crate::pcapng::{PACKET, STATISTICS};

const ALL: [Expected; 2] = [Expected::Stream, Expected::File];
/// Values that every byte is given.
const SEEDS: u64 = 16;

/// Whether packets came since the last counters.
fn is_open(whole: &[u8], at: usize) -> bool {
    let blocks = blocks(whole);
    let last = blocks.iter().rfind(|block| block.end <= at && [PACKET, STATISTICS].contains(&block.kind));
    last.is_some_and(|block| block.kind == PACKET)
}

#[test]
fn cut_at_every_byte() {
    let whole = whole();
    let blocks = blocks(&whole);
    for expected in ALL {
        let mut silent = 0;
        for at in 0..whole.len() {
            let (packets, told) = read(&whole[..at], expected);
            assert_eq!(packets, packets_until(&blocks, at), "cut at byte {at}");
            let is_between = blocks.iter().any(|block| block.end == at);
            match told {
                Some(told) => assert!(at < 12 || told.contains("byte "), "cut at byte {at}: {told}"),
                // Nothing came after counters that are there: whoever brings the bytes knows whether there was more.
                None => assert!(is_between && !is_open(&whole, at), "cut at byte {at} is not told"),
            }
            silent += usize::from(is_between && !is_open(&whole, at));
        }
        assert!(silent < blocks.len() / 2, "{silent} of {}", blocks.len());
        assert_eq!(read(&whole, expected), (packets_until(&blocks, whole.len()), None));
    }
}

/// Either it is told, or the packets are as many as there were. Returns whether it is told.
fn check(damaged: &Damaged, expected: Expected, all: usize) -> bool {
    let Damaged { what, bytes, before } = damaged;
    let (packets, told) = read(bytes, expected);
    assert!(packets >= *before, "{what}: {packets} packets of {before} before it, {told:?}");
    // A file may hold a packet twice: other programs make such files.
    let is_twice = expected == Expected::File && what.ends_with("doubled");
    assert!(
        told.is_some() || packets == all || is_twice,
        "{what}: {packets} of {all} packets, and nothing is told"
    );
    told.is_some()
}

#[test]
fn every_byte_damaged() {
    damage(1);
}

#[test]
#[ignore = "every byte with many values: a minute"]
fn every_byte_damaged_in_many_ways() {
    damage(SEEDS);
}

fn damage(seeds: u64) {
    let whole = whole();
    let all = packets_until(&blocks(&whole), whole.len());
    for expected in ALL {
        let mut told = 0;
        for at in 0..whole.len() {
            for seed in 1..=seeds {
                let damaged =
                    flipped(&whole, at, &mut Random((at as u64 + 1).wrapping_mul(seed << 32 | 0x9e37_79b9)));
                told += usize::from(check(&damaged, expected, all));
            }
        }
        assert!(told > 0, "no damage at all was told");
    }
}

#[test]
fn every_block_missing_doubled_and_out_of_place() {
    let whole = whole();
    let all = packets_until(&blocks(&whole), whole.len());
    for seed in 1..=4 {
        for damaged in mixed_up(&whole, &mut Random(seed << 32 | 0x9e37_79b9)) {
            for expected in ALL {
                check(&damaged, expected, all);
            }
        }
    }
}

/// Takes all that can be read, as a trace does.
fn trace(bytes: &[u8]) {
    let options = TraceOptions {
        window: Duration::from_secs(1),
        hash_key: HashKey([7; 16]),
        decoder: Decoder::default(),
        keep_frames: true,
        keep_journeys: false,
        is_merged: true,
        budget: Budget { sightings: 1000, headers: 100, flows: 10 },
    };
    let mut tracer = Tracer::new(options, None, Names::default());
    let source = tracer.source(&SourceSpec { node: "node".to_owned(), tells_gso: true });
    let Ok(reader) = CaptureReader::new(bytes) else { return };
    let mut reader = reader.expecting(Expected::Stream);
    let mut now = Timestamp(0);
    while let Ok(Some(item)) = reader.next_item() {
        tracer.take(source, &item, now);
        if let Some(time) = reader.packet_time() {
            now = now.max(time);
        }
        tracer.advance(now);
    }
    tracer.broken(source, "damaged", now);
    let (report, _, _) = tracer.finish();
    assert!(!report.is_complete());
}

/// Times, lengths, names and numbers that are not what they were go through all of a trace.
#[test]
fn a_trace_takes_what_is_left() {
    traced(13);
}

#[test]
#[ignore = "every byte through all of a trace: some minutes"]
fn a_trace_takes_what_is_left_of_every_byte() {
    traced(1);
}

fn traced(step: usize) {
    let whole = whole();
    for at in (0..whole.len()).step_by(step) {
        let mut random = Random(at as u64 + 0x9e37_79b9);
        trace(&flipped(&whole, at, &mut random).bytes);
        trace(&cut(&whole, at).bytes);
    }
    for damaged in mixed_up(&whole, &mut Random(7)).iter().step_by(step) {
        trace(&damaged.bytes);
    }
}
