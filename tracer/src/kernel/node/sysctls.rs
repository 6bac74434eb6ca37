//! Settings that make a kernel drop, refuse or rewrite packets, from `/proc/sys/net`.
//!
//! A setting that this kernel does not have is left out. What each does: Documentation/networking/ip-sysctl.rst,
//! nf_conntrack-sysctl.rst and admin-guide/sysctl/net.rst of the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use tracer_core::evidence::{Link, Missing};

use crate::kernel::netlink::{attribute, field};

const ROOT: &str = "/proc/sys";

/// Those of the namespace or of the node.
const NAMES: [&str; 40] = [
    "net/ipv4/ip_forward",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_no_pmtu_disc",
    "net/ipv4/ip_nonlocal_bind",
    "net/ipv4/icmp_ratelimit",
    "net/ipv4/icmp_echo_ignore_all",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_max_syn_backlog",
    "net/ipv4/tcp_syncookies",
    "net/ipv4/tcp_abort_on_overflow",
    "net/ipv4/tcp_mtu_probing",
    "net/ipv4/tcp_rmem",
    "net/ipv4/udp_rmem_min",
    "net/ipv4/fib_multipath_hash_policy",
    "net/ipv4/neigh/default/gc_thresh1",
    "net/ipv4/neigh/default/gc_thresh2",
    "net/ipv4/neigh/default/gc_thresh3",
    "net/ipv4/neigh/default/unres_qlen_bytes",
    "net/ipv6/neigh/default/gc_thresh3",
    "net/ipv6/route/max_size",
    "net/ipv6/bindv6only",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/bridge/bridge-nf-call-arptables",
    "net/bridge/bridge-nf-filter-vlan-tagged",
    "net/core/somaxconn",
    "net/core/netdev_max_backlog",
    "net/core/netdev_budget",
    "net/core/rmem_default",
    "net/core/rmem_max",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_buckets",
    "net/netfilter/nf_conntrack_count",
    "net/netfilter/nf_conntrack_acct",
    "net/netfilter/nf_conntrack_checksum",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_loose",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_udp_timeout",
    "net/netfilter/nf_conntrack_udp_timeout_stream",
];

/// Those of IPv4 that each interface has, as have `all` and `default`, with their places in `IFLA_INET_CONF`: one less
/// than `IPV4_DEVCONF_*` (`linux/ip.h`).
const OF_IPV4: [(&str, usize); 9] = [
    ("forwarding", 0),
    ("proxy_arp", 2),
    ("rp_filter", 7),
    ("arp_filter", 12),
    ("arp_announce", 17),
    ("arp_ignore", 18),
    ("accept_local", 22),
    ("src_valid_mark", 23),
    ("route_localnet", 25),
];

/// Those of IPv6, with their places in `IFLA_INET6_CONF`: `DEVCONF_*` (`linux/ipv6.h`).
const OF_IPV6: [(&str, usize); 4] =
    [("forwarding", 0), ("proxy_ndp", 22), ("disable_ipv6", 26), ("accept_dad", 27)];

/// Forwards although `all` does not (6.17); the message of a link does not tell it on every kernel that has it.
const FORCE_FORWARDING: &str = "force_forwarding";

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;

/// Settings by their names: the paths below `/proc/sys`, since a dot may be part of an interface's name.
pub(super) type Settings = BTreeMap<String, String>;

/// Those of one interface, from `IFLA_AF_SPEC` of its message: a node with a thousand of them has ten thousand files.
pub(super) fn of_link(name: &str, families: &[u8], found: &mut Settings) {
    let lists =
        [("ipv4", AF_INET, IFLA_INET_CONF, &OF_IPV4[..]), ("ipv6", AF_INET6, IFLA_INET6_CONF, &OF_IPV6[..])];
    for (family, number, list, settings) in lists {
        let values =
            attribute(families, number).and_then(|family| attribute(family, list)).unwrap_or_default();
        for (setting, place) in settings {
            if let Some(value) = field(values, place * 4).map(i32::from_ne_bytes) {
                found.insert(format!("net/{family}/conf/{name}/{setting}"), value.to_string());
            }
        }
    }
}

/// Reads those that are not of one interface, or not told by its message.
pub(super) fn read(links: &[Link], found: &mut Settings, missing: &mut Vec<Missing>) {
    let mut reader = Reader { found, refused: None };
    for name in NAMES {
        reader.read(name.to_owned());
    }
    for of in ["all", "default"] {
        for (setting, _) in OF_IPV4 {
            reader.read(format!("net/ipv4/conf/{of}/{setting}"));
        }
        for setting in OF_IPV6.map(|(setting, _)| setting).into_iter().chain([FORCE_FORWARDING]) {
            reader.read(format!("net/ipv6/conf/{of}/{setting}"));
        }
    }
    if reader.is("net/ipv6/conf/all/forwarding", "0")
        && reader.found.contains_key("net/ipv6/conf/all/force_forwarding")
    {
        for link in links {
            reader.read(format!("net/ipv6/conf/{}/{FORCE_FORWARDING}", link.name));
        }
    }
    if let Some((name, error)) = reader.refused {
        missing.push(Missing { what: "settings".to_owned(), why: format!("{ROOT}/{name}: {error}") });
    }
}

struct Reader<'a> {
    found: &'a mut Settings,
    /// The first that may not be read.
    refused: Option<(String, io::Error)>,
}

impl Reader<'_> {
    fn read(&mut self, name: String) {
        match fs::read_to_string(format!("{ROOT}/{name}")) {
            Ok(text) => drop(self.found.insert(name, text.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => drop(self.refused.get_or_insert((name, error))),
        }
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.found.get(name).is_some_and(|found| found == value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attributes::{build, mistreat};
    use super::*;

    #[test]
    fn those_of_this_machine() {
        let (mut found, mut missing) = (Settings::new(), Vec::new());
        read(&[], &mut found, &mut missing);
        assert!(["0", "1"].contains(&found["net/ipv4/ip_forward"].as_str()));
        assert!(found.contains_key("net/ipv4/conf/all/rp_filter"));
        assert!(!found.contains_key("net/ipv4/conf/lo/rp_filter"), "of no interface that was not asked for");
        assert_eq!(missing, []);
    }

    #[test]
    fn those_of_a_message_of_an_old_kernel() {
        // One that knows fewer settings.
        let values: Vec<u8> = (0..10u32).flat_map(|number| (number + 100).to_ne_bytes()).collect();
        let family = build(&[], &[(IFLA_INET_CONF, &values)]);
        let families = build(&[], &[(AF_INET, &family)]);
        let mut found = Settings::new();
        of_link("eth0.7", &families, &mut found);
        let expected = [
            ("net/ipv4/conf/eth0.7/forwarding", "100"),
            ("net/ipv4/conf/eth0.7/proxy_arp", "102"),
            ("net/ipv4/conf/eth0.7/rp_filter", "107"),
        ];
        assert!(found.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{found:?}");
        mistreat(&families, |families| of_link("x", families, &mut Settings::new()));
    }
}
