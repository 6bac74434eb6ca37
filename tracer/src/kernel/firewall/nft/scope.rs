//! What is known around a rule while it is read.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracer_core::evidence::Prefix;
use tracer_core::flow::Protocol;

use super::header::Base;
use super::sets::TableSet;
use crate::kernel::firewall::ipset::IpSets;
use crate::kernel::firewall::xt;

/// `NFPROTO_*` (`include/uapi/linux/netfilter.h`).
const FAMILIES: [(u8, &str); 6] =
    [(1, "inet"), (2, "ip"), (3, "arp"), (5, "netdev"), (7, "bridge"), (10, "ip6")];

/// Name of a family; absent for one that `nf_tables` does not have.
pub(super) fn family_name(family: u8) -> Option<&'static str> {
    FAMILIES.into_iter().find(|(number, _)| *number == family).map(|(_, name)| name)
}

/// What surrounds a rule, and what its conditions so far say.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    /// `NFPROTO_*` of the table.
    pub(super) family: u8,
    /// Whether iptables wrote the table, and its words are to be used.
    pub(super) is_iptables: bool,
    /// Sets of the table.
    pub(super) sets: &'a BTreeMap<String, TableSet>,
    /// Sets that matches of xtables name by number.
    pub(super) ipsets: &'a IpSets,
    /// Names of interfaces by index.
    pub(super) interfaces: &'a BTreeMap<u32, String>,
    /// Whether the packet is IPv6, once that is known.
    pub(super) is_v6: Option<bool>,
    /// Its protocol, once that is known.
    pub(super) protocol: Option<Protocol>,
}

impl Scope<'_> {
    /// What a payload's offset counts from (`enum nft_payload_bases`).
    pub(super) fn base(&self, number: u32) -> Base {
        match (number, self.is_v6) {
            (0, _) => Base::Link,
            (1, Some(false)) => Base::Ipv4,
            (1, Some(true)) => Base::Ipv6,
            (1, None) => Base::Network,
            (2, _) => Base::Transport,
            _ => Base::Other,
        }
    }

    /// Whether the transport header is one of ICMP.
    pub(super) fn is_icmp(&self) -> bool {
        self.protocol.is_some_and(Protocol::is_icmp)
    }

    /// The name that bytes without a NUL begin, or that bytes up to a NUL are.
    pub(super) fn interface(&self, bytes: &[u8]) -> String {
        let name = xt::text(bytes);
        if bytes.contains(&0) || bytes.len() >= 16 {
            return name;
        }
        name + if self.is_iptables { "+" } else { "*" }
    }

    /// The name of an interface by its index.
    pub(super) fn interface_of(&self, index: u32) -> Option<String> {
        self.interfaces.get(&index).cloned()
    }

    /// All addresses of a family.
    pub(super) fn everything(is_v6: bool) -> Prefix {
        let address: IpAddr = if is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        Prefix { address, length: 0 }
    }
}

/// Whether packets of a family are IPv6; absent where they may be either.
pub(super) fn is_v6(family: u8) -> Option<bool> {
    match family {
        2 => Some(false),
        10 => Some(true),
        _ => None,
    }
}
