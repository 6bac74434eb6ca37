//! Super-packets in everything that is followed.

use super::build::{Shell, Stack, Transport};
use super::examine::Expected;
use super::{segments_of, super_packet};
use crate::capture::LinkLayer;
use crate::packet::segment::header_len;

const IPV4: Shell = Shell::Ipv4 { id: 0xfffe, options: 0, is_whole: true };
const OUTER: Shell = Shell::Ipv4 { id: 100, options: 0, is_whole: false };
const FRAME: Shell = Shell::Ethernet(None);
const VXLAN: Shell = Shell::Vxlan { port: 4789, has_checksum: false };

/// The shells of every case, without the link layer.
pub(super) fn stacks() -> Vec<Vec<Shell>> {
    let geneve = |port| Shell::Geneve { port, options: 8 };
    let gre = |has_checksum| Shell::Gre { has_checksum };
    vec![
        vec![IPV4],
        vec![Shell::Ipv4 { id: 7, options: 12, is_whole: false }],
        vec![Shell::Ipv4 { id: 0, options: 0, is_whole: true }],
        vec![Shell::Ipv4 { id: 0, options: 0, is_whole: false }],
        vec![Shell::Ipv6],
        vec![Shell::Ipv6Options],
        vec![Shell::Ipv6Route],
        vec![OUTER, IPV4],
        vec![OUTER, Shell::Ipv6],
        vec![Shell::Ipv6, IPV4],
        vec![Shell::Ipv6Options, Shell::Ipv6],
        vec![OUTER, gre(false), IPV4],
        vec![OUTER, gre(true), Shell::Ipv6],
        vec![Shell::Ipv6, gre(true), Shell::Ethernet(Some(5)), IPV4],
        vec![OUTER, VXLAN, FRAME, IPV4],
        vec![OUTER, VXLAN, FRAME, Shell::Ipv6],
        vec![OUTER, Shell::Vxlan { port: 8472, has_checksum: true }, Shell::Ethernet(Some(9)), IPV4],
        vec![Shell::Ipv6, Shell::Vxlan { port: 8472, has_checksum: true }, FRAME, Shell::Ipv6],
        vec![OUTER, Shell::Vxlan { port: 5555, has_checksum: false }, Shell::Ethernet(Some(9)), IPV4],
        vec![OUTER, Shell::Vxlan { port: 5555, has_checksum: true }, FRAME, Shell::Ipv6],
        vec![OUTER, geneve(6081), FRAME, IPV4],
        vec![OUTER, geneve(6081), IPV4],
        vec![OUTER, geneve(7777), FRAME, Shell::Ipv6],
        vec![OUTER, geneve(7777), Shell::Ipv6],
        vec![OUTER, VXLAN, FRAME, OUTER, gre(true), IPV4],
        vec![OUTER, OUTER, VXLAN, FRAME, Shell::Ipv6, IPV4],
    ]
}

/// Every stack behind every link layer, with both transports.
pub(super) fn cases() -> Vec<(LinkLayer, Stack)> {
    let links = [
        (LinkLayer::Ethernet, vec![FRAME]),
        (LinkLayer::SyntheticEthernet, vec![Shell::Ethernet(Some(0x2005))]),
        (LinkLayer::Ethernet, vec![FRAME, Shell::Mpls]),
        (LinkLayer::Other(101), vec![]),
    ];
    let transports = [
        Transport::Tcp { sequence: 0xffff_fc00, flags: 0xd9, options: 12 },
        Transport::Tcp { sequence: 5, flags: 0x10, options: 0 },
        Transport::Udp,
    ];
    let mut cases = Vec::new();
    for (link, before) in links {
        for shells in stacks() {
            for transport in transports {
                let shells = before.iter().copied().chain(shells.iter().copied()).collect();
                cases.push((link, Stack { shells, transport }));
            }
        }
    }
    cases
}

/// Segments a packet, examines every segment, and asserts that none is missing.
pub(super) fn check(link: LinkLayer, stack: &Stack, payload: &[u8], size: u16, captured: usize) {
    let bytes = stack.bytes(payload);
    let header = stack.header_len();
    let segments = segments_of(&super_packet(&bytes, captured, size), link);
    assert_eq!(segments.len(), payload.len().div_ceil(usize::from(size)), "{stack:?}");
    let mut offset = 0;
    for (index, segment) in segments.iter().enumerate() {
        let own = (payload.len() - offset).min(usize::from(size));
        let there = captured.saturating_sub(header + offset).min(own);
        let original_len = segment.original_len as usize;
        assert_eq!(original_len, header + own, "{stack:?}");
        assert_eq!(segment.data.len(), header.min(captured) + there, "{stack:?}");
        let is_last = index + 1 == segments.len();
        let is_captured = there == own;
        let expected = Expected { stack, index, offset, original_len, is_last, is_captured };
        assert_eq!(expected.examine(&segment.data), &payload[offset..offset + there], "{stack:?}");
        assert_eq!(segment.gso, None);
        offset += own;
    }
}

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

#[test]
fn whole_packets() {
    for (link, stack) in cases() {
        check(link, &stack, &payload(5001), 1000, usize::MAX);
        check(link, &stack, &payload(2000), 1000, usize::MAX);
    }
}

#[test]
fn packets_beyond_64_kilobytes() {
    for (link, stack) in cases().iter().filter(|(_, stack)| matches!(stack.transport, Transport::Tcp { .. }))
    {
        // A length that has no room says nothing about what a port carries.
        let says = |shell: &Shell| {
            !matches!(shell, Shell::Vxlan { port: 5555, .. } | Shell::Geneve { port: 7777, .. })
        };
        if stack.shells.iter().all(says) {
            check(*link, stack, &payload(100_000), 1400, usize::MAX);
        }
    }
}

#[test]
fn packets_cut_within_the_payload() {
    for (link, stack) in cases() {
        for kept in [0, 1, 999, 1000, 1001, 2500] {
            check(link, &stack, &payload(4321), 1000, stack.header_len() + kept);
        }
    }
}

#[test]
fn packets_cut_within_tcp_options() {
    for (link, stack) in cases() {
        if matches!(stack.transport, Transport::Tcp { options: 12, .. }) {
            check(link, &stack, &payload(4321), 1000, stack.header_len() - 5);
        }
    }
}

#[test]
fn headers_end_at_the_payload() {
    for (link, stack) in cases() {
        let bytes = stack.bytes(&payload(300));
        let header = stack.header_len();
        assert_eq!(header_len(link, &bytes), header, "{stack:?}");
        // What shows that a port carries a tunnel may have been cut off.
        let is_by_shape = stack.shells.iter().any(|shell| match shell {
            Shell::Vxlan { port, .. } | Shell::Geneve { port, .. } => ![4789, 8472, 6081].contains(port),
            _ => false,
        });
        for captured in 0..=header {
            let found = header_len(link, &bytes[..captured]);
            assert!(found == captured || (found < captured && is_by_shape), "{stack:?} {captured}");
        }
    }
}

#[test]
fn facts_of_the_frame() {
    let stack = Stack { shells: vec![FRAME, IPV4], transport: Transport::Udp };
    let bytes = stack.bytes(&payload(250));
    let frame = super_packet(&bytes, usize::MAX, 100);
    let segments = segments_of(&frame, LinkLayer::Ethernet);
    for segment in &segments {
        assert_eq!((segment.interface, segment.time), (frame.interface, frame.time));
        assert_eq!((segment.direction, segment.mark), (frame.direction, frame.mark));
    }
    let lost: Vec<_> = segments.iter().map(|segment| segment.lost_before).collect();
    assert_eq!(lost, [5, 0, 0]);
    let comments: Vec<_> = segments.iter().map(|segment| segment.comment.as_deref()).collect();
    assert_eq!(comments, [Some("kept"), None, None]);
}

/// A sum of 0 is sent as its other form (RFC 768): some two bytes of payload make it come out.
#[test]
fn no_checksum_of_udp_becomes_none() {
    let stack = Stack { shells: vec![FRAME, Shell::Ipv6], transport: Transport::Udp };
    let mut inverted = 0;
    for word in 0..=u16::MAX {
        let payload = [&word.to_be_bytes()[..], &[7; 3]].concat();
        let segments = segments_of(&super_packet(&stack.bytes(&payload), usize::MAX, 4), LinkLayer::Ethernet);
        let checksum = &segments[0].data[14 + 40 + 6..][..2];
        assert_ne!(checksum, [0; 2], "{word}");
        inverted += u32::from(checksum == [0xff; 2]);
    }
    assert!(inverted > 0);
}

#[test]
fn congestion_counter_stays() {
    let stack = Stack {
        shells: vec![FRAME, Shell::Ipv6],
        transport: Transport::Tcp { sequence: 1, flags: 0x90, options: 0 },
    };
    let mut bytes = stack.bytes(&payload(2000));
    bytes[14 + 40 + 12] |= 1;
    for segment in segments_of(&super_packet(&bytes, usize::MAX, 1000), LinkLayer::Ethernet) {
        assert_eq!(segment.data[14 + 40 + 13], 0x90);
    }
}

#[test]
fn jumbo_option_of_big_tcp_goes() {
    let plain = Stack {
        shells: vec![FRAME, Shell::Ipv6],
        transport: Transport::Tcp { sequence: 1, flags: 0x18, options: 12 },
    };
    let payload = payload(100_000);
    let bytes = plain.bytes(&payload);
    let mut big = bytes.clone();
    big.splice(54..54, [6, 0, 0xc2, 4, 0, 1, 0x86, 0xc8]);
    big[20] = 0;
    for captured in [usize::MAX, 5000, 100, 14 + 40 + 20] {
        let expected = segments_of(&super_packet(&bytes, captured, 1000), LinkLayer::Ethernet);
        let found = super_packet(&big, captured.saturating_add(8), 1000);
        assert_eq!(segments_of(&found, LinkLayer::Ethernet), expected, "{captured}");
    }
    check(LinkLayer::Ethernet, &plain, &payload, 1000, usize::MAX);
    assert_eq!(header_len(LinkLayer::Ethernet, &big), plain.header_len() + 8);
}
