//! Protocols that send one packet at a time: UDP of several kinds, echo, SCTP.

use crate::emission::{Emission, LaneId, Segment};
use crate::plan::{self, Family, Kind, US};
use crate::random::Random;
use crate::world::{Alarm, World};

const FRAGMENT: u32 = 1376;
const DATAGRAM: u32 = 3 * FRAGMENT - 500;

/// Both ends of a flow of datagrams.
pub(crate) struct Datagrams {
    flow: usize,
    family: Family,
    plan: plan::Datagrams,
    left: u32,
    sequence: u32,
    identification: [u32; 2],
    content: u64,
    tag: u32,
    tsn: u32,
}

impl Datagrams {
    pub(crate) fn new(flow: usize, family: Family, plan: &plan::Datagrams, random: &mut Random) -> Self {
        Self {
            flow,
            family,
            plan: plan.clone(),
            left: plan.count,
            sequence: 0,
            identification: [u32::from(random.short()), u32::from(random.short())],
            content: random.next(),
            tag: random.word(),
            tsn: random.word(),
        }
    }

    pub(crate) fn alarm(&mut self, end: usize, world: &mut World) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.sequence += 1;
        let segments = self.request(world);
        if self.plan.kind == Kind::Batched {
            self.send_together(end, segments, world);
        } else {
            for segment in segments {
                self.send(end, segment, world);
            }
        }
        if self.left > 0 {
            let pause = world.random.between(10 * US, self.plan.pause.max(10 * US));
            world.wake(self.flow, end, Alarm::Application, pause);
        }
    }

    pub(crate) fn receive(&mut self, end: usize, segments: &[Segment], world: &mut World) {
        if end == 0 {
            return;
        }
        for segment in segments {
            for answer in self.answer(segment, world) {
                self.send(end, answer, world);
            }
        }
    }

    fn request(&mut self, world: &mut World) -> Vec<Segment> {
        match self.plan.kind {
            Kind::Quic => {
                let burst = world.random.between(1, 3);
                (0..burst).map(|_| quic(world)).collect()
            }
            Kind::Batched => {
                let len = u32::try_from(world.random.between(20, 1200)).unwrap();
                let count = world.random.between(2, 20);
                (0..count).map(|_| Segment::Udp { len, content: world.random.next() }).collect()
            }
            Kind::Dns => {
                // One in eight is asked again as it was.
                if world.random.below(8) > 0 {
                    self.content = world.random.next();
                }
                vec![Segment::Udp { len: 40, content: self.content }]
            }
            Kind::Alike | Kind::Numbered => vec![Segment::Udp { len: 64, content: self.content }],
            Kind::Fragmented => {
                let content = world.random.next();
                let offsets = (0..DATAGRAM).step_by(FRAGMENT as usize);
                offsets
                    .map(|offset| {
                        let len = FRAGMENT.min(DATAGRAM - offset);
                        let is_last = offset + len == DATAGRAM;
                        Segment::Fragment { offset, is_last, len, datagram_len: DATAGRAM - 8, content }
                    })
                    .collect()
            }
            Kind::Echo => {
                let sequence = u16::try_from(self.sequence & 0xffff).unwrap();
                vec![Segment::Echo { is_reply: false, sequence, len: 56, content: self.content }]
            }
            Kind::Sctp => {
                self.tsn = self.tsn.wrapping_add(1);
                let len = u32::try_from(world.random.between(4, 1200)).unwrap();
                vec![Segment::Data { tag: self.tag, tsn: self.tsn, stream: 1, len }]
            }
        }
    }

    fn answer(&self, request: &Segment, world: &mut World) -> Vec<Segment> {
        match *request {
            Segment::Udp { content, .. } => match self.plan.kind {
                Kind::Quic | Kind::Batched => (0..world.random.between(0, 4)).map(|_| quic(world)).collect(),
                _ => vec![Segment::Udp { len: 120, content: content ^ 1 }],
            },
            Segment::Echo { sequence, len, content, .. } => {
                vec![Segment::Echo { is_reply: true, sequence, len, content }]
            }
            Segment::Data { tag, tsn, .. } => vec![Segment::Sack { tag: tag ^ 0xffff, tsn }],
            Segment::Fragment { is_last: true, content, .. } => vec![Segment::Udp { len: 100, content }],
            _ => Vec::new(),
        }
    }

    fn send(&mut self, end: usize, segment: Segment, world: &mut World) {
        let identification = self.identify(end, &segment);
        world.send(vec![Emission { lane: LaneId::of(self.flow, end), identification, segment }]);
    }

    /// Sends datagrams as one super-packet: the kernel numbers those that it becomes from 0 (`inet_gso_segment`).
    fn send_together(&mut self, end: usize, segments: Vec<Segment>, world: &mut World) {
        let emission = |(segment, number)| Emission {
            lane: LaneId::of(self.flow, end),
            identification: (self.family == Family::V4).then_some(number),
            segment,
        };
        world.send(segments.into_iter().zip(0..).map(emission).collect());
    }

    /// What the IP header numbers the packet by. Fragments of one datagram share a number.
    fn identify(&mut self, end: usize, segment: &Segment) -> Option<u32> {
        let is_continued = matches!(segment, Segment::Fragment { offset: 1.., .. });
        if !is_continued {
            let next = self.identification[end].wrapping_add(1);
            let limit = if self.family == Family::V4 { 0xffff } else { u32::MAX };
            self.identification[end] = next & limit;
        }
        let is_fragment = matches!(segment, Segment::Fragment { .. });
        match (self.family, self.plan.kind) {
            (Family::V6, _) => is_fragment.then_some(self.identification[end]),
            (Family::V4, Kind::Quic | Kind::Batched | Kind::Dns | Kind::Alike) => Some(0),
            (Family::V4, _) => Some(self.identification[end]),
        }
    }
}

fn quic(world: &mut World) -> Segment {
    let len = if world.random.below(2) == 0 { 1200 } else { world.random.between(30, 1200) };
    Segment::Udp { len: u32::try_from(len).unwrap(), content: world.random.next() }
}
