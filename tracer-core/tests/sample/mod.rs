//! Packets of every protocol and encapsulation that is decoded, and capture files of every kind that is read, made
//! byte by byte: for tests that break them, and as seeds of the fuzz targets.

mod file;

pub(crate) use file::files;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const BRIDGING: u16 = 0x6558;
const IPIP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IP6: u8 = 41;
const FRAGMENT: u8 = 44;
const GRE: u8 = 47;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
/// For experiments (RFC 3692).
const UNKNOWN: u8 = 253;

/// A name that tells what it is, and its bytes.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl Sample {
    fn new(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { name: name.into(), bytes }
    }
}

/// Ethernet frames: each transport in IPv4 and IPv6, each encapsulation around TCP and UDP, fragments, tags.
pub(crate) fn frames() -> Vec<Sample> {
    let mut samples = Vec::new();
    for (name, v4, v6, payload) in transports() {
        samples.push(Sample::new(format!("{name}-4"), ethernet(IPV4, &ipv4(v4, &payload))));
        samples.push(Sample::new(format!("{name}-6"), ethernet(IPV6, &ipv6(v6, &payload))));
    }
    for (kind, inner) in [("tcp", ipv4(TCP, &tcp())), ("udp", ipv4(UDP, &udp(5000, 53, b"abcd")))] {
        let tunnels = tunnels(&inner);
        samples
            .extend(tunnels.into_iter().map(|(name, outer)| Sample::new(format!("{kind}-in-{name}"), outer)));
    }
    samples.extend(fragments());
    samples.extend(links());
    samples
}

/// Name, protocol number in IPv4 and in IPv6, header and payload.
fn transports() -> Vec<(&'static str, u8, u8, Vec<u8>)> {
    let quoted = ipv4(TCP, &tcp());
    vec![
        ("tcp", TCP, TCP, tcp()),
        (
            "tcp-syn",
            TCP,
            TCP,
            tcp_with(0x02, &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 3, 0, 0, 0, 0, 1, 3, 3, 7], b""),
        ),
        ("tcp-sack", TCP, TCP, tcp_with(0x10, &[1, 1, 5, 10, 0, 0, 0, 9, 0, 0, 0, 20], b"")),
        ("udp", UDP, UDP, udp(5000, 53, b"abcd")),
        ("udp-empty", UDP, UDP, udp(5000, 443, b"")),
        ("sctp", SCTP, SCTP, sctp()),
        ("echo", ICMP, ICMPV6, vec![8, 0, 0, 0, 0, 7, 0, 1, b'a', b'b']),
        ("echo-6", ICMP, ICMPV6, vec![128, 0, 0, 0, 0, 7, 0, 1, b'a', b'b']),
        ("too-big", ICMP, ICMPV6, [&[3, 4, 0, 0, 0, 0, 5, 0x78], quoted.as_slice()].concat()),
        ("too-big-6", ICMP, ICMPV6, [&[2, 0, 0, 0, 0, 0, 5, 0], ipv6(TCP, &tcp()).as_slice()].concat()),
        ("time-exceeded", ICMP, ICMPV6, [&[11, 0, 0, 0, 0, 0, 0, 0], quoted.as_slice()].concat()),
        ("unknown", UNKNOWN, UNKNOWN, b"whatever".to_vec()),
    ]
}

fn tcp() -> Vec<u8> {
    tcp_with(0x18, &[1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 4], b"hello")
}

/// Ports 4000 and 80, sequence number 1, acknowledgement 2.
fn tcp_with(flags: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let fixed = [0x0f, 0xa0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, words << 4, flags, 1, 0xf5, 0, 0, 0, 0];
    [&fixed, options, payload].concat()
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let words = [source, destination, len, 0].map(u16::to_be_bytes);
    [words.as_flattened(), payload].concat()
}

/// A DATA chunk behind the common header (RFC 9260, sections 3.1 and 3.3.1), and a SACK chunk behind that.
fn sctp() -> Vec<u8> {
    let common = [0x0f, 0xa0, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0];
    let data = [0, 3, 0, 20, 0, 0, 0, 9, 0, 1, 0, 2, 0, 0, 0, 0, b'a', b'b', b'c', b'd'];
    let sack = [3, 0, 0, 16, 0, 0, 0, 9, 0, 0, 16, 0, 0, 0, 0, 0];
    [common.as_slice(), &data, &sack].concat()
}

/// 10.0.0.1 to 10.0.0.2, may not be fragmented.
pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0x4000, &[], payload)
}

fn ipv4_with(protocol: u8, flags_and_offset: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let [len0, len1] = u16::try_from(20 + options.len() + payload.len()).unwrap().to_be_bytes();
    let [place0, place1] = flags_and_offset.to_be_bytes();
    let fixed = [
        0x40 | words,
        0,
        len0,
        len1,
        0x12,
        0x34,
        place0,
        place1,
        63,
        protocol,
        0,
        0,
        10,
        0,
        0,
        1,
        10,
        0,
        0,
        2,
    ];
    [&fixed, options, payload].concat()
}

/// `fd00::1` to `fd00::2`.
pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [len0, len1] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let address = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, len0, len1, next, 63], address(1).as_slice(), &address(2), payload].concat()
}

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&MAC, &MAC, ethertype.to_be_bytes().as_slice(), payload].concat()
}

/// An IPv4 packet in every encapsulation, and in several at once.
fn tunnels(inner: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let frame = ethernet(IPV4, inner);
    let gre = [&[0, 0, 8, 0], inner].concat();
    let gre_with_all =
        [&[0xb0, 0, 0x65, 0x58, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], frame.as_slice()].concat();
    let vxlan = udp(50_000, 4789, &[&[8, 0, 0, 0, 0, 0, 5, 0], frame.as_slice()].concat());
    let [bridging0, bridging1] = BRIDGING.to_be_bytes();
    let geneve_header = [2, 0, bridging0, bridging1, 0, 0, 3, 0, 1, 2, 3, 4, 0, 0, 0, 0];
    let geneve = udp(50_000, 6081, &[&geneve_header, frame.as_slice()].concat());
    let deep = (0..6).fold(inner.to_vec(), |inside, _| ipv4(IPIP, &inside));
    vec![
        ("ipip", ethernet(IPV4, &ipv4(IPIP, inner))),
        ("ip6", ethernet(IPV6, &ipv6(IPIP, inner))),
        ("gre", ethernet(IPV4, &ipv4(GRE, &gre))),
        ("gre-with-all", ethernet(IPV4, &ipv4(GRE, &gre_with_all))),
        ("vxlan", ethernet(IPV4, &ipv4(UDP, &vxlan))),
        ("geneve", ethernet(IPV4, &ipv4(UDP, &geneve))),
        ("vxlan-in-ip6", ethernet(IPV6, &ipv6(UDP, &vxlan))),
        ("vxlan-in-ipip-in-6in4", ethernet(IPV4, &ipv4(IP6, &ipv6(IPIP, &ipv4(UDP, &vxlan))))),
        ("more-than-are-followed", ethernet(IPV4, &deep)),
    ]
}

fn fragments() -> [Sample; 6] {
    let udp = udp(5000, 53, b"abcdefghijklmnop");
    let fragment_header = |place: u16| {
        let [place0, place1] = place.to_be_bytes();
        [&[UDP, 0, place0, place1, 0, 0, 0, 7], udp.as_slice()].concat()
    };
    let hop_by_hop = [&[FRAGMENT, 0, 1, 4, 0, 0, 0, 0], fragment_header(1).as_slice()].concat();
    [
        Sample::new("first-fragment-4", ethernet(IPV4, &ipv4_with(UDP, 0x2000, &[], &udp))),
        Sample::new("later-fragment-4", ethernet(IPV4, &ipv4_with(UDP, 0x0002, &[], &udp))),
        Sample::new("options-4", ethernet(IPV4, &ipv4_with(UDP, 0, &[1, 1, 1, 0], &udp))),
        Sample::new("first-fragment-6", ethernet(IPV6, &ipv6(FRAGMENT, &fragment_header(1)))),
        Sample::new("later-fragment-6", ethernet(IPV6, &ipv6(FRAGMENT, &fragment_header(16)))),
        Sample::new("hop-by-hop-6", ethernet(IPV6, &ipv6(0, &hop_by_hop))),
    ]
}

fn links() -> [Sample; 4] {
    let packet = ipv4(TCP, &tcp());
    let tagged = |outer: u16, inner: u16| {
        let [inner0, inner1] = inner.to_be_bytes();
        ethernet(outer, &[&[0, 100, inner0, inner1], packet.as_slice()].concat())
    };
    let two_tags = [&[0, 100, 0x81, 0, 0, 101, 8, 0], packet.as_slice()].concat();
    [
        Sample::new("802.1q", tagged(0x8100, IPV4)),
        Sample::new("qinq", ethernet(0x88a8, &two_tags)),
        Sample::new("arp", ethernet(ARP, &[0, 1, 8, 0, 6, 4, 0, 1])),
        Sample::new("padded", [ethernet(IPV4, &packet), vec![0; 6]].concat()),
    ]
}
