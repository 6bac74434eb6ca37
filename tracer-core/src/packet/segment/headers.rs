//! Where the headers of a packet are, from the link layer inwards.
//!
//! Unlike the decoder's, this walk keeps the places of fields that a segment has of its own, and needs no more than the
//! bytes that are there.

mod ip;
mod transport;
mod tunnel;

use super::IpPlaces;
use crate::capture::LinkLayer;

/// Encapsulations that are followed, as in [`crate::packet::Decoder`].
const MAX_TUNNELS: usize = 3;
/// An IP header and the one behind it, of each encapsulation and of the packet in it.
const MAX_LAYERS: usize = 2 * (MAX_TUNNELS + 1);

/// Link types of IP packets without a link layer (tcpdump.org/linktypes.html): RAW, IPV4, IPV6.
const LINKTYPES_IP: [u32; 3] = [101, 228, 229];
const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const MPLS_LABEL: usize = 4;
const PPPOE_HEADER: usize = 6;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_TRANSPARENT_BRIDGING: u16 = 0x6558;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_RARP: u16 = 0x8035;
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// A header with fields that differ from segment to segment; `at` is the place of its first byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Layer {
    /// IPv4; `end` is behind its options.
    Ipv4 { at: usize, end: usize },
    /// IPv6; the address at `destination` is that of the pseudo-header: a routing header has one of its own.
    Ipv6 { at: usize, destination: usize },
    /// UDP, with the payload or a tunnel in it.
    Udp { at: usize },
    /// GRE.
    Gre { at: usize, has_checksum: bool },
    /// TCP.
    Tcp { at: usize },
}

/// What the innermost header is, as far as segmentation goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Innermost {
    /// TCP.
    Tcp,
    /// UDP that carries no tunnel.
    Udp,
    /// Another, or one that was not captured, or of a packet that cannot be cut into segments.
    Other,
}

/// The headers of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    layers: [Layer; MAX_LAYERS],
    len: usize,
    /// The first byte of the innermost payload. TCP options may reach beyond what was captured.
    pub(super) end: usize,
    pub(super) innermost: Innermost,
    /// Where IP headers are; what an ICMP error quotes is no packet inside.
    pub(super) ip: Option<IpPlaces>,
    /// The IPv6 header that a jumbo payload option of the kernel stands behind.
    pub(super) jumbo: Option<usize>,
}

impl Headers {
    /// Finds the headers of a packet; absent where its link layer is none that is read.
    pub(super) fn of(link: LinkLayer, bytes: &[u8]) -> Option<Self> {
        let first = match link {
            LinkLayer::Ethernet | LinkLayer::SyntheticEthernet => Next::Ethernet,
            LinkLayer::Other(number) if LINKTYPES_IP.contains(&number) => Next::Ip,
            LinkLayer::Other(_) => return None,
        };
        let headers = Self {
            layers: [Layer::Tcp { at: 0 }; MAX_LAYERS],
            len: 0,
            end: 0,
            innermost: Innermost::Other,
            ip: None,
            jumbo: None,
        };
        let mut walk = Walk { bytes, headers, tunnels: 0, is_whole: true, is_quoted: false };
        let mut next = Some(first);
        while let Some(header) = next {
            next = walk.step(header);
        }
        Some(walk.headers)
    }

    /// Those with fields of their own in each segment, outermost first.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers[..self.len]
    }
}

/// Takes an extension header of so many bytes away that comes right behind the IPv6 header at `at`.
pub(super) fn remove_extension(bytes: &mut Vec<u8>, at: usize, len: usize) {
    bytes[at + ip::IPV6_NEXT_HEADER] = bytes[at + ip::IPV6_HEADER];
    bytes.drain(at + ip::IPV6_HEADER..at + ip::IPV6_HEADER + len);
}

/// What comes next, at the end of the headers found so far.
#[derive(Clone, Copy, Debug)]
enum Next {
    Ethernet,
    Ethertype(u16),
    Ip,
    Protocol(u8),
}

/// Headers while they are being found.
struct Walk<'a> {
    bytes: &'a [u8],
    headers: Headers,
    tunnels: usize,
    /// Whether the packet may be cut into segments: no fragment, nothing that vouches for all of its bytes.
    is_whole: bool,
    /// Whether this is already the packet that an ICMP error quotes.
    is_quoted: bool,
}

impl<'a> Walk<'a> {
    /// Every step goes past at least one byte or is followed by one that does, so that a walk ends.
    fn step(&mut self, next: Next) -> Option<Next> {
        match next {
            Next::Ethernet => self.ethernet(),
            Next::Ethertype(ethertype) => self.ethertype(ethertype),
            Next::Ip => self.ip(),
            Next::Protocol(protocol) => self.protocol(protocol),
        }
    }

    /// The bytes behind the headers found so far.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.headers.end..).unwrap_or_default()
    }

    /// The first bytes of a header; where it was cut off, all that is left counts as header.
    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let fixed = self.rest().first_chunk().copied();
        if fixed.is_none() {
            self.keep_all();
        }
        fixed
    }

    /// Passes a header by; absent where it was cut off.
    fn skip(&mut self, len: usize) -> Option<()> {
        let is_captured = self.rest().len() >= len;
        self.headers.end += len;
        is_captured.then_some(())
    }

    /// Takes all bytes for header.
    fn keep_all(&mut self) {
        self.headers.end = self.bytes.len();
    }

    fn push(&mut self, layer: Layer) {
        // What an ICMP error quotes may have too many; it has no segments.
        if let Some(place) = self.headers.layers.get_mut(self.headers.len) {
            *place = layer;
            self.headers.len += 1;
        }
    }

    /// Notes where an IP header is.
    fn found_ip(&mut self, at: usize) {
        if !self.is_quoted {
            let outermost = self.headers.ip.map_or(at, |ip| ip.outermost);
            self.headers.ip = Some(IpPlaces { outermost, innermost: at });
        }
    }

    /// Notes what the innermost header is.
    fn found(&mut self, innermost: Innermost) {
        if self.is_whole && !self.is_quoted {
            self.headers.innermost = innermost;
        }
    }

    fn ethernet(&mut self) -> Option<Next> {
        let [.., high, low] = self.fixed::<ETHERNET_HEADER>()?;
        self.skip(ETHERNET_HEADER)?;
        Some(Next::Ethertype(u16::from_be_bytes([high, low])))
    }

    fn ethertype(&mut self, ethertype: u16) -> Option<Next> {
        match ethertype {
            0x8100 | 0x88a8 | 0x9100 => {
                let [_, _, high, low] = self.fixed::<VLAN_TAG>()?;
                self.skip(VLAN_TAG)?;
                Some(Next::Ethertype(u16::from_be_bytes([high, low])))
            }
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => Some(Next::Ip),
            ETHERTYPE_TRANSPARENT_BRIDGING => Some(Next::Ethernet),
            0x8847 | 0x8848 => self.mpls(),
            0x8864 => self.pppoe(),
            ETHERTYPE_ARP | ETHERTYPE_RARP => {
                self.keep_all();
                None
            }
            _ => None,
        }
    }

    /// A label stack (RFC 3032) does not say what it carries; where that begins as IP does, it is IP.
    fn mpls(&mut self) -> Option<Next> {
        loop {
            let [_, _, bottom, _] = self.fixed::<MPLS_LABEL>()?;
            self.skip(MPLS_LABEL)?;
            if bottom & 1 != 0 {
                return Some(Next::Ip);
            }
        }
    }

    /// A session of PPP over Ethernet (RFC 2516): its length is not of the fields that are changed.
    fn pppoe(&mut self) -> Option<Next> {
        self.is_whole = false;
        let [.., high, low] = self.fixed::<{ PPPOE_HEADER + 2 }>()?;
        self.skip(PPPOE_HEADER + 2)?;
        matches!(u16::from_be_bytes([high, low]), PPP_IPV4 | PPP_IPV6).then_some(Next::Ip)
    }
}
