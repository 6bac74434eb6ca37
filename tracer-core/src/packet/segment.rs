//! A super-packet as the segments that go over the wire.
//!
//! The rules are those of the kernel's software segmentation: `tcp_gso_segment` (`net/ipv4/tcp_offload.c`),
//! `__udp_gso_segment` and `__skb_udp_tunnel_segment` (`net/ipv4/udp_offload.c`), `inet_gso_segment`
//! (`net/ipv4/af_inet.c`), `ipv6_gso_segment` (`net/ipv6/ip6_offload.c`), `gre_gso_segment`
//! (`net/ipv4/gre_offload.c`).
//! They go by `gso_type` too, which no program at a TC hook sees; what it would tell is read from the packet:
//!
//! 1. UDP is cut into datagrams (`UDP_SEGMENT`), never into fragments: no sender but a virtual machine of old asks for
//!    those.
//! 2. Identifications count up, except of TCP that has "don't fragment" and identification 0: such senders do not count
//!    (RFC 6864), and GRO keeps that in mind (`SKB_GSO_TCP_FIXEDID`).
//! 3. CWR is on the first segment only (RFC 3168), unless the AE bit tells a counter (Accurate ECN).
//! 4. UDP carries VXLAN or Geneve where its port says so, or where their headers and every length inside agree.

mod headers;
mod patch;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use self::headers::{Headers, Innermost};
use crate::capture::{Frame, LinkLayer};

/// `GSO_MAX_SEGS`: a bound on what a crafted packet costs.
const MAX_SEGMENTS: u32 = 65_535;
/// `GSO_MAX_SIZE` and room for headers.
const MAX_LEN: u32 = 8 * 65_535 + 1024;
/// Of the jumbo payload option with its header (RFC 2675), which the kernel puts into super-packets beyond 64 KiB.
const JUMBO_LEN: usize = 8;

/// Bytes up to and including the innermost header of layer 4, through VLAN tags, MPLS, tunnels and extension headers.
///
/// All bytes of ARP and of control messages without a payload of their own (IGMP, neighbour discovery); of an ICMP
/// error the headers that it quotes too; of what is not understood the headers before it. Never more than there are
/// bytes; all of them where the link layer is none that is read.
pub fn header_len(link: LinkLayer, bytes: &[u8]) -> usize {
    Headers::of(link, bytes).map_or(bytes.len(), |headers| headers.end.min(bytes.len()))
}

/// Where the IP packets of a frame begin: two places where it has a tunnel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpPlaces {
    /// The packet that was sent on the link.
    pub outermost: usize,
    /// The packet that nothing else is in.
    pub innermost: usize,
}

/// Where the IP packets of a frame begin; absent where there is no whole IP header. What an ICMP error quotes is no packet
/// inside.
pub fn ip_places(link: LinkLayer, bytes: &[u8]) -> Option<IpPlaces> {
    Headers::of(link, bytes)?.ip
}

/// Turns super-packets into wire segments; its buffers are kept from packet to packet.
#[derive(Clone, Debug, Default)]
pub struct Segmenter {
    /// The headers that all segments begin with.
    template: Vec<u8>,
    segment: Vec<u8>,
}

impl Segmenter {
    /// Hands over the wire segments that a packet stands for, in their order; ends early where `each` fails.
    ///
    /// A packet of one segment is handed over as it is. So is a super-packet of which it is not known how it is cut: its
    /// headers were not captured whole, or are of another protocol; `gso` stays on it.
    ///
    /// A segment has as many bytes of the payload as were captured of it. Its checksums are right where that is all of
    /// them, and otherwise those of the super-packet, but for the IPv4 header's. Losses and a comment are on the
    /// first segment only.
    pub fn segments<E>(
        &mut self,
        frame: &Frame<'_>,
        link: LinkLayer,
        mut each: impl FnMut(&Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(cut) = Cut::of(frame, link) else { return each(frame) };
        let headers = self.set_template(frame, link, cut.headers);
        for index in 0..cut.count {
            let payload = cut.payload(index);
            let len = headers.end + payload.len();
            self.segment.clear();
            self.segment.extend_from_slice(&self.template);
            self.segment.extend_from_slice(captured(&frame.data, cut.headers.end, &payload));
            let part = patch::Part { index, offset: payload.start, is_last: index + 1 == cut.count, len };
            patch::patch(&mut self.segment, &headers, &part);
            each(&Frame {
                original_len: u32::try_from(len).unwrap_or(u32::MAX),
                data: Cow::Borrowed(&self.segment),
                gso: None,
                lost_before: if index == 0 { frame.lost_before } else { 0 },
                comment: if index == 0 { frame.comment.as_deref().map(Cow::Borrowed) } else { None },
                ..*frame
            })?;
        }
        Ok(())
    }

    /// Takes the captured headers, less a jumbo payload option, and returns where they are then.
    fn set_template(&mut self, frame: &Frame<'_>, link: LinkLayer, headers: Headers) -> Headers {
        self.template.clear();
        self.template.extend_from_slice(&frame.data[..headers.end.min(frame.data.len())]);
        let Some(at) = headers.jumbo else { return headers };
        headers::remove_extension(&mut self.template, at, JUMBO_LEN);
        Headers::of(link, &self.template).unwrap_or(headers)
    }
}

/// How a super-packet is cut.
struct Cut {
    headers: Headers,
    /// Payload bytes of the super-packet, captured or not.
    payload_len: usize,
    /// Payload bytes of each segment but the last.
    size: usize,
    count: u32,
}

impl Cut {
    /// Absent where a packet is one segment, or nothing to cut by is known.
    fn of(frame: &Frame<'_>, link: LinkLayer) -> Option<Self> {
        let size = frame.gso?.size;
        if size == 0 || frame.original_len > MAX_LEN {
            return None;
        }
        let headers = Headers::of(link, &frame.data)?;
        if headers.innermost == Innermost::Other {
            return None;
        }
        let payload_len = (frame.original_len as usize).checked_sub(headers.end)?;
        let size = usize::from(size);
        let count = u32::try_from(payload_len.div_ceil(size)).ok()?;
        // The length of an IP packet has 16 bits; a size of 0xffff stands for segments of different lengths
        // (`GSO_BY_FRAGS`).
        let fits = u16::try_from(headers.end + size).is_ok();
        (fits && count > 1 && count <= MAX_SEGMENTS).then_some(Self { headers, payload_len, size, count })
    }

    /// Where the payload of a segment is in that of the super-packet.
    fn payload(&self, index: u32) -> Range<usize> {
        let start = index as usize * self.size;
        start..(start + self.size).min(self.payload_len)
    }
}

/// What was captured of a part of the payload, which begins behind so many bytes of headers.
fn captured<'a>(data: &'a [u8], headers: usize, part: &Range<usize>) -> &'a [u8] {
    let end = (headers + part.end).min(data.len());
    data.get(headers + part.start..end).unwrap_or_default()
}
