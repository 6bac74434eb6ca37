//! Retransmissions that no loss explains, or of which there are too many of one segment.

use serde::Serialize;

use super::lane::Retransmissions;
use crate::timeline::Sequence;

/// Retransmissions of what had arrived, from which on they are many.
const MANY: u64 = 8;
/// The share of a direction's segments from which on they are many: one in so many.
const MANY_OF: u64 = 20;
/// How often one segment is sent again at most before it is a storm: TCP waits twice as long each time.
const OFTEN: u64 = 4;

/// What a storm is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StormKind {
    /// Segments that had arrived: acknowledgements come late, or what arrives is thrown away behind the last hop.
    Delivered,
    /// One segment again and again.
    OneSegment,
    /// Probes of a receiver that does not read: its window is closed.
    Probes,
}

/// Many retransmissions that the network's losses do not explain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Storm {
    /// Of what.
    pub kind: StormKind,
    /// Wire segments that were sent again so.
    pub packets: u64,
    /// Sequence number of the first byte of the segment that was sent again most often.
    pub sequence: u32,
    /// How often that one was sent again.
    pub times: u64,
}

impl Storm {
    /// The storm in one direction, by these rules in this order:
    ///
    /// 1. Most of what was sent again was sent while the receiver's window was closed: probes.
    /// 2. One segment was sent again more than four times, whatever became of it.
    /// 3. At least eight segments that had arrived were sent again, and at least one in twenty of all.
    pub(super) fn of(sequence: &Sequence, retransmitted: &[Retransmissions], packets: u64) -> Option<Self> {
        let (first, times) = sequence.most_repeated()?;
        let all: u64 = retransmitted.iter().map(|again| again.packets).sum();
        let arrived = |again: &&Retransmissions| again.stopped_after.is_none() && !again.unknown;
        let delivered: u64 = retransmitted.iter().filter(arrived).map(|again| again.packets).sum();
        let storm = |kind, packets| Some(Self { kind, packets, sequence: first, times });
        if times > 1 && sequence.probes() * 2 > all {
            storm(StormKind::Probes, sequence.probes())
        } else if times > OFTEN {
            storm(StormKind::OneSegment, times)
        } else if delivered >= MANY && delivered * MANY_OF >= packets {
            storm(StormKind::Delivered, delivered)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Segment, SegmentKey};
    use crate::packet::TcpFlags;
    use crate::timeline::PathId;

    /// A stream of which segment `number` is sent `again[number]` times more.
    fn stream(again: &[u32], is_closed: bool) -> (Sequence, Vec<Retransmissions>) {
        let mut sequence = Sequence::default();
        let mut packets = 0;
        for (number, times) in (0_u32..).zip(again) {
            let segment = Segment {
                key: SegmentKey(0),
                sequence: number * 100,
                acknowledgement: 0,
                payload_len: 100,
                flags: TcpFlags(TcpFlags::ACK),
                is_window_zero: false,
                may_vanish: false,
            };
            sequence.note(&segment, PathId(0), false);
            for _ in 0..*times {
                sequence.note_while(&segment, PathId(0), false, is_closed);
                packets += 1;
            }
        }
        (sequence, vec![Retransmissions { stopped_after: None, unknown: false, packets }])
    }

    fn kind(again: &[u32], is_closed: bool) -> Option<StormKind> {
        let (sequence, retransmitted) = stream(again, is_closed);
        let packets = again.iter().map(|times| u64::from(times + 1)).sum();
        Storm::of(&sequence, &retransmitted, packets).map(|storm| storm.kind)
    }

    #[test]
    fn storms_by_their_kind() {
        assert_eq!(kind(&[1; 40], false), Some(StormKind::Delivered));
        assert_eq!(kind(&[0, 0, 5, 0], false), Some(StormKind::OneSegment));
        assert_eq!(kind(&[0, 0, 5, 0], true), Some(StormKind::Probes));
    }

    #[test]
    fn a_few_are_none() {
        assert_eq!(kind(&[0; 40], false), None);
        assert_eq!(kind(&[0, 1, 2, 4], false), None);
        let mut rare = vec![0; 400];
        rare[..9].fill(1);
        assert_eq!(kind(&rare, false), None);
    }

    #[test]
    fn what_was_lost_is_no_storm_of_what_arrived() {
        let (sequence, mut retransmitted) = stream(&[1; 40], false);
        retransmitted[0].unknown = true;
        assert_eq!(Storm::of(&sequence, &retransmitted, 80), None);
    }
}
