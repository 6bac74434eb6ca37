//! What no capture can be cheaper than on this machine.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};

/// Lengths of what is copied: snap lengths, and a whole frame.
const LENGTHS: [usize; 3] = [96, 256, 1442];
/// Bytes that copies go to, one behind the other: more than the caches hold, as a capture's buffer is.
const BUFFER: usize = 64 << 20;
/// How often each is done.
const TIMES: u32 = 2_000_000;
/// Of so many runs the least counts: anything else is what the machine did besides.
const RUNS: usize = 5;

/// Nanoseconds.
pub(crate) fn measure() -> Value {
    let clock = least(|| {
        for _ in 0..TIMES {
            black_box(Instant::now());
        }
    });
    let packet = vec![0x2a; BUFFER];
    let mut buffer = vec![0_u8; BUFFER];
    let copies = LENGTHS.map(|length| {
        let near = least(|| {
            for _ in 0..TIMES {
                black_box(&mut buffer[..length]).copy_from_slice(black_box(&packet[..length]));
            }
        });
        let far = least(|| {
            let mut at = 0;
            for _ in 0..TIMES {
                let from = black_box(&packet[..length]);
                black_box(&mut buffer[at..at + length]).copy_from_slice(from);
                at = if at + 2 * length > BUFFER { 0 } else { at + length };
            }
        });
        json!({ "bytes": length, "cached": near, "memory": far })
    });
    json!({ "clock": clock, "copies": copies })
}

/// Nanoseconds that one time takes.
fn least(mut work: impl FnMut()) -> f64 {
    let run = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES)
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}
