//! The packets of one stream that wait for those of the others, in the order of their times.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

use tracer_core::capture::{Frame, Interface, InterfaceId, Statistics};
use tracer_core::units::Timestamp;

use super::reader::Message;
use crate::batch::{Batch, Packed};

/// A packet that comes after another one of its stream is at most so many nanoseconds older: processors of a node write
/// into one ring, each after it has looked at its clock.
const SLACK: i64 = 10_000_000;
/// A packet that comes after its capture's counters is at most so many nanoseconds older than they are: they have the
/// time at which they were written, and the ring was emptied before.
const COUNTERS_SLACK: i64 = 50_000_000;
/// A packet is put before at most so many others of its stream.
const MOST_STEPS: usize = 512;
/// After its end a stream holds up nobody.
const NEVER: Timestamp = Timestamp(u64::MAX);

/// What a stream says besides its packets.
#[derive(Debug, PartialEq)]
pub(super) enum Note {
    /// It began: its capture is attached.
    Began,
    /// An interface, which is the next one of the stream.
    Interface(Box<Interface>),
    /// Counters of the interface of this number, over all sections of the stream.
    Statistics(InterfaceId, Timestamp, Statistics),
    /// It ended; why not all of it could be read.
    Ended(Option<String>),
}

/// What came of asking a stream for more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pulled {
    /// Something.
    More,
    /// Nothing yet, or nothing any more.
    Nothing,
}

/// One stream.
pub(super) struct Queue {
    receiver: Receiver<Message>,
    entries: VecDeque<Entry>,
    batches: VecDeque<Held>,
    /// Number of the first batch that is held.
    first: u64,
    /// The latest time up to which all has come.
    reached: Timestamp,
    /// The latest time of a packet.
    latest: Timestamp,
    has_begun: bool,
    has_ended: bool,
    /// When something came last.
    heard: Instant,
    /// Bytes of memory in batches.
    weight: usize,
    /// Interfaces of sections before the present one, and of this one.
    interfaces_before: u32,
    interfaces: u32,
}

/// A packet that waits: few bytes, as there are many of them.
#[derive(Clone, Copy)]
struct Entry {
    time: Timestamp,
    /// The number of its batch.
    batch: u64,
    /// Its place there.
    item: u32,
    /// Over all sections of the stream.
    interface: InterfaceId,
}

struct Held {
    items: Vec<Packed>,
    bytes: Vec<u8>,
    weight: usize,
    arrived: Instant,
    /// Packets of it that are still waiting.
    waiting: usize,
}

impl Queue {
    pub(super) fn new(receiver: Receiver<Message>, now: Instant) -> Self {
        Self {
            receiver,
            entries: VecDeque::new(),
            batches: VecDeque::new(),
            first: 0,
            reached: Timestamp(0),
            latest: Timestamp(0),
            has_begun: false,
            has_ended: false,
            heard: now,
            weight: 0,
            interfaces_before: 0,
            interfaces: 0,
        }
    }

    /// The time of the next packet.
    pub(super) fn head(&self) -> Option<Timestamp> {
        self.entries.front().map(|entry| entry.time)
    }

    /// When the next packet came here.
    pub(super) fn arrived(&self) -> Option<Instant> {
        let entry = self.entries.front()?;
        self.held(entry.batch).map(|held| held.arrived)
    }

    /// The time of the last packet that came here before `then`, as far as they are in the order in which they came.
    pub(super) fn arrived_before(&self, then: Instant) -> Option<Timestamp> {
        let is_before = |entry: &Entry| self.held(entry.batch).is_some_and(|held| held.arrived <= then);
        let count = self.entries.partition_point(is_before);
        self.entries.get(count.checked_sub(1)?).map(|entry| entry.time)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// No packet will come that is older, unless the stream is not in order. One that has ended holds up nobody.
    pub(super) fn reached(&self) -> Timestamp {
        if self.has_ended { NEVER } else { self.reached }
    }

    /// When something came last.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Bytes of memory that it holds.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Takes the next batch, if it is there.
    pub(super) fn pull(&mut self, notes: &mut impl FnMut(Note)) -> Pulled {
        if self.has_ended {
            return Pulled::Nothing;
        }
        match self.receiver.try_recv() {
            Ok(Message::Batch(batch)) => {
                self.heard = batch.arrived;
                self.take(batch, notes);
                Pulled::More
            }
            Ok(Message::End(reason)) => {
                self.end(reason, notes);
                Pulled::More
            }
            Err(TryRecvError::Empty) => Pulled::Nothing,
            // Its thread says how it ended, unless it panicked.
            Err(TryRecvError::Disconnected) => {
                self.end(Some("its reader failed".to_owned()), notes);
                Pulled::More
            }
        }
    }

    fn end(&mut self, reason: Option<String>, notes: &mut impl FnMut(Note)) {
        self.has_ended = true;
        notes(Note::Ended(reason));
    }

    fn take(&mut self, batch: Batch, notes: &mut impl FnMut(Note)) {
        let number = self.first + self.batches.len() as u64;
        let (weight, arrived) = (batch.weight(), batch.arrived);
        let mut waiting = 0;
        for (place, item) in (0..).zip(&batch.items) {
            match item {
                Packed::Section(_) => self.section(notes),
                Packed::Interface(_, interface) => {
                    self.interfaces += 1;
                    notes(Note::Interface(interface.clone()));
                }
                Packed::Statistics(id, time, statistics) => {
                    // A clock that jumped back does not take back what came.
                    self.reached = self.reached.max(time.offset(-COUNTERS_SLACK));
                    notes(Note::Statistics(self.over_all(*id), *time, *statistics));
                }
                Packed::Packet(packet) => {
                    let interface = self.over_all(packet.interface);
                    self.insert(Entry { time: packet.time, batch: number, item: place, interface });
                    waiting += 1;
                }
            }
        }
        self.reached = self.reached.max(self.latest.offset(-SLACK));
        self.weight += weight;
        self.batches.push_back(Held { items: batch.items, bytes: batch.bytes, weight, arrived, waiting });
        self.let_go();
    }

    fn section(&mut self, notes: &mut impl FnMut(Note)) {
        self.interfaces_before += std::mem::take(&mut self.interfaces);
        if !self.has_begun {
            self.has_begun = true;
            notes(Note::Began);
        }
    }

    fn over_all(&self, id: InterfaceId) -> InterfaceId {
        InterfaceId(self.interfaces_before.saturating_add(id.0))
    }

    /// Puts a packet behind those that are not younger.
    fn insert(&mut self, entry: Entry) {
        let time = entry.time;
        self.entries.push_back(entry);
        if time >= self.latest {
            self.latest = time;
            return;
        }
        let mut at = self.entries.len() - 1;
        let stop = at.saturating_sub(MOST_STEPS);
        while at > stop && self.entries[at - 1].time > time {
            self.entries.swap(at - 1, at);
            at -= 1;
        }
    }

    /// Hands over the next packet.
    pub(super) fn pop<T>(&mut self, to: impl FnOnce(&Frame<'_>) -> T) -> Option<T> {
        let entry = self.entries.pop_front()?;
        self.look_ahead();
        let at = usize::try_from(entry.batch.checked_sub(self.first)?).ok()?;
        let held = self.batches.get_mut(at)?;
        let Some(Packed::Packet(packet)) = held.items.get(entry.item as usize) else { return None };
        let result = to(&Frame { interface: entry.interface, ..packet.frame(&held.bytes) });
        held.waiting -= 1;
        if held.waiting == 0 {
            self.let_go();
        }
        Some(result)
    }

    /// Frees batches that no packet is left of.
    fn let_go(&mut self) {
        while self.batches.front().is_some_and(|held| held.waiting == 0) {
            self.weight -= self.batches.pop_front().map_or(0, |held| held.weight);
            self.first += 1;
        }
    }

    fn held(&self, number: u64) -> Option<&Held> {
        self.batches.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Has the memory of the packets that come next fetched while the present one, and those of other streams, are dealt
    /// with: with many streams it is in no cache, and to wait for it takes longer than all the rest.
    fn look_ahead(&self) {
        let packet = |place: usize| {
            let entry = self.entries.get(place)?;
            let held = self.held(entry.batch)?;
            match held.items.get(entry.item as usize)? {
                Packed::Packet(packet) => Some((packet, held)),
                _ => None,
            }
        };
        black_box(packet(1).map(|(packet, _)| packet.time));
        black_box(packet(0).and_then(|(packet, held)| packet.first_byte(&held.bytes)));
    }
}
