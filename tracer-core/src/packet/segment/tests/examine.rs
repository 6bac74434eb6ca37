//! One segment held against the stack that it was made of, header by header.

use super::build::{GARBAGE, ROUTE_LEN, Shell, Stack, Transport};

/// What a segment has to be.
pub(super) struct Expected<'a> {
    pub(super) stack: &'a Stack,
    pub(super) index: usize,
    /// Its place in the payload of the super-packet.
    pub(super) offset: usize,
    /// Its bytes on the wire.
    pub(super) original_len: usize,
    pub(super) is_last: bool,
    /// Whether all of it was captured: its checksums have to be right then.
    pub(super) is_captured: bool,
}

/// The last IP header: the sum of its addresses, as they enter a pseudo-header.
type Addresses = u64;

impl Expected<'_> {
    /// Asserts every field of every header; returns the captured payload.
    pub(super) fn examine<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let mut at = 0;
        let mut addresses = 0;
        for shell in &self.stack.shells {
            at += self.shell(*shell, bytes, at, &mut addresses);
        }
        at += match self.stack.transport {
            Transport::Tcp { sequence, flags, options } => {
                self.tcp(bytes, at, addresses, (sequence, flags));
                20 + options
            }
            Transport::Udp => {
                self.udp(bytes, at, addresses);
                8
            }
        };
        bytes.get(at..).unwrap_or_default()
    }

    /// Examines one header and returns its length.
    fn shell(&self, shell: Shell, bytes: &[u8], at: usize, addresses: &mut Addresses) -> usize {
        match shell {
            Shell::Ethernet(tag) => 14 + tag.map_or(0, |_| 4),
            Shell::Mpls => 4,
            Shell::Ipv4 { id, options, is_whole } => {
                self.ipv4(&bytes[at..at + 20 + options], at, (id, is_whole));
                *addresses = sum(&bytes[at + 12..at + 20]);
                20 + options
            }
            Shell::Ipv6 | Shell::Ipv6Options | Shell::Ipv6Route => {
                assert_eq!(word(bytes, at + 4), self.original_len - at - 40, "payload length");
                let (destination, len) = match shell {
                    Shell::Ipv6Options => (at + 24, 48),
                    Shell::Ipv6Route => (at + 48, 40 + ROUTE_LEN),
                    _ => (at + 24, 40),
                };
                *addresses = sum(&bytes[at + 8..at + 24]) + sum(&bytes[destination..destination + 16]);
                len
            }
            Shell::Vxlan { has_checksum, .. } => {
                self.tunnel(bytes, at, *addresses, has_checksum);
                16
            }
            Shell::Geneve { options, .. } => {
                self.tunnel(bytes, at, *addresses, false);
                16 + options
            }
            Shell::Gre { has_checksum } => {
                match (has_checksum, self.is_captured) {
                    (true, true) => assert_eq!(fold(sum(&bytes[at..])), 0xffff, "GRE checksum"),
                    (true, false) => assert_eq!(bytes[at + 4..at + 6], GARBAGE, "GRE checksum of a part"),
                    (false, _) => {}
                }
                if has_checksum { 12 } else { 8 }
            }
        }
    }

    fn ipv4(&self, header: &[u8], at: usize, (id, is_whole): (u16, bool)) {
        assert_eq!(word(header, 2), self.original_len - at, "total length");
        let is_tcp = matches!(self.stack.transport, Transport::Tcp { .. });
        let is_constant = id == 0 && is_whole && is_tcp;
        let counted = (usize::from(id) + self.index) % 65_536;
        assert_eq!(word(header, 4), if is_constant { 0 } else { counted }, "identification");
        assert_eq!(fold(sum(header)), 0xffff, "IPv4 checksum");
    }

    fn tunnel(&self, bytes: &[u8], at: usize, addresses: Addresses, has_checksum: bool) {
        if has_checksum {
            self.udp(bytes, at, addresses);
        } else {
            assert_eq!(word(bytes, at + 4), self.original_len - at, "UDP length");
            assert_eq!(word(bytes, at + 6), 0, "a checksum that is none");
        }
    }

    fn udp(&self, bytes: &[u8], at: usize, addresses: Addresses) {
        assert_eq!(word(bytes, at + 4), self.original_len - at, "UDP length");
        self.checksum(bytes, at, addresses, (17, 6));
        assert_ne!(word(bytes, at + 6), 0, "UDP checksum");
    }

    fn tcp(&self, bytes: &[u8], at: usize, addresses: Addresses, (sequence, flags): (u32, u8)) {
        let offset = u32::try_from(self.offset).unwrap();
        let found = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        assert_eq!(found, sequence.wrapping_add(offset), "sequence number");
        let last = if self.is_last { 0 } else { 0x09 };
        let first = if self.index == 0 { 0 } else { 0x80 };
        assert_eq!(bytes[at + 13], flags & !(last | first), "flags");
        self.checksum(bytes, at, addresses, (6, 16));
    }

    /// A checksum with a pseudo-header, of so many bytes into the header of a protocol.
    fn checksum(&self, bytes: &[u8], at: usize, addresses: Addresses, (protocol, field): (u64, usize)) {
        if self.is_captured {
            let len = u64::try_from(bytes.len() - at).unwrap();
            assert_eq!(
                fold(addresses + protocol + len + sum(&bytes[at..])),
                0xffff,
                "checksum of {protocol}"
            );
        } else {
            assert_eq!(bytes[at + field..at + field + 2], GARBAGE, "checksum of a part of {protocol}");
        }
    }
}

fn word(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) * 256 + usize::from(bytes[at + 1])
}

/// Words of 16 bits, one after the other.
fn sum(bytes: &[u8]) -> u64 {
    bytes.chunks(2).map(|word| u64::from(word[0]) * 256 + u64::from(word.get(1).copied().unwrap_or(0))).sum()
}

fn fold(sum: u64) -> u64 {
    if sum > 0xffff { fold((sum & 0xffff) + (sum >> 16)) } else { sum }
}
