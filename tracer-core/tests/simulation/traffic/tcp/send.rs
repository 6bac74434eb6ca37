//! The sending side: super-packets, retransmissions, close.

use super::end::{Sent, State};
use super::{BURST, MAX_BACKOFF, MAX_TIMEOUTS, MSS, REORDERING, TIMEOUT, Tcp, WINDOW};
use crate::emission::{Flags, TcpSegment};
use crate::plan::{Reset, US};
use crate::world::{Alarm, World};

impl Tcp {
    /// Sends the first segment of an end.
    pub(super) fn open(&mut self, end: usize, flags: u8, world: &mut World) {
        self.ends[end].state = State::Opening;
        let sequence = self.ends[end].next;
        let sent = Sent { sequence, len: 0, flags: Flags(flags), is_sacked: false, is_sent_again: false };
        self.ends[end].next = sequence.wrapping_add(1);
        self.ends[end].sent.push_back(sent);
        self.transmit(end, &[sent], world);
        self.arm(end, world);
    }

    /// The application writes some segments, or has no more.
    pub(super) fn write(&mut self, end: usize, world: &mut World) {
        let amount = u32::try_from(world.random.between(1, 60)).unwrap().min(self.ends[end].to_write);
        if amount > 0 {
            // The last segment of a write is seldom a full one.
            let missing = u32::try_from(world.random.below(u64::from(MSS))).unwrap();
            self.ends[end].to_write -= amount;
            self.ends[end].written += amount * MSS - missing;
            let pause = world.random.between(50 * US, self.plan.pause.max(50 * US));
            world.wake(self.flow, end, Alarm::Application, pause);
        }
        self.push(end, world);
    }

    /// Sends what was written, as far as the window allows.
    pub(super) fn push(&mut self, end: usize, world: &mut World) {
        while self.ends[end].state == State::Open && self.ends[end].sent.len() < WINDOW {
            let here = &self.ends[end];
            if here.written == 0 {
                let may_finish = match self.plan.reset {
                    Reset::Never => true,
                    Reset::Idle => end == 1 && here.sent.is_empty(),
                    Reset::Busy => end == 1,
                };
                if here.to_write == 0 && !here.is_finished && may_finish {
                    self.finish(end, world);
                }
                return;
            }
            let room = u32::try_from(WINDOW - here.sent.len()).unwrap();
            let limit = world.random.between(1, u64::from(self.plan.gso.max(1)));
            let whole = here.written.div_ceil(MSS);
            let count = room.min(u32::try_from(limit).unwrap()).min(whole);
            let is_last_write = here.to_write == 0;
            let mut burst = Vec::with_capacity(count as usize);
            for _ in 0..count {
                let here = &mut self.ends[end];
                let len = here.written.min(MSS);
                here.written -= len;
                let mut flags = Flags::default();
                if here.written == 0 {
                    flags.0 |= Flags::PSH;
                    if is_last_write && here.next & 1 == 0 && self.plan.reset == Reset::Never {
                        flags.0 |= Flags::FIN;
                        here.is_finished = true;
                    }
                }
                let sent = Sent { sequence: here.next, len, flags, is_sacked: false, is_sent_again: false };
                here.next = sent.end();
                here.sent.push_back(sent);
                burst.push(sent);
            }
            self.transmit(end, &burst, world);
            self.arm(end, world);
        }
    }

    /// Closes, with a FIN of its own or with a RST.
    pub(super) fn finish(&mut self, end: usize, world: &mut World) {
        if self.plan.reset != Reset::Never {
            self.ends[end].state = State::Gone;
            let sequence = self.ends[end].next;
            let acknowledgement = Some(self.ends[end].expected);
            let timestamps = Some(self.timestamps(end, world));
            let flags = Flags(Flags::RST);
            let identification = self.identify(end, 1);
            let reset = TcpSegment {
                sequence,
                acknowledgement,
                timestamps,
                sack: Vec::new(),
                flags,
                len: 0,
                window: 0,
            };
            return self.emit(end, vec![(reset, identification)], world);
        }
        let here = &mut self.ends[end];
        here.is_finished = true;
        let flags = Flags(Flags::FIN);
        let sent = Sent { sequence: here.next, len: 0, flags, is_sacked: false, is_sent_again: false };
        here.next = sent.end();
        here.sent.push_back(sent);
        self.transmit(end, &[sent], world);
        self.arm(end, world);
    }

    /// Sends again what others overtook.
    pub(super) fn retransmit(&mut self, end: usize, world: &mut World) {
        let here = &mut self.ends[end];
        let mut later = here.sent.iter().filter(|sent| sent.is_sacked).count();
        let mut burst: Vec<Sent> = Vec::new();
        for sent in &mut here.sent {
            later -= usize::from(sent.is_sacked);
            if sent.is_sacked || sent.is_sent_again || later < REORDERING || burst.len() == BURST {
                continue;
            }
            sent.is_sent_again = true;
            burst.push(*sent);
        }
        self.transmit_apart(end, &burst, world);
    }

    pub(super) fn time_out(&mut self, end: usize, world: &mut World) {
        let here = &mut self.ends[end];
        if here.sent.is_empty() || here.state == State::Gone {
            return;
        }
        here.timeouts += 1;
        if here.timeouts > MAX_TIMEOUTS {
            here.state = State::Gone;
            return;
        }
        here.backoff = (here.backoff + 1).min(MAX_BACKOFF);
        for sent in &mut here.sent {
            sent.is_sent_again = false;
        }
        let burst: Vec<Sent> = here
            .sent
            .iter_mut()
            .filter(|sent| !sent.is_sacked)
            .take(2)
            .map(|sent| {
                sent.is_sent_again = true;
                *sent
            })
            .collect();
        self.transmit_apart(end, &burst, world);
        self.arm(end, world);
    }

    pub(super) fn arm(&mut self, end: usize, world: &mut World) {
        let here = &mut self.ends[end];
        here.timer += 1;
        if !here.sent.is_empty() {
            world.wake(self.flow, end, Alarm::Timer(here.timer), TIMEOUT << here.backoff);
        }
    }
}
