//! One packet.

use tracer_core::capture::LinkLayer;
use tracer_core::identity::{HashKey, segments};
use tracer_core::packet::{Decoder, Packet, Transport};
use tracer_core::units::Gso;

/// Encapsulations that are followed, and wire segments of one super-packet, at most.
const TUNNELS: usize = 3;
const SEGMENTS: usize = 1024;

/// A packet as its bytes tell it: what surrounds it first, then what was captured.
pub struct Captured<'a> {
    /// Whether the interface has no link layer.
    pub is_bare: bool,
    /// Bytes that were not captured.
    pub missing: u16,
    /// `gso_size`; 0 where it is one wire segment.
    pub gso_size: u16,
    /// What was captured.
    pub bytes: &'a [u8],
}

impl<'a> Captured<'a> {
    /// Absent where there are too few bytes.
    pub fn parse(data: &'a [u8]) -> Option<Self> {
        let ([flags, a, b, c, d], bytes) = data.split_first_chunk::<5>()?;
        Some(Self {
            is_bare: flags & 1 == 1,
            missing: u16::from_le_bytes([*a, *b]),
            gso_size: u16::from_le_bytes([*c, *d]),
            bytes,
        })
    }

    /// The reverse.
    pub fn to_bytes(&self) -> Vec<u8> {
        let ([a, b], [c, d]) = (self.missing.to_le_bytes(), self.gso_size.to_le_bytes());
        [&[u8::from(self.is_bare), a, b, c, d], self.bytes].concat()
    }
}

/// Decodes a packet; it claims nothing that its bytes do not hold.
pub fn decode(data: &[u8]) {
    let Some(captured) = Captured::parse(data) else { return };
    let link = if captured.is_bare { LinkLayer::SyntheticEthernet } else { LinkLayer::Ethernet };
    let Ok(len) = u32::try_from(captured.bytes.len()) else { return };
    let original_len = len + u32::from(captured.missing);
    let Ok(packet) = Decoder::default().decode(link, captured.bytes, original_len) else { return };
    assert!(packet.tunnels.len() <= TUNNELS, "more tunnels than are followed");
    assert!(packet.payload.len() <= captured.bytes.len(), "more payload than bytes");
    // The first fragment of a datagram tells how long the whole was.
    if packet.ip.fragment.is_none() {
        assert!(packet.payload_len <= original_len, "more payload than the packet had");
    }
    expand(&packet, captured.gso_size);
}

/// The wire segments of a packet carry no more than its payload; those of TCP carry all of it.
fn expand(packet: &Packet<'_>, size: u16) {
    let gso = (size > 0).then_some(Gso { size, segments: 0 });
    let segments: Vec<_> = segments(packet, gso, &HashKey([7; 16])).collect();
    assert!(segments.len() <= SEGMENTS, "{} segments", segments.len());
    let carried: u64 = segments.iter().map(|segment| u64::from(segment.payload_len)).sum();
    assert!(carried <= u64::from(packet.payload_len), "more payload in segments than in their packet");
    if matches!(packet.transport, Transport::Tcp(_)) && segments.len() < SEGMENTS {
        assert_eq!(carried, u64::from(packet.payload_len), "payload of all segments");
    }
}
