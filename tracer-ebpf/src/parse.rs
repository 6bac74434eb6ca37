//! From header to header through a packet: link layer, IP, tunnels, quoted packets in ICMP errors.
//!
//! One step reads one header and says what comes next, so that every nesting costs the verifier the same. Where the bytes
//! are, in the packet of a hook or in one that the kernel drops, is the business of [`Bytes`].

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::bindings::bpf_hdr_start_off::BPF_HDR_START_NET;
use aya_ebpf::helpers::{bpf_skb_load_bytes, bpf_skb_load_bytes_relative};
use tracer_common::counters::LINK_ETHERNET;
use tracer_common::filter::Address;

use crate::maps::VXLAN_PORT;

/// What the header at [`Cursor::offset`] is: an `EtherType` below 2^16, an IP protocol number above [`PROTOCOL`],
/// or one of the constants here.
pub(crate) type Kind = u32;

/// Added to an IP protocol number.
pub(crate) const PROTOCOL: Kind = 0x1_0000;
const ETHERNET: Kind = 0x2_0000;
const IP_BY_VERSION: Kind = 0x2_0001;

const ETHERTYPE_IPV4: Kind = 0x0800;
const ETHERTYPE_IPV6: Kind = 0x86dd;
const ETHERTYPE_ETHERNET: Kind = 0x6558;

pub(crate) const ICMP: Kind = PROTOCOL + 1;
pub(crate) const TCP: Kind = PROTOCOL + 6;
pub(crate) const UDP: Kind = PROTOCOL + 17;
pub(crate) const DCCP: Kind = PROTOCOL + 33;
pub(crate) const ICMPV6: Kind = PROTOCOL + 58;
pub(crate) const SCTP: Kind = PROTOCOL + 132;
pub(crate) const UDP_LITE: Kind = PROTOCOL + 136;
const HOP_BY_HOP: Kind = PROTOCOL;
const IPV4_INSIDE: Kind = PROTOCOL + 4;
const IPV6_INSIDE: Kind = PROTOCOL + 41;
const ROUTING: Kind = PROTOCOL + 43;
const FRAGMENT: Kind = PROTOCOL + 44;
const GRE: Kind = PROTOCOL + 47;
const AUTHENTICATION: Kind = PROTOCOL + 51;
const DESTINATION_OPTIONS: Kind = PROTOCOL + 60;
const MOBILITY: Kind = PROTOCOL + 135;
const HOST_IDENTITY: Kind = PROTOCOL + 139;
const SHIM6: Kind = PROTOCOL + 140;

const IPV6_HEADER: u32 = 40;

const VXLAN: u16 = 4789;
const VXLAN_LINUX: u16 = 8472;
const GENEVE: u16 = 6081;

/// Where the next header is, and what it is.
#[derive(Clone, Copy)]
pub(crate) struct Cursor {
    /// Bytes from the start of the packet.
    pub(crate) offset: u32,
    /// What is there.
    pub(crate) kind: Kind,
}

/// What one step found.
pub(crate) enum Step {
    /// A header that says no more than what follows it.
    Next(Cursor),
    /// An IP header.
    Ip(Ip),
    /// A later fragment of what the cursor names; that itself is not in this packet.
    Fragment(Cursor),
    /// What an IP header carries; [`below`] tells whether that holds another packet.
    Transport,
    /// Nothing that is understood, or the packet ended.
    End,
}

/// What an IP header tells the filter.
pub(crate) struct Ip {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) next: Cursor,
    /// The payload is not at `next`: this is a later fragment.
    pub(crate) later_fragment: bool,
}

/// Where a packet begins.
///
/// Before Linux 5.14 a tunnel device that has no link layer hands its hook a received packet with all that was taken
/// off still in front: the Ethernet header of the uplink and the outer IP header. The network header is the inner one
/// already; how far behind the start it is, its length tells.
#[inline(always)]
pub(crate) fn origin(skb: *mut __sk_buff, link: u32) -> u32 {
    if link == LINK_ETHERNET {
        return 0;
    }
    // SAFETY: the context of a TC program is valid while it runs.
    let len = unsafe { (*skb).len };
    let Some(network) = load_network(skb) else { return 0 };
    let total = match network[0] >> 4 {
        4 => u32::from(u16::from_be_bytes([network[2], network[3]])),
        6 => u32::from(u16::from_be_bytes([network[4], network[5]])) + IPV6_HEADER,
        _ => return 0,
    };
    if total == 0 || total >= len {
        return 0;
    }
    let behind = len - total;
    if Skb(skb).load::<NetworkStart>(behind) == Some(network) { behind } else { 0 }
}

/// The first header of a packet that begins at `origin`.
#[inline(always)]
pub(crate) fn start(link: u32, origin: u32) -> Cursor {
    Cursor { offset: origin, kind: if link == LINK_ETHERNET { ETHERNET } else { IP_BY_VERSION } }
}

/// Reads the header at the cursor.
#[inline(always)]
pub(crate) fn step<P: Bytes>(packet: P, at: Cursor) -> Step {
    let next = match at.kind {
        ETHERNET => next_by_ethertype(packet, at.offset + 12),
        // 802.1Q, 802.1ad, and what was used before it.
        0x8100 | 0x88a8 | 0x9100 => next_by_ethertype(packet, at.offset + 2),
        IP_BY_VERSION => ip_by_version(packet, at.offset),
        ETHERTYPE_IPV4 => return ipv4(packet, at.offset),
        ETHERTYPE_IPV6 => return ipv6(packet, at.offset),
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | MOBILITY | HOST_IDENTITY | SHIM6 => {
            extension(packet, at.offset, 8, 8)
        }
        // Its length is in units of 4 bytes, less 2 (RFC 4302 2.2).
        AUTHENTICATION => extension(packet, at.offset, 4, 8),
        FRAGMENT => return fragment(packet, at.offset),
        PROTOCOL.. => return Step::Transport,
        _ => None,
    };
    next.map_or(Step::End, Step::Next)
}

/// The packet inside a transport: a tunnel's payload, or what an ICMP error quotes.
#[inline(always)]
pub(crate) fn below<P: Bytes>(packet: P, at: Cursor) -> Option<Cursor> {
    match at.kind {
        IPV4_INSIDE => Some(Cursor { kind: ETHERTYPE_IPV4, ..at }),
        IPV6_INSIDE => Some(Cursor { kind: ETHERTYPE_IPV6, ..at }),
        GRE => gre(packet, at.offset),
        UDP => udp(packet, at.offset),
        ICMP => icmp(packet, at.offset),
        ICMPV6 => icmpv6(packet, at.offset),
        _ => None,
    }
}

/// Whether a protocol carries whole packets, seen or not.
#[inline(always)]
pub(crate) fn is_tunnel(kind: Kind) -> bool {
    matches!(kind, IPV4_INSIDE | IPV6_INSIDE | GRE)
}

/// An extension header after which the payload's header is still to come.
#[inline(always)]
fn extension<P: Bytes>(packet: P, offset: u32, unit: u32, base: u32) -> Option<Cursor> {
    let [next, length] = packet.load::<[u8; 2]>(offset)?;
    Some(Cursor { offset: offset + base + u32::from(length) * unit, kind: PROTOCOL + u32::from(next) })
}

/// The fragment header (RFC 8200 4.5).
#[inline(always)]
fn fragment<P: Bytes>(packet: P, offset: u32) -> Step {
    let Some([next, _, high, low]) = packet.load::<[u8; 4]>(offset) else { return Step::End };
    let next = Cursor { offset: offset + 8, kind: PROTOCOL + u32::from(next) };
    if u16::from_be_bytes([high, low]) & 0xfff8 == 0 { Step::Next(next) } else { Step::Fragment(next) }
}

/// The `EtherType` at `offset`, and what follows it.
#[inline(always)]
fn next_by_ethertype<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let ethertype = load_u16(packet, offset)?;
    // Below 0x600 it is a length (IEEE 802.3 3.2.6).
    (ethertype >= 0x600).then_some(Cursor { offset: offset + 2, kind: u32::from(ethertype) })
}

#[inline(always)]
fn ip_by_version<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let [first] = packet.load::<[u8; 1]>(offset)?;
    match first >> 4 {
        4 => Some(Cursor { offset, kind: ETHERTYPE_IPV4 }),
        6 => Some(Cursor { offset, kind: ETHERTYPE_IPV6 }),
        _ => None,
    }
}

#[inline(always)]
fn ipv4<P: Bytes>(packet: P, offset: u32) -> Step {
    let Some(words) = packet.load::<[u32; 5]>(offset) else { return Step::End };
    let [version_length, _, _, _] = words[0].to_ne_bytes();
    let header_length = u32::from(version_length & 0xf) * 4;
    if version_length >> 4 != 4 || header_length < 20 {
        return Step::End;
    }
    let [_, _, fragment_high, fragment_low] = words[1].to_ne_bytes();
    let [_, protocol, _, _] = words[2].to_ne_bytes();
    Step::Ip(Ip {
        source: Address::v4(words[3]),
        destination: Address::v4(words[4]),
        next: Cursor { offset: offset + header_length, kind: PROTOCOL + u32::from(protocol) },
        later_fragment: u16::from_be_bytes([fragment_high, fragment_low]) & 0x1fff != 0,
    })
}

#[inline(always)]
fn ipv6<P: Bytes>(packet: P, offset: u32) -> Step {
    let Some(words) = packet.load::<[u64; 5]>(offset) else { return Step::End };
    let [version, _, _, _, _, _, next, _] = words[0].to_ne_bytes();
    if version >> 4 != 6 {
        return Step::End;
    }
    Step::Ip(Ip {
        source: Address { words: [words[1], words[2]] },
        destination: Address { words: [words[3], words[4]] },
        next: Cursor { offset: offset + 40, kind: PROTOCOL + u32::from(next) },
        later_fragment: false,
    })
}

/// GRE (RFC 2784, RFC 2890): version 0 without source routes, an IP packet or an Ethernet frame inside.
#[inline(always)]
fn gre<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const VERSION: u16 = 0x0007;
    let [a, b, c, d] = packet.load::<[u8; 4]>(offset)?;
    let flags = u16::from_be_bytes([a, b]);
    if flags & (ROUTING | VERSION) != 0 {
        return None;
    }
    let optional = |flag: u16| if flags & flag == 0 { 0 } else { 4 };
    let length = 4 + optional(CHECKSUM) + optional(KEY) + optional(SEQUENCE);
    tunnelled(offset + length, u16::from_be_bytes([c, d]))
}

#[inline(always)]
fn udp<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let port = load_u16(packet, offset + 2)?;
    if port == GENEVE {
        geneve(packet, offset + 8)
    } else if is_tunnel_port(port) {
        vxlan(packet, offset + 8)
    } else {
        None
    }
}

/// Whether what goes to this UDP port may carry packets.
#[inline(always)]
pub(crate) fn is_tunnel_port(port: u16) -> bool {
    matches!(port, GENEVE | VXLAN | VXLAN_LINUX) || (port != 0 && port == VXLAN_PORT.load())
}

/// An IP protocol number as a kind of header.
#[inline(always)]
pub(crate) const fn protocol(number: u8) -> Kind {
    PROTOCOL + number as Kind
}

/// VXLAN (RFC 7348): the flag that says "this has a network identifier" is what tells it from other payload.
#[inline(always)]
fn vxlan<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let [flags] = packet.load::<[u8; 1]>(offset)?;
    (flags & 0x08 != 0).then_some(Cursor { offset: offset + 8, kind: ETHERNET })
}

/// Geneve (RFC 8926): version 0, options of up to 252 bytes.
#[inline(always)]
fn geneve<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let [version_length, _, high, low] = packet.load::<[u8; 4]>(offset)?;
    if version_length >> 6 != 0 {
        return None;
    }
    tunnelled(offset + 8 + u32::from(version_length & 0x3f) * 4, u16::from_be_bytes([high, low]))
}

#[inline(always)]
fn tunnelled(offset: u32, ethertype: u16) -> Option<Cursor> {
    match u32::from(ethertype) {
        ETHERTYPE_ETHERNET => Some(Cursor { offset, kind: ETHERNET }),
        kind @ (ETHERTYPE_IPV4 | ETHERTYPE_IPV6) => Some(Cursor { offset, kind }),
        _ => None,
    }
}

/// Errors quote the packet they are about (RFC 792): unreachable, source quench, redirect, time exceeded,
/// parameter problem.
#[inline(always)]
fn icmp<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let [kind] = packet.load::<[u8; 1]>(offset)?;
    matches!(kind, 3 | 4 | 5 | 11 | 12).then_some(Cursor { offset: offset + 8, kind: ETHERTYPE_IPV4 })
}

/// All errors quote the packet they are about (RFC 4443 2.1): types 1 to 4 today.
#[inline(always)]
fn icmpv6<P: Bytes>(packet: P, offset: u32) -> Option<Cursor> {
    let [kind] = packet.load::<[u8; 1]>(offset)?;
    matches!(kind, 1..=4).then_some(Cursor { offset: offset + 8, kind: ETHERTYPE_IPV6 })
}

#[inline(always)]
fn load_u16<P: Bytes>(packet: P, offset: u32) -> Option<u16> {
    packet.load::<[u8; 2]>(offset).map(u16::from_be_bytes)
}

/// The first bytes of an IP header, up to the length in either version.
type NetworkStart = [u8; 6];

/// Copies them from where the kernel takes the network header to be.
#[inline(always)]
fn load_network(skb: *mut __sk_buff) -> Option<NetworkStart> {
    let mut value = NetworkStart::default();
    // SAFETY: the helper (Linux 5.0) writes all of `value` or fails.
    let result = unsafe {
        bpf_skb_load_bytes_relative(
            skb.cast(),
            0,
            value.as_mut_ptr().cast(),
            size_of::<NetworkStart>() as u32,
            BPF_HDR_START_NET,
        )
    };
    (result == 0).then_some(value)
}

/// A packet that headers are read from.
pub(crate) trait Bytes: Copy {
    /// Copies a header from wherever in the packet it is. Absent when the packet ends before.
    fn load<T: Copy>(self, offset: u32) -> Option<T>;
}

/// The packet of a TC program.
#[derive(Clone, Copy)]
pub(crate) struct Skb(pub(crate) *mut __sk_buff);

impl Bytes for Skb {
    #[inline(always)]
    fn load<T: Copy>(self, offset: u32) -> Option<T> {
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the helper writes all of `value` or fails; callers ask for arrays of integers only.
        unsafe {
            let size = size_of::<T>() as u32;
            let result = bpf_skb_load_bytes(self.0.cast(), offset, value.as_mut_ptr().cast(), size);
            (result == 0).then(|| value.assume_init())
        }
    }
}
