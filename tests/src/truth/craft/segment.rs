//! TCP segments written by hand: IPv4 and TCP (RFC 9293) with the options that matter, and super-packets.

use std::net::SocketAddrV4;

use crate::truth::parse::{EXPERIMENT, EXPERIMENT_ID};

/// Flags.
pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
/// `VIRTIO_NET_HDR_F_NEEDS_CSUM` and `VIRTIO_NET_HDR_GSO_TCPV4`.
const NEEDS_CHECKSUM: u8 = 1;
const GSO_TCPV4: u8 = 1;
/// Where the checksum is in a TCP header.
const CHECKSUM_AT: u16 = 16;
const TCP: u8 = 6;
const DONT_FRAGMENT: u16 = 0x4000;
const TTL: u8 = 64;
const WINDOW: u16 = 501;

/// A packet of one or several wire segments.
#[derive(Clone, Debug)]
pub(super) struct Crafted {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) identification: u16,
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) flags: u8,
    /// Timestamp value and echo.
    pub(super) timestamps: (u32, u32),
    /// A selective acknowledgement.
    pub(super) sack: Option<(u32, u32)>,
    /// What the option for experiments holds.
    pub(super) number: Option<[u8; 8]>,
    pub(super) payload: Vec<u8>,
    /// Bytes of each wire segment; 0 for a packet that is one.
    pub(super) segment: u16,
}

impl Crafted {
    /// The packet behind its `virtio_net_hdr`.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let options = self.options();
        let header = TCP_HEADER + options.len();
        let mut bytes = self.offload(header);
        self.write_ip(&mut bytes, header);
        self.write_tcp(&mut bytes, &options);
        bytes.extend(&self.payload);
        bytes
    }

    /// The checksum is left to whoever sends it on the wire, as the kernel's own TCP does.
    fn offload(&self, header: usize) -> Vec<u8> {
        let kind = if self.segment > 0 { GSO_TCPV4 } else { 0 };
        let words = [short(IP_HEADER + header), self.segment, short(IP_HEADER), CHECKSUM_AT];
        let words = words.into_iter().flat_map(u16::to_ne_bytes);
        [NEEDS_CHECKSUM, kind].into_iter().chain(words).collect()
    }

    fn write_ip(&self, bytes: &mut Vec<u8>, header: usize) {
        let total = short(IP_HEADER + header + self.payload.len());
        let mut ip = vec![0x45, 0];
        for word in [total, self.identification, DONT_FRAGMENT, u16::from_be_bytes([TTL, TCP]), 0] {
            ip.extend(word.to_be_bytes());
        }
        ip.extend(self.from.ip().octets());
        ip.extend(self.to.ip().octets());
        let checksum = !sum(&ip);
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.extend(ip);
    }

    fn write_tcp(&self, bytes: &mut Vec<u8>, options: &[u8]) {
        let header = TCP_HEADER + options.len();
        bytes.extend(self.from.port().to_be_bytes());
        bytes.extend(self.to.port().to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([u8::try_from(header / 4 * 16).unwrap_or_default(), self.flags]);
        bytes.extend(WINDOW.to_be_bytes());
        bytes.extend(self.pseudo_sum(header).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(options);
    }

    /// What a checksum that is left to others begins with.
    fn pseudo_sum(&self, header: usize) -> u16 {
        let mut pseudo = Vec::new();
        pseudo.extend(self.from.ip().octets());
        pseudo.extend(self.to.ip().octets());
        pseudo.extend([0, TCP]);
        pseudo.extend(short(header + self.payload.len()).to_be_bytes());
        sum(&pseudo)
    }

    fn options(&self) -> Vec<u8> {
        let mut options = vec![1, 1, 8, 10];
        options.extend(self.timestamps.0.to_be_bytes());
        options.extend(self.timestamps.1.to_be_bytes());
        if let Some((left, right)) = self.sack {
            options.extend([1, 1, 5, 10]);
            options.extend(left.to_be_bytes());
            options.extend(right.to_be_bytes());
        }
        if let Some(number) = self.number {
            options.extend([EXPERIMENT, 12]);
            options.extend(EXPERIMENT_ID);
            options.extend(number);
        }
        options
    }
}

/// Lengths stay below 64 KiB.
fn short(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

/// The Internet checksum before its last inversion (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::truth::parse;

    #[test]
    fn what_is_written_is_read() {
        let crafted = Crafted {
            from: "10.0.0.1:4000".parse().unwrap(),
            to: "10.0.0.2:80".parse().unwrap(),
            identification: 7,
            sequence: 1,
            acknowledgement: 2,
            flags: ACK,
            timestamps: (3, 4),
            sack: Some((5, 6)),
            number: Some([9; 8]),
            payload: vec![1, 2, 3],
            segment: 0,
        };
        let bytes = crafted.bytes();
        let inside = parse::packet(&bytes[10..]).unwrap();
        assert_eq!((inside.ports, inside.payload), ((4000, 80), &[1, 2, 3][..]));
        assert_eq!(parse::experiment(inside.options), Some(&[9; 8][..]));
        assert_eq!(sum(&bytes[10..30]), 0xffff);
    }
}
