//! Who sends when, and in what order the frames of all interfaces are recorded.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tracer_core::capture::Frame;
use tracer_core::units::{Gso, Timestamp};

use crate::SNAP;
use crate::bytes;
use crate::connection::{ACK, Connection, FIN, MSS, PSH, SYN, Sent};
use crate::network::{Hop, way};
use crate::random::Random;

const SEED: u64 = 0x6b66_6c6f_7721;
/// Frames of one connection, about.
const FRAMES_EACH: u64 = 500;
/// Connections that are open at the same time: this share of all, and no more than.
const OPEN_SHARE: u64 = 10;
const OPEN_MOST: u64 = 1000;

/// A frame that will be recorded.
struct Due {
    frame: Frame<'static>,
    /// In which order it was made.
    number: u64,
}

impl Due {
    fn key(&self) -> Reverse<(Timestamp, u64)> {
        Reverse((self.frame.time, self.number))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// Frames in the order of their times.
pub(crate) struct Schedule {
    random: Random,
    open: Vec<Connection>,
    /// Connections that were started, and those of them that have sent a packet.
    started: u64,
    connections: u32,
    /// When so many frames are made, no more packets are sent.
    frames: u64,
    due: BinaryHeap<Due>,
    made: u64,
    begin: Timestamp,
    /// When the next packet is sent, by a true clock.
    now: Timestamp,
    /// Nanoseconds between two packets on average.
    gap: u64,
}

impl Schedule {
    /// Of about as many connections as a capture of `frames` needs, `rate` of them seen in a second.
    pub(crate) fn new(frames: u64, rate: u64, begin: Timestamp) -> Self {
        const HOPS: u64 = 8;
        let open = (frames / FRAMES_EACH / OPEN_SHARE).clamp(1, OPEN_MOST);
        let mut schedule = Self {
            random: Random::new(SEED),
            open: Vec::new(),
            started: open,
            connections: 0,
            frames,
            due: BinaryHeap::new(),
            made: 0,
            begin,
            now: begin,
            gap: HOPS * 1_000_000_000 / rate,
        };
        for number in 0..open {
            schedule.open.push(Connection::new(number, &mut schedule.random));
        }
        schedule
    }

    /// Up to when, by a true clock, packets were sent.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// How many frames were made.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// How many connections they are of.
    pub(crate) fn connections(&self) -> u32 {
        self.connections
    }

    /// The next one by the clocks of the nodes.
    pub(crate) fn next_frame(&mut self) -> Option<Frame<'static>> {
        loop {
            // No clock is behind the true one: nothing that is sent later is recorded earlier.
            let is_ended = self.made >= self.frames;
            let is_due = self.due.peek().is_some_and(|due| due.frame.time <= self.now);
            if is_due || is_ended {
                return self.due.pop().map(|due| due.frame);
            }
            self.send();
        }
    }

    /// Some connection sends its next packet.
    fn send(&mut self) {
        self.now = Timestamp(self.now.0 + self.gap / 2 + self.random.within(0..self.gap.max(1)));
        let open = self.open.len() as u64;
        let chosen = usize::try_from(self.random.within(0..open)).unwrap_or_default();
        let milliseconds = u32::try_from((self.now.0 - self.begin.0) / 1_000_000).unwrap_or(u32::MAX);
        let connection = &mut self.open[chosen];
        self.connections += u32::from(connection.is_new());
        if let Some(sent) = connection.next(milliseconds, &mut self.random) {
            self.travel(&sent);
        } else {
            self.started += 1;
            self.open[chosen] = Connection::new(self.started, &mut self.random);
        }
    }

    /// Sees a packet at each hop of its way; behind the wire, GRO has made another super-packet of its segments.
    fn travel(&mut self, sent: &Sent) {
        let way = way(sent.from, sent.sender, sent.receiver);
        let mut time = self.now;
        for hop in &way {
            time = Timestamp(time.0 + hop.delay.0 + self.random.within(0..hop.delay.1));
            if hop.node == sent.from || sent.payload_len <= MSS {
                self.see(sent, hop, time);
                continue;
            }
            let (first, second) = halves(sent);
            self.see(&first, hop, time);
            self.see(&second, hop, Timestamp(time.0 + 1_000));
        }
    }

    fn see(&mut self, sent: &Sent, hop: &Hop, time: Timestamp) {
        let mut data = Vec::with_capacity(SNAP.0 as usize);
        let original_len = bytes::write(sent, hop, SNAP.0 as usize, &mut data);
        let gso =
            (sent.payload_len > MSS).then(|| Gso { size: MSS, segments: sent.payload_len.div_ceil(MSS) });
        let frame = Frame {
            interface: hop.interface,
            time: time.offset(hop.node.clock()),
            direction: Some(hop.direction),
            original_len,
            data: Cow::Owned(data),
            gso,
            mark: 0,
            lost_before: 0,
            comment: None,
        };
        self.made += 1;
        self.due.push(Due { frame, number: self.made });
    }
}

/// A super-packet as two: its first wire segment, and all others.
fn halves(sent: &Sent) -> (Sent, Sent) {
    let first = Sent { payload_len: MSS, flags: sent.flags & (ACK | SYN), ..*sent };
    let second = Sent {
        sequence: sent.sequence.wrapping_add(u32::from(MSS)),
        identification: sent.identification.wrapping_add(1),
        payload_len: sent.payload_len - MSS,
        flags: sent.flags & (ACK | PSH | FIN),
        ..*sent
    };
    (first, second)
}
