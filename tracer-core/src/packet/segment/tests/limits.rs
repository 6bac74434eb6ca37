//! What cannot be cut stays as it is.

use super::build::{Shell, Stack, Transport};
use super::{assert_untouched, segments_of, super_packet};
use crate::capture::LinkLayer;
use crate::units::Gso;

const TCP: Transport = Transport::Tcp { sequence: 1, flags: 0x10, options: 0 };
const FRAME: Shell = Shell::Ethernet(None);
const IPV4: Shell = Shell::Ipv4 { id: 1, options: 0, is_whole: true };
/// "Port unreachable", and the IPv4 header of what was sent there.
const QUOTE: [u8; 28] =
    [3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
/// Where an IPv4 header begins behind Ethernet.
const IP: usize = 14;

fn plain(transport: Transport) -> Stack {
    Stack { shells: vec![FRAME, IPV4], transport }
}

#[test]
fn what_is_no_super_packet() {
    for transport in [TCP, Transport::Udp] {
        let bytes = plain(transport).bytes(&[7; 1000]);
        let whole = super_packet(&bytes, usize::MAX, 1000);
        for (gso, why) in [
            (None, "no facts"),
            (Some(Gso { size: 0, segments: 3 }), "no size"),
            (Some(Gso { size: 1000, segments: 1 }), "one segment"),
            (Some(Gso { size: 1400, segments: 1 }), "less than one segment"),
            (Some(Gso { size: 0xffff, segments: 3 }), "GSO_BY_FRAGS"),
        ] {
            let mut frame = whole.clone();
            frame.gso = gso;
            assert_untouched(&frame, LinkLayer::Ethernet, why);
        }
    }
}

#[test]
fn headers_that_were_not_captured() {
    for (transport, fixed) in [(TCP, 20), (Transport::Udp, 8)] {
        let bytes = plain(transport).bytes(&[7; 3000]);
        for captured in 0..IP + 20 + fixed {
            assert_untouched(&super_packet(&bytes, captured, 1000), LinkLayer::Ethernet, "cut off");
        }
        let enough = super_packet(&bytes, IP + 20 + fixed, 1000);
        assert_eq!(segments_of(&enough, LinkLayer::Ethernet).len(), 3);
    }
}

#[test]
fn tunnels_whose_header_was_not_captured() {
    for shell in [Shell::Vxlan { port: 4789, has_checksum: false }, Shell::Geneve { port: 6081, options: 8 }]
    {
        let stack = Stack { shells: vec![FRAME, IPV4, shell, FRAME, IPV4], transport: TCP };
        let bytes = stack.bytes(&[7; 3000]);
        for captured in 0..stack.header_len() {
            assert_untouched(&super_packet(&bytes, captured, 1000), LinkLayer::Ethernet, "cut off");
        }
    }
}

#[test]
fn link_layers_that_are_not_read() {
    let bytes = plain(TCP).bytes(&[7; 3000]);
    for link in [0, 1, 113, 276] {
        assert_untouched(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Other(link), "link layer");
    }
}

#[test]
fn packets_of_other_kinds() {
    let changes: [(&str, &[(usize, u8)]); 8] = [
        ("more fragments", &[(IP + 6, 0x20)]),
        ("later fragment", &[(IP + 7, 1)]),
        ("SCTP", &[(IP + 9, 132)]),
        ("ICMP", &[(IP + 9, 1)]),
        ("ESP", &[(IP + 9, 50)]),
        ("data offset of 16 bytes", &[(IP + 20 + 12, 0x40)]),
        ("no IP", &[(12, 0x88), (13, 0xcc)]),
        ("version 5", &[(IP, 0x55)]),
    ];
    for (why, changes) in changes {
        let mut bytes = plain(TCP).bytes(&[7; 3000]);
        for (at, value) in changes {
            bytes[*at] = *value;
        }
        assert_untouched(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet, why);
    }
}

/// Headers before that of TCP which no segment can have, or which are of another packet.
#[test]
fn headers_between() {
    let cases: [(&str, Shell, u8, &[u8]); 5] = [
        ("authentication header", IPV4, 51, &[6, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1]),
        ("authentication header", Shell::Ipv6, 51, &[6, 2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0]),
        ("fragment that is all", Shell::Ipv6, 44, &[6, 0, 0, 0, 0, 0, 0, 9]),
        ("mobility header", Shell::Ipv6, 135, &[6, 0, 0, 0, 0, 0, 0, 0]),
        ("quoted by an error", IPV4, 1, &QUOTE),
    ];
    for (why, shell, protocol, between) in cases {
        let mut bytes = Stack { shells: vec![FRAME, shell], transport: TCP }.bytes(&[7; 3000]);
        let (at, field) = match shell {
            Shell::Ipv4 { .. } => (IP + 20, IP + 9),
            _ => (IP + 40, IP + 6),
        };
        bytes[field] = protocol;
        bytes.splice(at..at, between.iter().copied());
        assert_untouched(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet, why);
    }
}

#[test]
fn sessions_of_ppp() {
    let mut bytes = plain(TCP).bytes(&[7; 3000]);
    bytes[12..14].copy_from_slice(&[0x88, 0x64]);
    bytes.splice(IP..IP, [0x11, 0, 0, 1, 0x0b, 0xe2, 0, 0x21]);
    assert_untouched(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet, "PPPoE");
}

#[test]
fn routes_that_are_not_followed() {
    let stack = Stack { shells: vec![FRAME, Shell::Ipv6Route], transport: TCP };
    let mut bytes = stack.bytes(&[7; 3000]);
    bytes[IP + 40 + 2] = 3;
    assert_untouched(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet, "RPL source route");
    // At its last destination a route does not matter any more.
    bytes[IP + 40 + 3] = 0;
    assert_eq!(segments_of(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet).len(), 3);
}

#[test]
fn tunnels_too_deep() {
    let mut shells = vec![FRAME, IPV4, IPV4, IPV4, IPV4];
    let bytes = Stack { shells: shells.clone(), transport: TCP }.bytes(&[7; 3000]);
    assert_eq!(segments_of(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet).len(), 3);
    shells.push(IPV4);
    let bytes = Stack { shells, transport: TCP }.bytes(&[7; 3000]);
    assert_untouched(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet, "four tunnels");
}

#[test]
fn datagrams_that_only_resemble_a_tunnel() {
    // The inner packet has another length than the datagram: it is payload.
    let tunnel = Shell::Vxlan { port: 5555, has_checksum: true };
    let stack = Stack { shells: vec![FRAME, IPV4, tunnel, FRAME, IPV4], transport: TCP };
    let mut bytes = stack.bytes(&[7; 3000]);
    let header = stack.header_len();
    assert_eq!(segments_of(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet).len(), 3);
    bytes[header - 20 - 20 + 3] ^= 1;
    let segments = segments_of(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet);
    assert_eq!(segments.len(), 4);
    assert_eq!(segments[0].data.len(), IP + 20 + 8 + 1000);
}

#[test]
fn costs_are_bounded() {
    let bytes = plain(TCP).bytes(&[7; 3000]);
    let mut frame = super_packet(&bytes, usize::MAX, 1);
    assert_eq!(segments_of(&frame, LinkLayer::Ethernet).len(), 3000);
    for original_len in [70_000, 600_000, u32::MAX] {
        frame.original_len = original_len;
        assert_untouched(&frame, LinkLayer::Ethernet, "too many segments");
    }
    frame.gso = Some(Gso { size: 65_530, segments: 0 });
    frame.original_len = 200_000;
    assert_untouched(&frame, LinkLayer::Ethernet, "segments that no IP packet can be");
    frame.original_len = 10;
    assert_untouched(&frame, LinkLayer::Ethernet, "shorter than its headers");
}

#[test]
fn the_first_error_ends_it() {
    let bytes = plain(TCP).bytes(&[7; 3000]);
    let mut count = 0;
    let result = super::Segmenter::default().segments(
        &super_packet(&bytes, usize::MAX, 1000),
        LinkLayer::Ethernet,
        |_| {
            count += 1;
            if count == 2 { Err("full") } else { Ok(()) }
        },
    );
    assert_eq!((result, count), (Err("full"), 2));
}
