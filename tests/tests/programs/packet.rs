//! Packets made by hand, from the inside out.

use std::net::IpAddr;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const SCTP: u8 = 132;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const GRE: u8 = 47;

/// What follows an IP header: its protocol number and its bytes.
pub(crate) type Payload = (u8, Vec<u8>);

/// An IP packet (`0x0800`, `0x86dd`) or a whole frame (`0x6558`), and its bytes.
pub(crate) type Packet = (u16, Vec<u8>);

pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

pub(crate) fn tcp(source: u16, destination: u16) -> Payload {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    (TCP, join(&[&ports, &[0; 8], &[0x50, 0x18], &[0; 6], b"payload"]))
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Payload {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let words = [source, destination, length, 0].map(u16::to_be_bytes).concat();
    (UDP, join(&[&words, payload]))
}

pub(crate) fn sctp(source: u16, destination: u16) -> Payload {
    (SCTP, join(&[&source.to_be_bytes(), &destination.to_be_bytes(), &[0; 20]]))
}

pub(crate) fn echo(protocol: u8, id: u16) -> Payload {
    let kind = if protocol == ICMP { 8 } else { 128 };
    (protocol, join(&[&[kind, 0, 0, 0], &id.to_be_bytes(), &[0, 1], &[0; 16]]))
}

/// An ICMP error that quotes a packet: "unreachable" in both families.
pub(crate) fn unreachable(quoted: &Packet) -> Payload {
    let (protocol, kind) = if quoted.0 == 0x0800 { (ICMP, 3) } else { (ICMPV6, 1) };
    (protocol, join(&[&[kind, 1, 0, 0, 0, 0, 0, 0], &quoted.1]))
}

pub(crate) fn ip(source: IpAddr, destination: IpAddr, payload: &Payload) -> Packet {
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => ipv4(source, destination, payload, &[], 0),
        _ => ipv6(source, destination, payload, &[]),
    }
}

/// `options` in units of 4 bytes; `fragment` as in the header: flags and position.
pub(crate) fn ipv4(
    source: IpAddr,
    destination: IpAddr,
    payload: &Payload,
    options: &[u8],
    fragment: u16,
) -> Packet {
    let header_length = 20 + options.len();
    let version_length = 0x40 | u8::try_from(header_length / 4).unwrap();
    let total = u16::try_from(header_length + payload.1.len()).unwrap().to_be_bytes();
    let start =
        [&[version_length, 0][..], &total, &[0x12, 0x34], &fragment.to_be_bytes(), &[64, payload.0, 0, 0]];
    (0x0800, join(&[&start.concat(), &bytes(source), &bytes(destination), options, &payload.1]))
}

/// `extensions` as (number, bytes after the two that say what is next and how long it is).
pub(crate) fn ipv6(
    source: IpAddr,
    destination: IpAddr,
    payload: &Payload,
    extensions: &[(u8, Vec<u8>)],
) -> Packet {
    let mut next = payload.0;
    let mut rest = payload.1.clone();
    for (number, body) in extensions.iter().rev() {
        // The authentication header counts in units of 4 bytes less 2, the fragment header has no length.
        let length = match number {
            44 => 0,
            51 => (body.len() + 2) / 4 - 2,
            _ => (body.len() + 2) / 8 - 1,
        };
        rest = join(&[&[next, u8::try_from(length).unwrap()], body, &rest]);
        next = *number;
    }
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let start = join(&[&[0x60, 0, 0, 0], &length, &[next, 64]]);
    (0x86dd, join(&[&start, &bytes(source), &bytes(destination), &rest]))
}

/// IPIP, 6in4, 4in6 or 6in6, as the inner packet is.
pub(crate) fn inside_ip(inner: &Packet) -> Payload {
    (if inner.0 == 0x0800 { 4 } else { 41 }, inner.1.clone())
}

/// `flags` with the fields that they announce.
pub(crate) fn gre(inner: &Packet, flags: u16, fields: &[u8]) -> Payload {
    (GRE, join(&[&flags.to_be_bytes(), &inner.0.to_be_bytes(), fields, &inner.1]))
}

pub(crate) fn vxlan(inner: &Packet, port: u16) -> Payload {
    udp(50_000, port, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &inner.1]))
}

pub(crate) fn geneve(inner: &Packet, options: &[u8]) -> Payload {
    let length = u8::try_from(options.len() / 4).unwrap();
    let header = join(&[&[length, 0], &inner.0.to_be_bytes(), &[0, 0, 42, 0], options]);
    udp(50_000, 6081, &join(&[&header, &inner.1]))
}

/// A frame with VLAN tags, the outer first: (protocol, VLAN).
pub(crate) fn frame(inner: &Packet, tags: &[(u16, u16)]) -> Packet {
    let mut bytes = vec![0x02; 12];
    for (protocol, vlan) in tags {
        bytes.extend(protocol.to_be_bytes());
        bytes.extend(vlan.to_be_bytes());
    }
    bytes.extend(inner.0.to_be_bytes());
    bytes.extend(&inner.1);
    (0x6558, bytes)
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
