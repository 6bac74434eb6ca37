//! Round trips: how long after a packet its answer was back where the packet was seen first, by that one clock.
//!
//! TCP's data and its acknowledgement, not of data that was sent again (Karn's algorithm, RFC 6298 section 3); an ICMP echo
//! and its reply. A receiver may wait before it acknowledges (RFC 9293, section 3.8.6.3): that is part of it.

use std::collections::VecDeque;

use super::peaks::Peaks;
use super::samples::Samples;
use super::sequence::is_before;
use crate::identity::Segment;
use crate::journey::Sighting;
use crate::packet::TcpFlags;
use crate::point::InterfaceIndex;
use crate::units::Timestamp;

/// Packets that wait for their answers at most; later ones are not measured meanwhile.
const MAX_WAITING: usize = 64;

/// Round trips of the packets of one direction.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    waiting: VecDeque<Waiting>,
    samples: Samples<i64>,
    peaks: Peaks<i64>,
}

/// A packet that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Of TCP the sequence number after its last byte, of an echo its sequence number.
    token: u32,
    interface: InterfaceIndex,
    time: Timestamp,
}

impl RoundTrips {
    /// A data segment was sent; `is_again` if some of it had been sent before.
    pub(super) fn sent(&mut self, segment: &Segment, first: &Sighting, is_again: bool) {
        let virtual_bytes = u32::from(segment.flags.any(TcpFlags::SYN | TcpFlags::FIN));
        let len = segment.payload_len.saturating_add(virtual_bytes);
        if len == 0 || segment.flags.any(TcpFlags::RST) {
            return;
        }
        let end = segment.sequence.wrapping_add(len);
        if is_again {
            // Which of the two transmissions is acknowledged cannot be told.
            self.waiting.retain(|waiting| !is_before(segment.sequence, waiting.token));
        } else {
            self.wait(end, first);
        }
    }

    /// An acknowledgement came by these hops: the latest of the segments that it covers tells the time.
    pub(super) fn acknowledged(&mut self, segment: &Segment, hops: &[Sighting]) {
        if !segment.flags.any(TcpFlags::ACK) || segment.flags.any(TcpFlags::RST) {
            return;
        }
        let mut latest = None;
        while let Some(waiting) = self.waiting.front() {
            if is_before(segment.acknowledgement, waiting.token) {
                break;
            }
            latest = self.waiting.pop_front();
        }
        if let Some(waiting) = latest {
            self.came_back(waiting, hops);
        }
    }

    /// An echo was asked for.
    pub(super) fn asked(&mut self, sequence: u16, first: &Sighting) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.wait(u32::from(sequence), first);
    }

    /// An echo's reply came by these hops.
    pub(super) fn replied(&mut self, sequence: u16, hops: &[Sighting]) {
        let place = self.waiting.iter().position(|waiting| waiting.token == u32::from(sequence));
        if let Some(waiting) = place.and_then(|place| self.waiting.remove(place)) {
            self.came_back(waiting, hops);
        }
    }

    /// Takes over what another flow measured.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.samples.merge(&other.samples);
        self.peaks.merge(&other.peaks);
    }

    /// Nanoseconds, in no order.
    pub fn samples(&self) -> &Samples<i64> {
        &self.samples
    }

    /// The longest, and when their packets were sent.
    pub fn peaks(&self) -> &Peaks<i64> {
        &self.peaks
    }

    fn wait(&mut self, token: u32, first: &Sighting) {
        if self.waiting.len() < MAX_WAITING {
            let (interface, time) = (first.point.interface, first.time);
            self.waiting.push_back(Waiting { token, interface, time });
        }
    }

    fn came_back(&mut self, waiting: Waiting, hops: &[Sighting]) {
        let back = hops.iter().rev().find(|hop| hop.point.interface == waiting.interface);
        // A clock that was set back tells nothing.
        if let Some(taken) = back.map(|hop| hop.time.since(waiting.time)).filter(|taken| *taken >= 0) {
            self.samples.add(taken);
            self.peaks.add(taken, waiting.time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::HeadersId;
    use crate::identity::SegmentKey;
    use crate::journey::ObservationId;
    use crate::point::Point;

    fn at(interface: u32, time: u64) -> Sighting {
        Sighting {
            point: Point { interface: InterfaceIndex(interface), direction: None },
            time: Timestamp(time),
            headers: HeadersId::default(),
            ttl: 64,
            observation: ObservationId(time),
            part: 0,
        }
    }

    fn segment(sequence: u32, payload_len: u32, acknowledgement: u32) -> Segment {
        Segment {
            key: SegmentKey(0),
            sequence,
            acknowledgement,
            payload_len,
            flags: TcpFlags(TcpFlags::ACK),
            is_window_zero: false,
            may_vanish: false,
        }
    }

    #[test]
    fn data_and_its_acknowledgement_across_the_wrap() {
        let mut trips = RoundTrips::default();
        let start = u32::MAX - 50;
        trips.sent(&segment(start, 100, 1), &at(1, 1000), false);
        trips.sent(&segment(start.wrapping_add(100), 100, 1), &at(1, 1200), false);
        trips.acknowledged(&segment(1, 0, start.wrapping_add(50)), &[at(2, 1300), at(1, 1400)]);
        assert!(trips.samples().kept().is_empty());
        trips.acknowledged(&segment(1, 0, start.wrapping_add(200)), &[at(2, 1900), at(1, 2000)]);
        // The first of the two waited for the second.
        assert_eq!(trips.samples().kept(), &[800]);
        assert_eq!(trips.peaks().kept(), &[(800, Timestamp(1200))]);
    }

    #[test]
    fn what_was_sent_again_and_what_does_not_come_back_is_not_measured() {
        let mut trips = RoundTrips::default();
        trips.sent(&segment(0, 100, 1), &at(1, 0), false);
        trips.sent(&segment(0, 100, 1), &at(1, 200), true);
        trips.acknowledged(&segment(1, 0, 100), &[at(1, 300)]);
        trips.sent(&segment(100, 100, 1), &at(1, 400), false);
        trips.acknowledged(&segment(1, 0, 200), &[at(2, 500)]);
        assert!(trips.samples().kept().is_empty());
    }

    #[test]
    fn echoes_by_their_numbers_whatever_the_order() {
        let mut trips = RoundTrips::default();
        for sequence in 0..200 {
            trips.asked(sequence, &at(1, u64::from(sequence) * 10));
        }
        trips.replied(3, &[at(1, 5000)]);
        trips.replied(199, &[at(2, 1999), at(1, 2000)]);
        trips.replied(198, &[at(1, 2000)]);
        assert_eq!(trips.samples().kept(), &[10, 20]);
    }
}
