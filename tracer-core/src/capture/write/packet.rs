//! The enhanced packet block (draft-ietf-opsawg-pcapng, section 4.3), little-endian.

use std::io::{self, Write};

use super::super::Frame;
use super::super::option::{CUSTOM_BINARY, ENTERPRISE, INBOUND, OUTBOUND, SkbFacts};
use crate::units::{Direction, SnapLength};

const ENHANCED_PACKET: u32 = 6;
/// Type, length, interface, time (high, low), captured and original length.
const HEAD: usize = 28;
/// The length again, at the end.
const TRAILER: usize = 4;

const COMMENT: u16 = 1;
const FLAGS: u16 = 2;
const DROP_COUNT: u16 = 4;
const OPTION_HEADER: usize = 4;
const FLAGS_LEN: usize = OPTION_HEADER + 4;
const DROP_COUNT_LEN: usize = OPTION_HEADER + 8;
/// Enterprise number and facts.
const CUSTOM_VALUE: usize = 4 + SkbFacts::LEN;
const CUSTOM_LEN: usize = OPTION_HEADER + CUSTOM_VALUE;
const END_OF_OPTIONS: usize = OPTION_HEADER;
/// Padding of the data, every option that has a fixed length, and what ends the block.
const MAX_TAIL: usize = 3 + FLAGS_LEN + DROP_COUNT_LEN + CUSTOM_LEN + END_OF_OPTIONS + TRAILER;

/// The most that the length field of an option holds.
const MAX_OPTION: usize = u16::MAX as usize;

/// Writes the packet, cut at the snap length. The comment is cut at 65,535 bytes, the most that an option holds.
pub(super) fn write(out: &mut impl Write, frame: &Frame<'_>, snap: SnapLength) -> io::Result<()> {
    let data = &frame.data[..frame.data.len().min(snap.0 as usize)];
    let comment =
        frame.comment.as_deref().map(|text| &text.as_bytes()[..text.floor_char_boundary(MAX_OPTION)]);
    let (comment_len, unpadded) = match comment {
        None => (0, data.len()),
        Some(text) => (padding(data.len()) + OPTION_HEADER + text.len(), text.len()),
    };
    let mut tail = Tail::new(padding(unpadded));
    tail.options(frame, comment.is_some());
    let len = number(HEAD + data.len() + comment_len + tail.len + TRAILER);
    tail.put(&len.to_le_bytes());
    out.write_all(&head(frame, len, number(data.len())))?;
    out.write_all(data)?;
    if let Some(text) = comment {
        write_comment(out, padding(data.len()), text)?;
    }
    out.write_all(tail.bytes())
}

fn head(frame: &Frame<'_>, len: u32, captured: u32) -> [u8; HEAD] {
    // The high half of the time comes first.
    let time = frame.time.0.rotate_left(32);
    let mut head = [0; HEAD];
    let words = [ENHANCED_PACKET, len, frame.interface.0, 0, 0, captured, frame.original_len];
    for (bytes, word) in head.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    head[12..20].copy_from_slice(&time.to_le_bytes());
    head
}

/// The option up to its padding, which the tail begins with.
fn write_comment(out: &mut impl Write, data_padding: usize, text: &[u8]) -> io::Result<()> {
    let [code, len] = [COMMENT, u16::try_from(text.len()).unwrap_or(u16::MAX)].map(u16::to_le_bytes);
    out.write_all(&[0; 3][..data_padding])?;
    out.write_all(&[code, len].concat())?;
    out.write_all(text)
}

/// What comes after the last part that has no fixed length.
struct Tail {
    bytes: [u8; MAX_TAIL],
    len: usize,
}

impl Tail {
    fn new(padding: usize) -> Self {
        Self { bytes: [0; MAX_TAIL], len: padding }
    }

    fn options(&mut self, frame: &Frame<'_>, has_comment: bool) {
        let begin = self.len;
        if let Some(direction) = frame.direction {
            let flags = match direction {
                Direction::Ingress => INBOUND,
                Direction::Egress => OUTBOUND,
            };
            self.option(FLAGS, &flags.to_le_bytes());
        }
        if frame.lost_before != 0 {
            self.option(DROP_COUNT, &frame.lost_before.to_le_bytes());
        }
        let facts = SkbFacts { gso: frame.gso, mark: frame.mark };
        if !facts.is_empty() {
            let mut value = [0; CUSTOM_VALUE];
            value[..4].copy_from_slice(&ENTERPRISE.to_le_bytes());
            value[4..].copy_from_slice(&facts.to_bytes());
            self.option(CUSTOM_BINARY, &value);
        }
        if has_comment || self.len != begin {
            self.put(&[0; END_OF_OPTIONS]);
        }
    }

    /// A value of a multiple of four bytes.
    fn option<const N: usize>(&mut self, code: u16, value: &[u8; N]) {
        const { assert!(N.is_multiple_of(4) && N <= MAX_OPTION) };
        self.put(&code.to_le_bytes());
        self.put(&[N.to_le_bytes()[0], N.to_le_bytes()[1]]);
        self.put(value);
    }

    fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(bytes);
        self.len += N;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Bytes up to the next multiple of four.
const fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}

/// Lengths of packets are far below 4 GiB.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
