//! The innermost transport header.

use etherparse::icmpv4::{TYPE_ECHO_REPLY, TYPE_ECHO_REQUEST};
use etherparse::{LaxIpSlice, TcpHeaderSlice, TcpOptionElement, icmpv6};

use super::{TcpFacts, TcpFlags, Transport};
use crate::flow::{Endpoint, FlowKey, Port, Protocol};

const ICMP_HEADER: usize = 8;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;
const TCP_HEADER_MAX: usize = 60;
/// ICMP errors that quote a packet (RFC 792): unreachable, source quench, redirect, time exceeded, parameter.
const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
/// ICMPv6 errors have the top bit clear (RFC 4443, section 2.1).
const ICMPV6_INFORMATIONAL: u8 = 0x80;

/// A decoded transport header: ports or ids, facts and the header's length.
pub(super) struct Header {
    pub(super) source: Port,
    pub(super) destination: Port,
    pub(super) transport: Transport,
    /// Bytes up to the payload, by the header itself.
    pub(super) len: usize,
}

impl Header {
    const NONE: Self = Self { source: Port(0), destination: Port(0), transport: Transport::Other, len: 0 };
}

/// Decodes what is captured of a transport header; absent where too little of it is.
pub(super) fn decode(protocol: Protocol, bytes: &[u8]) -> Option<Header> {
    match protocol {
        Protocol::TCP => tcp(bytes),
        Protocol::UDP => {
            let (source, destination) = ports(bytes)?;
            (bytes.len() >= UDP_HEADER).then_some(Header {
                source,
                destination,
                transport: Transport::Udp,
                len: UDP_HEADER,
            })
        }
        Protocol::ICMP | Protocol::ICMPV6 => icmp(protocol, bytes),
        Protocol::SCTP => {
            let (source, destination) = ports(bytes)?;
            Some(Header { source, destination, ..Header::NONE })
        }
        _ => Some(Header::NONE),
    }
}

/// The first four bytes of TCP, UDP and SCTP.
pub(super) fn ports(bytes: &[u8]) -> Option<(Port, Port)> {
    let [a, b, c, d] = *bytes.first_chunk::<4>()?;
    Some((Port(u16::from_be_bytes([a, b])), Port(u16::from_be_bytes([c, d]))))
}

fn tcp(bytes: &[u8]) -> Option<Header> {
    if bytes.len() < TCP_HEADER {
        return None;
    }
    // Options that the snap length cut off read as zeros, which is "end of options".
    let mut whole = [0; TCP_HEADER_MAX];
    let captured = bytes.len().min(TCP_HEADER_MAX);
    whole[..captured].copy_from_slice(&bytes[..captured]);
    let header = TcpHeaderSlice::from_slice(&whole).ok()?;
    let bits = [
        (header.fin(), TcpFlags::FIN),
        (header.syn(), TcpFlags::SYN),
        (header.rst(), TcpFlags::RST),
        (header.ack(), TcpFlags::ACK),
    ];
    let flags = TcpFlags(bits.into_iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
    let mut facts = TcpFacts {
        sequence: header.sequence_number(),
        acknowledgement: if header.ack() { header.acknowledgment_number() } else { 0 },
        flags,
        timestamps: None,
        sack: None,
    };
    for option in header.options_iterator().map_while(Result::ok) {
        match option {
            TcpOptionElement::Timestamp(value, echo) => facts.timestamps = Some((value, echo)),
            TcpOptionElement::SelectiveAcknowledgement(first, _) => facts.sack = Some(first),
            _ => {}
        }
    }
    Some(Header {
        source: Port(header.source_port()),
        destination: Port(header.destination_port()),
        transport: Transport::Tcp(facts),
        len: header.slice().len(),
    })
}

fn icmp(protocol: Protocol, bytes: &[u8]) -> Option<Header> {
    let [kind, code, _, _, id0, id1, sequence0, sequence1] = *bytes.first_chunk::<ICMP_HEADER>()?;
    let (request, reply, is_error) = if protocol == Protocol::ICMP {
        (TYPE_ECHO_REQUEST, TYPE_ECHO_REPLY, ICMP_ERRORS.contains(&kind))
    } else {
        (icmpv6::TYPE_ECHO_REQUEST, icmpv6::TYPE_ECHO_REPLY, kind & ICMPV6_INFORMATIONAL == 0)
    };
    if kind == request || kind == reply {
        let id = Port(u16::from_be_bytes([id0, id1]));
        let sequence = u16::from_be_bytes([sequence0, sequence1]);
        let transport = Transport::Echo { reply: kind == reply, sequence };
        return Some(Header { source: id, destination: id, transport, len: ICMP_HEADER });
    }
    let quoted = if is_error { quoted_flow(&bytes[ICMP_HEADER..]) } else { None };
    Some(Header { transport: Transport::Icmp { kind, code, quoted }, len: ICMP_HEADER, ..Header::NONE })
}

/// The flow of the packet that an ICMP error quotes; at least its first eight bytes are there (RFC 792).
fn quoted_flow(bytes: &[u8]) -> Option<FlowKey> {
    let (ip, _) = LaxIpSlice::from_slice(bytes).ok()?;
    let protocol = Protocol(ip.payload_ip_number().0);
    let payload = ip.payload().payload;
    let (source, destination) = if protocol.has_ports() {
        ports(payload)?
    } else {
        decode(protocol, payload).map_or((Port(0), Port(0)), |header| (header.source, header.destination))
    };
    Some(FlowKey {
        protocol,
        source: Endpoint { address: ip.source_addr(), port: source },
        destination: Endpoint { address: ip.destination_addr(), port: destination },
    })
}
