//! Tunnels that not every kernel has, put around packets of the kernel's by hand.
//!
//! The super-packet in a tunnel, cut by us, has to be what the kernel's segments are in that tunnel each.

use tracer_core::capture::Frame;

use crate::compare::{Comparison, check_with_tshark, segments};

const ETHERNET: usize = 14;
const GRE: u8 = 47;
const UDP: u8 = 17;
/// The first identification; it overflows soon.
const FIRST_ID: u16 = 0xffee;

/// A tunnel around what an Ethernet header has behind it.
#[derive(Clone, Copy, Debug)]
enum Tunnel {
    /// Two VLAN tags (IEEE 802.1ad).
    Tags,
    /// IPv4 or IPv6 in IPv4 (RFC 2003, RFC 4213).
    InIpv4,
    /// IPv4 or IPv6 in IPv6 (RFC 2473).
    InIpv6,
    /// GRE in IPv4 with a checksum or without (RFC 2784).
    Gre(bool),
    /// GRE in IPv6 with the whole frame in it.
    GreFrame,
    /// Geneve in IPv4 with the whole frame in it (RFC 8926), and an option.
    Geneve,
}

/// Asserts it for some of the packets, in every tunnel.
pub(crate) fn check(comparison: &Comparison) {
    let tunnels = [
        Tunnel::Tags,
        Tunnel::InIpv4,
        Tunnel::InIpv6,
        Tunnel::Gre(false),
        Tunnel::Gre(true),
        Tunnel::GreFrame,
        Tunnel::Geneve,
    ];
    // Shorter ones: the tunnel must have room.
    let some = comparison.super_packets().filter(|frame| frame.original_len < 64_000).take(6);
    let some: Vec<_> = some.collect();
    assert!(!some.is_empty());
    let mut all = Vec::new();
    for (tunnel, frame) in
        tunnels.into_iter().flat_map(|tunnel| some.iter().map(move |frame| (tunnel, frame)))
    {
        let ours = segments(&wrap(tunnel, frame, 0));
        let theirs = (0..)
            .zip(&segments(frame))
            .map(|(index, segment)| wrap(tunnel, segment, index))
            .collect::<Vec<_>>();
        let bytes = |frames: &[Frame<'_>]| frames.iter().map(|frame| frame.data.to_vec()).collect::<Vec<_>>();
        assert!(bytes(&ours) == bytes(&theirs), "{tunnel:?}");
        all.extend(ours);
    }
    check_with_tshark("tunnels", &all);
}

/// A packet, or its segment of this number, in a tunnel.
fn wrap(tunnel: Tunnel, frame: &Frame<'_>, index: u16) -> Frame<'static> {
    let (ethernet, inside) = frame.data.split_at(ETHERNET);
    let is_ipv6 = inside[0] >> 4 == 6;
    let id = FIRST_ID.wrapping_add(index);
    let protocol = if is_ipv6 { 41 } else { 4 };
    let ethertype: [u8; 2] = if is_ipv6 { [0x86, 0xdd] } else { [8, 0] };
    let (outer_type, outer) = match tunnel {
        Tunnel::Tags => ([0x88, 0xa8], [&[0x20, 5, 0x81, 0, 0, 6][..], &frame.data[12..]].concat()),
        Tunnel::InIpv4 => ([8, 0], ipv4(id, protocol, inside.to_vec())),
        Tunnel::InIpv6 => ([0x86, 0xdd], ipv6(protocol, inside.to_vec())),
        Tunnel::Gre(has_checksum) => ([8, 0], ipv4(id, GRE, gre(has_checksum, ethertype, inside))),
        Tunnel::GreFrame => ([0x86, 0xdd], ipv6(GRE, gre(true, [0x65, 0x58], &frame.data))),
        Tunnel::Geneve => ([8, 0], ipv4(id, UDP, geneve(&frame.data))),
    };
    let bytes = [&ethernet[..12], &outer_type, &outer].concat();
    Frame {
        original_len: u32::try_from(bytes.len()).unwrap(),
        data: bytes.into(),
        comment: None,
        ..frame.clone().into_owned()
    }
}

fn ipv4(id: u16, protocol: u8, inside: Vec<u8>) -> Vec<u8> {
    let total = u16::try_from(20 + inside.len()).unwrap();
    let mut bytes = vec![0x45, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend([0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    let checksum = checksum(&bytes);
    bytes[10..12].copy_from_slice(&checksum);
    bytes.extend(inside);
    bytes
}

fn ipv6(next: u8, inside: Vec<u8>) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0];
    bytes.extend(u16::try_from(inside.len()).unwrap().to_be_bytes());
    bytes.extend([next, 64]);
    bytes.extend([0xfd; 32]);
    bytes.extend(inside);
    bytes
}

fn gre(has_checksum: bool, ethertype: [u8; 2], inside: &[u8]) -> Vec<u8> {
    let mut bytes = vec![if has_checksum { 0x80 } else { 0 }, 0, ethertype[0], ethertype[1]];
    if has_checksum {
        bytes.extend([0; 4]);
    }
    bytes.extend(inside);
    if has_checksum {
        let checksum = checksum(&bytes);
        bytes[4..6].copy_from_slice(&checksum);
    }
    bytes
}

fn geneve(frame: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + 8 + 8 + frame.len()).unwrap();
    let mut bytes = vec![0xc0, 1];
    bytes.extend(6081u16.to_be_bytes());
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend([2, 0, 0x65, 0x58, 0, 0, 42, 0]);
    bytes.extend([0xff, 0xff, 0, 1, 1, 2, 3, 4]);
    bytes.extend(frame);
    bytes
}

/// RFC 1071, word by word.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) * 256 + u32::from(*word.get(1).unwrap_or(&0)));
    let sum = words.fold(0, |sum: u32, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}
