//! A packet of a script as an Ethernet frame. Its checksums are not filled in: nothing looks at them.

use crate::script::Packet;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const IPIP: u8 = 4;
const GRE: u8 = 47;
const UDP: u8 = 17;
const TCP: u8 = 6;
const ICMP: u8 = 1;
const SCTP: u8 = 132;
/// For experiments (RFC 3692).
const UNKNOWN: u8 = 253;
/// Behind the first packet's payload, and may be fragmented.
const LATER_FRAGMENT: u16 = 0x0010;
const MAY_NOT_FRAGMENT: u16 = 0x4000;

/// The whole frame.
pub(crate) fn bytes(packet: Packet) -> Vec<u8> {
    if packet.kind == 1 {
        return ethernet(IPV6, &ipv6(packet, &tcp(packet)));
    }
    let inner = inner(packet);
    let outer = |protocol: u8, payload: &[u8]| {
        ethernet(IPV4, &ipv4(&Header { source: 1, destination: 2, ..Header::outer(protocol) }, payload))
    };
    match packet.wear >> 5 {
        1 => outer(IPIP, &inner),
        2 => outer(GRE, &[&[0, 0, 8, 0], inner.as_slice()].concat()),
        3 => outer(UDP, &vxlan(&ethernet(IPV4, &inner))),
        4 => {
            let middle = ipv4(&Header { source: 3, destination: 4, ..Header::outer(IPIP) }, &inner);
            outer(UDP, &vxlan(&ethernet(IPV4, &middle)))
        }
        _ => ethernet(IPV4, &inner),
    }
}

fn inner(packet: Packet) -> Vec<u8> {
    let (protocol, payload) = match packet.kind {
        2 => (UDP, udp(packet, &payload(packet))),
        3 => (ICMP, echo(packet)),
        4 => (ICMP, quoting(packet)),
        5 => (UDP, payload(packet)),
        6 => (SCTP, sctp(packet)),
        7 => (UNKNOWN, payload(packet)),
        _ => (TCP, tcp(packet)),
    };
    let place = if packet.kind == 5 { LATER_FRAGMENT } else { MAY_NOT_FRAGMENT };
    let (source, destination) = ends(packet);
    let header =
        Header { source, destination, place, identification: packet.number, ttl: packet.ttl, protocol };
    ipv4(&header, &payload)
}

/// Numbers of source and destination.
fn ends(packet: Packet) -> (u8, u8) {
    let (source, destination) = (10 + (packet.wear & 3), 20 + (packet.wear >> 2 & 3));
    if packet.wear & 0x10 == 0 { (source, destination) } else { (destination, source) }
}

struct Header {
    source: u8,
    destination: u8,
    place: u16,
    identification: u8,
    ttl: u8,
    protocol: u8,
}

impl Header {
    fn outer(protocol: u8) -> Self {
        Self { source: 0, destination: 0, place: MAY_NOT_FRAGMENT, identification: 0, ttl: 64, protocol }
    }
}

fn ipv4(header: &Header, payload: &[u8]) -> Vec<u8> {
    let [len0, len1] = length(20 + payload.len());
    let [place0, place1] = header.place.to_be_bytes();
    let start =
        [0x45, 0, len0, len1, 0, header.identification, place0, place1, header.ttl, header.protocol, 0, 0];
    [start.as_slice(), &[10, 0, 0, header.source], &[10, 0, 0, header.destination], payload].concat()
}

fn ipv6(packet: Packet, payload: &[u8]) -> Vec<u8> {
    let [len0, len1] = length(payload.len());
    let address = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let (source, destination) = ends(packet);
    let start = [0x60, 0, 0, 0, len0, len1, TCP, packet.ttl];
    [start.as_slice(), &address(source), &address(destination), payload].concat()
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12], ethertype.to_be_bytes().as_slice(), payload].concat()
}

/// The port of an end: that of a server is the same for all.
fn port(end: u8) -> [u8; 2] {
    if end < 20 { [0x80, end] } else { [0, 80] }
}

fn payload(packet: Packet) -> Vec<u8> {
    vec![packet.number; usize::from(packet.payload) * 10]
}

fn tcp(packet: Packet) -> Vec<u8> {
    let (source, destination) = ends(packet);
    let sequence = (u32::from(packet.number) * 100).to_be_bytes();
    let fixed = [0, 0, 0, 9, 0x80, packet.flags, 1, 0xf5, 0, 0, 0, 0];
    let timestamps = [1, 1, 8, 10, 0, 0, 0, packet.number, 0, 0, 0, 1];
    [&port(source), &port(destination), sequence.as_slice(), &fixed, &timestamps, &payload(packet)].concat()
}

fn udp(packet: Packet, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = ends(packet);
    [&port(source), &port(destination), length(8 + payload.len()).as_slice(), &[0, 0], payload].concat()
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    let port = 4789_u16.to_be_bytes();
    [&[0xc3, 0x50], port.as_slice(), &length(16 + frame.len()), &[0, 0], &[8, 0, 0, 0, 0, 0, 1, 0], frame]
        .concat()
}

fn echo(packet: Packet) -> Vec<u8> {
    let kind = if packet.flags & 1 == 0 { 8 } else { 0 };
    [&[kind, 0, 0, 0, 0, packet.wear & 0xf, 0, packet.number], payload(packet).as_slice()].concat()
}

/// "Fragmentation needed" for the TCP packet of the same number that went the other way.
fn quoting(packet: Packet) -> Vec<u8> {
    let quoted = Packet { kind: 0, wear: (packet.wear ^ 0x10) & 0x1f, payload: 0, ..packet };
    [&[3, 4, 0, 0, 0, 0, 5, 0x78], inner(quoted).as_slice()].concat()
}

/// One DATA chunk (RFC 9260).
fn sctp(packet: Packet) -> Vec<u8> {
    let (source, destination) = ends(packet);
    let payload = payload(packet);
    let common = [0, 0, 0, 1, 0, 0, 0, 0];
    let [len0, len1] = length(16 + payload.len());
    let data = [0, 3, len0, len1, 0, 0, 0, packet.number, 0, 1, 0, 2, 0, 0, 0, 0];
    [&port(source), &port(destination), common.as_slice(), &data, &payload].concat()
}
