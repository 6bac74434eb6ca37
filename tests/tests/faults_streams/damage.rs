//! Streams of nodes and files that are cut, doubled, mixed up and damaged at any byte: what came before is used, and the end
//! is told with its place.

mod bytes;
mod files;
mod streams;

use tracer_core::capture::{CaptureReader, Expected};

use crate::nodes::record;

/// Datagrams each way in the captures that are damaged.
const COUNT: u16 = 8;

/// A capture of one node as it should be.
fn whole() -> Vec<u8> {
    record(1, COUNT, |time| time)
}

/// A block of a capture: its type, and where it begins and ends.
#[derive(Clone, Copy, Debug)]
struct Block {
    kind: u32,
    begin: usize,
    end: usize,
}

/// The blocks of a capture that is whole.
fn blocks(bytes: &[u8]) -> Vec<Block> {
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut blocks, mut begin) = (Vec::new(), 0);
    while begin < bytes.len() {
        let end = begin + number(begin + 4) as usize;
        blocks.push(Block { kind: number(begin), begin, end });
        begin = end;
    }
    blocks
}

/// Packets in the blocks that end at this byte or before.
fn packets_until(blocks: &[Block], byte: usize) -> usize {
    let is_there = |block: &&Block| block.kind == crate::pcapng::PACKET && block.end <= byte;
    blocks.iter().filter(is_there).count()
}

/// A damaged capture.
#[derive(Clone, Debug)]
struct Damaged {
    what: String,
    bytes: Vec<u8>,
    /// Packets that are in order before the damage.
    before: usize,
}

/// Packets that are read, and what is said of the end.
fn read(bytes: &[u8], expected: Expected) -> (usize, Option<String>) {
    let mut reader = match CaptureReader::new(bytes) {
        Ok(reader) => reader.expecting(expected),
        Err(error) => return (0, Some(error.to_string())),
    };
    let (mut packets, mut items) = (0, 0);
    loop {
        items += 1;
        assert!(items <= bytes.len() + 1, "more items than bytes");
        match reader.advance() {
            Ok(true) => packets += usize::from(reader.packet_time().is_some()),
            Ok(false) => return (packets, None),
            Err(error) => return (packets, Some(error.to_string())),
        }
    }
}

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// The capture cut at this byte.
fn cut(whole: &[u8], at: usize) -> Damaged {
    let before = packets_until(&blocks(whole), at);
    Damaged { what: format!("cut at byte {at}"), bytes: whole[..at].to_vec(), before }
}

/// The capture with other bits at this byte.
fn flipped(whole: &[u8], at: usize, random: &mut Random) -> Damaged {
    let bits = random.byte().max(1);
    let mut bytes = whole.to_vec();
    bytes[at] ^= bits;
    Damaged { what: format!("byte {at} xor {bits:#x}"), bytes, before: before_block(whole, at) }
}

/// The capture with every block in turn missing, doubled, behind the next one, and with garbage before it.
fn mixed_up(whole: &[u8], random: &mut Random) -> Vec<Damaged> {
    let blocks = blocks(whole);
    let mut all = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let (head, own, tail) = (&whole[..block.begin], &whole[block.begin..block.end], &whole[block.end..]);
        let before = packets_until(&blocks, block.begin);
        let mut add = |what: &str, bytes: Vec<u8>| {
            all.push(Damaged {
                what: format!("block {number} of type {:#x} {what}", block.kind),
                bytes,
                before,
            });
        };
        add("missing", [head, tail].concat());
        add("doubled", [head, own, own, tail].concat());
        if let Some(next) = blocks.get(number + 1) {
            let (next, rest) = (&whole[next.begin..next.end], &whole[next.end..]);
            add("behind the next", [head, next, own, rest].concat());
        }
        let len = 1 + random.below(60);
        let garbage: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        add("behind garbage", [head, &garbage, own, tail].concat());
        // Bytes that are lost as they are when a connection drops a piece.
        let len = 1 + random.below(whole.len() - block.begin);
        add(&format!("and {len} bytes missing"), [head, &whole[block.begin + len..]].concat());
    }
    all
}

/// Packets before the block that this byte is in.
fn before_block(whole: &[u8], byte: usize) -> usize {
    let blocks = blocks(whole);
    let begin = blocks.iter().rfind(|block| block.begin <= byte).unwrap().begin;
    packets_until(&blocks, begin)
}
