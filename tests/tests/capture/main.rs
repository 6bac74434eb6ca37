//! `kflow capture` on real interfaces: the packets that tcpdump sees, every end, and nothing left behind.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod attachments;
mod bytes;
mod confined;
mod counts;
mod ends;
mod expressions;
mod pair;
mod policy;
mod process;
mod second_pair_of_eyes;
mod terminal;
mod unprivileged;

use pair::NEAR_INTERFACE;
use process::Outcome;
use second_pair_of_eyes::Packet;
use tracer_core::capture::Frame;

const PORT: u16 = 7000;
const SNAP: u32 = 96;

type Tested = Result<(), Box<dyn std::error::Error>>;

fn near(words: &[&'static str]) -> Vec<&'static str> {
    [&["-i", NEAR_INTERFACE], words].concat()
}

/// The frames as tcpdump would have written them.
fn packets<'a>(frames: impl Iterator<Item = &'a Frame<'static>>) -> Vec<Packet> {
    frames.map(|frame| Packet { original_len: frame.original_len, data: frame.data.to_vec() }).collect()
}

fn assert_adds_up(outcome: &Outcome, interface: &str) {
    let statistics = outcome.statistics(interface);
    let (id, _) = outcome.interface(interface);
    let written = outcome.frames().filter(|frame| frame.interface == id).count() as u64;
    assert_eq!(statistics.written, written, "{interface}");
    assert_eq!(statistics.matched, statistics.written + statistics.lost, "{interface}");
    assert!(statistics.seen >= statistics.matched, "{interface}");
}
