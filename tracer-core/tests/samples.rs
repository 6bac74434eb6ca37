//! What is broken never panics, never loops and never claims what it does not hold: a thousand damaged copies of
//! each packet and of each capture file, through everything that reads them.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod sample;

use std::time::Duration;

use sample::{Sample, files, frames};
use tracer_core::capture::{CaptureReader, Item, LinkLayer};
use tracer_core::identity::{HashKey, segments};
use tracer_core::output::json;
use tracer_core::output::text::{self, Colour};
use tracer_core::packet::{Decoder, Packet};
use tracer_core::resolve::Names;
use tracer_core::trace::{Budget, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::{Gso, Timestamp};

/// Damaged copies of each sample.
const COPIES: u64 = 1000;
const HASH_KEY: HashKey = HashKey([5; 16]);

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// Copies with up to eight bits flipped, every second one cut off.
fn damaged(sample: &Sample) -> impl Iterator<Item = Vec<u8>> {
    (1..=COPIES).map(|number| {
        let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes = sample.bytes.clone();
        for _ in 0..random.below(9) {
            let bit = random.below(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if number.is_multiple_of(2) {
            bytes.truncate(random.below(bytes.len()));
        }
        bytes
    })
}

/// What a decoded packet may claim.
fn check(name: &str, bytes: &[u8], packet: &Packet<'_>) {
    assert!(packet.tunnels.len() <= 3, "{name}: {} tunnels", packet.tunnels.len());
    assert!(packet.payload.len() <= bytes.len(), "{name}: more payload than bytes");
    for size in [1, 3, u16::MAX] {
        let gso = Some(Gso { size, segments: 0 });
        let count = segments(packet, gso, &HASH_KEY).count();
        assert!(count <= 1024, "{name}: {count} segments");
    }
}

#[test]
fn damaged_packets_are_decoded_or_refused() {
    let decoder = Decoder::default();
    for sample in frames() {
        for bytes in damaged(&sample) {
            let original_len = u32::try_from(sample.bytes.len()).unwrap();
            if let Ok(packet) = decoder.decode(LinkLayer::Ethernet, &bytes, original_len) {
                check(&sample.name, &bytes, &packet);
            }
        }
    }
}

#[test]
fn whole_packets_are_decoded() {
    for sample in frames() {
        let original_len = u32::try_from(sample.bytes.len()).unwrap();
        let outcome = Decoder::default().decode(LinkLayer::Ethernet, &sample.bytes, original_len);
        assert_eq!(outcome.is_ok(), sample.name != "arp", "{}: {outcome:?}", sample.name);
    }
}

/// Reads a file to its end or to its first error, through the whole of a trace. Returns the packets in it.
fn trace(name: &str, bytes: &[u8]) -> usize {
    let options = TraceOptions {
        window: Duration::from_secs(1),
        hash_key: HASH_KEY,
        decoder: Decoder::default(),
        keep_frames: true,
        keep_journeys: true,
        is_merged: true,
        budget: Budget::default(),
    };
    let mut tracer = Tracer::new(options, None, Names::default());
    let source = tracer.source(&SourceSpec { node: "node".to_owned(), tells_gso: false });
    let Ok(mut reader) = CaptureReader::new(bytes) else { return 0 };
    let (mut now, mut count, mut items) = (Timestamp(0), 0, 0);
    while let Ok(Some(item)) = reader.next_item() {
        if let Item::Frame(frame) = &item {
            now = now.max(frame.time);
            count += 1;
            assert!(frame.data.len() <= bytes.len(), "{name}: a packet longer than its file");
        }
        tracer.take(source, &item, now);
        tracer.advance(now);
        items += 1;
        assert!(items <= bytes.len(), "{name}: more items than bytes");
    }
    tracer.ended(source, now);
    let (report, _, _) = tracer.finish();
    let mut told = Vec::new();
    text::report(&mut told, &report, Colour::Never).unwrap();
    json::report(&mut told, &report).unwrap();
    count
}

#[test]
fn damaged_files_are_traced_to_their_end() {
    for sample in files() {
        for bytes in damaged(&sample) {
            trace(&sample.name, &bytes);
        }
    }
}

#[test]
fn whole_files_are_read() {
    for sample in files() {
        assert!(trace(&sample.name, &sample.bytes) >= 2, "{}", sample.name);
    }
}
