//! The outer IPv4 header, as `ip_tunnel_xmit` and `iptunnel_xmit` write it (RFC 2003).

use aya_ebpf::helpers::bpf_get_prandom_u32;

/// Version 4, five words, no options.
pub(crate) const VERSION_IHL: u8 = 0x45;
/// IPv4 in IPv4 (RFC 2003).
pub(crate) const PROTOCOL_IPIP: u8 = 4;
/// Bytes of an IPv4 header without options.
pub(crate) const HEADER_LEN: usize = 20;
pub(crate) const PROTOCOL_OFFSET: usize = 9;
pub(crate) const DESTINATION_OFFSET: usize = 16;

const ECN: u8 = 0b11;
const DONT_FRAGMENT: u8 = 0x40;

/// The first twenty bytes of an IPv4 packet.
pub(crate) struct Header(pub(crate) [u8; HEADER_LEN]);

impl Header {
    /// The header of a packet that carries `inner_len` bytes beginning with `inner`.
    ///
    /// TTL and DF are inherited, and ECN alone of the traffic class: the defaults of the module.
    pub(crate) fn around(inner: &Self, source: [u8; 4], destination: [u8; 4], inner_len: u32) -> Self {
        let mut header = Self([0; HEADER_LEN]);
        header.0[0] = VERSION_IHL;
        header.0[1] = inner.0[1] & ECN;
        header.put(2, total_len(inner_len).to_be_bytes());
        header.put(4, identification().to_be_bytes());
        header.0[6] = inner.0[6] & DONT_FRAGMENT;
        header.0[8] = inner.0[8];
        header.0[PROTOCOL_OFFSET] = PROTOCOL_IPIP;
        header.put(12, source);
        header.put(DESTINATION_OFFSET, destination);
        header.put(10, header.checksum().to_be_bytes());
        header
    }

    pub(crate) fn version(&self) -> u8 {
        self.0[0] >> 4
    }

    pub(crate) fn destination(&self) -> [u8; 4] {
        [self.0[16], self.0[17], self.0[18], self.0[19]]
    }

    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        let mut index = 0;
        while index < N {
            self.0[offset + index] = bytes[index];
            index += 1;
        }
    }

    /// RFC 1071, over a header whose checksum field is zero.
    fn checksum(&self) -> u16 {
        let mut sum = 0_u32;
        let mut index = 0;
        while index < HEADER_LEN {
            sum += u32::from(u16::from_be_bytes([self.0[index], self.0[index + 1]]));
            index += 2;
        }
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        !(sum as u16)
    }
}

/// Zero where sixteen bits do not hold it, as in the kernel's `iph_set_totlen`.
fn total_len(inner_len: u32) -> u16 {
    u16::try_from(inner_len + HEADER_LEN as u32).unwrap_or(0)
}

fn identification() -> u16 {
    // SAFETY: the helper takes nothing and touches no memory.
    unsafe { bpf_get_prandom_u32() as u16 }
}
