//! The innermost transport header.

use etherparse::icmpv4::{TYPE_ECHO_REPLY, TYPE_ECHO_REQUEST};
use etherparse::{LaxIpSlice, TcpHeaderSlice, icmpv6};

use super::{Quote, SctpFacts, TcpFacts, TcpFlags, Transport};
use crate::flow::{Endpoint, FlowKey, Port, Protocol};

const ICMP_HEADER: usize = 8;
const UDP_HEADER: usize = 8;
/// Common header (RFC 9260, section 3.1).
const SCTP_HEADER: usize = 12;
const TCP_HEADER: usize = 20;
const TCP_HEADER_MAX: usize = 60;
/// Kinds of TCP options (IANA "TCP Option Kind Numbers").
const OPTION_MSS: u8 = 2;
const OPTION_SACK: u8 = 5;
const OPTION_TIMESTAMPS: u8 = 8;
/// ICMP errors that quote a packet (RFC 792): unreachable, source quench, redirect, time exceeded, parameter.
const ICMP_ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
const ICMP_UNREACHABLE: u8 = 3;
const ICMP_FRAGMENTATION_NEEDED: u8 = 4;
const ICMPV6_TOO_BIG: u8 = 2;
/// ICMPv6 errors have the top bit clear (RFC 4443, section 2.1).
const ICMPV6_INFORMATIONAL: u8 = 0x80;

/// A decoded transport header: ports or ids, facts and the header's length.
pub(super) struct Header {
    pub(super) source: Port,
    pub(super) destination: Port,
    pub(super) transport: Transport,
    /// Bytes up to the payload, by the header itself.
    pub(super) len: usize,
    /// Payload bytes by the header itself (UDP): those of the whole datagram, in a fragment as well.
    pub(super) payload_len: Option<u32>,
    /// Whether fields that tell packets apart were cut off by the snap length.
    pub(super) is_cut: bool,
}

impl Header {
    const NONE: Self = Self {
        source: Port(0),
        destination: Port(0),
        transport: Transport::Other,
        len: 0,
        payload_len: None,
        is_cut: false,
    };
}

/// Decodes what is captured of a transport header; absent where too little of it is.
pub(super) fn decode(protocol: Protocol, bytes: &[u8]) -> Option<Header> {
    match protocol {
        Protocol::TCP => tcp(bytes),
        Protocol::UDP => {
            let (source, destination) = ports(bytes)?;
            let [_, _, _, _, len0, len1, _, _] = *bytes.first_chunk::<UDP_HEADER>()?;
            let total = u32::from(u16::from_be_bytes([len0, len1]));
            Some(Header {
                source,
                destination,
                transport: Transport::Udp,
                len: UDP_HEADER,
                payload_len: total.checked_sub(8),
                ..Header::NONE
            })
        }
        Protocol::ICMP | Protocol::ICMPV6 => icmp(protocol, bytes),
        Protocol::SCTP => {
            let (source, destination) = ports(bytes)?;
            let [_, _, _, _, a, b, c, d] = *bytes.first_chunk::<8>()?;
            let transport = Transport::Sctp(SctpFacts { tag: u32::from_be_bytes([a, b, c, d]) });
            (bytes.len() >= SCTP_HEADER).then_some(Header {
                source,
                destination,
                transport,
                len: SCTP_HEADER,
                ..Header::NONE
            })
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
        is_window_zero: header.window_size() == 0,
        mss: None,
        options_len: u8::try_from(header.slice().len() - TCP_HEADER).unwrap_or_default(),
    };
    for option in Options(&whole[TCP_HEADER..captured.min(header.slice().len()).max(TCP_HEADER)]) {
        match option {
            (OPTION_MSS, [a, b, ..]) => facts.mss = Some(u16::from_be_bytes([*a, *b])),
            (OPTION_SACK, value) => facts.sack = two_words(value),
            (OPTION_TIMESTAMPS, value) => facts.timestamps = two_words(value),
            _ => {}
        }
    }
    let may_lack = facts.timestamps.is_none() || facts.sack.is_none();
    let is_cut = header.slice().len() > captured && may_lack;
    Some(Header {
        source: Port(header.source_port()),
        destination: Port(header.destination_port()),
        transport: Transport::Tcp(facts),
        len: header.slice().len(),
        is_cut,
        ..Header::NONE
    })
}

fn two_words(bytes: &[u8]) -> Option<(u32, u32)> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    let (second, _) = rest.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*first), u32::from_be_bytes(*second)))
}

/// TCP options (RFC 9293, section 3.1) by kind and value, as far as they were captured: of a selective acknowledgement
/// that was cut the first block still counts.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const END: u8 = 0;
        const NO_OPERATION: u8 = 1;
        while let Some((NO_OPERATION, rest)) = self.0.split_first().map(|(kind, rest)| (*kind, rest)) {
            self.0 = rest;
        }
        let [kind, len] = *self.0.first_chunk::<2>()?;
        let len = usize::from(len);
        if kind == END || len < 2 {
            return None;
        }
        let option = &self.0[..len.min(self.0.len())];
        self.0 = self.0.get(len..).unwrap_or_default();
        Some((kind, &option[2..]))
    }
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
        return Some(Header { source: id, destination: id, transport, len: ICMP_HEADER, ..Header::NONE });
    }
    let mtu = match (protocol, kind, code) {
        (Protocol::ICMP, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED) => {
            Some(u32::from(u16::from_be_bytes([sequence0, sequence1])))
        }
        (Protocol::ICMPV6, ICMPV6_TOO_BIG, _) => Some(u32::from_be_bytes([id0, id1, sequence0, sequence1])),
        _ => None,
    };
    let quoted = if is_error { quote(&bytes[ICMP_HEADER..], mtu) } else { None };
    Some(Header { transport: Transport::Icmp { kind, code, quoted }, len: ICMP_HEADER, ..Header::NONE })
}

/// The packet that an ICMP error quotes; at least its first eight bytes are there (RFC 792).
fn quote(bytes: &[u8], mtu: Option<u32>) -> Option<Quote> {
    let (ip, _) = LaxIpSlice::from_slice(bytes).ok()?;
    let protocol = Protocol(ip.payload_ip_number().0);
    let payload = ip.payload().payload;
    let (source, destination) = if protocol.has_ports() {
        ports(payload)?
    } else {
        decode(protocol, payload).map_or((Port(0), Port(0)), |header| (header.source, header.destination))
    };
    let identification = match &ip {
        LaxIpSlice::Ipv4(v4) => Some(u32::from(v4.header().identification())),
        LaxIpSlice::Ipv6(_) => None,
    };
    let flow = FlowKey {
        protocol,
        source: Endpoint { address: ip.source_addr(), port: source },
        destination: Endpoint { address: ip.destination_addr(), port: destination },
    };
    Some(Quote { flow, identification, mtu })
}
