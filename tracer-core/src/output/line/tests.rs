//! What is not tcpdump's, and what no packet may do. That the words are tcpdump's is tested beside it.

use std::borrow::Cow;

use proptest::prelude::*;

use super::{LineOptions, LinePrinter};
use crate::capture::{Frame, InterfaceId, LinkLayer};
use crate::units::{Direction, Timestamp};

const PLAIN: LineOptions = LineOptions { verbose: false, hex: false, link: false, label: false };
const CLOCK: &str = "15:04:05.123456";

fn frame(bytes: &[u8]) -> Frame<'_> {
    Frame {
        interface: InterfaceId(0),
        time: Timestamp(0),
        direction: None,
        original_len: u32::try_from(bytes.len()).unwrap(),
        data: Cow::Borrowed(bytes),
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: None,
    }
}

fn print(options: LineOptions, label: &str, frame: &Frame<'_>, link: LinkLayer) -> String {
    let mut out = Vec::new();
    LinePrinter::new(options).print(&mut out, CLOCK, label, frame, link).unwrap();
    String::from_utf8(out).unwrap()
}

/// An IPv4 packet from 10.0.0.1 to 10.0.0.2.
fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    packet.extend(payload);
    packet
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram: Vec<u8> = [from, to, len, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    datagram.extend(payload);
    ip4(17, &datagram)
}

fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [[0; 12].as_slice(), &ethertype.to_be_bytes(), payload].concat()
}

#[test]
fn the_label_stands_where_tcpdump_has_the_interface() {
    let bytes = ethernet(0x0800, &udp(1000, 2000, b"kflow"));
    let what = "IP 10.0.0.1.1000 > 10.0.0.2.2000: UDP, length 5\n";
    let options = LineOptions { label: true, ..PLAIN };
    let table = [
        ("eth0", Some(Direction::Ingress), "eth0  In "),
        ("lo", Some(Direction::Egress), "lo    Out"),
        ("k8s-node1 cali1a2b", None, "k8s-node1 cali1a2b ?  "),
    ];
    for (label, direction, expected) in table {
        let frame = Frame { direction, ..frame(&bytes) };
        let line = print(options, label, &frame, LinkLayer::Ethernet);
        assert_eq!(line, format!("{CLOCK} {expected} {what}"));
        assert_eq!(print(PLAIN, label, &frame, LinkLayer::Ethernet), format!("{CLOCK} {what}"));
    }
}

#[test]
fn without_link_layer_packets_are_printed_as_raw() {
    let packet = udp(1000, 2000, b"kflow");
    let synthetic = ethernet(0x0800, &packet);
    for options in [PLAIN, LineOptions { link: true, ..PLAIN }, LineOptions { hex: true, ..PLAIN }] {
        let raw = print(options, "", &frame(&packet), LinkLayer::Other(101));
        assert_eq!(print(options, "", &frame(&synthetic), LinkLayer::SyntheticEthernet), raw);
    }
    let arp = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2];
    let line = print(PLAIN, "", &frame(&ethernet(0x0806, &arp)), LinkLayer::SyntheticEthernet);
    assert_eq!(line, format!("{CLOCK} ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28\n"));
}

#[test]
fn link_types_and_lengths_that_cannot_be() {
    let packet = udp(1000, 2000, b"");
    let short = Frame { original_len: 27, ..frame(&packet) };
    let nothing = Frame { original_len: 0, ..frame(&[]) };
    let table = [
        (frame(&packet[..2]), LinkLayer::Other(127), "15:04:05.123456 UNSUPPORTED\n\t0x0000:  4500"),
        (short, LinkLayer::Other(101), "[Invalid header: len(27) < caplen(28)]\n"),
        (Frame { original_len: 60, ..frame(&[]) }, LinkLayer::Ethernet, "[Invalid header: caplen==0]\n"),
        (nothing, LinkLayer::SyntheticEthernet, "[Invalid header: caplen==0, len==0]\n"),
    ];
    for (frame, link, expected) in table {
        let line = print(PLAIN, "", &frame, link);
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn linux_sends_vxlan_to_the_port_of_otv() {
    let inner = ethernet(0x0800, &udp(1000, 2000, b"kflow"));
    let payload = [[0x08, 0, 0, 0, 0, 0, 42, 0].as_slice(), &inner].concat();
    let line = print(PLAIN, "", &frame(&udp(55_555, 8472, &payload)), LinkLayer::Other(101));
    let expected = "IP 10.0.0.1.55555 > 10.0.0.2.8472: VXLAN, flags [I] (0x08), vni 42\n\
                    IP 10.0.0.1.1000 > 10.0.0.2.2000: UDP, length 5\n";
    assert_eq!(line, format!("{CLOCK} {expected}"));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut query = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend([4, 0x1b, b'[', 0xe4, 0x7f, 0, 0, 1, 0, 1]);
    let line = print(PLAIN, "", &frame(&udp(1000, 53, &query)), LinkLayer::Other(101));
    assert_eq!(line, format!("{CLOCK} IP 10.0.0.1.1000 > 10.0.0.2.53: 1+ A? ^[[M-d^?. (22)\n"));
}

#[test]
fn headers_within_headers_have_an_end() {
    let packet = (0..3_000).fold(Vec::new(), |packet, _| ip4(4, &packet));
    let line = print(PLAIN, "", &frame(&packet), LinkLayer::Other(101));
    assert!(line.ends_with("[nested too deep]\n"), "{line}");
    assert!(line.len() < 2_000, "{}", line.len());
}

/// Bytes that get past the first headers.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    let port = prop_oneof![
        Just(53),
        Just(5353),
        Just(4789),
        Just(6081),
        Just(80),
        Just(22),
        Just(67),
        Just(123),
        Just(179),
        any::<u16>()
    ];
    let protocol = prop_oneof![
        Just(1),
        Just(2),
        Just(4),
        Just(6),
        Just(41),
        Just(47),
        Just(50),
        Just(51),
        Just(58),
        Just(132),
        any::<u8>()
    ];
    let ip6 = |(next, payload): (u8, Vec<u8>)| {
        let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let mut packet = vec![0x60, 0, 0, 0, len[0], len[1], next, 64];
        packet.extend([0x20; 32]);
        packet.extend(payload);
        ethernet(0x86dd, &packet)
    };
    let next = prop_oneof![Just(0), Just(43), Just(44), Just(58), Just(60), Just(6), Just(17), any::<u8>()];
    prop_oneof![
        bytes(),
        (any::<u16>(), bytes()).prop_map(|(ethertype, bytes)| ethernet(ethertype, &bytes)),
        (protocol, bytes()).prop_map(|(protocol, bytes)| ethernet(0x0800, &ip4(protocol, &bytes))),
        (port, bytes()).prop_map(|(port, bytes)| ethernet(0x0800, &udp(1000, port, &bytes))),
        (next, bytes()).prop_map(ip6),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_become_printable_lines(
        packet in packet(),
        missing in 0_u32..2_000,
        verbose in any::<bool>(),
        hex in any::<bool>(),
        link in any::<bool>(),
        layer in prop_oneof![
            Just(LinkLayer::Ethernet),
            Just(LinkLayer::SyntheticEthernet),
            Just(LinkLayer::Other(101)),
        ],
    ) {
        let frame = frame(&packet);
        let frame = Frame { original_len: frame.original_len + missing, ..frame };
        let lines = print(LineOptions { verbose, hex, link, label: true }, "eth0", &frame, layer);
        prop_assert!(lines.ends_with('\n'));
        let is_harmless = |byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~');
        prop_assert!(lines.bytes().all(is_harmless), "{:?}", lines);
        prop_assert!(lines.len() < 400 + 40 * (packet.len() + 1), "{}", lines.len());
    }
}
