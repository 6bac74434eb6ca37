//! The receiving side: data in and out of order, acknowledgements, answers for a socket that is gone.

use super::end::{is_before, join};
use super::{MSS, Tcp};
use crate::emission::{Flags, TcpSegment};
use crate::world::World;

impl Tcp {
    /// What an acknowledgement tells the sender.
    pub(super) fn acknowledged(&mut self, end: usize, segment: &TcpSegment, world: &mut World) {
        let Some(acknowledgement) = segment.acknowledgement else { return };
        let here = &mut self.ends[end];
        let mut is_progress = false;
        while here.sent.front().is_some_and(|sent| !is_before(acknowledgement, sent.end())) {
            here.sent.pop_front();
            is_progress = true;
        }
        for (left, right) in &segment.sack {
            for sent in &mut here.sent {
                if !is_before(sent.sequence, *left) && !is_before(*right, sent.end()) {
                    sent.is_sacked = true;
                }
            }
        }
        if is_progress {
            here.backoff = 0;
            here.timeouts = 0;
            self.arm(end, world);
        }
        self.retransmit(end, world);
        if is_progress {
            self.push(end, world);
        }
    }

    /// Takes data, and acknowledges it.
    pub(super) fn data(&mut self, end: usize, first: &TcpSegment, len: u32, flags: Flags, world: &mut World) {
        let here = &mut self.ends[end];
        let (begin, until) =
            (first.sequence, first.sequence.wrapping_add(len + u32::from(flags.has(Flags::FIN))));
        here.received += 1;
        if !is_before(here.expected, until) {
            return self.acknowledge(end, Some((begin, until)), world);
        }
        if !is_before(here.expected, begin) {
            here.echo = first.timestamps.map_or(here.echo, |(value, _)| value);
        }
        if is_before(here.expected, begin) {
            here.ahead.retain(|(left, right)| is_before(*right, begin) || is_before(until, *left));
            let merged = (begin, until);
            here.ahead.insert(0, merged);
            join(&mut here.ahead);
            return self.acknowledge(end, None, world);
        }
        here.expected = until;
        let was_ahead = !here.ahead.is_empty();
        while let Some(index) = here.ahead.iter().position(|(left, _)| !is_before(here.expected, *left)) {
            let (_, right) = here.ahead.remove(index);
            if is_before(here.expected, right) {
                here.expected = right;
            }
        }
        here.unacknowledged += len.div_ceil(MSS);
        let is_due = here.unacknowledged >= 2 || was_ahead || flags.0 & (Flags::PSH | Flags::FIN) != 0;
        if is_due {
            self.acknowledge(end, None, world);
            // An application that reads opens the window: the same acknowledgement once more.
            if world.random.below(50) == 0 {
                self.acknowledge(end, None, world);
            }
        } else {
            // The other half of a pair may be lost.
            here.unacknowledged += 1;
        }
    }

    /// A pure acknowledgement; `again` is what came a second time (RFC 2883).
    pub(super) fn acknowledge(&mut self, end: usize, again: Option<(u32, u32)>, world: &mut World) {
        let here = &mut self.ends[end];
        here.unacknowledged = 0;
        let sack: Vec<(u32, u32)> = again.into_iter().chain(here.ahead.iter().copied()).take(3).collect();
        let segment = TcpSegment {
            sequence: here.next,
            acknowledgement: Some(here.expected),
            timestamps: Some(self.timestamps(end, world)),
            sack,
            flags: Flags::default(),
            len: 0,
            window: u16::try_from(world.random.between(200, 500)).unwrap(),
        };
        let identification = self.identify(end, 1);
        self.emit(end, vec![(segment, identification)], world);
    }

    /// Answers for a socket that is gone: sequence number of the acknowledgement, identification 0, no options.
    pub(super) fn refuse(&self, end: usize, segment: &TcpSegment, world: &mut World) {
        let reset = TcpSegment {
            sequence: segment.acknowledgement.unwrap_or_default(),
            acknowledgement: None,
            timestamps: None,
            sack: Vec::new(),
            flags: Flags(Flags::RST),
            len: 0,
            window: 0,
        };
        let identification = self.ends[end].identification.map(|_| 0);
        self.emit(end, vec![(reset, identification)], world);
    }
}
