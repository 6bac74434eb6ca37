//! Header fields by where they lie, for expressions that name bytes (`payload`).

use tracer_core::evidence::Field;

/// What an offset counts from (`enum nft_payload_bases`), the network header by its family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Base {
    /// Link layer.
    Link,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Network header of a family that is not known there.
    Network,
    /// Transport.
    Transport,
    /// Something else.
    Other,
}

/// A field of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HeaderField {
    /// Source address.
    Source,
    /// Destination address.
    Destination,
    /// Protocol, next header.
    Protocol,
    /// Time to live, hop limit.
    Ttl,
    /// Total length of IPv4, payload length of IPv6.
    Length,
    /// Source port.
    SourcePort,
    /// Destination port.
    DestinationPort,
    /// TCP's flags.
    TcpFlags,
    /// ICMP type.
    IcmpType,
    /// ICMP code.
    IcmpCode,
    /// Something else.
    Other,
}

/// Fields of IPv4 (RFC 791), with offset and length in bytes.
const IPV4: [(u32, u32, HeaderField); 5] = [
    (2, 2, HeaderField::Length),
    (8, 1, HeaderField::Ttl),
    (9, 1, HeaderField::Protocol),
    (12, 4, HeaderField::Source),
    (16, 4, HeaderField::Destination),
];
/// Fields of IPv6 (RFC 8200).
const IPV6: [(u32, u32, HeaderField); 5] = [
    (4, 2, HeaderField::Length),
    (6, 1, HeaderField::Protocol),
    (7, 1, HeaderField::Ttl),
    (8, 16, HeaderField::Source),
    (24, 16, HeaderField::Destination),
];
/// Fields of TCP, UDP and SCTP (RFC 9293, RFC 768, RFC 9260).
const TRANSPORT: [(u32, u32, HeaderField); 3] =
    [(0, 2, HeaderField::SourcePort), (2, 2, HeaderField::DestinationPort), (13, 1, HeaderField::TcpFlags)];
/// Fields of ICMP (RFC 792, RFC 4443).
const ICMP: [(u32, u32, HeaderField); 2] = [(0, 1, HeaderField::IcmpType), (1, 1, HeaderField::IcmpCode)];

impl Base {
    /// Fields that may be at this base; `is_icmp` tells what transport means.
    pub(super) fn fields(self, is_icmp: bool) -> &'static [(u32, u32, HeaderField)] {
        match self {
            Self::Ipv4 => &IPV4,
            Self::Ipv6 => &IPV6,
            Self::Transport if is_icmp => &ICMP,
            Self::Transport => &TRANSPORT,
            Self::Link | Self::Network | Self::Other => &[],
        }
    }

    /// `nft`'s raw payload expression, in bits.
    pub(super) fn words(self, offset: u32, length: u32) -> String {
        let base = match self {
            Self::Link => "ll",
            Self::Ipv4 | Self::Ipv6 | Self::Network => "nh",
            Self::Transport => "th",
            Self::Other => "ih",
        };
        format!("@{base},{},{}", offset.saturating_mul(8), length.saturating_mul(8))
    }
}

impl HeaderField {
    /// The field that exactly those bytes are. A single byte at the start of the transport header can only be ICMP's.
    pub(super) fn whole(base: Base, offset: u32, length: u32) -> Self {
        let is_icmp = base == Base::Transport && length == 1 && offset < 2;
        base.fields(is_icmp)
            .iter()
            .find(|(at, bytes, _)| (*at, *bytes) == (offset, length))
            .map_or(Self::Other, |(.., field)| *field)
    }

    /// The field of a set.
    pub(super) fn field(self) -> Option<Field> {
        Some(match self {
            Self::Source => Field::Source,
            Self::Destination => Field::Destination,
            Self::Protocol => Field::Protocol,
            Self::SourcePort => Field::SourcePort,
            Self::DestinationPort => Field::DestinationPort,
            Self::Ttl | Self::Length | Self::TcpFlags | Self::IcmpType | Self::IcmpCode | Self::Other => {
                return None;
            }
        })
    }
}
