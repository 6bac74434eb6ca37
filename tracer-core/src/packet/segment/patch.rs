//! The fields that differ from segment to segment.

use super::headers::{Headers, Innermost, Layer};
use crate::packet::checksum::Sum;

const IPV4_TOTAL_LEN: usize = 2;
const IPV4_ID: usize = 4;
const IPV4_FLAGS: usize = 6;
const IPV4_CHECKSUM: usize = 10;
const IPV4_ADDRESSES: usize = 12;
const DONT_FRAGMENT: u8 = 0x40;
const IPV6_HEADER: usize = 40;
const IPV6_PAYLOAD_LEN: usize = 4;
const IPV6_SOURCE: usize = 8;
const IPV6_ADDRESS_LEN: usize = 16;
const TCP_SEQUENCE: usize = 4;
/// The data offset, and the AE bit of Accurate ECN.
const TCP_OFFSET: usize = 12;
const TCP_AE: u8 = 0x01;
const TCP_FLAGS: usize = 13;
const TCP_FIN_PSH: u8 = 0x09;
const TCP_CWR: u8 = 0x80;
const TCP_CHECKSUM: usize = 16;
const UDP_LEN: usize = 4;
const UDP_CHECKSUM: usize = 6;
/// What a checksum of 0 is sent as, since 0 stands for none (RFC 768).
const UDP_CHECKSUM_ZERO: [u8; 2] = [0xff; 2];
const GRE_CHECKSUM: usize = 4;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// Which segment it is.
pub(super) struct Part {
    /// Its number, from 0.
    pub(super) index: u32,
    /// Its place in the payload of the super-packet, in bytes.
    pub(super) offset: usize,
    pub(super) is_last: bool,
    /// Bytes that it has on the wire, link layer included.
    pub(super) len: usize,
}

/// Makes a copy of a super-packet's headers, with what was captured of a segment's payload behind them, that segment.
pub(super) fn patch(bytes: &mut [u8], headers: &Headers, part: &Part) {
    let is_tcp = headers.innermost == Innermost::Tcp;
    // From the inside outwards: an outer checksum covers inner ones.
    for (number, layer) in headers.layers().iter().enumerate().rev() {
        let carrier = number.checked_sub(1).map(|below| headers.layers()[below]);
        match *layer {
            Layer::Tcp { at } => tcp(bytes, at, carrier, part),
            Layer::Udp { at } => udp(bytes, at, carrier, part),
            Layer::Gre { at, has_checksum: true } if bytes.len() == part.len => {
                put(bytes, at + GRE_CHECKSUM, [0; 2]);
                let checksum = Sum::default().add(&bytes[at..]).finish();
                put(bytes, at + GRE_CHECKSUM, checksum);
            }
            Layer::Gre { .. } => {}
            Layer::Ipv4 { at, end } => ipv4(bytes, at, end, is_tcp, part),
            Layer::Ipv6 { at, .. } => {
                put(bytes, at + IPV6_PAYLOAD_LEN, short(part.len - at - IPV6_HEADER));
            }
        }
    }
}

fn tcp(bytes: &mut [u8], at: usize, carrier: Option<Layer>, part: &Part) {
    let offset = u32::try_from(part.offset).unwrap_or(u32::MAX);
    let sequence = u32::from_be_bytes(get(bytes, at + TCP_SEQUENCE)).wrapping_add(offset);
    put(bytes, at + TCP_SEQUENCE, sequence.to_be_bytes());
    let counts_congestion = bytes[at + TCP_OFFSET] & TCP_AE != 0;
    let flags = &mut bytes[at + TCP_FLAGS];
    if !part.is_last {
        *flags &= !TCP_FIN_PSH;
    }
    if part.index > 0 && !counts_congestion {
        *flags &= !TCP_CWR;
    }
    if bytes.len() == part.len {
        put(bytes, at + TCP_CHECKSUM, [0; 2]);
        let checksum = pseudo(bytes, carrier, PROTOCOL_TCP, part.len - at).add(&bytes[at..]).finish();
        put(bytes, at + TCP_CHECKSUM, checksum);
    }
}

fn udp(bytes: &mut [u8], at: usize, carrier: Option<Layer>, part: &Part) {
    put(bytes, at + UDP_LEN, short(part.len - at));
    let has_checksum = get(bytes, at + UDP_CHECKSUM) != [0; 2];
    if has_checksum && bytes.len() == part.len {
        put(bytes, at + UDP_CHECKSUM, [0; 2]);
        let checksum = pseudo(bytes, carrier, PROTOCOL_UDP, part.len - at).add(&bytes[at..]).finish();
        put(bytes, at + UDP_CHECKSUM, if checksum == [0; 2] { UDP_CHECKSUM_ZERO } else { checksum });
    }
}

fn ipv4(bytes: &mut [u8], at: usize, end: usize, is_tcp: bool, part: &Part) {
    put(bytes, at + IPV4_TOTAL_LEN, short(part.len - at));
    let id = u16::from_be_bytes(get(bytes, at + IPV4_ID));
    let is_constant = is_tcp && id == 0 && bytes[at + IPV4_FLAGS] & DONT_FRAGMENT != 0;
    if !is_constant {
        let index = u16::try_from(part.index).unwrap_or(u16::MAX);
        put(bytes, at + IPV4_ID, id.wrapping_add(index).to_be_bytes());
    }
    put(bytes, at + IPV4_CHECKSUM, [0; 2]);
    let checksum = Sum::default().add(&bytes[at..end]).finish();
    put(bytes, at + IPV4_CHECKSUM, checksum);
}

/// The sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1) of so many bytes of a protocol.
fn pseudo(bytes: &[u8], carrier: Option<Layer>, protocol: u8, len: usize) -> Sum {
    let sum = match carrier {
        Some(Layer::Ipv4 { at, .. }) => Sum::default().add(&bytes[at + IPV4_ADDRESSES..][..8]),
        Some(Layer::Ipv6 { at, destination }) => Sum::default()
            .add(&bytes[at + IPV6_SOURCE..][..IPV6_ADDRESS_LEN])
            .add(&bytes[destination..][..IPV6_ADDRESS_LEN]),
        _ => Sum::default(),
    };
    sum.add(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()).add(&[0, 0, 0, protocol])
}

/// A length that was seen to fit before the packet was cut.
fn short(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}
