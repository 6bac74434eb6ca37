//! How one packet is recognised at two points.
//!
//! A key holds only what NAT, routing and encapsulation leave alone, and is made per wire segment, because
//! offloads split and join packets between two hooks. It never holds addresses, ports, checksums, TTL, window,
//! PSH, mark or hash. The rules, in the order the code tests them:
//!
//! 1. A fragment that is not the first: protocol, identification, offset, more-fragments. The first one stands for its
//!    datagram: what one node fragments is whole again behind the next one that tracks connections.
//! 2. TCP: sequence number, length, acknowledgement, timestamps, SYN/FIN/RST/ACK, identification; a pure
//!    acknowledgement also the first SACK block. A super-packet is expanded: segment *i* has sequence number
//!    `seq + i * gso_size`, identification `id + i`, FIN on the last one.
//! 3. ICMP and ICMPv6 echo: request or reply, sequence number, identification, first payload bytes; never the id.
//! 4. Other ICMP: type, code, identification, payload length. The quoted packet is left out: NAT rewrites it.
//! 5. SCTP: per DATA chunk the verification tag, TSN, stream and length; a packet without one as UDP.
//! 6. UDP and the rest: identification unless it may be none, length, first payload bytes. A UDP super-packet is expanded as far as its
//!    payload was captured.
//!
//! The last payload bytes would tell more, but which bytes are the last ones captured depends on the encapsulation.
//!
//! TCP data of captures that do not tell `gso_size` have no key of their own: [`piece_key`] gathers what may overlap.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::flow::Protocol;
use crate::packet::{Packet, SctpFacts, TcpFacts, TcpFlags, Transport};
use crate::units::Gso;

/// Payload bytes that enter a key: few enough to be captured behind any supported encapsulation.
const PAYLOAD_BYTES: u32 = 32;
/// Identifications below are left out of UDP's keys: from 0 on a kernel counts up when it splits a super-packet
/// (`inet_gso_segment`), and leaves them alone when the sender did not count (`ip_select_ident`). No super-packet has
/// more datagrams (`UDP_MAX_SEGMENTS`).
const UDP_SEGMENTS: u32 = 128;
/// A bound on the segments of one super-packet: a crafted `gso_size` of 1 must not cost 64 Ki keys.
const MAX_SEGMENTS: u32 = 1024;
/// Sequence numbers that are gathered together where there are no timestamps: 1 MiB.
pub const PIECE_GRID_LOG2: u32 = 20;

/// Key of the hash, drawn per run so that crafted payloads cannot be made to collide.
#[derive(Clone, Copy, Debug)]
pub struct HashKey(pub [u8; 16]);

/// What is the same for one wire segment at every point.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SegmentKey(pub u64);

/// What one wire segment is, as far as every point agrees on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Its key.
    pub key: SegmentKey,
    /// TCP sequence number of its first byte; 0 for other protocols.
    pub sequence: u32,
    /// TCP acknowledgement number; 0 without the ACK flag, and for other protocols.
    pub acknowledgement: u32,
    /// Transport payload bytes.
    pub payload_len: u32,
    /// TCP flags; none for other protocols.
    pub flags: TcpFlags,
    /// Whether it closes the sender's receive window (TCP).
    pub is_window_zero: bool,
    /// Whether it may end on its way without being lost: a fragment other than the first becomes part of a whole
    /// datagram, and what is not known to be a super-packet may be split.
    pub may_vanish: bool,
}

/// Expands an observed packet into the wire segments that it stands for.
pub fn segments<'a>(packet: &'a Packet<'a>, gso: Option<Gso>, key: &HashKey) -> Segments<'a> {
    let base = Base::of(packet, key);
    let size = gso.map_or(0, |gso| u32::from(gso.size));
    let mut parts = Segments { packet, base, size: packet.payload_len, count: 1, next: 0 };
    match packet.transport {
        Transport::Tcp(_) if size > 0 && packet.payload_len > size => {
            parts.count = packet.payload_len.div_ceil(size).min(MAX_SEGMENTS);
            parts.size = size;
        }
        Transport::Udp if size > 0 && packet.payload_len > size && packet.ip.fragment.is_none() => {
            // Of a segment whose first bytes were not captured nothing is known.
            let captured = u32::try_from(packet.payload.len()).unwrap_or(u32::MAX);
            let whole = packet.payload_len.div_ceil(size);
            let known = (0..whole).take_while(|index| {
                let begin = index * size;
                let len = (packet.payload_len - begin).min(size);
                captured >= begin + len.min(PAYLOAD_BYTES)
            });
            parts.count = u32::try_from(known.count()).unwrap_or(u32::MAX).min(MAX_SEGMENTS);
            parts.size = size;
        }
        Transport::Sctp(_) => parts.count = u32::try_from(data_chunks(packet).count().max(1)).unwrap_or(1),
        _ => {}
    }
    parts
}

fn is_udp(packet: &Packet<'_>) -> bool {
    matches!(packet.transport, Transport::Udp) && packet.ip.fragment.is_none()
}

/// Whether so much of a packet was cut off that it cannot be recognised: its key would be another one where more of
/// it was captured.
pub fn is_cut(packet: &Packet<'_>) -> bool {
    let needed = match packet.transport {
        Transport::Tcp(tcp) => {
            let has_all = tcp.timestamps.is_some() && (packet.payload_len > 0 || tcp.sack.is_some());
            return packet.is_header_cut && !has_all;
        }
        Transport::Icmp { .. } => 0,
        _ => packet.payload_len.min(PAYLOAD_BYTES),
    };
    let is_later = packet.ip.fragment.is_some_and(|fragment| !fragment.is_first());
    packet.payload.len() < needed as usize && !is_later
}

/// Wire segments of a UDP super-packet of which too little was captured to recognise them.
pub fn unidentified(packet: &Packet<'_>, gso: Option<Gso>, identified: u32) -> u32 {
    match (packet.transport, gso) {
        (Transport::Udp, Some(gso)) if gso.size > 0 && packet.ip.fragment.is_none() => {
            packet.payload_len.div_ceil(u32::from(gso.size)).saturating_sub(identified)
        }
        _ => 0,
    }
}

/// The key under which TCP data is gathered that may overlap from `sequence` on; absent for any other packet.
pub fn piece_key(packet: &Packet<'_>, sequence: u32, key: &HashKey) -> Option<SegmentKey> {
    let Transport::Tcp(tcp) = packet.transport else { return None };
    if packet.payload_len == 0 || tcp.flags.any(TcpFlags::SYN | TcpFlags::RST) || packet.ip.fragment.is_some()
    {
        return None;
    }
    let mut hasher = SipHasher13::new_with_key(&key.0);
    hasher.write_u32(tcp.acknowledgement);
    match tcp.timestamps {
        Some((value, echo)) => {
            hasher.write_u32(value);
            hasher.write_u32(echo);
        }
        // One acknowledgement number may cover a whole download.
        None => hasher.write_u32(sequence >> PIECE_GRID_LOG2),
    }
    Some(SegmentKey(hasher.finish()))
}

/// Iterator over the wire segments of one observed packet.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    packet: &'a Packet<'a>,
    base: Base,
    size: u32,
    count: u32,
    next: u32,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let index = self.next;
        if index == self.count {
            return None;
        }
        self.next += 1;
        Some(match self.packet.transport {
            Transport::Tcp(tcp) => self.base.tcp(&tcp, self.packet.payload_len, index, self.size),
            Transport::Sctp(facts) => match data_chunks(self.packet).nth(index as usize) {
                Some(chunk) => self.base.chunk(facts, chunk),
                None => self.base.datagram(self.packet.payload, self.packet.payload_len, 0),
            },
            _ => {
                let begin = index * self.size;
                let payload = self.packet.payload.get(begin as usize..).unwrap_or_default();
                self.base.datagram(payload, (self.packet.payload_len - begin).min(self.size), index)
            }
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.count - self.next) as usize;
        (left, Some(left))
    }
}

/// What all segments of one packet share.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one packet")]
#[derive(Clone, Copy, Debug)]
struct Base {
    hasher: SipHasher13,
    identification: Option<u32>,
    has_payload: bool,
    /// The length of an echo's whole packet is not told by its first fragment.
    has_len: bool,
    may_vanish: bool,
    /// Whether its payload is counted already: the first fragment of a UDP datagram tells the length of all of it.
    is_told: bool,
}

impl Base {
    fn of(packet: &Packet<'_>, key: &HashKey) -> Self {
        let mut hasher = SipHasher13::new_with_key(&key.0);
        hasher.write_u8(packet.flow.protocol.0);
        let later = packet.ip.fragment.filter(|fragment| !fragment.is_first());
        if let Some(fragment) = later {
            hasher.write_u16(fragment.offset);
            hasher.write_u8(u8::from(fragment.more));
        }
        let (mut has_payload, mut has_len) = (later.is_none(), true);
        match packet.transport {
            Transport::Echo { reply, sequence } => {
                hasher.write_u8(u8::from(reply));
                hasher.write_u16(sequence);
                has_len = false;
            }
            Transport::Icmp { kind, code, .. } => {
                hasher.write(&[kind, code]);
                has_payload = false;
            }
            Transport::Tcp(_) | Transport::Sctp(_) | Transport::Udp | Transport::Other => {}
        }
        let identification = packet.ip.identification.filter(|id| *id >= UDP_SEGMENTS || !is_udp(packet));
        let is_told = later.is_some() && packet.flow.protocol == Protocol::UDP;
        Self { hasher, identification, has_payload, has_len, may_vanish: later.is_some(), is_told }
    }

    fn write_identification(&self, hasher: &mut SipHasher13, index: u32) {
        if let Some(identification) = self.identification {
            // Only 16 bits count up on the wire (RFC 791); segments of a super-packet exist in IPv4 only with them.
            hasher.write_u32(identification.wrapping_add(index) & if index == 0 { u32::MAX } else { 0xffff });
        }
    }

    fn tcp(&self, tcp: &TcpFacts, packet_len: u32, index: u32, size: u32) -> Segment {
        let begin = index.wrapping_mul(size);
        let is_last = packet_len - begin <= size;
        let payload_len = if is_last { packet_len - begin } else { size };
        let flags = if is_last { tcp.flags } else { tcp.flags.without(TcpFlags::FIN) };
        let sequence = tcp.sequence.wrapping_add(begin);
        let mut hasher = self.hasher;
        hasher.write_u32(payload_len);
        self.write_identification(&mut hasher, index);
        hasher.write_u32(sequence);
        hasher.write_u32(tcp.acknowledgement);
        hasher.write_u8(flags.0);
        if let Some((value, echo)) = tcp.timestamps {
            hasher.write_u32(value);
            hasher.write_u32(echo);
        }
        if let (0, Some((left, right))) = (payload_len, tcp.sack) {
            hasher.write_u32(left);
            hasher.write_u32(right);
        }
        let is_window_zero = tcp.is_window_zero;
        let key = SegmentKey(hasher.finish());
        Segment {
            key,
            sequence,
            acknowledgement: tcp.acknowledgement,
            payload_len,
            flags,
            is_window_zero,
            may_vanish: self.may_vanish,
        }
    }

    fn datagram(&self, payload: &[u8], payload_len: u32, index: u32) -> Segment {
        let mut hasher = self.hasher;
        if self.has_len {
            hasher.write_u32(payload_len);
        }
        self.write_identification(&mut hasher, index);
        if self.has_payload {
            hasher.write(&payload[..payload.len().min(PAYLOAD_BYTES.min(payload_len) as usize)]);
        }
        let payload_len = if self.is_told { 0 } else { payload_len };
        Segment { may_vanish: self.may_vanish, ..Self::plain(hasher, payload_len) }
    }

    fn chunk(&self, facts: SctpFacts, chunk: DataChunk) -> Segment {
        let mut hasher = self.hasher;
        hasher.write_u32(facts.tag);
        hasher.write_u32(chunk.tsn);
        hasher.write_u16(chunk.stream);
        hasher.write_u16(chunk.len);
        Self::plain(hasher, u32::from(chunk.len))
    }

    fn plain(hasher: SipHasher13, payload_len: u32) -> Segment {
        Segment {
            key: SegmentKey(hasher.finish()),
            sequence: 0,
            acknowledgement: 0,
            payload_len,
            flags: TcpFlags::default(),
            is_window_zero: false,
            may_vanish: false,
        }
    }
}

/// A DATA chunk (RFC 9260, section 3.3.1).
#[derive(Clone, Copy, Debug)]
struct DataChunk {
    tsn: u32,
    stream: u16,
    /// Bytes of user data.
    len: u16,
}

/// The DATA chunks whose headers lie within the first bytes of the payload: those are captured at every point.
fn data_chunks<'a>(packet: &'a Packet<'a>) -> impl Iterator<Item = DataChunk> + 'a {
    const DATA: u8 = 0;
    const HEADER: usize = 16;
    let head = &packet.payload[..packet.payload.len().min(PAYLOAD_BYTES as usize)];
    let mut rest = if packet.ip.fragment.is_some() { &[] } else { head };
    std::iter::from_fn(move || {
        loop {
            let [kind, _, len0, len1] = *rest.first_chunk::<4>()?;
            let len = usize::from(u16::from_be_bytes([len0, len1]));
            let chunk = rest;
            // Chunks are padded to four bytes; a length below that of the chunk's own header would never end.
            rest = rest.get(len.max(4).next_multiple_of(4)..).unwrap_or_default();
            if kind != DATA {
                continue;
            }
            let header = chunk.first_chunk::<HEADER>()?;
            return Some(DataChunk {
                tsn: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
                stream: u16::from_be_bytes([header[8], header[9]]),
                len: u16::try_from(len.saturating_sub(HEADER).min(packet.payload_len as usize))
                    .unwrap_or(u16::MAX),
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Endpoint, FlowKey, Port};
    use crate::packet::IpFacts;

    const KEY: HashKey = HashKey([7; 16]);

    fn endpoint(address: &str, port: u16) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), port: Port(port) }
    }

    fn tcp(sequence: u32, payload_len: u32, flags: u8, identification: u32) -> Packet<'static> {
        Packet {
            tunnels: Vec::new(),
            flow: FlowKey {
                protocol: Protocol::TCP,
                source: endpoint("10.0.0.1", 4000),
                destination: endpoint("10.0.0.2", 80),
            },
            ip: IpFacts { identification: Some(identification), ttl: 64, fragment: None },
            transport: Transport::Tcp(TcpFacts {
                sequence,
                acknowledgement: 9,
                flags: TcpFlags(flags),
                timestamps: Some((1, 2)),
                ..TcpFacts::default()
            }),
            payload_len,
            is_header_cut: false,
            payload: &[],
        }
    }

    fn keys(packet: &Packet<'_>, gso: Option<u16>) -> Vec<SegmentKey> {
        let gso = gso.map(|size| Gso { size, segments: 0 });
        segments(packet, gso, &KEY).map(|segment| segment.key).collect()
    }

    #[test]
    fn a_super_packet_is_its_wire_segments() {
        let whole = tcp(u32::MAX - 100, 2500, TcpFlags::ACK | TcpFlags::FIN, 65535);
        let expanded = keys(&whole, Some(1000));
        let split = [
            keys(&tcp(u32::MAX - 100, 1000, TcpFlags::ACK, 65535), None),
            keys(&tcp(899, 1000, TcpFlags::ACK, 0), None),
            keys(&tcp(1899, 500, TcpFlags::ACK | TcpFlags::FIN, 1), None),
        ];
        assert_eq!(expanded, split.concat());
    }

    #[test]
    fn nat_and_ttl_leave_the_key_alone() {
        let before = tcp(5, 10, TcpFlags::ACK, 3);
        let mut after = before.clone();
        after.flow.source = endpoint("10.9.9.9", 1);
        after.flow.destination = endpoint("fd00::1", 2);
        after.ip.ttl = 1;
        assert_eq!(keys(&before, None), keys(&after, None));
    }

    #[test]
    fn what_differs_between_packets_changes_the_key() {
        let one = keys(&tcp(5, 10, TcpFlags::ACK, 3), None);
        for other in [
            tcp(6, 10, TcpFlags::ACK, 3),
            tcp(5, 11, TcpFlags::ACK, 3),
            tcp(5, 10, TcpFlags::ACK | TcpFlags::FIN, 3),
            tcp(5, 10, TcpFlags::ACK, 4),
        ] {
            assert_ne!(one, keys(&other, None));
        }
    }

    #[test]
    fn a_crafted_segment_size_is_bounded() {
        assert_eq!(keys(&tcp(0, 65_000, TcpFlags::ACK, 0), Some(1)).len(), 1024);
    }
}
