//! Streams of several nodes as one, in the order of their times.
//!
//! A packet is handed on when every stream has delivered past its time: packets and counters, which a quiet capture
//! writes four times a second, tell how far each has come. Nothing waits without a bound: not for a stream that has ended
//! or has said nothing for [`SILENCE`]; for no stream, one that is to begin included, longer than [`PATIENCE`], so that a wrong clock delays and
//! disturbs the order and does nothing worse; and not beyond [`BUDGET`] bytes.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tracer_core::capture::Frame;
use tracer_core::units::Timestamp;

use super::heads::{Heads, NONE};
use super::queue::{Note, Pulled, Queue};
use super::reader::Message;

/// A stream that says nothing for so long holds up nobody.
const SILENCE: Duration = Duration::from_millis(1500);
/// No packet waits longer for those of other streams.
const PATIENCE: Duration = Duration::from_secs(2);
/// Memory for packets that wait.
const BUDGET: usize = 64 << 20;
/// Packets handed on at once where there are too many.
const FORCED: usize = 256;
/// Packets handed on before anything else gets its turn.
const TURN: usize = 16_384;

/// Number of a stream, in the order in which they were added.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct StreamId(pub(super) usize);

/// Where a turn ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// There is more to hand on.
    More,
    /// Something has to come first; at the latest at this time there is more to hand on.
    Wait(Option<Instant>),
    /// All streams have ended and all is handed on.
    Over,
}

/// Who is told what streams hold.
pub(super) trait Taker {
    /// The next packet.
    fn frame(&mut self, stream: StreamId, frame: &Frame<'_>);

    /// What a stream says besides. It is told as soon as it is known: before packets that wait.
    fn note(&mut self, stream: StreamId, note: Note);
}

/// The streams.
pub(super) struct Merge {
    queues: Vec<Queue>,
    heads: Heads,
    weight: usize,
    budget: usize,
    /// Time of the last packet that was handed on.
    last: Timestamp,
    late: u64,
}

impl Default for Merge {
    fn default() -> Self {
        let (queues, heads) = (Vec::new(), Heads::default());
        Self { queues, heads, weight: 0, budget: BUDGET, last: Timestamp(0), late: 0 }
    }
}

impl Merge {
    /// A further stream.
    pub(super) fn add(&mut self, receiver: Receiver<Message>, now: Instant) -> StreamId {
        self.queues.push(Queue::new(receiver, now));
        self.heads.add();
        StreamId(self.queues.len() - 1)
    }

    /// Packets that came after younger ones had been handed on.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    /// Hands on what is due.
    pub(super) fn turn<T: Taker>(&mut self, now: Instant, taker: &mut T) -> Turn {
        let mut handed_on = 0;
        for stream in 0..self.queues.len() {
            // It may have been this side that did not listen.
            while self.is_silent(stream, now) && self.pull(stream, taker) == Pulled::More {}
        }
        loop {
            let (reached, blocking) = self.reached(now);
            handed_on += self.hand_on(reached, TURN - handed_on, taker);
            if handed_on >= TURN {
                return Turn::More;
            }
            if blocking.is_some_and(|stream| self.pull(stream, taker) == Pulled::More) || self.pull_all(taker)
            {
                continue;
            }
            if self.queues.iter().all(Queue::has_ended) && self.heads.is_empty() {
                return Turn::Over;
            }
            let forced = self.force(now, TURN - handed_on, taker);
            if forced == 0 {
                return Turn::Wait(self.due());
            }
            handed_on += forced;
        }
    }

    /// The time that all streams have come to, and the one that has come least far.
    fn reached(&self, now: Instant) -> (Timestamp, Option<usize>) {
        let holding = (0..self.queues.len()).filter(|stream| !self.is_silent(*stream, now));
        let least = holding.map(|stream| (self.queues[stream].reached(), stream)).min();
        least.map_or((Timestamp(NONE), None), |(reached, number)| {
            (reached, (reached.0 != NONE).then_some(number))
        })
    }

    /// One that is to begin is not: its first packets are as old as those that the others send meanwhile.
    fn is_silent(&self, stream: usize, now: Instant) -> bool {
        let queue = &self.queues[stream];
        queue.has_begun() && now.saturating_duration_since(queue.heard()) >= SILENCE
    }

    /// Hands on packets that have waited long enough, and some where there are too many. Returns how many.
    fn force<T: Taker>(&mut self, now: Instant, most: usize, taker: &mut T) -> usize {
        if let Some(then) = now.checked_sub(PATIENCE) {
            let overdue = self.queues.iter().filter_map(|queue| queue.arrived_before(then)).max();
            if let Some(latest) = overdue {
                return self.hand_on(latest, most, taker);
            }
        }
        if self.weight > self.budget {
            return self.hand_on(Timestamp(NONE), most.min(FORCED), taker);
        }
        0
    }

    /// Hands on packets up to a time, at most so many. Returns how many.
    fn hand_on<T: Taker>(&mut self, barrier: Timestamp, most: usize, taker: &mut T) -> usize {
        let mut count = 0;
        while count < most
            && let Some((stream, time)) = self.heads.first()
            && time <= barrier.0
        {
            count += 1;
            self.hand_on_one(stream, taker);
        }
        count
    }

    fn hand_on_one<T: Taker>(&mut self, stream: usize, taker: &mut T) {
        let Self { queues, heads, weight, last, late, .. } = self;
        let queue = &mut queues[stream];
        let before = queue.weight();
        queue.pop(|frame| {
            if frame.time < *last {
                *late += 1;
            }
            *last = frame.time.max(*last);
            taker.frame(StreamId(stream), frame);
        });
        *weight -= before - queue.weight();
        heads.set(stream, queue.head().map_or(NONE, |head| head.0));
    }

    fn pull<T: Taker>(&mut self, stream: usize, taker: &mut T) -> Pulled {
        let queue = &mut self.queues[stream];
        let before = queue.weight();
        let pulled = queue.pull(&mut |note| taker.note(StreamId(stream), note));
        self.weight = self.weight + queue.weight() - before;
        self.heads.set(stream, queue.head().map_or(NONE, |head| head.0));
        pulled
    }

    /// Takes a batch of every stream that has one, as long as there is memory: what is taken does not hold up its sender.
    /// Beyond that only from streams without a packet, of which it is not known what comes. Returns whether there was any.
    fn pull_all<T: Taker>(&mut self, taker: &mut T) -> bool {
        let mut any = false;
        for stream in 0..self.queues.len() {
            if self.weight <= self.budget || self.heads.at(stream) == NONE {
                any |= self.pull(stream, taker) == Pulled::More;
            }
        }
        any
    }

    /// When the first packet that waits has waited long enough: for others, or for one that is silent.
    fn due(&self) -> Option<Instant> {
        let arrived = self.queues.iter().filter_map(Queue::arrived).min()?;
        let holding = self.queues.iter().filter(|queue| queue.has_begun() && queue.reached().0 != NONE);
        let silent = holding.map(Queue::heard).min();
        Some((arrived + PATIENCE).min(silent.map_or(arrived + PATIENCE, |heard| heard + SILENCE)))
    }
}

#[cfg(test)]
mod tests;
