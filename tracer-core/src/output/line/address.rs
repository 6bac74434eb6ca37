//! Addresses as tcpdump writes them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A hardware address of 48 bits.
#[derive(Clone, Copy)]
pub(super) struct Mac(pub(super) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}

/// An IPv6 address; one that begins with 96 zero bits has its end written as that of IPv4, like `inet_ntop`.
#[derive(Clone, Copy)]
pub(super) struct Ip6(pub(super) Ipv6Addr);

impl fmt::Display for Ip6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.segments() {
            [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                write!(f, "::{}", Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
            }
            _ => self.0.fmt(f),
        }
    }
}

/// An address of either version.
#[derive(Clone, Copy)]
pub(super) enum Address {
    V4(Ipv4Addr),
    V6(Ip6),
}

impl Address {
    /// As 128 bits, for comparing addresses of one version.
    pub(super) fn number(self) -> u128 {
        match self {
            Self::V4(address) => u128::from(address.to_bits()),
            Self::V6(address) => address.0.to_bits(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Ip6;

    #[test]
    fn addresses_are_written_as_tcpdump_does() {
        let table = [
            ("::", "::"),
            ("::1", "::1"),
            ("::1.2.3.4", "::1.2.3.4"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
            ("fe80:0:0:1:0:0:0:1", "fe80:0:0:1::1"),
            ("1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"),
            ("0:0:1:0:0:2:3:4", "::1:0:0:2:3:4"),
        ];
        for (address, expected) in table {
            assert_eq!(Ip6(address.parse().unwrap()).to_string(), expected);
        }
    }
}
