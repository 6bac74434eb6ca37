//! A sighting to the bytes of a frame. Checksums are 0: nothing reads them.

use std::net::IpAddr;

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6Header, TcpHeader, TcpOptionElement, UdpHeader};

use super::packet::{PacketSpec, TcpSpec, TransportSpec};
use super::sight::{Ends, Outer, OuterKind, Sight};

/// Destination and source of every frame.
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_BRIDGING: u16 = 0x6558;
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;
const GRE: IpNumber = IpNumber(47);
/// Time to live of outer headers.
const OUTER_TTL: u8 = 64;
/// Bytes of a packet that Linux quotes at most in an ICMP error (`icmp_send`: 576 in all).
const QUOTED: usize = 548;

impl Sight {
    /// The whole frame.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut packet = packet(&self.packet, &self.ends, self.ttl, self.quotes.as_ref());
        for outer in self.tunnels.iter().rev() {
            packet = encapsulated(outer, packet);
        }
        ethernet(packet)
    }
}

/// A frame that is no IP packet, as every Ethernet has some of.
pub(super) fn arp() -> Vec<u8> {
    let mut frame = MACS.to_vec();
    frame.extend(ETHERTYPE_ARP.to_be_bytes());
    frame.resize(42, 0);
    frame
}

fn packet(spec: &PacketSpec, ends: &Ends, ttl: u8, quotes: Option<&Ends>) -> Vec<u8> {
    let addresses = (ends.source.ip(), ends.destination.ip());
    let is_v6 = ends.source.is_ipv6();
    let counted = || (spec.seed..).map(|byte| byte.to_le_bytes()[0]).take(spec.payload_len).collect();
    let mut data: Vec<u8> = spec.message.clone().unwrap_or_else(counted);
    let (protocol, header) = match &spec.transport {
        TransportSpec::Tcp(tcp) => (IpNumber::TCP, tcp_header(tcp, ends)),
        TransportSpec::Udp { whole } => {
            let len = whole.unwrap_or(data.len());
            (IpNumber::UDP, udp_header(ends.source.port(), ends.destination.port(), len))
        }
        TransportSpec::Echo { is_reply, sequence } => echo(is_v6, *is_reply, ends.source.port(), *sequence),
        TransportSpec::Sctp { tag, tsn, stream } => {
            let header = sctp_header(ends, *tag, *tsn, *stream, data.len());
            (IpNumber::SCTP, header)
        }
        TransportSpec::Error { kind, code, mtu, quoted } => {
            data = packet(quoted, quotes.expect("an error quotes a packet"), ttl, None);
            data.truncate(QUOTED);
            (if is_v6 { IpNumber::IPV6_ICMP } else { IpNumber::ICMP }, error(*kind, *code, *mtu))
        }
    };
    let is_later = spec.fragment.is_some_and(|(offset, _)| offset > 0);
    let payload = if is_later { data } else { [header, data].concat() };
    let ip = Ip { protocol, ttl, identification: spec.identification, fragment: spec.fragment };
    ip.around(addresses, &payload)
}

/// What an IP header says besides the addresses.
struct Ip {
    protocol: IpNumber,
    ttl: u8,
    identification: u16,
    fragment: Option<(u16, bool)>,
}

impl Ip {
    fn around(&self, addresses: (IpAddr, IpAddr), payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap();
        let mut bytes = match addresses {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (offset, more) = self.fragment.unwrap_or_default();
                let mut header =
                    Ipv4Header::new(len, self.ttl, self.protocol, source.octets(), destination.octets())
                        .unwrap();
                header.identification = self.identification;
                header.dont_fragment = self.fragment.is_none();
                header.more_fragments = more;
                header.fragment_offset = IpFragOffset::try_new(offset / 8).unwrap();
                header.to_bytes().to_vec()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                assert_eq!(self.fragment, None, "fragments are IPv4");
                let header = Ipv6Header {
                    payload_length: len,
                    next_header: self.protocol,
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                    ..Ipv6Header::default()
                };
                header.to_bytes().to_vec()
            }
            other => panic!("addresses of two families: {other:?}"),
        };
        bytes.extend(payload);
        bytes
    }
}

fn ethernet(packet: Vec<u8>) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 6 { ETHERTYPE_IPV6 } else { ETHERTYPE_IPV4 };
    [MACS.to_vec(), ethertype.to_be_bytes().to_vec(), packet].concat()
}

fn encapsulated(outer: &Outer, packet: Vec<u8>) -> Vec<u8> {
    let (protocol, payload) = match outer.kind {
        OuterKind::Ipip if packet[0] >> 4 == 6 => (IpNumber::IPV6, packet),
        OuterKind::Ipip => (IpNumber::IPV4, packet),
        OuterKind::Gre => {
            let frame = ethernet(packet);
            // The ethertype as it stands before the packet.
            (GRE, [&[0, 0], &frame[MACS.len()..]].concat())
        }
        OuterKind::Vxlan(vni) => {
            let header = [&[8, 0, 0, 0], (vni << 8).to_be_bytes().as_slice()].concat();
            (IpNumber::UDP, in_udp(VXLAN_PORT, header, packet))
        }
        OuterKind::Geneve(vni) => {
            let bridging = ETHERTYPE_BRIDGING.to_be_bytes();
            let header = [&[0, 0], bridging.as_slice(), (vni << 8).to_be_bytes().as_slice()].concat();
            (IpNumber::UDP, in_udp(GENEVE_PORT, header, packet))
        }
    };
    let ip = Ip { protocol, ttl: OUTER_TTL, identification: 0, fragment: None };
    ip.around((outer.source, outer.destination), &payload)
}

fn in_udp(port: u16, header: Vec<u8>, packet: Vec<u8>) -> Vec<u8> {
    let inside = [header, ethernet(packet)].concat();
    [udp_header(50_000, port, inside.len()), inside].concat()
}

fn udp_header(source_port: u16, destination_port: u16, payload_len: usize) -> Vec<u8> {
    let length = u16::try_from(UdpHeader::LEN + payload_len).unwrap();
    UdpHeader { source_port, destination_port, length, checksum: 0 }.to_bytes().to_vec()
}

fn tcp_header(spec: &TcpSpec, ends: &Ends) -> Vec<u8> {
    let (source, destination) = (ends.source.port(), ends.destination.port());
    let mut header = TcpHeader::new(source, destination, spec.sequence, spec.window);
    header.syn = spec.flags.contains('S');
    header.ack = spec.flags.contains('A');
    header.fin = spec.flags.contains('F');
    header.rst = spec.flags.contains('R');
    header.acknowledgment_number = spec.acknowledgement;
    let mut options = Vec::new();
    options.extend(spec.mss.map(TcpOptionElement::MaximumSegmentSize));
    options.extend(spec.timestamps.map(|(value, echo)| TcpOptionElement::Timestamp(value, echo)));
    options.extend(spec.sack.map(|first| TcpOptionElement::SelectiveAcknowledgement(first, [None; 3])));
    header.set_options(&options).unwrap();
    header.to_bytes().to_vec()
}

/// RFC 792 and RFC 4443, section 4.
fn echo(is_v6: bool, is_reply: bool, id: u16, sequence: u16) -> (IpNumber, Vec<u8>) {
    let (protocol, kind) = match (is_v6, is_reply) {
        (false, false) => (IpNumber::ICMP, 8),
        (false, true) => (IpNumber::ICMP, 0),
        (true, false) => (IpNumber::IPV6_ICMP, 128),
        (true, true) => (IpNumber::IPV6_ICMP, 129),
    };
    (protocol, [&[kind, 0, 0, 0], id.to_be_bytes().as_slice(), sequence.to_be_bytes().as_slice()].concat())
}

/// The second word holds the next-hop MTU: 16 bits at its end in ICMP, 32 in ICMPv6.
fn error(kind: u8, code: u8, mtu: u32) -> Vec<u8> {
    [&[kind, code, 0, 0], mtu.to_be_bytes().as_slice()].concat()
}

/// Common header and the header of a DATA or INIT chunk (RFC 9260, section 3).
fn sctp_header(ends: &Ends, tag: u32, tsn: Option<u32>, stream: u16, payload_len: usize) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(ends.source.port().to_be_bytes());
    header.extend(ends.destination.port().to_be_bytes());
    header.extend(tag.to_be_bytes());
    header.extend([0; 4]);
    let Some(tsn) = tsn else {
        header.extend([1, 0, 0, 20]);
        header.extend([0; 16]);
        return header;
    };
    header.extend([0, 3]);
    header.extend(u16::try_from(16 + payload_len).unwrap().to_be_bytes());
    header.extend(tsn.to_be_bytes());
    header.extend(stream.to_be_bytes());
    header.extend([0; 6]);
    header
}
