//! Flow keys: who talks to whom, by which protocol.

use std::fmt;
use std::net::IpAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// IP protocol number (IANA "Assigned Internet Protocol Numbers").
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP (RFC 792).
    pub const ICMP: Self = Self(1);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// SCTP (RFC 9260).
    pub const SCTP: Self = Self(132);

    /// The protocol that Kubernetes writes as `TCP`, `UDP` or `SCTP`, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "TCP" => Some(Self::TCP),
            "UDP" => Some(Self::UDP),
            "SCTP" => Some(Self::SCTP),
            "ICMP" => Some(Self::ICMP),
            "ICMPV6" => Some(Self::ICMPV6),
            _ => None,
        }
    }

    /// Whether its header begins with a source and a destination port.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }

    /// What an ICMP or ICMPv6 error says (RFC 792, RFC 1812, RFC 4443).
    pub fn icmp_meaning(self, kind: u8, code: u8) -> String {
        let words = match (self, kind, code) {
            (Self::ICMP, 3, 0) => "network unreachable",
            (Self::ICMP, 3, 1) | (Self::ICMPV6, 1, 3) => "host unreachable",
            (Self::ICMP, 3, 2) => "protocol unreachable",
            (Self::ICMP, 3, 3) | (Self::ICMPV6, 1, 4) => "port unreachable",
            (Self::ICMP, 3, 4) => "fragmentation needed",
            (Self::ICMP, 3, 9 | 10 | 13) | (Self::ICMPV6, 1, 1) => "administratively prohibited",
            (Self::ICMP, 5, _) => "redirect",
            (Self::ICMP, 11, 0) | (Self::ICMPV6, 3, 0) => "time to live exceeded in transit",
            (Self::ICMP, 11, 1) | (Self::ICMPV6, 3, 1) => "fragment reassembly time exceeded",
            (Self::ICMPV6, 1, 0) => "no route to destination",
            (Self::ICMPV6, 1, 5 | 6) => "source address rejected",
            (Self::ICMPV6, 2, _) => "packet too big",
            (Self::ICMP, 12, _) | (Self::ICMPV6, 4, _) => "parameter problem",
            _ => return format!("type {kind} code {code}"),
        };
        words.to_owned()
    }

    /// Whether it is one of the two ICMPs.
    pub fn is_icmp(self) -> bool {
        matches!(self, Self::ICMP | Self::ICMPV6)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ICMP => f.pad("ICMP"),
            Self::TCP => f.pad("TCP"),
            Self::UDP => f.pad("UDP"),
            Self::ICMPV6 => f.pad("ICMPv6"),
            Self::SCTP => f.pad("SCTP"),
            Self(number) => f.pad(&format!("proto-{number}")),
        }
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let number = || name.strip_prefix("proto-")?.parse().ok().map(Self);
        Self::from_name(&name).or_else(number).ok_or_else(|| D::Error::custom(format!("no protocol: {name}")))
    }
}

/// A transport port, or the identifier of an ICMP echo; 0 where the protocol has neither.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Port(pub u16);

/// One end of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Port, or ICMP echo identifier.
    pub port: Port,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.port.0) {
            (address, 0) => write!(f, "{address}"),
            (IpAddr::V4(address), port) => write!(f, "{address}:{port}"),
            (IpAddr::V6(address), port) => write!(f, "[{address}]:{port}"),
        }
    }
}

/// Five-tuple of one direction of a flow, of the innermost packet.
///
/// An ICMP echo has its identifier at both ends, so that the reply is the reverse of the request.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct FlowKey {
    /// IP protocol.
    pub protocol: Protocol,
    /// Sender.
    pub source: Endpoint,
    /// Receiver.
    pub destination: Endpoint,
}

impl FlowKey {
    /// Whether it has ports, or the id of an echo: a later fragment has none.
    pub fn has_ports(&self) -> bool {
        self.source.port.0 != 0 || self.destination.port.0 != 0
    }

    /// Sender and receiver.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        (self.source.address, self.destination.address)
    }

    /// The other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source, ..self }
    }
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol.is_icmp() {
            write!(f, "{} -> {}", self.source.address, self.destination.address)?;
            if self.source.port.0 != 0 {
                write!(f, " id {}", self.source.port.0)?;
            }
            return Ok(());
        }
        write!(f, "{} -> {}", self.source, self.destination)
    }
}
