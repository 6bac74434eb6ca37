//! Captured bytes as layers: tunnels outside, one flow inside.

pub(crate) mod checksum;
mod decode;
pub mod dns;
mod fragments;
pub mod segment;
mod transport;

use std::fmt;
use std::net::IpAddr;

pub use decode::{DecodeError, Decoder};
pub use fragments::Fragments;
use serde::Serialize;

use crate::flow::FlowKey;

/// What a captured packet says, from the outermost header to the innermost payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    /// Encapsulations, outermost first.
    pub tunnels: Vec<Tunnel>,
    /// Five-tuple of the innermost packet.
    pub flow: FlowKey,
    /// Facts of the innermost IP header.
    pub ip: IpFacts,
    /// Facts of the innermost transport header.
    pub transport: Transport,
    /// Bytes of transport payload that the packet had, whether captured or not; of the first fragment of a UDP
    /// datagram those of the datagram.
    pub payload_len: u32,
    /// Whether the snap length cut off TCP options that tell packets apart.
    pub is_header_cut: bool,
    /// The captured part of the transport payload.
    pub payload: &'a [u8],
}

/// One encapsulation around a packet.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Tunnel {
    /// Protocol of the encapsulation.
    #[serde(flatten)]
    pub kind: TunnelKind,
    /// Address of the end that encapsulated.
    pub source: IpAddr,
    /// Address of the end that decapsulates.
    pub destination: IpAddr,
}

/// Encapsulations that are recognised.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TunnelKind {
    /// IPv4 in IPv4 or IPv6 (RFC 2003, RFC 2473).
    Ipip,
    /// IPv6 in IPv4 or IPv6 (RFC 4213, RFC 2473).
    Ip6,
    /// GRE (RFC 2784).
    Gre,
    /// VXLAN (RFC 7348).
    Vxlan {
        /// Network identifier, 24 bits.
        vni: u32,
    },
    /// Geneve (RFC 8926).
    Geneve {
        /// Network identifier, 24 bits.
        vni: u32,
    },
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipip => f.write_str("IPIP"),
            Self::Ip6 => f.write_str("IPv6-in-IP"),
            Self::Gre => f.write_str("GRE"),
            Self::Vxlan { vni } => write!(f, "VXLAN {vni}"),
            Self::Geneve { vni } => write!(f, "Geneve {vni}"),
        }
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.kind, self.source, self.destination)
    }
}

/// What the innermost IP header tells about one packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpFacts {
    /// Identification; absent in IPv6 without a fragment header.
    pub identification: Option<u32>,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Offset in bytes and the more-fragments flag; absent in a packet that is no fragment.
    pub fragment: Option<Fragment>,
}

/// A fragment's place in its packet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Fragment {
    /// Offset of its first payload byte.
    pub offset: u16,
    /// Whether others follow.
    pub more: bool,
}

impl Fragment {
    /// Whether it holds the transport header.
    pub fn is_first(self) -> bool {
        self.offset == 0
    }
}

/// What the innermost transport header tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// TCP.
    Tcp(TcpFacts),
    /// UDP.
    Udp,
    /// ICMP or ICMPv6 echo.
    Echo {
        /// Whether it is the answer.
        reply: bool,
        /// Sequence number.
        sequence: u16,
    },
    /// Another ICMP or ICMPv6 message.
    Icmp {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
        /// The packet that an error quotes.
        quoted: Option<Quote>,
    },
    /// SCTP; its chunks are the payload.
    Sctp(SctpFacts),
    /// Another protocol, or a fragment that is not the first.
    Other,
}

/// What a TCP header tells (RFC 9293, RFC 7323, RFC 2018).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpFacts {
    /// Sequence number of the first payload byte.
    pub sequence: u32,
    /// Acknowledgement number; 0 without the ACK flag.
    pub acknowledgement: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Timestamp value and echo reply.
    pub timestamps: Option<(u32, u32)>,
    /// First block of a selective acknowledgement: the one that changed last.
    pub sack: Option<(u32, u32)>,
    /// Whether the receive window is closed.
    pub is_window_zero: bool,
    /// Maximum segment size that a SYN announces, in bytes (RFC 9293, section 3.7.1).
    pub mss: Option<u16>,
    /// Bytes of TCP options, which a segment has less payload for.
    pub options_len: u8,
}

/// What an SCTP packet tells (RFC 9260).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SctpFacts {
    /// Verification tag.
    pub tag: u32,
}

/// The packet that an ICMP error quotes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quote {
    /// Its five-tuple, as it was where the error arose.
    pub flow: FlowKey,
    /// Its IPv4 identification; absent in IPv6.
    pub identification: Option<u32>,
    /// Next-hop MTU in bytes, of "fragmentation needed" (RFC 1191) and "packet too big" (RFC 4443).
    pub mtu: Option<u32>,
}

/// The TCP flags that stay on one known segment through segmentation and coalescing, by their bits in the header.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// ACK.
    pub const ACK: u8 = 0x10;

    /// Whether one of these bits is set.
    pub fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// These flags less some bits.
    #[must_use]
    pub fn without(self, bits: u8) -> Self {
        Self(self.0 & !bits)
    }

    /// A request to open a connection: SYN without ACK.
    pub fn is_open(self) -> bool {
        self.any(Self::SYN) && !self.any(Self::ACK)
    }
}
