//! TCP as far as it decides what is on the wire: handshake, super-packets, selective acknowledgements (RFC 2018,
//! RFC 2883), fast retransmission (RFC 6675) and time-outs, identifications per socket, close and reset.

mod emit;
mod end;
mod receive;
mod send;

use end::{End, State};

use crate::emission::{Flags, Segment};
use crate::plan::{self, Family, MS};
use crate::random::Random;
use crate::world::{Alarm, World};

const MSS: u32 = 1340;
/// Wire segments on their way at most.
const WINDOW: usize = 64;
/// First time-out (`TCP_RTO_MIN`), and how often it doubles at most.
const TIMEOUT: u64 = 200 * MS;
const MAX_BACKOFF: u32 = 3;
/// Time-outs without an answer after which an end gives up (`tcp_retries2`).
const MAX_TIMEOUTS: u32 = 15;
/// Later segments that have to be acknowledged before one is taken for lost.
const REORDERING: usize = 3;
/// Segments that are sent again at once at most.
const BURST: usize = 8;

/// Both ends of a connection.
pub(crate) struct Tcp {
    flow: usize,
    plan: plan::Tcp,
    ends: [End; 2],
}

impl Tcp {
    pub(crate) fn new(flow: usize, family: Family, plan: &plan::Tcp, random: &mut Random) -> Self {
        let [client, server] = plan.segments;
        let mut ends = [End::new(family, client, random), End::new(family, server, random)];
        if plan.is_open {
            let next = [ends[0].next, ends[1].next];
            for (end, expected) in ends.iter_mut().zip([next[1], next[0]]) {
                end.state = State::Open;
                end.expected = expected;
            }
        }
        Self { flow, plan: plan.clone(), ends }
    }

    pub(crate) fn alarm(&mut self, end: usize, alarm: Alarm, world: &mut World) {
        match alarm {
            Alarm::Application if self.ends[end].state == State::Closed => self.open(end, Flags::SYN, world),
            Alarm::Application => {
                if end == 0 && self.plan.is_open && self.ends[1].written == 0 && self.ends[1].received == 0 {
                    self.write(1, world);
                }
                self.write(end, world);
            }
            Alarm::Timer(number) if number == self.ends[end].timer => self.time_out(end, world),
            Alarm::Timer(_) => {}
        }
    }

    pub(crate) fn receive(&mut self, end: usize, segments: &[Segment], world: &mut World) {
        let mut parts = segments.iter().filter_map(|segment| match segment {
            Segment::Tcp(tcp) => Some(tcp),
            _ => None,
        });
        let Some(first) = parts.next() else { return };
        let (mut len, mut flags) = (first.len, first.flags);
        for part in parts {
            len += part.len;
            flags = Flags(flags.0 | part.flags.0);
        }
        if flags.has(Flags::RST) {
            self.ends[end].state = State::Gone;
            return;
        }
        match self.ends[end].state {
            State::Gone => return self.refuse(end, first, world),
            State::Closed if !flags.has(Flags::SYN) => return,
            State::Closed => {
                self.ends[end].expected = first.sequence.wrapping_add(1);
                self.ends[end].echo = first.timestamps.map_or(0, |(value, _)| value);
                return self.open(end, Flags::SYN, world);
            }
            State::Opening if flags.has(Flags::SYN) && end == 0 => {
                self.ends[end].expected = first.sequence.wrapping_add(1);
                self.ends[end].echo = first.timestamps.map_or(0, |(value, _)| value);
                self.acknowledged(end, first, world);
                self.ends[end].state = State::Open;
                self.acknowledge(end, None, world);
                return self.write(end, world);
            }
            State::Opening if flags.has(Flags::SYN) => return,
            State::Opening => {
                self.ends[end].state = State::Open;
                self.acknowledged(end, first, world);
                self.write(end, world);
            }
            State::Open if flags.has(Flags::SYN) => return self.acknowledge(end, None, world),
            State::Open => self.acknowledged(end, first, world),
        }
        if len > 0 || flags.has(Flags::FIN) {
            self.data(end, first, len, flags, world);
        }
    }
}
