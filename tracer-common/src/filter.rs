//! The set of addresses that packets must have one of.
//!
//! A packet is first held against a Bloom filter in one array value; only likely members cost a hash look-up.

#![expect(clippy::inline_always, reason = "the eBPF target has no cheap calls")]

use core::net::IpAddr;

/// An IP address in 16 bytes of network order (IPv4 as `::ffff:a.b.c.d`, RFC 4291 2.5.5.2), as two native words.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Address {
    /// The 16 bytes.
    pub words: [u64; 2],
}

impl Address {
    /// From four bytes in network order, as one native word.
    #[inline(always)]
    pub const fn v4(bytes: u32) -> Self {
        let mapped = if cfg!(target_endian = "little") {
            0xffff_0000 | ((bytes as u64) << 32)
        } else {
            0x0000_ffff_0000_0000 | bytes as u64
        };
        Self { words: [0, mapped] }
    }

    /// Numbers of the two bits that stand for this address in [`FilterState::bits`].
    ///
    /// Not keyed: who crafts colliding addresses gains one hash look-up per packet.
    #[inline(always)]
    pub const fn bloom_bits(&self) -> [u32; 2] {
        let folded = self.words[0].wrapping_mul(0xff51_afd7_ed55_8ccd) ^ self.words[1];
        let mixed = (folded ^ (folded >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mask = BLOOM_BITS as u64 - 1;
        [((mixed >> 48) & mask) as u32, ((mixed >> 32) & mask) as u32]
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        let bytes = match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let word = |at: usize| u64::from_ne_bytes(core::array::from_fn(|i| bytes[at + i]));
        Self { words: [word(0), word(8)] }
    }
}

/// Number of bits of the Bloom filter; a power of two of at most 2^16.
pub const BLOOM_BITS: usize = 1 << 16;
/// Greatest number of port rules of one address.
pub const RULES: usize = 8;
/// Greatest number of addresses.
pub const MAX_ADDRESSES: u32 = 65_536;

/// Bit of [`FilterState::flags`]: every packet matches, the set is not looked at.
pub const EVERYTHING: u32 = 1;

/// Bit of [`AddressEntry::flags`]: matches in the innermost IP header only, so that the packets of a tunnel
/// between two nodes do not match by their carrier's addresses.
pub const INNERMOST_ONLY: u32 = 1;

/// Bits of [`Rule::value`] and of what a packet is compared by: port, protocol number, "has ports".
pub const PORT_MASK: u32 = 0xffff;
/// Shift of the IP protocol number.
pub const PROTOCOL_SHIFT: u32 = 16;
/// Bits of the IP protocol number.
pub const PROTOCOL_MASK: u32 = 0xff << PROTOCOL_SHIFT;
/// Set for protocols with ports; an ICMP echo identifier is in the place of the port without being one.
pub const HAS_PORTS: u32 = 1 << 24;
/// Set for no packet.
const NEVER: u32 = 1 << 31;

/// Ports of an address that match: a packet fits when it agrees with `value` in the bits of `mask`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Port on the address's own side, IP protocol number, [`HAS_PORTS`].
    pub value: u32,
    /// Bits that count.
    pub mask: u32,
}

impl Rule {
    /// Every packet fits.
    pub const ANY: Self = Self { value: 0, mask: 0 };
    /// No packet fits: an unused place.
    pub const NONE: Self = Self { value: NEVER, mask: NEVER };

    /// From a port and a protocol, each absent for any. A port without a protocol is one of a protocol that has
    /// ports.
    pub const fn new(port: Option<u16>, protocol: Option<u8>) -> Self {
        let mut rule = Self::ANY;
        if let Some(port) = port {
            rule.value |= port as u32;
            rule.mask |= PORT_MASK;
            if protocol.is_none() {
                rule.value |= HAS_PORTS;
                rule.mask |= HAS_PORTS;
            }
        }
        if let Some(protocol) = protocol {
            rule.value |= (protocol as u32) << PROTOCOL_SHIFT;
            rule.mask |= PROTOCOL_MASK;
        }
        rule
    }

    /// Whether a packet fits. `known` has the bits of `packet` that the packet shows: a later fragment, or one cut
    /// short, has no port, and fits by its protocol alone.
    #[inline(always)]
    pub const fn fits(&self, packet: u32, known: u32) -> bool {
        (packet ^ self.value) & self.mask & known == 0
    }
}

/// Value of the map of addresses.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressEntry {
    /// [`INNERMOST_ONLY`] or 0.
    pub flags: u32,
    /// Zero.
    pub padding: u32,
    /// One of these must fit.
    pub rules: [Rule; RULES],
}

/// The one value that every packet is held against.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FilterState {
    /// [`EVERYTHING`] or 0.
    pub flags: u32,
    /// Zero.
    pub padding: u32,
    /// Bloom filter over the keys of the map of addresses.
    pub bits: [u64; BLOOM_BITS / 64],
}

impl FilterState {
    /// Matches nothing.
    pub const EMPTY: Self = Self { flags: 0, padding: 0, bits: [0; BLOOM_BITS / 64] };

    /// Makes the Bloom filter say yes to an address.
    pub fn insert(&mut self, address: &Address) {
        for bit in address.bloom_bits() {
            self.bits[bit as usize / 64] |= 1 << (bit % 64);
        }
    }

    /// 1 if an address may be in the set, else 0. Never 0 for one that is.
    ///
    /// Without a branch: one way for the verifier, and for the processor.
    #[inline(always)]
    pub fn may_contain(&self, address: &Address) -> u32 {
        let [first, second] = address.bloom_bits();
        (self.shifted(first) & self.shifted(second) & 1) as u32
    }

    #[inline(always)]
    fn shifted(&self, bit: u32) -> u64 {
        let word = (bit as usize / 64) & (BLOOM_BITS / 64 - 1);
        self.bits[word] >> (bit % 64)
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn both_ways_to_an_ipv4_address_agree() {
        let bytes = [10, 244, 1, 7];
        let by_kernel = Address::v4(u32::from_ne_bytes(bytes));
        assert_eq!(by_kernel, Address::from(IpAddr::V4(Ipv4Addr::from(bytes))));
    }

    #[test]
    fn bloom_keeps_members_and_turns_away_most_others() {
        let v4 = |n: u32| Address::from(IpAddr::V4(Ipv4Addr::from_bits(0x0af4_0000 + n)));
        let v6 = |n: u32| Address::from(IpAddr::V6(Ipv6Addr::from_bits((0xfd00 << 112) | u128::from(n))));
        let mut filter = FilterState::EMPTY;
        for n in 0..500 {
            filter.insert(&v4(n));
            filter.insert(&v6(n));
        }
        assert!((0..500).all(|n| filter.may_contain(&v4(n)) & filter.may_contain(&v6(n)) == 1));
        let mistaken = |make: &dyn Fn(u32) -> Address| {
            (500..65_536).filter(|n| filter.may_contain(&make(*n)) == 1).count()
        };
        // 1000 members in 65536 bits by two bits each: one in 1100 by chance; neighbours may do worse, not much.
        assert!(mistaken(&v4) < 650, "{} IPv4 neighbours", mistaken(&v4));
        assert!(mistaken(&v6) < 650, "{} IPv6 neighbours", mistaken(&v6));
    }

    #[test]
    fn rules() {
        const ALL: u32 = u32::MAX;
        const PORT: u32 = 80;
        let tcp_80 = HAS_PORTS | (6 << PROTOCOL_SHIFT) | PORT;
        let udp_80 = HAS_PORTS | (17 << PROTOCOL_SHIFT) | PORT;
        let echo_80 = (1 << PROTOCOL_SHIFT) | PORT;
        let table = [
            (Rule::new(None, None), [true, true, true]),
            (Rule::new(Some(80), None), [true, true, false]),
            (Rule::new(Some(81), None), [false, false, false]),
            (Rule::new(Some(80), Some(6)), [true, false, false]),
            (Rule::new(None, Some(17)), [false, true, false]),
            (Rule::new(Some(80), Some(1)), [false, false, true]),
            (Rule::NONE, [false, false, false]),
        ];
        for (rule, expected) in table {
            assert_eq!([tcp_80, udp_80, echo_80].map(|packet| rule.fits(packet, ALL)), expected, "{rule:?}");
        }
        let unknown_port = HAS_PORTS | (6 << PROTOCOL_SHIFT);
        assert!(Rule::new(Some(80), Some(6)).fits(unknown_port, !PORT_MASK));
        assert!(!Rule::new(Some(80), Some(17)).fits(unknown_port, !PORT_MASK));
        assert!(!Rule::NONE.fits(unknown_port, !PORT_MASK));
    }
}
