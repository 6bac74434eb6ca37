//! Matches and targets of xtables, as the kernel keeps them: `ip_tables` in its table, `iptables-nft` in expressions
//! named `match` and `target`.
//!
//! Layouts are those of `include/uapi/linux/netfilter/xt_*.h`. What is not known by name and revision becomes
//! [`Match::Other`] or [`Action::Other`].

mod matches;
mod nat;
mod targets;

use std::net::IpAddr;

pub(super) use matches::read_match;
pub(super) use targets::read_target;

use super::super::netlink::field;

/// Something of xtables in the memory of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blob<'a> {
    /// Name of the match or target.
    pub(super) name: &'a str,
    /// Revision of its layout.
    pub(super) revision: u32,
    /// The layout's bytes.
    pub(super) data: &'a [u8],
    /// Whether it is for IPv6.
    pub(super) is_v6: bool,
}

impl<'a> Blob<'a> {
    fn u8(&self, offset: usize) -> Option<u8> {
        self.data.get(offset).copied()
    }

    fn u16(&self, offset: usize) -> Option<u16> {
        field(self.data, offset).map(u16::from_ne_bytes)
    }

    fn u32(&self, offset: usize) -> Option<u32> {
        field(self.data, offset).map(u32::from_ne_bytes)
    }

    fn be16(&self, offset: usize) -> Option<u16> {
        field(self.data, offset).map(u16::from_be_bytes)
    }

    /// A `union nf_inet_addr`, 16 bytes of which IPv4 uses the first four.
    fn inet(&self, offset: usize) -> Option<IpAddr> {
        if self.is_v6 {
            field::<16>(self.data, offset).map(IpAddr::from)
        } else {
            field::<4>(self.data, offset).map(IpAddr::from)
        }
    }

    /// Text of a fixed room, up to its first NUL.
    fn text(&self, offset: usize, room: usize) -> Option<String> {
        let room: &'a [u8] = self.data.get(offset..(offset + room).min(self.data.len()))?;
        Some(text(room))
    }
}

/// Text up to its first NUL.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_layout_reads_past_its_bytes() {
        const MATCHES: [&str; 22] = [
            "tcp",
            "udp",
            "sctp",
            "multiport",
            "icmp",
            "icmp6",
            "addrtype",
            "mark",
            "connmark",
            "conntrack",
            "state",
            "statistic",
            "length",
            "ttl",
            "hl",
            "set",
            "limit",
            "physdev",
            "mac",
            "rpfilter",
            "iprange",
            "owner",
        ];
        const TARGETS: [&str; 16] = [
            "DNAT",
            "SNAT",
            "MASQUERADE",
            "REDIRECT",
            "MARK",
            "CONNMARK",
            "REJECT",
            "LOG",
            "NFLOG",
            "CT",
            "NFQUEUE",
            "NOTRACK",
            "TPROXY",
            "NETMAP",
            "CHECKSUM",
            "SET",
        ];
        let ones = [0xff; 192];
        for is_v6 in [false, true] {
            for (revision, length) in
                (0..5).flat_map(|revision| (0..=192).map(move |length| (revision, length)))
            {
                let data = &ones[..length];
                for name in MATCHES {
                    assert!(read_match(&Blob { name, revision, data, is_v6 }).len() <= 4, "{name}");
                }
                for name in TARGETS {
                    read_target(&Blob { name, revision, data, is_v6 });
                }
            }
        }
    }
}
