//! One packet of one capture.

use super::{IcmpMessage, SourceId, Tracer};
use crate::capture::{Frame, LinkLayer};
use crate::correlate::Piece;
use crate::headers::HeadersId;
use crate::identity::{PIECE_GRID_LOG2, Segment, is_cut, piece_key, segments, unidentified};
use crate::journey::{ObservationId, Sighting};
use crate::packet::{DecodeError, Packet, TcpFlags, Transport};
use crate::point::Point;
use crate::units::{Gso, Timestamp};

/// SYNs whose announced segment size is remembered at most.
const MAX_SEGMENT_SIZES: usize = 262_144;
/// No TCP has smaller segments (RFC 791 asks every host for 68 bytes of IP packet).
const LEAST_SEGMENT: u32 = 28;

/// What became of an item.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// A packet that is followed.
    Followed,
    /// A packet that is not IP.
    NotIp,
    /// A packet that could not be decoded.
    Undecodable,
    /// A packet of which too little was captured to recognise it elsewhere.
    Unidentified,
    /// No packet, or one that there was no room for.
    Nothing,
}

/// Whether a datagram is too large for an Ethernet frame: where a capture does not tell, it may be a super-packet whose
/// datagrams go on one by one.
fn is_larger_than_a_frame(packet: &Packet<'_>) -> bool {
    const ETHERNET_MTU: u32 = 1500;
    const UDP_IPV4_HEADERS: u32 = 28;
    matches!(packet.transport, Transport::Udp) && packet.payload_len > ETHERNET_MTU - UDP_IPV4_HEADERS
}

impl Tracer {
    pub(super) fn observe(&mut self, source: SourceId, frame: &Frame<'_>, now: Timestamp) -> Taken {
        let Some((interface, link)) = self.sources[source.0].interface(frame.interface) else {
            return Taken::Nothing;
        };
        let noted = self.sources[source.0].note(frame.time, now);
        // Items that come merged by time have one clock already.
        let seen = if self.options.is_merged { frame.time } else { noted };
        let node = self.points.at(interface).node;
        if let Some(taken) = self.taken.get_mut(interface.0 as usize) {
            *taken += 1;
        }
        if frame.lost_before > 0 {
            self.recorders.between(node, interface, frame.time, frame.lost_before);
        }
        if !self.sources[source.0].tells_end {
            self.ends.entry(node).and_modify(|end| *end = frame.time.max(*end)).or_insert(frame.time);
        }
        let packet = match self.decode(link, frame) {
            Ok(packet) => packet,
            Err(taken) => return taken,
        };
        if is_cut(&packet) {
            self.loss.unidentified += 1;
            self.recorders.blind(node, &packet.flow, frame.time);
            return Taken::Unidentified;
        }
        let Some(headers) = self.headers.id(&packet) else {
            self.loss.overflow += 1;
            return Taken::Nothing;
        };
        let observation = ObservationId(self.observations);
        self.observations += 1;
        let point = Point { interface, direction: frame.direction };
        let sighting =
            Sighting { point, time: frame.time, headers, ttl: packet.ip.ttl, observation, part: 0 };
        if self.pieces.is_some() {
            self.note_segment_size(&packet, headers);
        }
        if !self.gather_piece(&packet, frame.gso, sighting, seen) {
            self.gather(&packet, frame.gso, sighting, seen);
        }
        if self.options.keep_frames {
            self.frames.keep(observation, interface, frame, now);
        }
        Taken::Followed
    }

    /// The packet of a frame, with the ports that its first fragment told; what became of the frame if it is none.
    pub(super) fn decode<'a>(&mut self, link: LinkLayer, frame: &'a Frame<'_>) -> Result<Packet<'a>, Taken> {
        match self.options.decoder.decode(link, &frame.data, frame.original_len) {
            Ok(mut packet) => {
                self.fragments.complete(&mut packet);
                Ok(packet)
            }
            Err(DecodeError::NotIp) => Err(Taken::NotIp),
            Err(_) => {
                self.loss.undecodable += 1;
                Err(Taken::Undecodable)
            }
        }
    }

    /// Gathers the wire segments of a packet.
    fn gather(&mut self, packet: &Packet<'_>, gso: Option<Gso>, sighting: Sighting, seen: Timestamp) {
        let mut identified = 0;
        let may_be_several = gso.is_none() && self.pieces.is_some() && is_larger_than_a_frame(packet);
        for (part, mut segment) in (0..).zip(segments(packet, gso, &self.options.hash_key)) {
            identified += 1;
            self.hear(packet, part, segment.key);
            segment.may_vanish |= may_be_several;
            if let Transport::Icmp { kind, code, quoted: Some(quote) } = packet.transport {
                let message = IcmpMessage { observation: sighting.observation, kind, code, quote };
                self.quotes.entry(segment.key).or_default().push(message);
            }
            self.correlator.push(segment, Sighting { part, ..sighting }, seen);
        }
        let unidentified = unidentified(packet, gso, identified);
        if unidentified > 0 {
            self.loss.unidentified += u64::from(unidentified);
            let node = self.points.at(sighting.point.interface).node;
            self.recorders.blind(node, &packet.flow, sighting.time);
        }
    }

    /// Gathers TCP data as intervals of the sequence space, where some capture does not tell the wire segments.
    fn gather_piece(
        &mut self,
        packet: &Packet<'_>,
        gso: Option<Gso>,
        sighting: Sighting,
        seen: Timestamp,
    ) -> bool {
        let Transport::Tcp(tcp) = packet.transport else { return false };
        let Some(pieces) = &mut self.pieces else { return false };
        let (begin, end) = (tcp.sequence, u64::from(tcp.sequence) + u64::from(packet.payload_len));
        let Some(key) = piece_key(packet, tcp.sequence, &self.options.hash_key) else { return false };
        let size = gso.map(|gso| u32::from(gso.size)).or_else(|| {
            let tuple = self.headers.tuple(sighting.headers);
            let reverse = self.headers.known_tuple(packet.flow.reversed());
            let announced = |tuple| self.segment_sizes.get(&tuple).copied();
            let least = announced(tuple).into_iter().chain(reverse.and_then(announced)).min()?;
            let size = u32::from(least).checked_sub(u32::from(tcp.options_len))?;
            (size >= LEAST_SEGMENT).then_some(size)
        });
        let segment = Segment {
            key,
            sequence: tcp.sequence,
            acknowledgement: tcp.acknowledgement,
            payload_len: packet.payload_len,
            flags: tcp.flags,
            is_window_zero: tcp.is_window_zero,
            may_vanish: false,
        };
        let piece = Piece {
            sighting,
            sequence: tcp.sequence,
            len: packet.payload_len,
            size,
            identification: packet.ip.identification.filter(|identification| *identification != 0),
            flags: tcp.flags,
        };
        // Without timestamps the sequence space is gathered in parts, at whose borders every point cuts alike.
        let border = ((u64::from(begin) >> PIECE_GRID_LOG2) + 1) << PIECE_GRID_LOG2;
        if tcp.timestamps.is_some() || end <= border {
            pieces.push(segment, piece, seen);
            return true;
        }
        let head = u32::try_from(border - u64::from(begin)).unwrap_or(u32::MAX);
        let flags = tcp.flags.without(TcpFlags::FIN);
        pieces.push(segment, Piece { len: head, flags, ..piece }, seen);
        let sequence = begin.wrapping_add(head);
        if let Some(key) = piece_key(packet, sequence, &self.options.hash_key) {
            let rest = packet.payload_len - head;
            let tail = Piece { sequence, len: rest, identification: None, ..piece };
            pieces.push(Segment { key, ..segment }, tail, seen);
        }
        true
    }

    /// Remembers the segment size that a SYN announces: data that is larger was not segmented yet.
    fn note_segment_size(&mut self, packet: &Packet<'_>, headers: HeadersId) {
        let Transport::Tcp(tcp) = packet.transport else { return };
        let Some(size) = tcp.mss.filter(|_| tcp.flags.any(TcpFlags::SYN)) else { return };
        let tuple = self.headers.tuple(headers);
        if self.segment_sizes.len() < MAX_SEGMENT_SIZES || self.segment_sizes.contains_key(&tuple) {
            self.segment_sizes.insert(tuple, size);
        }
    }
}
