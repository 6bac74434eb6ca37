//! Packets for the expressions to tell apart: of every kind that some expression looks for, and near misses.

use super::link;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const RARP: u16 = 0x8035;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const VLAN_SERVICE: u16 = 0x88a8;
const MPLS: u16 = 0x8847;
const PPPOE_DISCOVERY: u16 = 0x8863;
const PPPOE: u16 = 0x8864;
const LLDP: u16 = 0x88cc;
const APPLETALK: u16 = 0x809b;
const DECNET: u16 = 0x6003;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

const LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

const MACS: [[u8; 6]; 4] =
    [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [0xff; 6], [0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb]];

/// A packet behind its link layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Destination and source hardware address.
    pub macs: [[u8; 6]; 2],
    /// Number of the protocol.
    pub ethertype: u16,
    /// The bytes of it.
    pub bytes: Vec<u8>,
}

impl Packet {
    /// The frame that it is with this link layer; absent where that has IP only and this is none.
    pub fn frame(&self, link: u32) -> Option<Vec<u8>> {
        let ip = match self.ethertype {
            IPV4 => Some(2_u32),
            // The number that macOS has for it: libpcap looks for those of the BSDs in files.
            IPV6 => Some(30),
            _ => None,
        };
        let ethertype = self.ethertype.to_be_bytes();
        let [destination, source] = self.macs;
        let header = match link {
            link::NULL => ip?.to_ne_bytes().to_vec(),
            link::LOOP => ip?.to_be_bytes().to_vec(),
            link::RAW => ip.map(|_| Vec::new())?,
            link::SLL => [&[0, 4, 0, 1, 0, 6], source.as_slice(), &[0, 0], &ethertype].concat(),
            link::SLL2 => [&ethertype, [0, 0, 0, 0, 0, 2, 0, 1, 4, 6].as_slice(), &source, &[0, 0]].concat(),
            _ => [destination.as_slice(), &source, &ethertype].concat(),
        };
        Some([header, self.bytes.clone()].concat())
    }
}

/// The packets. Every call makes the same.
pub fn packets() -> Vec<Packet> {
    let mut packets = Vec::new();
    for (number, (ethertype, bytes)) in network().into_iter().enumerate() {
        let plain = Packet { macs: [MACS[number % 2], MACS[(number + 1) % 2]], ethertype, bytes };
        if number % 3 == 0 {
            let to_group = MACS[2 + number % 2];
            packets.push(Packet { macs: [to_group, plain.macs[1]], ..plain.clone() });
        }
        packets.extend(wrapped(&plain, number));
        packets.push(plain);
    }
    packets
}

/// The packet behind VLAN tags, labels and sessions; for some packets only, to keep the number small.
fn wrapped(packet: &Packet, number: usize) -> Vec<Packet> {
    let Packet { macs, ethertype, bytes } = packet;
    let tagged = |tag: u16, ethertype: u16, rest: &[u8]| {
        [tag.to_be_bytes().as_slice(), &ethertype.to_be_bytes(), rest].concat()
    };
    let made = |ethertype: u16, bytes: Vec<u8>| Packet { macs: *macs, ethertype, bytes };
    let label = |label: u32, is_last: bool| ((label << 12) | (u32::from(is_last) << 8) | 64).to_be_bytes();
    let ppp: [u8; 2] = if *ethertype == IPV6 { [0, 0x57] } else { [0, 0x21] };
    let session = |id: u8| [&[0x11, 0, 0, id, 0, 60], ppp.as_slice(), bytes].concat();
    match number % 4 {
        0 => vec![
            made(VLAN, tagged(5, *ethertype, bytes)),
            made(VLAN_SERVICE, tagged(5, VLAN, &tagged(7, *ethertype, bytes))),
        ],
        1 => vec![made(VLAN, tagged(0x6007, *ethertype, bytes)), made(PPPOE, session(7))],
        2 => vec![
            made(MPLS, [label(1000, true).as_slice(), bytes].concat()),
            made(
                MPLS,
                [label(1000, false), label(2000, true)].concat().into_iter().chain(bytes.clone()).collect(),
            ),
        ],
        _ => vec![made(PPPOE, session(8)), made(VLAN, tagged(5, VLAN, &tagged(9, *ethertype, bytes)))],
    }
}

/// Ethertype and bytes of packets of the network layer.
fn network() -> Vec<(u16, Vec<u8>)> {
    let mut packets = Vec::new();
    let hosts = [[192, 0, 2, 10], [192, 0, 2, 20], [192, 0, 2, 30], [198, 51, 100, 7], [10, 1, 2, 3]];
    let hosts6 = [host6(0, 0x10), host6(0, 0x20), host6(1, 0x30), LINK_LOCAL];
    for (number, payload) in transport().into_iter().enumerate() {
        let (protocol, bytes) = &payload;
        let (source, destination) = (hosts[number % 5], hosts[(number + 1 + number / 5 % 2) % 5]);
        packets.push((IPV4, ip4(source, destination, *protocol, number, bytes)));
        if *protocol != ICMP {
            let (source, destination) = (hosts6[number % 4], hosts6[(number + 1) % 4]);
            packets.push((IPV6, ip6(source, destination, &[], *protocol, number, bytes)));
            let headers = [&[0_u8, 43][..], &[44], &[60, 0], &[51]][number % 4];
            packets.push((IPV6, ip6(source, destination, headers, *protocol, number, bytes)));
        }
    }
    packets.extend(groups());
    packets.extend(tunnels());
    for (ethertype, operation) in [(ARP, 1), (ARP, 2), (RARP, 3)] {
        let addresses = [&MACS[0][..], &[192, 0, 2, 10], &[0; 6], &[192, 0, 2, 1]].concat();
        packets.push((ethertype, [&[0, 1, 8, 0, 6, 4, 0, operation], addresses.as_slice()].concat()));
    }
    packets.push((PPPOE_DISCOVERY, vec![0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0]));
    packets.push((APPLETALK, vec![0; 20]));
    // A short header from node 10.15.
    packets.push((DECNET, [&[8, 0, 2, 1, 4, 0x0f, 0x28, 0][..], &[0; 16]].concat()));
    packets.push((LLDP, vec![2, 7, 4, 2, 0, 0, 0, 0, 1, 4, 0]));
    // A spanning tree frame and an IPX frame: a length in the place of the ethertype.
    packets.push((38, [&[0x42, 0x42, 3][..], &[0; 35]].concat()));
    packets.push((40, [&[0xe0, 0xe0, 3][..], &[0; 37]].concat()));
    packets
}

/// To groups, to all, fragments, other protocols.
fn groups() -> Vec<(u16, Vec<u8>)> {
    let from = [192, 0, 2, 10];
    let mut packets = Vec::new();
    for destination in [[224, 0, 0, 251], [255; 4], [192, 0, 2, 255], [0; 4], [239, 1, 1, 1]] {
        packets.push((IPV4, ip4(from, destination, UDP, 1, &udp(5353, 5353, &[0; 12]))));
    }
    packets.push((IPV6, ip6(host6(0, 0x10), [0xff; 16], &[], UDP, 255, &udp(5353, 5353, &[0; 12]))));
    for protocol in [2, 50, 51, 103, 112, 132, 47, 4, 41, 255] {
        packets.push((IPV4, ip4(from, [192, 0, 2, 20], protocol, 3, &[0x45; 24])));
        packets.push((IPV6, ip6(host6(0, 0x10), host6(0, 0x20), &[], protocol, 3, &[0x45; 24])));
    }
    for fragment in [0x2000_u16, 0x2001, 0x00b9, 0x4000] {
        let mut packet = ip4(from, [192, 0, 2, 20], TCP, 64, &tcp(8080, 80, 0x18, 0, b"POST /fragment"));
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packets.push((IPV4, packet));
    }
    packets
}

/// Packets in packets.
fn tunnels() -> Vec<(u16, Vec<u8>)> {
    let (a, b) = ([192, 0, 2, 10], [192, 0, 2, 20]);
    let inner = ip4(b, [10, 9, 8, 7], TCP, 30, &tcp(40000, 80, 0x02, 12, b""));
    let inner6 = ip6(host6(0, 0x10), host6(1, 9), &[], UDP, 9, &udp(1000, 53, b"query"));
    let frame = [&MACS[0][..], &MACS[1], &IPV4.to_be_bytes(), &inner].concat();
    let vxlan = [&[8, 0, 0, 0, 0, 0, 0x2a, 0][..], &frame].concat();
    let geneve = |options: &[u8], protocol: u16, vni: u8, inner: &[u8]| {
        let len = u8::try_from(options.len() / 4).unwrap_or_default();
        [&[len, 0][..], &protocol.to_be_bytes(), &[0, 0, vni, 0], options, inner].concat()
    };
    let mut packets = vec![
        (IPV4, ip4(a, b, 4, 10, &inner)),
        (IPV4, ip4(a, b, 41, 10, &inner6)),
        (IPV6, ip6(host6(0, 1), host6(0, 2), &[], 4, 10, &inner)),
        (IPV4, ip4(a, b, 47, 10, &[&[0, 0, 8, 0][..], &inner].concat())),
        (IPV4, ip4(a, b, 51, 10, &[&[TCP, 4, 0, 0][..], &[0; 20], &tcp(1, 80, 2, 0, b"")].concat())),
        (IPV4, ip4(a, b, UDP, 10, &udp(50000, 4789, &vxlan))),
    ];
    for (options, protocol, vni, inner) in [
        (&[][..], 0x6558, 42, &frame),
        (&[1, 2, 3, 0, 9, 9, 9, 9], 0x6558, 7, &frame),
        (&[], IPV4, 42, &inner),
        (&[], IPV6, 42, &inner6),
    ] {
        let packet = udp(50000, 6081, &geneve(options, protocol, vni, inner));
        packets.push((IPV4, ip4(a, b, UDP, 10, &packet)));
        packets.push((IPV6, ip6(host6(0, 1), host6(0, 2), &[], UDP, 10, &packet)));
    }
    packets
}

/// Protocol numbers and bytes of the transport layer.
fn transport() -> Vec<(u8, Vec<u8>)> {
    let mut packets = Vec::new();
    for (number, flags) in
        [0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0xc2, 0x00, 0xff].into_iter().enumerate()
    {
        let ports = [(40000, 8080), (8080, 40000), (443, 80), (22, 1024), (8100, 25)][number % 5];
        let payload = [&b"POST / HTTP/1.1\r\n"[..], b"", b"GET / HTTP/1.1\r\n", b"x"][number % 4];
        packets.push((TCP, tcp(ports.0, ports.1, flags, [0, 12, 40][number % 3], payload)));
        packets.push((TCP, tcp(ports.0, ports.1, flags, [12, 0, 20][number % 3], b"POST / HTTP/1.1\r\n")));
    }
    for (number, ports) in
        [(40000, 53), (53, 40000), (53, 53), (8000, 8100), (68, 67), (80, 80)].into_iter().enumerate()
    {
        let query = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0];
        packets.push((UDP, udp(ports.0, ports.1, &query.repeat([1, 4, 40, 150][number % 4]))));
    }
    packets.push((UDP, udp(40000, 9, b"")));
    for (kind, code) in [(8, 0), (0, 0), (3, 4), (3, 1), (11, 0), (5, 1)] {
        packets.push((ICMP, [&[kind, code, 0, 0, 1, 2, 3, 4][..], &[0xab; 56]].concat()));
    }
    for kind in [128_u8, 129, 135, 136, 1, 2, 134] {
        packets.push((ICMP6, [&[kind, 0, 0, 0, 1, 2, 3, 4][..], &[0xab; 40]].concat()));
    }
    packets.push((132, [&[0x13, 0x88, 0, 80][..], &[0; 24]].concat()));
    packets
}

fn host6(net: u8, host: u8) -> [u8; 16] {
    [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, net, 0, 0, 0, 0, 0, 0, 0, host]
}

fn len(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}

/// With options for some numbers; time to live, type of service and identification are made from the number.
fn ip4(source: [u8; 4], destination: [u8; 4], protocol: u8, number: usize, payload: &[u8]) -> Vec<u8> {
    let options: &[u8] = if number % 7 == 6 { &[7, 7, 4, 0, 0, 0, 0, 0] } else { &[] };
    let words = u8::try_from(5 + options.len() / 4).unwrap_or(5);
    let ttl = [64, 1, 2, 255, 4][number % 5];
    let service = [0, 0xb8, 1][number % 3];
    let head = [0x40 | words, service];
    let rest = [0x40, 0, ttl, protocol, 0, 0];
    let id = len(number * 7919 % 65521);
    let total = len(20 + options.len() + payload.len());
    [&head[..], &total, &id, &rest, &source, &destination, options, payload].concat()
}

/// With these extension headers.
fn ip6(
    source: [u8; 16],
    destination: [u8; 16],
    headers: &[u8],
    protocol: u8,
    number: usize,
    payload: &[u8],
) -> Vec<u8> {
    let mut extensions = Vec::new();
    for (at, header) in headers.iter().enumerate() {
        let next = headers.get(at + 1).copied().unwrap_or(protocol);
        // The authentication header counts in 4 bytes less two, the others in 8 bytes beyond the first.
        extensions.extend(if *header == 51 { [next, 2] } else { [next, 1] });
        extensions.extend([0; 14]);
    }
    let first = headers.first().copied().unwrap_or(protocol);
    let hops = [64, 1, 255][number % 3];
    let total = len(extensions.len() + payload.len());
    [&[0x60, 0, 0, 0][..], &total, &[first, hops], &source, &destination, &extensions, payload].concat()
}

fn tcp(source: u16, destination: u16, flags: u8, options: usize, payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options / 4).unwrap_or(5);
    let sequence = u32::from(source) << 17 | u32::from(destination);
    [
        &source.to_be_bytes()[..],
        &destination.to_be_bytes(),
        &sequence.to_be_bytes(),
        &[0, 0, 0, 9, words << 4, flags, 2, 0, 0, 0, 0, 0],
        &vec![1; options],
        payload,
    ]
    .concat()
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let total = len(8 + payload.len());
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &total, &[0, 0], payload].concat()
}
