//! TCP data of captures that do not tell how a super-packet was segmented.
//!
//! Without `gso_size` an observation is an interval of the sequence space, and two points may see the same bytes
//! cut differently. Pieces with equal acknowledgement and timestamps are gathered; wherever any of them begins or
//! ends is a cut, and so is every multiple of the segment size where the connection's MSS is known. Each interval
//! between two cuts is then one segment, seen by every piece that covers it.

use super::{Group, Member};
use crate::identity::{Segment, SegmentKey};
use crate::journey::{ObservationId, Sighting};
use crate::packet::TcpFlags;

/// A bound on the cuts within one observed packet: a crafted MSS must not cost 64 Ki intervals.
const MAX_CUTS: u32 = 1024;

/// One observed packet of TCP data, as an interval of the sequence space.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Where and when.
    pub sighting: Sighting,
    /// Sequence number of its first byte.
    pub sequence: u32,
    /// Payload bytes, at least one.
    pub len: u32,
    /// Payload bytes of each wire segment but the last; absent where the connection's MSS is not known.
    pub size: Option<u32>,
    /// IPv4 identification of its first wire segment, where it is not 0.
    pub identification: Option<u32>,
    /// TCP flags.
    pub flags: TcpFlags,
}

impl Member for Piece {
    fn observation(&self) -> ObservationId {
        self.sighting.observation
    }
}

impl Piece {
    /// Identification of the wire segment that begins `offset` bytes into it, where that can be told.
    fn identification_at(&self, offset: i64) -> Option<u32> {
        let first = self.identification?;
        if offset == 0 {
            return Some(first);
        }
        let size = i64::from(self.size?);
        let segment = u32::try_from(offset / size).ok()?;
        (offset % size == 0).then_some(first.wrapping_add(segment) & 0xffff)
    }
}

/// One piece's part in an interval.
struct Part {
    sighting: Sighting,
    identification: Option<u32>,
    flags: TcpFlags,
}

/// The elementary intervals of a group of pieces, each as a group of its own.
pub fn elementary(group: &Group<Piece>) -> Vec<Group> {
    let Some(origin) = group.members.first().map(|piece| piece.sequence) else { return Vec::new() };
    let start = |piece: &Piece| i64::from(piece.sequence.wrapping_sub(origin).cast_signed());
    let mut cuts: Vec<i64> = Vec::new();
    for piece in &group.members {
        let begin = start(piece);
        cuts.extend([begin, begin + i64::from(piece.len)]);
        if let Some(size) = piece.size.filter(|size| *size > 0) {
            let inner = ((piece.len - 1) / size).min(MAX_CUTS);
            cuts.extend((1..=inner).map(|index| begin + i64::from(index) * i64::from(size)));
        }
    }
    cuts.sort_unstable();
    cuts.dedup();
    let mut parts: Vec<Vec<Part>> = cuts.iter().map(|_| Vec::new()).collect();
    for piece in &group.members {
        let begin = start(piece);
        let end = begin + i64::from(piece.len);
        let first = cuts.partition_point(|cut| *cut < begin);
        for (number, index) in (0u16..).zip(first..) {
            let Some(next) = cuts.get(index + 1).filter(|next| **next <= end) else { break };
            let flags = if *next == end { piece.flags } else { piece.flags.without(TcpFlags::FIN) };
            parts[index].push(Part {
                sighting: Sighting { part: number, ..piece.sighting },
                identification: piece.identification_at(cuts[index] - begin),
                flags,
            });
        }
    }
    let mut groups = Vec::new();
    for (bounds, parts) in cuts.windows(2).zip(parts) {
        let payload_len = u32::try_from(bounds[1] - bounds[0]).unwrap_or(u32::MAX);
        // Within 2^31 of the origin, which is how sequence numbers compare.
        let sequence = origin.wrapping_add(u32::try_from(bounds[0] & 0xffff_ffff).unwrap_or_default());
        for members in by_identification(parts) {
            let flags = members.iter().fold(TcpFlags::default(), |all, part| TcpFlags(all.0 | part.flags.0));
            let key = SegmentKey(group.segment.key.0 ^ u64::from(sequence).rotate_left(32));
            groups.push(Group {
                segment: Segment { key, sequence, payload_len, flags, ..group.segment },
                seen: group.seen,
                members: members.into_iter().map(|part| part.sighting).collect(),
                is_cut_short: group.is_cut_short,
            });
        }
    }
    groups
}

/// Transmissions of the same bytes, told apart by the identification where every part has one.
fn by_identification(parts: Vec<Part>) -> Vec<Vec<Part>> {
    if parts.is_empty() {
        return Vec::new();
    }
    if parts.iter().any(|part| part.identification.is_none()) {
        return vec![parts];
    }
    let mut transmissions: Vec<Vec<Part>> = Vec::new();
    for part in parts {
        match transmissions.iter_mut().find(|known| known[0].identification == part.identification) {
            Some(known) => known.push(part),
            None => transmissions.push(vec![part]),
        }
    }
    transmissions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SegmentKey;
    use crate::point::{InterfaceIndex, Point};
    use crate::units::Timestamp;

    fn sighting(interface: u32, observation: u64) -> Sighting {
        Sighting {
            point: Point { interface: InterfaceIndex(interface), direction: None },
            time: Timestamp(observation),
            headers: crate::headers::HeadersId::default(),
            ttl: 64,
            observation: ObservationId(observation),
            part: 0,
        }
    }

    fn piece(interface: u32, observation: u64, sequence: u32, len: u32, size: Option<u32>) -> Piece {
        Piece {
            sighting: sighting(interface, observation),
            sequence,
            len,
            size,
            identification: None,
            flags: TcpFlags(TcpFlags::ACK),
        }
    }

    fn split(members: Vec<Piece>) -> Vec<(u32, u32, Vec<u64>)> {
        let segment = Segment {
            key: SegmentKey(1),
            sequence: 0,
            acknowledgement: 0,
            payload_len: 0,
            flags: TcpFlags::default(),
            is_window_zero: false,
            may_vanish: false,
        };
        let group = Group { segment, seen: Timestamp(0), members, is_cut_short: false };
        let of = |group: Group| {
            let observations = group.members.iter().map(|member| member.observation.0).collect();
            (group.segment.sequence, group.segment.payload_len, observations)
        };
        elementary(&group).into_iter().map(of).collect()
    }

    #[test]
    fn pieces_that_are_cut_differently_cover_the_same_bytes() {
        let whole = u32::MAX - 999;
        let cut = split(vec![
            piece(0, 1, whole, 3000, None),
            piece(1, 2, whole, 1000, None),
            piece(1, 3, 0, 2000, None),
        ]);
        assert_eq!(cut, [(whole, 1000, vec![1, 2]), (0, 2000, vec![1, 3])]);
    }

    #[test]
    fn a_known_segment_size_cuts_further() {
        let cut = split(vec![piece(0, 1, 100, 2500, Some(1000)), piece(1, 2, 100, 2500, None)]);
        assert_eq!(
            cut.iter().map(|(sequence, len, _)| (*sequence, *len)).collect::<Vec<_>>(),
            [(100, 1000), (1100, 1000), (2100, 500)]
        );
        assert!(cut.iter().all(|(_, _, seen)| *seen == [1, 2]));
    }

    #[test]
    fn bytes_that_one_point_did_not_see_stand_alone() {
        let cut = split(vec![piece(0, 1, 0, 2000, None), piece(1, 2, 0, 1000, None)]);
        assert_eq!(cut, [(0, 1000, vec![1, 2]), (1000, 1000, vec![1])]);
    }

    #[test]
    fn identifications_tell_transmissions_apart() {
        let mut first = piece(0, 1, 0, 2000, Some(1000));
        first.identification = Some(65_535);
        let mut second = piece(1, 2, 1000, 1000, Some(1000));
        second.identification = Some(0);
        let mut again = piece(0, 3, 1000, 1000, Some(1000));
        again.identification = Some(7);
        let cut = split(vec![first, second, again]);
        assert_eq!(cut, [(0, 1000, vec![1]), (1000, 1000, vec![1, 2]), (1000, 1000, vec![3])]);
    }
}
