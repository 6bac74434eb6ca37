//! Link layers of other tools' captures, made Ethernet.
//!
//! Everything behind the reader speaks Ethernet, the merged pcapng too: libpcap refuses a file that mixes link
//! types. So an Ethernet header takes the place of any other header that is known, in the buffer where it lies.

use std::ops::Range;

use super::LinkLayer;
use crate::units::Direction;

const ETHERNET_HEADER: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// What the decoder takes for "no IP": a length field of 0 in the place of an ethertype.
const ETHERTYPE_NONE: u16 = 0;
/// `LINKTYPE_LINUX_SLL`: packet type, ARPHRD type, address length, address (8), protocol.
const SLL_HEADER: usize = 16;
/// `LINKTYPE_LINUX_SLL2`: protocol, reserved (2), interface index, ARPHRD type, packet type, address length,
/// address (8).
const SLL2_HEADER: usize = 20;
/// `LINKTYPE_NULL`, `LINKTYPE_LOOP`: an address family of four bytes.
const NULL_HEADER: usize = 4;
/// The network field of a pcap header has the link type in its low half, and the length of a frame check sequence
/// in its high one.
const LINK_TYPE_BITS: u32 = 0xffff;

/// What the packets of an interface begin with (tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LinkType {
    Ethernet,
    SyntheticEthernet,
    /// IPv4 or IPv6 without a header before it.
    Raw,
    /// The address family in either byte order.
    Null,
    /// What Linux "cooks" for the device `any`.
    Sll,
    /// The same with the index of the interface.
    Sll2,
    Other(u32),
}

/// What a link-layer header told besides the protocol.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct LinkFacts {
    pub(super) direction: Option<Direction>,
    pub(super) ifindex: Option<u32>,
}

impl LinkType {
    /// By its number in a file. 12 and 14 are what `DLT_RAW` is on Linux and OpenBSD; some programs write them.
    pub(super) fn of(number: u32) -> Self {
        match self::number(number) {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Raw,
            0 | 108 => Self::Null,
            113 => Self::Sll,
            276 => Self::Sll2,
            other => Self::Other(other),
        }
    }

    /// What its packets begin with after [`Self::make_ethernet`].
    pub(super) fn layer(self) -> LinkLayer {
        match self {
            Self::Ethernet => LinkLayer::Ethernet,
            Self::SyntheticEthernet | Self::Raw | Self::Null | Self::Sll | Self::Sll2 => {
                LinkLayer::SyntheticEthernet
            }
            Self::Other(number) => LinkLayer::Other(number),
        }
    }

    /// Puts an Ethernet header where the packet's own header is and, if that one is shorter, before it.
    ///
    /// A packet of which not even the header was captured becomes empty.
    pub(super) fn make_ethernet(
        self,
        bytes: &mut [u8],
        data: &mut Range<usize>,
        original_len: &mut u32,
    ) -> LinkFacts {
        let captured = bytes.get(data.clone()).unwrap_or_default();
        let read = match self {
            Self::Ethernet | Self::SyntheticEthernet | Self::Other(_) => return LinkFacts::default(),
            Self::Raw => captured.first().map(|first| (0, raw(*first), LinkFacts::default())),
            Self::Null => {
                captured.first_chunk().map(|header| (NULL_HEADER, null(*header), LinkFacts::default()))
            }
            Self::Sll => captured.first_chunk().map(sll),
            Self::Sll2 => captured.first_chunk().map(sll2),
        };
        let Some((header_len, ethertype, facts)) = read else {
            data.end = data.start;
            return LinkFacts::default();
        };
        let payload = data.start + header_len;
        // The buffer has room before every packet.
        let Some(start) = payload.checked_sub(ETHERNET_HEADER) else { return facts };
        bytes[start..payload - 2].fill(0);
        bytes[payload - 2..payload].copy_from_slice(&ethertype.to_be_bytes());
        data.start = start;
        let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        *original_len = original_len.saturating_sub(len(header_len)).saturating_add(len(ETHERNET_HEADER));
        facts
    }
}

/// The link type in a field that may have more.
pub(super) fn number(field: u32) -> u32 {
    field & LINK_TYPE_BITS
}

/// The version nibble of an IP header.
fn raw(first: u8) -> u16 {
    match first >> 4 {
        4 => ETHERTYPE_IPV4,
        6 => ETHERTYPE_IPV6,
        _ => ETHERTYPE_NONE,
    }
}

/// An address family: NULL has it in the byte order of the machine that captured, LOOP in network byte order.
/// 2 is IPv4 everywhere; IPv6 is 10 on Linux, 24, 28 and 30 on the BSDs and macOS.
fn null(header: [u8; NULL_HEADER]) -> u16 {
    let family = u32::from_be_bytes(header);
    match if family > 0xffff { family.swap_bytes() } else { family } {
        2 => ETHERTYPE_IPV4,
        10 | 24 | 28 | 30 => ETHERTYPE_IPV6,
        _ => ETHERTYPE_NONE,
    }
}

fn sll(header: &[u8; SLL_HEADER]) -> (usize, u16, LinkFacts) {
    let packet_type = u16::from_be_bytes([header[0], header[1]]);
    let protocol = u16::from_be_bytes([header[14], header[15]]);
    (SLL_HEADER, protocol, LinkFacts { direction: direction(packet_type), ifindex: None })
}

fn sll2(header: &[u8; SLL2_HEADER]) -> (usize, u16, LinkFacts) {
    let protocol = u16::from_be_bytes([header[0], header[1]]);
    let ifindex = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let direction = direction(u16::from(header[10]));
    (SLL2_HEADER, protocol, LinkFacts { direction, ifindex: Some(ifindex) })
}

/// `sll_pkttype` of packet(7): to this host, broadcast, multicast, to another host, outgoing.
fn direction(packet_type: u16) -> Option<Direction> {
    match packet_type {
        0..=3 => Some(Direction::Ingress),
        4 => Some(Direction::Egress),
        _ => None,
    }
}

/// The direction of an Ethernet frame by the address of the interface; absent where the frame is between others.
pub(super) fn direction_by_mac(frame: &[u8], own: [u8; 6]) -> Option<Direction> {
    /// The group bit, which broadcasts have as well.
    const GROUP: u8 = 1;
    let (destination, rest) = frame.split_first_chunk::<6>()?;
    let source = rest.first_chunk::<6>()?;
    match (*source == own, *destination == own) {
        (true, false) => Some(Direction::Egress),
        (false, true) => Some(Direction::Ingress),
        (false, false) if destination[0] & GROUP != 0 => Some(Direction::Ingress),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 16;
    const LEN: u32 = 100;

    /// The packet as it is after the change, its length on the wire, and what its header told.
    fn made(number: u32, packet: &[u8]) -> (Vec<u8>, u32, LinkFacts) {
        let mut bytes = [&[0xff; ROOM], packet].concat();
        let (mut data, mut original_len) = (ROOM..bytes.len(), LEN);
        let facts = LinkType::of(number).make_ethernet(&mut bytes, &mut data, &mut original_len);
        (bytes[data].to_vec(), original_len, facts)
    }

    fn ethernet(ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
        [&[0; 12], ethertype.as_slice(), payload].concat()
    }

    #[test]
    fn headers_become_ethernet() {
        let (v4, v6) = ([0x45, 1, 2, 3], [0x60, 1, 2, 3]);
        let sll = |kind: u8, protocol: [u8; 2]| {
            [&[0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], protocol.as_slice(), &v4].concat()
        };
        let sll2 = |kind: u8, protocol: [u8; 2]| {
            [protocol.as_slice(), &[0, 0, 0, 0, 1, 7, 0, 1, kind, 6, 2, 0, 0, 0, 0, 1, 0, 0], &v4].concat()
        };
        let (ip4, ip6, none) = ([8, 0], [0x86, 0xdd], [0, 0]);
        let (ingress, egress) = (Some(Direction::Ingress), Some(Direction::Egress));
        for (number, packet, ethertype, payload, header, direction, ifindex) in [
            (101, v4.to_vec(), ip4, &v4, 0, None, None),
            (101, v6.to_vec(), ip6, &v6, 0, None, None),
            (101, vec![0x15, 1, 2, 3], none, &[0x15, 1, 2, 3], 0, None, None),
            (12, v4.to_vec(), ip4, &v4, 0, None, None),
            (14, v6.to_vec(), ip6, &v6, 0, None, None),
            (228, v4.to_vec(), ip4, &v4, 0, None, None),
            (229, v6.to_vec(), ip6, &v6, 0, None, None),
            (0, [&[2, 0, 0, 0], v4.as_slice()].concat(), ip4, &v4, 4, None, None),
            (0, [&[0, 0, 0, 2], v4.as_slice()].concat(), ip4, &v4, 4, None, None),
            (0, [&[30, 0, 0, 0], v6.as_slice()].concat(), ip6, &v6, 4, None, None),
            (0, [&[7, 0, 0, 0], v4.as_slice()].concat(), none, &v4, 4, None, None),
            (108, [&[0, 0, 0, 24], v6.as_slice()].concat(), ip6, &v6, 4, None, None),
            (113, sll(0, ip4), ip4, &v4, 16, ingress, None),
            (113, sll(3, ip4), ip4, &v4, 16, ingress, None),
            (113, sll(4, ip4), ip4, &v4, 16, egress, None),
            (113, sll(9, [8, 6]), [8, 6], &v4, 16, None, None),
            (276, sll2(1, ip4), ip4, &v4, 20, ingress, Some(0x107)),
            (276, sll2(4, ip4), ip4, &v4, 20, egress, Some(0x107)),
        ] {
            let (bytes, original_len, facts) = made(number, &packet);
            assert_eq!(bytes, ethernet(ethertype, payload), "{number}");
            assert_eq!(original_len, LEN - header + 14, "{number}");
            assert_eq!(facts, LinkFacts { direction, ifindex }, "{number}");
            assert_eq!(LinkType::of(number).layer(), LinkLayer::SyntheticEthernet);
        }
    }

    #[test]
    fn ethernet_and_what_is_not_known_stay() {
        let packet = [7; 40];
        for (number, layer) in [
            (1, LinkLayer::Ethernet),
            // With a frame check sequence of four bytes.
            (0x4400_0001, LinkLayer::Ethernet),
            (105, LinkLayer::Other(105)),
        ] {
            assert_eq!(made(number, &packet), (packet.to_vec(), LEN, LinkFacts::default()));
            assert_eq!(LinkType::of(number).layer(), layer);
        }
    }

    #[test]
    fn a_header_that_is_cut_off_leaves_nothing() {
        for (number, header) in [(101, 1), (0, 4), (113, 16), (276, 20)] {
            for len in 0..header {
                assert!(made(number, &vec![0; len]).0.is_empty(), "{number}, {len}");
            }
        }
    }

    #[test]
    fn own_address_tells_the_direction() {
        let (own, other, group) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [0x33, 0x33, 0, 0, 0, 1]);
        for (destination, source, direction) in [
            (other, own, Some(Direction::Egress)),
            (group, own, Some(Direction::Egress)),
            (own, other, Some(Direction::Ingress)),
            (group, other, Some(Direction::Ingress)),
            (other, other, None),
            (own, own, None),
        ] {
            assert_eq!(direction_by_mac(&[destination, source].concat(), own), direction);
        }
        assert_eq!(direction_by_mac(&[0; 11], own), None);
    }
}
