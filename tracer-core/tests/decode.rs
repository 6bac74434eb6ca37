//! Decoding, as a table: bytes of a packet and what they say, each line also cut at every length.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fmt::Write;

use tracer_core::capture::LinkLayer;
use tracer_core::packet::{DecodeError, Decoder, Packet, Transport};

/// Ethernet addresses, without the ethertype.
const MACS: &str = "020000000001 020000000002";
/// 10.0.0.1 -> 10.0.0.2, TTL 63, id 0x1234; total length and protocol are filled in.
fn ipv4(total_len: u16, protocol: u8, flags_offset: u16) -> String {
    format!("4500{total_len:04x}1234{flags_offset:04x}3f{protocol:02x}0000 0a000001 0a000002")
}
/// `fd00::1` -> `fd00::2`, hop limit 63.
fn ipv6(payload_len: u16, next: u8) -> String {
    let (source, destination) = (format!("fd{:030x}", 1), format!("fd{:030x}", 2));
    format!("60000000 {payload_len:04x} {next:02x} 3f {source} {destination}")
}
/// Ports 4000 -> 80, sequence 1, acknowledgement 2, ACK, timestamps 3 and 4, two bytes of payload: 34 bytes.
const TCP: &str = "0fa00050 00000001 00000002 80100000 00000000 0101080a 00000003 00000004 6869";
/// Ports 5000 -> 53, four bytes of payload: 12 bytes.
const UDP: &str = "13880035 000c0000 61626364";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn describe(packet: &Packet<'_>) -> String {
    let mut text = String::new();
    for tunnel in &packet.tunnels {
        write!(text, "[{tunnel}] ").unwrap();
    }
    write!(text, "{} {} ttl {} ", packet.flow.protocol, packet.flow, packet.ip.ttl).unwrap();
    match packet.transport {
        Transport::Tcp(tcp) => write!(
            text,
            "seq {} ack {} flags {:#04x} ts {:?} ",
            tcp.sequence, tcp.acknowledgement, tcp.flags.0, tcp.timestamps
        ),
        Transport::Udp => Ok(()),
        Transport::Echo { reply, sequence } => write!(text, "echo reply={reply} seq {sequence} "),
        Transport::Icmp { kind, code, quoted } => {
            write!(
                text,
                "icmp {kind}/{code} quotes {} ",
                quoted.map(|q| q.flow.to_string()).unwrap_or_default()
            )
        }
        Transport::Sctp(facts) => write!(text, "sctp tag {:#x} ", facts.tag),
        Transport::Other => write!(text, "other "),
    }
    .unwrap();
    if let Some(fragment) = packet.ip.fragment {
        write!(text, "fragment at {} more={} ", fragment.offset, fragment.more).unwrap();
    }
    write!(text, "payload {}/{}", packet.payload.len(), packet.payload_len).unwrap();
    text
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(&'static str, String, &'static str)> {
    let tcp4 = format!("{} {TCP}", ipv4(54, 6, 0x4000));
    let udp4 = format!("{} {UDP}", ipv4(32, 17, 0));
    let plain = "TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts Some((3, 4)) payload 2/2";
    let outer4 = |total_len: u16, protocol: u8| {
        format!("4500{total_len:04x}000000004004{:02x}", 0).replace("4004", &format!("40{protocol:02x}"))
            + "00 ac120003 ac120002"
    };
    let udp_tunnel = |port: u16, header: &str, inner: &str| {
        let len = u16::try_from(8 + bytes(header).len() + bytes(inner).len()).unwrap();
        format!("{MACS} 0800 {} c350{port:04x}{len:04x}0000 {header} {inner}", outer4(20 + len, 17))
    };
    let ethernet_inner = format!("{MACS} 0800 {tcp4}");
    vec![
        ("plain", format!("{MACS} 0800 {tcp4}"), plain),
        (
            "Ethernet padding is no payload",
            format!("{MACS} 0800 {udp4} 0000000000000000000000000000"),
            "UDP 10.0.0.1:5000 -> 10.0.0.2:53 ttl 63 payload 4/4",
        ),
        ("802.1Q", format!("{MACS} 8100 0064 0800 {tcp4}"), plain),
        ("QinQ", format!("{MACS} 88a8 0064 8100 0065 0800 {tcp4}"), plain),
        (
            "IPv4 options",
            format!("{MACS} 0800 46000024123440003f110000 0a000001 0a000002 01010100 {UDP}"),
            "UDP 10.0.0.1:5000 -> 10.0.0.2:53 ttl 63 payload 4/4",
        ),
        (
            "IPIP",
            format!("{MACS} 0800 {} {tcp4}", outer4(74, 4)),
            "[IPIP 172.18.0.3 -> 172.18.0.2] TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts Some((3, 4)) payload 2/2",
        ),
        (
            "6in4",
            format!("{MACS} 0800 {} {} {UDP}", outer4(72, 41), ipv6(12, 17)),
            "[IPv6-in-IP 172.18.0.3 -> 172.18.0.2] UDP [fd00::1]:5000 -> [fd00::2]:53 ttl 63 payload 4/4",
        ),
        (
            "4in6",
            format!("{MACS} 86dd {} {udp4}", ipv6(32, 4)),
            "[IPIP fd00::1 -> fd00::2] UDP 10.0.0.1:5000 -> 10.0.0.2:53 ttl 63 payload 4/4",
        ),
        (
            "GRE",
            format!("{MACS} 0800 {} 00000800 {udp4}", outer4(56, 47)),
            "[GRE 172.18.0.3 -> 172.18.0.2] UDP 10.0.0.1:5000 -> 10.0.0.2:53 ttl 63 payload 4/4",
        ),
        (
            "GRE with key and Ethernet",
            format!("{MACS} 0800 {} 20006558 00000007 {MACS} 0800 {udp4}", outer4(74, 47)),
            "[GRE 172.18.0.3 -> 172.18.0.2] UDP 10.0.0.1:5000 -> 10.0.0.2:53 ttl 63 payload 4/4",
        ),
        (
            "VXLAN",
            udp_tunnel(4789, "08000000 00100000", &ethernet_inner),
            "[VXLAN 4096 172.18.0.3 -> 172.18.0.2] TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts Some((3, 4)) payload 2/2",
        ),
        (
            "VXLAN on Linux's old port",
            udp_tunnel(8472, "08000000 00000100", &ethernet_inner),
            "[VXLAN 1 172.18.0.3 -> 172.18.0.2] TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts Some((3, 4)) payload 2/2",
        ),
        (
            "VXLAN on a port of one's own",
            udp_tunnel(9999, "08000000 00000200", &ethernet_inner),
            "[VXLAN 2 172.18.0.3 -> 172.18.0.2] TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts Some((3, 4)) payload 2/2",
        ),
        (
            "Geneve with an option",
            udp_tunnel(6081, "02006558 00000300 01020304 00000000", &ethernet_inner),
            "[Geneve 3 172.18.0.3 -> 172.18.0.2] TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts Some((3, 4)) payload 2/2",
        ),
        (
            "IPv6 extensions",
            format!("{MACS} 86dd {} 3c00010400000000 1100010400000000 {UDP}", ipv6(28, 0)),
            "UDP [fd00::1]:5000 -> [fd00::2]:53 ttl 63 payload 4/4",
        ),
        (
            "IPv6 later fragment",
            format!("{MACS} 86dd {} 11000010 00000007 61626364", ipv6(12, 44)),
            "UDP fd00::1 -> fd00::2 ttl 63 other fragment at 16 more=false payload 4/4",
        ),
        (
            "IPv4 first fragment",
            format!("{MACS} 0800 {} {UDP}", ipv4(32, 17, 0x2000)),
            "UDP 10.0.0.1:5000 -> 10.0.0.2:53 ttl 63 fragment at 0 more=true payload 4/4",
        ),
        (
            "IPv4 later fragment",
            format!("{MACS} 0800 {} 61626364", ipv4(24, 17, 0x0002)),
            "UDP 10.0.0.1 -> 10.0.0.2 ttl 63 other fragment at 16 more=false payload 4/4",
        ),
        (
            "echo request",
            format!("{MACS} 0800 {} 0800 0000 0007 0001 6162", ipv4(30, 1, 0)),
            "ICMP 10.0.0.1 -> 10.0.0.2 id 7 ttl 63 echo reply=false seq 1 payload 2/2",
        ),
        (
            "ICMPv6 echo reply",
            format!("{MACS} 86dd {} 8100 0000 0007 0002 6162", ipv6(10, 58)),
            "ICMPv6 fd00::1 -> fd00::2 id 7 ttl 63 echo reply=true seq 2 payload 2/2",
        ),
        (
            "fragmentation needed",
            format!("{MACS} 0800 {} 0304 0000 0000 0578 {tcp4}", ipv4(82, 1, 0)),
            "ICMP 10.0.0.1 -> 10.0.0.2 ttl 63 icmp 3/4 quotes 10.0.0.1:4000 -> 10.0.0.2:80 payload 54/54",
        ),
        (
            "options cut off by the snap length",
            format!("{MACS} 0800 {} {}", ipv4(54, 6, 0x4000), &TCP[..TCP.len() - 25]),
            "TCP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 seq 1 ack 2 flags 0x10 ts None payload 0/2",
        ),
        (
            "SCTP",
            format!("{MACS} 0800 {} 0fa00050 01020304 00000000", ipv4(32, 132, 0)),
            "SCTP 10.0.0.1:4000 -> 10.0.0.2:80 ttl 63 sctp tag 0x1020304 payload 0/0",
        ),
    ]
}

#[test]
fn packets_say_what_the_table_says() {
    let decoder = Decoder::default().with_vxlan_port(tracer_core::flow::Port(9999));
    for (name, hex, expected) in table() {
        let packet = bytes(&hex);
        // The line that is cut off says so by its length.
        let original = u32::try_from(packet.len()).unwrap() + if name.contains("cut off") { 12 } else { 0 };
        let outcome = decoder.decode(LinkLayer::Ethernet, &packet, original);
        let told = outcome.as_ref().map_or_else(|error| format!("{error:?}"), describe);
        assert_eq!(told, expected, "{name}");
    }
}

#[test]
fn every_truncation_and_bit_flip_ends() {
    let decoder = Decoder::default();
    for (_, hex, _) in table() {
        let packet = bytes(&hex);
        for end in 0..packet.len() {
            let _ = decoder.decode(LinkLayer::Ethernet, &packet[..end], 1500);
        }
        for bit in 0..packet.len() * 8 {
            let mut flipped = packet.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = decoder.decode(LinkLayer::Ethernet, &flipped, 1500);
        }
    }
}

#[test]
fn what_is_no_ip_is_told_apart_from_what_is_cut() {
    let decoder = Decoder::default();
    let decode = |hex: &str| decoder.decode(LinkLayer::Ethernet, &bytes(hex), 64).map(|_| ());
    assert_eq!(decode(&format!("{MACS} 0806 0001080006040001")), Err(DecodeError::NotIp));
    assert_eq!(decode(&format!("{MACS} 0800 4500")), Err(DecodeError::Truncated));
    assert_eq!(decode(&format!("{MACS} 0800 {}", ipv4(40, 6, 0))), Err(DecodeError::Truncated));
    assert_eq!(decode(&format!("{MACS} 0800 {}", "ff".repeat(40))), Err(DecodeError::Malformed));
    let other = decoder.decode(LinkLayer::Other(105), &[0; 64], 64).map(|_| ());
    assert_eq!(other, Err(DecodeError::LinkType));
}

#[test]
fn nested_tunnels_are_bounded() {
    let decoder = Decoder::default();
    let mut hex = format!("{MACS} 0800");
    for _ in 0..20 {
        hex += "450003e8000000004004 0000 ac120003 ac120002";
    }
    let packet = bytes(&hex);
    let packet = decoder.decode(LinkLayer::Ethernet, &packet, 1500).unwrap();
    assert_eq!(packet.tunnels.len(), 3);
}
