//! From the link layer inwards through tunnels.

use std::net::IpAddr;

use etherparse::LaxIpSlice;
use thiserror::Error;

use super::transport::{self, ports};
use super::{Fragment, IpFacts, Packet, Tunnel, TunnelKind};
use crate::capture::LinkLayer;
use crate::flow::{Endpoint, FlowKey, Port, Protocol};

/// Encapsulations that are followed: one more would make a crafted packet expensive.
const MAX_TUNNELS: usize = 3;
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const ETHERTYPE_VLANS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_TRANSPARENT_BRIDGING: u16 = 0x6558;
const PROTOCOL_IPIP: u8 = 4;
const PROTOCOL_IPV6: u8 = 41;
const PROTOCOL_GRE: u8 = 47;
const UDP_HEADER: usize = 8;
const VXLAN_HEADER: usize = 8;
const GENEVE_HEADER: usize = 8;

/// Why a captured packet yields no flow.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// Fewer bytes were captured than its headers need.
    #[error("too few bytes captured")]
    Truncated,
    /// Neither IPv4 nor IPv6.
    #[error("not an IP packet")]
    NotIp,
    /// A header contradicts itself.
    #[error("malformed IP header")]
    Malformed,
    /// A link type that is not decoded.
    #[error("link type not decoded")]
    LinkType,
}

/// Decodes packets; knows which UDP ports carry tunnels.
#[derive(Clone, Debug)]
pub struct Decoder {
    vxlan: Vec<Port>,
    geneve: Vec<Port>,
}

impl Default for Decoder {
    /// VXLAN on the IANA port and on Linux's old default, Geneve on the IANA port.
    fn default() -> Self {
        Self { vxlan: vec![Port(4789), Port(8472)], geneve: vec![Port(6081)] }
    }
}

/// The bytes that are still to be read, and how long they were on the wire.
#[derive(Clone, Copy)]
struct Rest<'a> {
    bytes: &'a [u8],
    wire_len: usize,
}

impl Rest<'_> {
    fn skip(self, count: usize) -> Result<Self, DecodeError> {
        let bytes = self.bytes.get(count..).ok_or(DecodeError::Truncated)?;
        Ok(Self { bytes, wire_len: self.wire_len.saturating_sub(count) })
    }

    fn array<const N: usize>(self) -> Result<[u8; N], DecodeError> {
        self.bytes.first_chunk::<N>().copied().ok_or(DecodeError::Truncated)
    }
}

impl Decoder {
    /// Adds a UDP port that carries VXLAN.
    #[must_use]
    pub fn with_vxlan_port(mut self, port: Port) -> Self {
        self.vxlan.push(port);
        self
    }

    /// Decodes the captured bytes of a packet that had `original_len` bytes, its link layer included.
    pub fn decode<'a>(
        &self,
        link: LinkLayer,
        bytes: &'a [u8],
        original_len: u32,
    ) -> Result<Packet<'a>, DecodeError> {
        let rest = Rest { bytes, wire_len: (original_len as usize).max(bytes.len()) };
        let mut rest = match link {
            LinkLayer::Ethernet | LinkLayer::SyntheticEthernet => ethernet_payload(rest)?,
            LinkLayer::Other(_) => return Err(DecodeError::LinkType),
        };
        let mut tunnels = Vec::new();
        loop {
            let (layer, payload) = IpLayer::decode(rest)?;
            match self.inside(&layer, payload)? {
                Some((kind, inner)) if tunnels.len() < MAX_TUNNELS => {
                    tunnels.push(Tunnel { kind, source: layer.source, destination: layer.destination });
                    rest = inner;
                }
                _ => return innermost(tunnels, &layer, payload),
            }
        }
    }

    /// The packet inside, where this one is an encapsulation.
    fn inside<'a>(
        &self,
        layer: &IpLayer,
        payload: Rest<'a>,
    ) -> Result<Option<(TunnelKind, Rest<'a>)>, DecodeError> {
        if layer.facts.fragment.is_some_and(|fragment| fragment.offset > 0) {
            return Ok(None);
        }
        match layer.protocol.0 {
            PROTOCOL_IPIP => Ok(Some((TunnelKind::Ipip, payload))),
            PROTOCOL_IPV6 => Ok(Some((TunnelKind::Ip6, payload))),
            PROTOCOL_GRE => gre(payload),
            _ if layer.protocol == Protocol::UDP => self.udp_tunnel(payload),
            _ => Ok(None),
        }
    }

    fn udp_tunnel<'a>(&self, payload: Rest<'a>) -> Result<Option<(TunnelKind, Rest<'a>)>, DecodeError> {
        let Some((_, destination)) = ports(payload.bytes) else { return Err(DecodeError::Truncated) };
        if self.vxlan.contains(&destination) {
            let inner = payload.skip(UDP_HEADER)?;
            let [_, _, _, _, a, b, c, _] = inner.array::<VXLAN_HEADER>()?;
            let vni = u32::from_be_bytes([0, a, b, c]);
            return Ok(Some((TunnelKind::Vxlan { vni }, ethernet_payload(inner.skip(VXLAN_HEADER)?)?)));
        }
        if self.geneve.contains(&destination) {
            let inner = payload.skip(UDP_HEADER)?;
            let [first, _, type0, type1, a, b, c, _] = inner.array::<GENEVE_HEADER>()?;
            let options = usize::from(first & 0x3f) * 4;
            let inner = inner.skip(GENEVE_HEADER + options)?;
            let inner = by_ethertype(u16::from_be_bytes([type0, type1]), inner)?;
            let vni = u32::from_be_bytes([0, a, b, c]);
            return Ok(inner.map(|inner| (TunnelKind::Geneve { vni }, inner)));
        }
        Ok(None)
    }
}

/// GRE version 0 with its optional fields (RFC 2784, RFC 2890).
fn gre(payload: Rest<'_>) -> Result<Option<(TunnelKind, Rest<'_>)>, DecodeError> {
    const CHECKSUM_KEY_SEQUENCE: [u8; 3] = [0x80, 0x20, 0x10];
    let [flags, version, type0, type1] = payload.array::<4>()?;
    if version & 0x07 != 0 {
        return Ok(None);
    }
    let optional = CHECKSUM_KEY_SEQUENCE.iter().filter(|bit| flags & **bit != 0).count() * 4;
    let inner = by_ethertype(u16::from_be_bytes([type0, type1]), payload.skip(4 + optional)?)?;
    Ok(inner.map(|inner| (TunnelKind::Gre, inner)))
}

/// What a tunnel with an ethertype carries: IP, or Ethernet with IP in it.
fn by_ethertype(ethertype: u16, rest: Rest<'_>) -> Result<Option<Rest<'_>>, DecodeError> {
    match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Ok(Some(rest)),
        ETHERTYPE_TRANSPARENT_BRIDGING => ethernet_payload(rest).map(Some),
        _ => Ok(None),
    }
}

/// The IP packet behind an Ethernet header and its VLAN tags.
fn ethernet_payload(frame: Rest<'_>) -> Result<Rest<'_>, DecodeError> {
    let mut ethertype = frame.skip(ETHERNET_HEADER - 2)?;
    loop {
        let kind = u16::from_be_bytes(ethertype.array()?);
        if ETHERTYPE_VLANS.contains(&kind) {
            ethertype = ethertype.skip(VLAN_TAG)?;
        } else if kind == ETHERTYPE_IPV4 || kind == ETHERTYPE_IPV6 {
            return ethertype.skip(2);
        } else {
            return Err(DecodeError::NotIp);
        }
    }
}

/// One IP header with its extensions.
struct IpLayer {
    source: IpAddr,
    destination: IpAddr,
    protocol: Protocol,
    facts: IpFacts,
}

impl IpLayer {
    fn decode(rest: Rest<'_>) -> Result<(Self, Rest<'_>), DecodeError> {
        use etherparse::err::ip::LaxHeaderSliceError as E;
        let (slice, _) = LaxIpSlice::from_slice(rest.bytes).map_err(|error| match error {
            E::Len(_) => DecodeError::Truncated,
            E::Content(_) => DecodeError::Malformed,
        })?;
        let (facts, total_len) = match &slice {
            LaxIpSlice::Ipv4(v4) => {
                let header = v4.header();
                let offset = header.fragments_offset().byte_offset();
                let more = header.more_fragments();
                let facts = IpFacts {
                    identification: Some(u32::from(header.identification())),
                    ttl: header.ttl(),
                    fragment: (more || offset > 0).then_some(Fragment { offset, more }),
                };
                (facts, usize::from(header.total_len()))
            }
            LaxIpSlice::Ipv6(v6) => {
                let (identification, fragment) = ipv6_fragment(v6);
                let facts = IpFacts { identification, ttl: v6.header().hop_limit(), fragment };
                let payload = usize::from(v6.header().payload_length());
                (facts, if payload == 0 { 0 } else { payload + etherparse::Ipv6Header::LEN })
            }
        };
        let layer = Self {
            source: slice.source_addr(),
            destination: slice.destination_addr(),
            protocol: Protocol(slice.payload_ip_number().0),
            facts,
        };
        let payload = slice.payload().payload;
        let headers = payload.as_ptr().addr() - rest.bytes.as_ptr().addr();
        // A length of 0 stands for a super-packet beyond 64 KiB (BIG TCP).
        let wire_len = if total_len == 0 { rest.wire_len } else { total_len.min(rest.wire_len) };
        Ok((layer, Rest { bytes: payload, wire_len: wire_len.saturating_sub(headers) }))
    }
}

/// Identification and place of an IPv6 fragment (RFC 8200, section 4.5).
///
/// The headers are walked here: etherparse 0.21's own iterator reads past the end of extensions that the snap
/// length cut off (`Ipv6RawExtHeaderSlice::from_slice_unchecked`).
fn ipv6_fragment(v6: &etherparse::LaxIpv6Slice<'_>) -> (Option<u32>, Option<Fragment>) {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let mut next = v6.header().next_header().0;
    let mut rest = v6.extensions().slice();
    while let Some([following, len, b, c, d, e, f, g]) = rest.first_chunk::<8>().copied() {
        let bytes = match next {
            FRAGMENT => {
                let field = u16::from_be_bytes([b, c]);
                let (offset, more) = (field & !0b111, field & 1 == 1);
                let identification = u32::from_be_bytes([d, e, f, g]);
                return (Some(identification), (more || offset > 0).then_some(Fragment { offset, more }));
            }
            HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(len) + 1) * 8,
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            _ => break,
        };
        next = following;
        rest = rest.get(bytes..).unwrap_or_default();
    }
    (None, None)
}

fn innermost<'a>(
    tunnels: Vec<Tunnel>,
    layer: &IpLayer,
    payload: Rest<'a>,
) -> Result<Packet<'a>, DecodeError> {
    let later_fragment = layer.facts.fragment.is_some_and(|fragment| fragment.offset > 0);
    // The number 255 is reserved: it has no transport header that could be read.
    let readable = if later_fragment { Protocol(255) } else { layer.protocol };
    let header = transport::decode(readable, payload.bytes).ok_or(DecodeError::Truncated)?;
    let body = payload.bytes.get(header.len..).unwrap_or_default();
    let own_len = payload.wire_len.saturating_sub(header.len);
    // The first fragment stands for its datagram, which is whole at other points.
    let is_first_fragment = layer.facts.fragment.is_some_and(Fragment::is_first);
    let declared = header.payload_len.filter(|_| is_first_fragment);
    let payload_len = declared.unwrap_or_else(|| u32::try_from(own_len).unwrap_or(u32::MAX));
    Ok(Packet {
        tunnels,
        flow: FlowKey {
            protocol: layer.protocol,
            source: Endpoint { address: layer.source, port: header.source },
            destination: Endpoint { address: layer.destination, port: header.destination },
        },
        ip: layer.facts,
        transport: header.transport,
        payload_len,
        is_header_cut: header.is_cut,
        // Beyond the IP length there is only Ethernet padding.
        payload: &body[..body.len().min(own_len)],
    })
}
