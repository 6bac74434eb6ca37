//! Where the headers of packets end that are no TCP or UDP.

use crate::capture::LinkLayer;
use crate::packet::segment::{header_len, ip_places};

const ETHERNET: [u8; 12] = [2; 12];
const PAYLOAD: usize = 100;

/// A frame of an ethertype and these headers, with some payload behind them.
fn frame(ethertype: u16, headers: &[&[u8]]) -> Vec<u8> {
    let mut bytes = ETHERNET.to_vec();
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(headers.concat());
    bytes.extend([0xa2; PAYLOAD]);
    bytes
}

fn ipv4(protocol: u8) -> [u8; 20] {
    let mut header = [0; 20];
    (header[0], header[9]) = (0x45, protocol);
    header
}

fn ipv6(next: u8) -> [u8; 40] {
    let mut header = [0; 40];
    (header[0], header[6]) = (0x60, next);
    header
}

fn icmp(kind: u8) -> [u8; 8] {
    [kind, 0, 0, 0, 0, 0, 0, 0]
}

const TCP: [u8; 24] = [0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x60, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1];

#[test]
fn headers_only() {
    let fragment = |offset| [17, 0, 0, offset, 0, 0, 0, 9];
    let udp = [0, 1, 0, 2, 0, 108, 0, 0];
    let cases = [
        ("unknown ethertype", frame(0x88cc, &[])),
        ("LLC", frame(0x0026, &[])),
        ("VLAN and unknown", frame(0x8100, &[&[0, 5, 0x88, 0xcc]])),
        ("two tags", frame(0x88a8, &[&[0, 5, 0x81, 0, 0, 6, 0x08, 0], &ipv4(6), &TCP])),
        ("MPLS of two labels", frame(0x8847, &[&[0, 0, 0, 9, 0, 0, 1, 9], &ipv6(6), &TCP])),
        ("MPLS of no IP", frame(0x8847, &[&[0, 0, 1, 9]])),
        ("PPPoE", frame(0x8864, &[&[0x11, 0, 0, 1, 0, 120, 0, 0x21], &ipv4(17), &udp])),
        ("PPPoE of LCP", frame(0x8864, &[&[0x11, 0, 0, 1, 0, 120, 0xc0, 0x21]])),
        ("unknown protocol", frame(0x0800, &[&ipv4(112)])),
        ("echo", frame(0x0800, &[&ipv4(1), &icmp(8)])),
        ("echo of IPv6", frame(0x86dd, &[&ipv6(58), &icmp(129)])),
        ("unreachable", frame(0x0800, &[&ipv4(1), &icmp(3), &ipv4(17), &udp])),
        ("too big", frame(0x86dd, &[&ipv6(58), &icmp(2), &ipv6(6), &TCP])),
        ("error of an error", frame(0x0800, &[&ipv4(1), &icmp(11), &ipv4(1), &icmp(3)])),
        ("SCTP", frame(0x0800, &[&ipv4(132), &[0; 12]])),
        ("UDP-Lite", frame(0x0800, &[&ipv4(136), &udp])),
        ("ESP", frame(0x0800, &[&ipv4(50), &[0; 8]])),
        ("AH", frame(0x0800, &[&ipv4(51), &[6, 4], &[0; 22], &TCP])),
        ("first fragment", frame(0x86dd, &[&ipv6(44), &fragment(1), &udp])),
        ("later fragment", frame(0x86dd, &[&ipv6(44), &fragment(8)])),
        ("extensions", frame(0x86dd, &[&ipv6(0), &[60, 0, 0, 0, 0, 0, 0, 0, 6, 1], &[0; 14], &TCP])),
        ("IPv6's extension in IPv4", frame(0x0800, &[&ipv4(60)])),
        ("GRE of PPTP", frame(0x0800, &[&ipv4(47), &[0x30, 0x81, 0x88, 0x0b]])),
        ("GRE of something", frame(0x0800, &[&ipv4(47), &[0, 0, 0x88, 0x0b]])),
        ("VXLAN without its flag", frame(0x0800, &[&ipv4(17), &[0, 1, 0x12, 0xb5, 0, 108, 0, 0]])),
        ("IPIP", frame(0x0800, &[&ipv4(4), &ipv4(41), &ipv6(6), &TCP])),
    ];
    for (name, bytes) in &cases {
        assert_eq!(header_len(LinkLayer::Ethernet, bytes), bytes.len() - PAYLOAD, "{name}");
    }
}

#[test]
fn only_the_first_error_quotes() {
    let bytes = frame(0x0800, &[&ipv4(1), &icmp(11), &ipv4(1), &icmp(3), &ipv4(6), &TCP]);
    assert_eq!(header_len(LinkLayer::Ethernet, &bytes), bytes.len() - PAYLOAD - 20 - TCP.len());
}

#[test]
fn everything() {
    let cases = [
        ("ARP", frame(0x0806, &[])),
        ("ARP with a tag", frame(0x8100, &[&[0, 5, 8, 6]])),
        ("IGMP", frame(0x0800, &[&ipv4(2)])),
        ("neighbour solicitation", frame(0x86dd, &[&ipv6(58), &icmp(135)])),
        ("router advertisement", frame(0x86dd, &[&ipv6(58), &icmp(134)])),
    ];
    for (name, bytes) in &cases {
        assert_eq!(header_len(LinkLayer::Ethernet, bytes), bytes.len(), "{name}");
    }
    assert_eq!(header_len(LinkLayer::Other(113), &[0; 50]), 50);
}

#[test]
fn ip_packets() {
    let udp = |port: u16| [[0, 1], port.to_be_bytes(), [0, 200], [0, 0]].concat();
    let inner_frame = frame(0x0800, &[&ipv4(6), &TCP]);
    let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0], inner_frame.as_slice()].concat();
    let cases = [
        ("TCP", frame(0x0800, &[&ipv4(6), &TCP]), Some((14, 14))),
        ("IPIP", frame(0x0800, &[&ipv4(4), &ipv4(6), &TCP]), Some((14, 34))),
        ("6in4 in 802.1Q", frame(0x8100, &[&[0, 5, 8, 0], &ipv4(41), &ipv6(6), &TCP]), Some((18, 38))),
        ("VXLAN", frame(0x0800, &[&ipv4(17), &udp(4789), &vxlan]), Some((14, 14 + 20 + 8 + 8 + 14))),
        ("quoted", frame(0x0800, &[&ipv4(1), &icmp(3), &ipv4(17), &udp(53)]), Some((14, 14))),
        ("ARP", frame(0x0806, &[&[0; 28]]), None),
    ];
    for (name, bytes, expected) in cases {
        let places =
            ip_places(LinkLayer::Ethernet, &bytes).map(|places| (places.outermost, places.innermost));
        assert_eq!(places, expected, "{name}");
    }
    assert_eq!(ip_places(LinkLayer::Other(101), &ipv4(6)).map(|places| places.innermost), Some(0));
}
