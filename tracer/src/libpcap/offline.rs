//! Filters over packets of a file, whose link types are known when the packets come.

use std::borrow::Cow;

use tracer_core::capture::RawPacket;
use tracer_core::filter::{FilterInput, Program};
use tracer_core::units::Direction;

use super::{Dlt, ExpressionError, Libpcap};

/// An expression, compiled for every link type that a packet comes with.
#[derive(Debug)]
pub struct OfflineFilter<'a> {
    libpcap: &'a Libpcap,
    expression: String,
    /// By link type. A file has one or a few of them.
    programs: Vec<(u32, Program)>,
}

/// What tcpdump compiles with.
const NETMASK: Option<u32> = Some(0);

/// Packets are kept as they are.
const SNAP: u32 = 262_144;

/// `linux/if_packet.h`.
const PACKET_HOST: u8 = 0;
const PACKET_OUTGOING: u8 = 4;

impl<'a> OfflineFilter<'a> {
    /// Nothing is compiled before the first packet, since only that tells the link type.
    pub fn new(libpcap: &'a Libpcap, expression: &str) -> Self {
        Self { libpcap, expression: expression.to_owned(), programs: Vec::new() }
    }

    /// Whether a packet matches. Fails where the expression cannot be compiled for its link type.
    ///
    /// The direction is what the file tells of it, for `inbound` and `outbound`; a packet of unknown direction is
    /// inbound, as in the kernel any is that was not sent from here.
    pub fn matches(
        &mut self,
        packet: &RawPacket<'_>,
        direction: Option<Direction>,
    ) -> Result<bool, ExpressionError> {
        let packet_type = match direction {
            Some(Direction::Egress) => PACKET_OUTGOING,
            Some(Direction::Ingress) | None => PACKET_HOST,
        };
        let RawPacket { link_type, original_len, .. } = *packet;
        let data = with_own_family(packet);
        let input = FilterInput { data: &data, original_len, packet_type, ..FilterInput::default() };
        Ok(self.program(link_type)?.run(&input) > 0)
    }

    /// The program for a link type, by its number in files.
    pub fn program(&mut self, link_type: u32) -> Result<&Program, ExpressionError> {
        let known = self.programs.iter().position(|(compiled, _)| *compiled == link_type);
        let at = known.unwrap_or(self.programs.len());
        if known.is_none() {
            let link = Dlt::of_link_type(link_type);
            let program = self.libpcap.compile(&self.expression, link, SNAP, NETMASK)?;
            self.programs.push((link_type, program));
        }
        Ok(&self.programs[at].1)
    }
}

/// The packet as this machine's own loopback would have it, for which the programs are compiled: files of other
/// systems have the address family in another byte order, and another number for IPv6.
fn with_own_family<'a>(packet: &RawPacket<'a>) -> Cow<'a, [u8]> {
    /// `LINKTYPE_NULL`, in the byte order of the machine.
    const NULL: u32 = 0;
    /// `LINKTYPE_LOOP`, in network byte order.
    const LOOP: u32 = 108;
    /// `AF_INET6` of Linux.
    const INET6: u32 = 10;
    let data = packet.data;
    let (Some((header, rest)), NULL | LOOP) = (data.split_first_chunk(), packet.link_type) else {
        return Cow::Borrowed(data);
    };
    let family = u32::from_be_bytes(*header);
    let family = match if family > 0xffff { family.swap_bytes() } else { family } {
        // Those of NetBSD and OpenBSD, FreeBSD, macOS.
        24 | 28 | 30 => INET6,
        other => other,
    };
    let own = if packet.link_type == NULL { family.to_ne_bytes() } else { family.to_be_bytes() };
    if own == *header { Cow::Borrowed(data) } else { Cow::Owned([own.as_slice(), rest].concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_other_systems_become_our_own() {
        let own = |family: u32| family.to_ne_bytes();
        for (link_type, header, expected) in [
            (0, [2, 0, 0, 0], own(2)),
            (0, [0, 0, 0, 2], own(2)),
            (0, [30, 0, 0, 0], own(10)),
            (0, [0, 0, 0, 28], own(10)),
            (0, [10, 0, 0, 0], own(10)),
            (108, [0, 0, 0, 24], [0, 0, 0, 10]),
            (108, [0, 0, 0, 2], [0, 0, 0, 2]),
            (1, [0, 0, 0, 24], [0, 0, 0, 24]),
        ] {
            let data = [header.as_slice(), b"rest"].concat();
            let packet = RawPacket { link_type, original_len: 8, data: &data };
            assert_eq!(*with_own_family(&packet), [expected.as_slice(), b"rest"].concat());
        }
        let cut = RawPacket { link_type: 0, original_len: 8, data: &[2, 0] };
        assert_eq!(*with_own_family(&cut), [2, 0]);
    }
}
