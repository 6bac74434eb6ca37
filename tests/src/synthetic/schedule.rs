//! Who sends when, and in what order the frames of all interfaces are recorded.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tracer_core::capture::Frame;
use tracer_core::units::{Gso, Timestamp};

use super::bytes;
use super::connection::{ACK, Connection, FIN, MSS, PSH, SYN, Sent};
use super::network::{Hop, way};
use super::random::Random;
use super::{SNAP, Traffic};

const SEED: u64 = 0x6b66_6c6f_7721;
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
pub struct Schedule {
    traffic: Traffic,
    random: Random,
    open: Vec<Connection>,
    /// Connections that were started, and those of them that have sent a packet.
    started: u64,
    connections: u32,
    due: BinaryHeap<Due>,
    made: u64,
    /// When the next packet is sent, by a true clock.
    now: Timestamp,
    /// Nanoseconds between two packets on average.
    gap: u64,
}

impl Schedule {
    /// Its connections begin one after the other.
    pub fn new(traffic: &Traffic) -> Self {
        const HOPS: u64 = 8;
        let open = traffic.open();
        let mut schedule = Self {
            traffic: *traffic,
            random: Random::new(SEED + u64::from(traffic.pair)),
            open: Vec::new(),
            started: open,
            connections: 0,
            due: BinaryHeap::new(),
            made: 0,
            now: traffic.begin,
            gap: HOPS * 1_000_000_000 / traffic.rate,
        };
        for number in 0..open {
            schedule.open.push(Connection::new(traffic, number, &mut schedule.random));
        }
        schedule
    }

    /// Up to when, by a true clock, packets were sent.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How many frames were made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// How many connections they are of.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// The next one by the clocks of the nodes.
    pub fn next_frame(&mut self) -> Option<Frame<'static>> {
        loop {
            // No clock is behind the true one: nothing that is sent later is recorded earlier.
            let is_ended = self.made >= self.traffic.frames;
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
        let milliseconds = u32::try_from((self.now.0 - self.traffic.begin.0) / 1_000_000).unwrap_or(u32::MAX);
        let connection = &mut self.open[chosen];
        self.connections += u32::from(connection.is_new());
        if let Some(sent) = connection.next(milliseconds, &mut self.random) {
            self.travel(&sent);
        } else {
            self.started += 1;
            self.open[chosen] = Connection::new(&self.traffic, self.started, &mut self.random);
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
