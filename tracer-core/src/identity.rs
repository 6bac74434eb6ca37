//! How one packet is recognised at two points.
//!
//! A key holds only what NAT, routing and encapsulation leave alone, and is made per wire segment, because
//! offloads split and join packets between two hooks. It never holds addresses, ports, checksums, TTL, window,
//! PSH, mark or hash. The rules, in the order the code tests them:
//!
//! 1. A fragment that is not the first: protocol, identification, offset, more-fragments.
//! 2. TCP: sequence number, length, acknowledgement, timestamps, SYN/FIN/RST/ACK, identification; a pure
//!    acknowledgement also the first SACK block. A super-packet is expanded: segment *i* has sequence number
//!    `seq + i * gso_size`, identification `id + i`, FIN on the last one.
//! 3. ICMP and ICMPv6 echo: request or reply, sequence number, identification, payload; never the id.
//! 4. Other ICMP: type, code, identification, payload length. The quoted packet is left out: NAT rewrites it.
//! 5. UDP and the rest: identification, length, first payload bytes.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use crate::packet::{Packet, TcpFacts, TcpFlags, Transport};
use crate::units::Gso;

/// Payload bytes that enter a key: few enough to be captured behind any supported encapsulation.
const PAYLOAD_BYTES: usize = 32;
/// A bound on the segments of one super-packet: a crafted `gso_size` of 1 must not cost 64 Ki keys.
const MAX_SEGMENTS: u32 = 1024;

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
    /// Transport payload bytes.
    pub payload_len: u32,
    /// TCP flags; none for other protocols.
    pub flags: TcpFlags,
}

/// Expands an observed packet into the wire segments that it stands for.
pub fn segments(packet: &Packet<'_>, gso: Option<Gso>, key: &HashKey) -> Segments {
    let base = Base::of(packet, key);
    let size = gso.map_or(0, |gso| u32::from(gso.size));
    let is_tcp = matches!(packet.transport, Transport::Tcp(_));
    let (count, size) = if is_tcp && size > 0 && packet.payload_len > size {
        (packet.payload_len.div_ceil(size).min(MAX_SEGMENTS), size)
    } else {
        (1, packet.payload_len)
    };
    Segments { base, payload_len: packet.payload_len, size, count, next: 0 }
}

/// Iterator over the wire segments of one observed packet; never empty.
#[derive(Clone, Debug)]
pub struct Segments {
    base: Base,
    payload_len: u32,
    size: u32,
    count: u32,
    next: u32,
}

impl Iterator for Segments {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let index = self.next;
        if index == self.count {
            return None;
        }
        self.next += 1;
        let is_last = self.next == self.count;
        let payload_len = if is_last { self.payload_len - index * self.size } else { self.size };
        Some(self.base.segment(index, self.size, payload_len, is_last))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.count - self.next) as usize;
        (left, Some(left))
    }
}

/// What all segments of one packet share.
#[derive(Clone, Copy, Debug)]
struct Base {
    hasher: SipHasher13,
    identification: Option<u32>,
    tcp: Option<TcpFacts>,
}

impl Base {
    fn of(packet: &Packet<'_>, key: &HashKey) -> Self {
        let mut hasher = SipHasher13::new_with_key(&key.0);
        hasher.write_u8(packet.flow.protocol.0);
        let identification = packet.ip.identification;
        if let Some(fragment) = packet.ip.fragment {
            hasher.write_u16(fragment.offset);
            hasher.write_u8(u8::from(fragment.more));
        }
        match packet.transport {
            Transport::Tcp(tcp) => return Self { hasher, identification, tcp: Some(tcp) },
            Transport::Echo { reply, sequence } => {
                hasher.write_u8(u8::from(reply));
                hasher.write_u16(sequence);
                write_payload(&mut hasher, packet.payload);
            }
            Transport::Icmp { kind, code, .. } => hasher.write(&[kind, code]),
            Transport::Udp | Transport::Other => write_payload(&mut hasher, packet.payload),
        }
        Self { hasher, identification, tcp: None }
    }

    fn segment(&self, index: u32, size: u32, payload_len: u32, is_last: bool) -> Segment {
        let mut hasher = self.hasher;
        hasher.write_u32(payload_len);
        if let Some(identification) = self.identification {
            // Only 16 bits count up on the wire (RFC 791); segments of a super-packet exist in IPv4 only with them.
            hasher.write_u32(identification.wrapping_add(index) & if index == 0 { u32::MAX } else { 0xffff });
        }
        let mut flags = TcpFlags::default();
        if let Some(tcp) = self.tcp {
            flags = if is_last { tcp.flags } else { tcp.flags.without(TcpFlags::FIN) };
            write_tcp(&mut hasher, &tcp, index.wrapping_mul(size), flags, payload_len);
        }
        Segment { key: SegmentKey(hasher.finish()), payload_len, flags }
    }
}

fn write_tcp(hasher: &mut SipHasher13, tcp: &TcpFacts, offset: u32, flags: TcpFlags, payload_len: u32) {
    hasher.write_u32(tcp.sequence.wrapping_add(offset));
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
}

fn write_payload(hasher: &mut SipHasher13, payload: &[u8]) {
    hasher.write(&payload[..payload.len().min(PAYLOAD_BYTES)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Endpoint, FlowKey, Port, Protocol};
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
                sack: None,
            }),
            payload_len,
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
