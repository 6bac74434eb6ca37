//! IPv4, IPv6 and their extension headers.

use super::{Layer, Next, Walk};
use crate::packet::segment::JUMBO_LEN;

const IPV4_HEADER: usize = 20;
/// Of the flags and offset field (RFC 791, section 3.1).
const IPV4_MORE_FRAGMENTS: u16 = 0x2000;
const IPV4_OFFSET: u16 = 0x1fff;
pub(super) const IPV6_HEADER: usize = 40;
pub(super) const IPV6_NEXT_HEADER: usize = 6;
const IPV6_DESTINATION: usize = 24;
/// Next headers (IANA "Protocol Numbers").
const HOP_BY_HOP: u8 = 0;
const TCP: u8 = 6;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const MOBILITY: u8 = 135;
/// The option of a jumbo payload (RFC 2675), and how many bytes of value it has.
const OPTION_JUMBO: [u8; 2] = [0xc2, 4];

impl Walk<'_> {
    /// The version in the first byte counts, whatever announced the header.
    pub(super) fn ip(&mut self) -> Option<Next> {
        match self.rest().first()? >> 4 {
            4 => self.ipv4(),
            6 => self.ipv6(),
            _ => None,
        }
    }

    fn ipv4(&mut self) -> Option<Next> {
        let header = self.fixed::<IPV4_HEADER>()?;
        let len = usize::from(header[0] & 0x0f) * 4;
        if len < IPV4_HEADER {
            return None;
        }
        let at = self.headers.end;
        self.skip(len)?;
        self.push(Layer::Ipv4 { at, end: at + len });
        self.found_ip(at);
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        let offset = fragment & IPV4_OFFSET;
        self.is_whole &= offset == 0 && fragment & IPV4_MORE_FRAGMENTS == 0;
        (offset == 0).then_some(Next::Protocol(header[9]))
    }

    fn ipv6(&mut self) -> Option<Next> {
        let header = self.fixed::<IPV6_HEADER>()?;
        let at = self.headers.end;
        self.skip(IPV6_HEADER)?;
        self.push(Layer::Ipv6 { at, destination: at + IPV6_DESTINATION });
        self.found_ip(at);
        Some(Next::Protocol(header[IPV6_NEXT_HEADER]))
    }

    /// Passes an extension header by. `Err` where the protocol is none.
    pub(super) fn extension(&mut self, protocol: u8) -> Result<Option<Next>, NoExtension> {
        let is_ipv6 = matches!(self.headers.layers().last(), Some(Layer::Ipv6 { .. }));
        match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT | MOBILITY if is_ipv6 => {}
            AUTHENTICATION => {}
            _ => return Err(NoExtension),
        }
        Ok(self.pass_extension(protocol))
    }

    fn pass_extension(&mut self, protocol: u8) -> Option<Next> {
        let header = self.fixed::<8>()?;
        let [next, len, offset_high, offset_low, ..] = header;
        let bytes = match protocol {
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(len) + 2) * 4,
            _ => (usize::from(len) + 1) * 8,
        };
        match protocol {
            HOP_BY_HOP => self.note_jumbo(header),
            ROUTING => self.note_route(header),
            // Software segmentation knows none of these (`ipv6_gso_pull_exthdrs`).
            FRAGMENT | AUTHENTICATION | MOBILITY => self.is_whole = false,
            _ => {}
        }
        self.skip(bytes)?;
        let is_later = protocol == FRAGMENT && u16::from_be_bytes([offset_high, offset_low]) & !0b111 != 0;
        (!is_later).then_some(Next::Protocol(next))
    }

    /// The option that the kernel puts into a super-packet beyond 64 KiB, right behind the IPv6 header
    /// (`ipv6_has_hopopt_jumbo`); no wire segment has it.
    fn note_jumbo(&mut self, header: [u8; JUMBO_LEN]) {
        let at = self.headers.end - IPV6_HEADER;
        let follows = matches!(self.headers.layers().last(), Some(Layer::Ipv6 { at: ip, .. }) if *ip == at);
        if follows && header[..2] == [TCP, 0] && header[2..4] == OPTION_JUMBO {
            self.headers.jumbo = Some(at);
        }
    }

    /// The last destination is the one in the pseudo-header (RFC 8200, section 8.1): of a segment routing header the
    /// first of its list (RFC 8754), of a home address the only one (RFC 6275). Others are not followed.
    fn note_route(&mut self, header: [u8; 8]) {
        const HOME_ADDRESS: u8 = 2;
        const SEGMENT_ROUTING: u8 = 4;
        const ADDRESS: usize = 16;
        let [_, len, kind, left, ..] = header;
        let place = self.headers.end + header.len();
        if left == 0 {
            return;
        }
        let Some(Layer::Ipv6 { destination, .. }) =
            self.headers.len.checked_sub(1).map(|last| &mut self.headers.layers[last])
        else {
            return;
        };
        let is_known = matches!(kind, HOME_ADDRESS | SEGMENT_ROUTING) && usize::from(len) * 8 >= ADDRESS;
        if is_known {
            *destination = place;
        }
        self.is_whole &= is_known;
    }
}

/// The protocol is no extension header.
pub(super) struct NoExtension;
