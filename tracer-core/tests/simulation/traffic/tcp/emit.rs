//! Segments as they are sent, with their numbers and times.

use super::end::Sent;
use super::{MSS, Tcp};
use crate::emission::{Emission, Flags, LaneId, Segment, TcpSegment};
use crate::plan::MS;
use crate::world::World;

impl Tcp {
    /// Sends segments that follow each other as one packet.
    pub(super) fn transmit(&mut self, end: usize, burst: &[Sent], world: &mut World) {
        let is_syn = burst.first().is_some_and(|sent| sent.flags.has(Flags::SYN));
        let is_answer = is_syn && end == 1;
        // The kernel answers a SYN with identification 0.
        let count = u32::try_from(burst.len()).unwrap();
        let first =
            if is_answer { self.ends[end].identification.map(|_| 0) } else { self.identify(end, count) };
        let here = &self.ends[end];
        let timestamps = Some(self.timestamps(end, world));
        let acknowledgement = (!is_syn || is_answer).then_some(here.expected);
        let segment = |sent: &Sent| TcpSegment {
            sequence: sent.sequence,
            acknowledgement,
            timestamps,
            sack: Vec::new(),
            flags: sent.flags,
            len: sent.len,
            window: 501,
        };
        let numbered = burst
            .iter()
            .zip(0..)
            .map(|(sent, index)| (segment(sent), first.map(|first| (first + index) & 0xffff)));
        self.emit(end, numbered.collect(), world);
    }

    /// Sends segments again: those that follow each other go as one packet.
    pub(super) fn transmit_apart(&mut self, end: usize, burst: &[Sent], world: &mut World) {
        let is_one =
            |a: &Sent, b: &Sent| a.end() == b.sequence && self.plan.gso > 1 && a.len == MSS && b.len > 0;
        let runs: Vec<&[Sent]> = burst.chunk_by(is_one).collect();
        for run in runs {
            self.transmit(end, run, world);
        }
    }

    pub(super) fn emit(&self, end: usize, segments: Vec<(TcpSegment, Option<u32>)>, world: &mut World) {
        let lane = LaneId::of(self.flow, end);
        let emission =
            |(segment, identification)| Emission { lane, identification, segment: Segment::Tcp(segment) };
        world.send(segments.into_iter().map(emission).collect());
    }

    /// Numbers for so many segments.
    pub(super) fn identify(&mut self, end: usize, count: u32) -> Option<u32> {
        let number = self.ends[end].identification?;
        self.ends[end].identification = Some((number + count) & 0xffff);
        Some(number)
    }

    /// They tick in milliseconds.
    pub(super) fn timestamps(&self, end: usize, world: &World) -> (u32, u32) {
        let ticks = u32::try_from(world.now / MS).unwrap();
        (self.ends[end].clock.wrapping_add(ticks), self.ends[end].echo)
    }
}
