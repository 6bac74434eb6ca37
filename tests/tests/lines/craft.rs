//! Packets written byte by byte, with the checksums that they should have.

pub(crate) type Bytes = Vec<u8>;

pub(crate) const A4: [u8; 4] = [10, 0, 0, 1];
pub(crate) const B4: [u8; 4] = [10, 0, 0, 2];
pub(crate) const A6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const B6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
pub(crate) const PORTS: [u16; 2] = [40_000, 8000];

/// A length in the width of its field.
pub(crate) fn narrow<T: TryFrom<usize>>(len: usize) -> T {
    T::try_from(len).unwrap_or_else(|_| panic!("{len} is too long"))
}

/// Numbers of 16 bits in network byte order.
pub(crate) fn words<const N: usize>(words: [u16; N]) -> Bytes {
    words.into_iter().flat_map(u16::to_be_bytes).collect()
}

/// Bytes from hexadecimal digits; blanks mean nothing.
pub(crate) fn hex(digits: &str) -> Bytes {
    let value = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = digits.chars().filter_map(value).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

pub(crate) fn join(parts: &[&[u8]]) -> Bytes {
    parts.concat()
}

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Bytes {
    join(&[&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes(), payload])
}

/// A frame with a length in the place of the ethertype, padded to what Ethernet asks for.
pub(crate) fn counted(payload: &[u8]) -> Bytes {
    let mut frame = ethernet(narrow::<u16>(payload.len()), payload);
    frame.resize(frame.len().max(60), 0);
    frame
}

pub(crate) fn vlan(ethertype: u16, tag: u16, inner: u16, payload: &[u8]) -> Bytes {
    ethernet(ethertype, &join(&[&words([tag, inner]), payload]))
}

/// What of an IPv4 header differs from packet to packet.
#[derive(Clone, Copy)]
pub(crate) struct Ip4<'a> {
    pub(crate) tos: u8,
    pub(crate) ttl: u8,
    pub(crate) fragment: u16,
    pub(crate) protocol: u8,
    pub(crate) options: &'a [u8],
}

impl Ip4<'_> {
    pub(crate) const fn of(protocol: u8) -> Self {
        Self { tos: 0, ttl: 64, fragment: 0x4000, protocol, options: &[] }
    }

    pub(crate) fn with(self, payload: &[u8]) -> Bytes {
        let header = 20 + self.options.len();
        let len = narrow::<u16>(header + payload.len()).to_be_bytes();
        let first = 0x40 | narrow::<u8>(header / 4);
        let mut packet = vec![first, self.tos, len[0], len[1], 0x12, 0x34];
        packet.extend(self.fragment.to_be_bytes());
        packet.extend([self.ttl, self.protocol, 0, 0]);
        packet.extend(join(&[&A4, &B4, self.options]));
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum);
        packet.extend(payload);
        packet
    }
}

pub(crate) fn ip4(protocol: u8, payload: &[u8]) -> Bytes {
    Ip4::of(protocol).with(payload)
}

pub(crate) fn ip6(next: u8, payload: &[u8]) -> Bytes {
    let len = narrow::<u16>(payload.len()).to_be_bytes();
    join(&[&[0x60, 0, 0, 0], &len, &[next, 63], &A6, &B6, payload])
}

/// Sets the checksum at `at` of a message, with the pseudo-header of the version of IP it is sent by.
pub(crate) fn sum(is_ip6: bool, protocol: u8, at: usize, mut message: Bytes) -> Bytes {
    let len = narrow::<u32>(message.len()).to_be_bytes();
    let ends = if is_ip6 { join(&[&A6, &B6]) } else { join(&[&A4, &B4]) };
    let sum = checksum(&join(&[&ends, &len, &[0, 0, 0, protocol], &message]));
    message[at..at + 2].copy_from_slice(&sum);
    message
}

/// An ICMP message with its checksum.
pub(crate) fn icmp(kind: u8, code: u8, rest: &[u8]) -> Bytes {
    let mut message = join(&[&[kind, code, 0, 0], rest]);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    ip4(1, &message)
}

/// An ICMPv6 message with its checksum.
pub(crate) fn icmp6(kind: u8, code: u8, rest: &[u8]) -> Bytes {
    ip6(58, &sum(true, 58, 2, join(&[&[kind, code, 0, 0], rest])))
}

pub(crate) fn udp_message(ports: [u16; 2], payload: &[u8]) -> Bytes {
    let len = narrow::<u16>(8 + payload.len());
    join(&[&words([ports[0], ports[1], len, 0]), payload])
}

pub(crate) fn udp(ports: [u16; 2], payload: &[u8]) -> Bytes {
    ip4(17, &sum(false, 17, 6, udp_message(ports, payload)))
}

/// What of a segment differs from packet to packet.
#[derive(Clone, Copy)]
pub(crate) struct Tcp<'a> {
    pub(crate) ports: [u16; 2],
    pub(crate) numbers: [u32; 2],
    pub(crate) flags: u8,
    pub(crate) options: &'a [u8],
}

impl Tcp<'_> {
    pub(crate) fn message(self, payload: &[u8]) -> Bytes {
        let numbers: Bytes = self.numbers.into_iter().flat_map(u32::to_be_bytes).collect();
        let header = narrow::<u8>((20 + self.options.len()) / 4) << 4;
        let rest = [header, self.flags, 0x10, 0, 0, 0, 0, 7];
        join(&[&words(self.ports), &numbers, &rest, self.options, payload])
    }

    pub(crate) fn ip4(self, payload: &[u8]) -> Bytes {
        ip4(6, &sum(false, 6, 16, self.message(payload)))
    }

    pub(crate) fn ip6(self, payload: &[u8]) -> Bytes {
        ip6(6, &sum(true, 6, 16, self.message(payload)))
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [.., high, low] = (!sum).to_be_bytes();
    [high, low]
}
