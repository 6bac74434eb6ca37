//! One direction of a crafted connection.

use std::{collections::VecDeque, net::SocketAddrV4};

use super::{
    Craft, Numbering,
    segment::{ACK, Crafted, SYN},
};
use crate::truth::{
    content::{self, Tag},
    random::Random,
    way::Lane,
};

/// So that sequence numbers and identifications wrap around soon.
const FIRST_SEQUENCE: u32 = u32::MAX - 300_000;
const FIRST_IDENTIFICATION: u16 = u16::MAX - 500;
const FIRST_TIMESTAMP: u32 = u32::MAX - 10;
/// Ranges that may be sent again.
const REMEMBERED: usize = 64;
/// Payload of a super-packet at most.
const LARGEST: usize = 60_000;
/// A payload that tells its number.
const SMALLEST: usize = 16;

/// Writes the packets of one direction, each with a number of its own.
#[derive(Debug)]
pub(super) struct Writer {
    craft: Craft,
    ends: (SocketAddrV4, SocketAddrV4),
    lane: Lane,
    tag: Tag,
    next_number: u64,
    sequence: u32,
    identification: u16,
    /// Ticks in milliseconds, and a millisecond has many packets.
    timestamp: u32,
    echo: u32,
    sent: VecDeque<(u32, usize)>,
}

impl Writer {
    pub(super) fn new(lane: Lane, craft: Craft, ends: (SocketAddrV4, SocketAddrV4)) -> Self {
        Self {
            craft,
            ends,
            lane,
            tag: lane.tag(0),
            next_number: 0,
            sequence: FIRST_SEQUENCE,
            identification: FIRST_IDENTIFICATION,
            timestamp: FIRST_TIMESTAMP,
            echo: 0,
            sent: VecDeque::new(),
        }
    }

    /// The next sequence number.
    pub(super) fn next(&self) -> u32 {
        self.sequence
    }

    /// Wire segments so far.
    pub(super) fn written(&self) -> u64 {
        self.next_number
    }

    /// The number of the last one.
    pub(super) fn last(&self) -> u64 {
        self.next_number.saturating_sub(1)
    }

    /// A SYN, or the answer to the one before this sequence number.
    pub(super) fn open(&mut self, other: Option<u32>) -> Vec<u8> {
        let flags = if other.is_some() { SYN | ACK } else { SYN };
        let mut packet = self.bare(other.unwrap_or_default());
        packet.flags = flags;
        self.sequence = self.sequence.wrapping_add(1);
        packet.bytes()
    }

    /// Some packet of a connection whose other side is at this sequence number.
    pub(super) fn write(&mut self, other: u32, random: &mut Random) -> Vec<u8> {
        if random.between(0, 20) == 0 {
            self.timestamp = self.timestamp.wrapping_add(1);
            self.echo = self.echo.wrapping_add(1);
        }
        let (data, again, probes) = match self.lane {
            Lane::Forward => (60, 75, 78),
            Lane::Reply => (20, 27, 30),
        };
        let packet = match random.between(0, 100) {
            kind if kind < data => self.data(other, random),
            kind if kind < again => self.again(other, random),
            kind if kind < probes => self.probe(other),
            _ => self.acknowledgement(other, random),
        };
        packet.bytes()
    }

    fn data(&mut self, other: u32, random: &mut Random) -> Crafted {
        let segment = usize::from(self.craft.segment);
        let full = random.between(0, (LARGEST / segment).min(44));
        let rest = if full == 0 || random.between(0, 3) == 0 { random.between(SMALLEST, segment) } else { 0 };
        let packet = self.payload(other, self.sequence, full * segment + rest);
        self.sequence = self.sequence.wrapping_add(u32::try_from(packet.payload.len()).unwrap_or_default());
        packet
    }

    /// Bytes that were sent before, in a packet with another number.
    fn again(&mut self, other: u32, random: &mut Random) -> Crafted {
        match self.sent.len() {
            0 => self.data(other, random),
            count => {
                let (sequence, len) = self.sent[random.between(0, count)];
                self.payload(other, sequence, len)
            }
        }
    }

    /// A packet with this many bytes, each segment of which has the next number.
    fn payload(&mut self, other: u32, sequence: u32, len: usize) -> Crafted {
        let size = usize::from(self.craft.segment);
        let mut payload = vec![0; len];
        let mut numbers = 0;
        for (number, segment) in (self.next_number..).zip(payload.chunks_mut(size)) {
            content::fill(self.tag, content::numbered(number), segment);
            numbers += 1;
        }
        for start in (0..len).step_by(size) {
            let offset = u32::try_from(start).unwrap_or_default();
            self.sent.push_back((sequence.wrapping_add(offset), size.min(len - start)));
        }
        self.sent.drain(..self.sent.len().saturating_sub(REMEMBERED));
        let segment = if numbers > 1 { self.craft.segment } else { 0 };
        let mut packet = self.header(other, numbers);
        (packet.sequence, packet.payload, packet.segment) = (sequence, payload, segment);
        packet
    }

    /// One byte that was sent before, as of a keep-alive (RFC 9293, 3.8.4).
    fn probe(&mut self, other: u32) -> Crafted {
        let mut packet = self.bare(other);
        (packet.sequence, packet.payload) = (self.sequence.wrapping_sub(1), vec![0]);
        packet
    }

    /// An acknowledgement of what the other side sent, or once more of what it sent before.
    fn acknowledgement(&mut self, other: u32, random: &mut Random) -> Crafted {
        let behind = u32::try_from(random.between(0, 3) * 1000).unwrap_or_default();
        let mut packet = self.bare(other.wrapping_sub(behind));
        // Beside timestamps and number there is room for one block.
        if behind > 0 || random.between(0, 3) == 0 {
            let mut some = |most| u32::try_from(random.between(1, most)).unwrap_or_default();
            let (back, len) = (some(5000), some(1400));
            let left = other.wrapping_sub(back);
            packet.sack = Some((left, left.wrapping_add(len)));
        }
        packet
    }

    /// A packet whose number is in its header.
    fn bare(&mut self, other: u32) -> Crafted {
        let number = content::number(self.tag, self.next_number);
        Crafted { number: Some(number), ..self.header(other, 1) }
    }

    fn header(&mut self, other: u32, numbers: u16) -> Crafted {
        let identification = match self.craft.numbering {
            Numbering::Counted => self.identification,
            Numbering::Zero => 0,
        };
        self.identification = self.identification.wrapping_add(numbers);
        self.next_number += u64::from(numbers);
        Crafted {
            from: self.ends.0,
            to: self.ends.1,
            identification,
            sequence: self.sequence,
            acknowledgement: other,
            flags: ACK,
            timestamps: (self.timestamp, self.echo),
            sack: None,
            number: None,
            payload: Vec::new(),
            segment: 0,
        }
    }
}
