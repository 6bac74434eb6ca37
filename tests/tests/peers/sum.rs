//! Checksums that the kernel has begun, and leaves to the device to finish.

use crate::watch::Packet;

const ETHERNET: usize = 14;
/// An IPv4 header without options.
const HEADER: usize = 20;

/// Takes another's checksum of TCP or UDP over to a packet where it has the sum of the pseudo-header only, which is what
/// the kernel begins with (`CHECKSUM_PARTIAL` in `linux/skbuff.h`). Returns that number.
pub(crate) fn finish(packet: &mut Packet, other: &Packet) -> Option<u16> {
    let ip = packet.data.get(ETHERNET..)?;
    let at = match *ip.get(9)? {
        6 => 16,
        17 => 6,
        _ => return None,
    };
    let begun = pseudo_header(ip);
    let place = ETHERNET + HEADER + at..ETHERNET + HEADER + at + 2;
    let sum = packet.data.get_mut(place.clone())?;
    if *sum != begun.to_be_bytes() {
        return None;
    }
    sum.copy_from_slice(other.data.get(place)?);
    Some(begun)
}

/// The sum of addresses, protocol and length (RFC 9293 3.1, RFC 768).
fn pseudo_header(ip: &[u8]) -> u16 {
    let word = |at: usize| u32::from(u16::from_be_bytes([ip[at], ip[at + 1]]));
    let length = word(2).saturating_sub(20);
    let sum = word(12) + word(14) + word(16) + word(18) + u32::from(ip[9]) + length;
    // At most 5 is carried, and only once.
    let carried = (sum & 0xffff) + (sum >> 16);
    u16::try_from((carried & 0xffff) + (carried >> 16)).unwrap_or_default()
}
