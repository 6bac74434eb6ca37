//! Tunnels with a header of their own: VXLAN, Geneve, GRE.

use super::{
    ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_TRANSPARENT_BRIDGING, Layer, Next, VLAN_TAG,
    Walk,
};

const UDP_HEADER: usize = 8;
/// Of VXLAN, and of Geneve before its options.
const TUNNEL_HEADER: usize = 8;
/// The flag of a valid network identifier (RFC 7348, section 5).
const VXLAN_VALID: u8 = 0x08;
/// The IANA port.
const VXLAN_PORT: u16 = 4789;
/// Linux's old default.
const VXLAN_PORT_LINUX: u16 = 8472;
const GENEVE_PORT: u16 = 6081;
const GENEVE_RESERVED: u8 = 0x3f;
const GRE_HEADER: usize = 4;
/// Checksum, key and sequence number (RFC 2784, RFC 2890), each with four bytes.
const GRE_OPTIONAL: [u8; 3] = [GRE_CHECKSUM, 0x20, 0x10];
const GRE_CHECKSUM: u8 = 0x80;
/// Source routes (RFC 1701), which nothing makes any more.
const GRE_ROUTING: u8 = 0x40;

/// What a UDP header has behind it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carried {
    /// A tunnel's header of so many bytes, and this in it.
    Tunnel(usize, Next),
    /// A tunnel, by the port, whose header was cut off.
    Cut,
    /// A payload.
    Payload,
}

impl Walk<'_> {
    /// What the UDP header here carries.
    pub(super) fn carried(&self) -> Carried {
        let Some((udp, inside)) = self.rest().split_first_chunk::<UDP_HEADER>() else {
            return Carried::Payload;
        };
        let [_, _, port0, port1, len0, len1, ..] = *udp;
        let port = u16::from_be_bytes([port0, port1]);
        let tunnel = match port {
            GENEVE_PORT | VXLAN_PORT | VXLAN_PORT_LINUX if inside.len() < TUNNEL_HEADER => {
                return Carried::Cut;
            }
            GENEVE_PORT => geneve(inside),
            VXLAN_PORT | VXLAN_PORT_LINUX => vxlan(inside),
            _ => by_shape(inside, usize::from(u16::from_be_bytes([len0, len1]))),
        };
        tunnel.map_or(Carried::Payload, |(len, next)| Carried::Tunnel(len, next))
    }

    /// GRE version 0; what PPTP uses (version 1) is not followed.
    pub(super) fn gre(&mut self) -> Option<Next> {
        let [flags, version, type0, type1] = self.fixed::<GRE_HEADER>()?;
        let at = self.headers.end;
        self.skip(GRE_HEADER)?;
        if version & 0x07 != 0 || flags & GRE_ROUTING != 0 {
            return None;
        }
        self.skip(GRE_OPTIONAL.iter().filter(|bit| flags & **bit != 0).count() * 4)?;
        self.push(Layer::Gre { at, has_checksum: flags & GRE_CHECKSUM != 0 });
        self.tunnel(Next::Ethertype(u16::from_be_bytes([type0, type1])))
    }
}

/// A tunnel on a port that says nothing: its header is plain, and all lengths agree.
fn by_shape(inside: &[u8], udp_len: usize) -> Option<(usize, Next)> {
    let vxlan = vxlan(inside).filter(|_| is_plain_vxlan(inside));
    let (len, next) = vxlan.or_else(|| geneve(inside).filter(|_| is_plain_geneve(inside)))?;
    let inner_len = udp_len.checked_sub(UDP_HEADER + len)?;
    fills(inside.get(len..)?, next, inner_len).then_some((len, next))
}

fn vxlan(inside: &[u8]) -> Option<(usize, Next)> {
    let [flags, ..] = inside.first_chunk::<TUNNEL_HEADER>()?;
    (flags & VXLAN_VALID != 0).then_some((TUNNEL_HEADER, Next::Ethernet))
}

/// Geneve of version 0 (RFC 8926, section 3.4).
fn geneve(inside: &[u8]) -> Option<(usize, Next)> {
    let [first, _, type0, type1, ..] = *inside.first_chunk::<TUNNEL_HEADER>()?;
    let options = usize::from(first & 0x3f) * 4;
    let ethertype = u16::from_be_bytes([type0, type1]);
    (first >> 6 == 0).then_some((TUNNEL_HEADER + options, Next::Ethertype(ethertype)))
}

/// The only flag set, nothing in the reserved fields.
fn is_plain_vxlan(inside: &[u8]) -> bool {
    matches!(inside, [VXLAN_VALID, 0, 0, 0, _, _, _, 0, ..])
}

/// Nothing in the reserved fields.
fn is_plain_geneve(inside: &[u8]) -> bool {
    matches!(inside, [_, flags, _, _, _, _, _, 0, ..] if flags & GENEVE_RESERVED == 0)
}

/// Whether an IP packet is there that has exactly so many bytes, link layer included, by its own header.
fn fills(bytes: &[u8], next: Next, len: usize) -> bool {
    let skip = match next {
        Next::Ethernet | Next::Ethertype(ETHERTYPE_TRANSPARENT_BRIDGING) => ethernet_len(bytes),
        Next::Ethertype(ETHERTYPE_IPV4 | ETHERTYPE_IPV6) => Some(0),
        _ => None,
    };
    let inner = skip.and_then(|skip| Some((bytes.get(skip..)?, len.checked_sub(skip)?)));
    inner.is_some_and(|(ip, len)| ip_len(ip) == Some(len))
}

/// Bytes of an Ethernet header with at most one tag that has IP behind it.
fn ethernet_len(bytes: &[u8]) -> Option<usize> {
    let is_ip = |at: usize| {
        let ethertype = bytes.get(at..)?.first_chunk::<2>()?;
        matches!(u16::from_be_bytes(*ethertype), ETHERTYPE_IPV4 | ETHERTYPE_IPV6).then_some(at + 2)
    };
    is_ip(ETHERNET_HEADER - 2).or_else(|| is_ip(ETHERNET_HEADER - 2 + VLAN_TAG))
}

/// Bytes of an IP packet by its own header.
fn ip_len(ip: &[u8]) -> Option<usize> {
    let [first, _, four0, four1, six0, six1] = *ip.first_chunk::<6>()?;
    match first >> 4 {
        4 => Some(usize::from(u16::from_be_bytes([four0, four1]))),
        6 => Some(usize::from(u16::from_be_bytes([six0, six1])) + super::ip::IPV6_HEADER),
        _ => None,
    }
}
