//! What carries services on a node, told by what is there.

use std::fmt;

use serde::Serialize;

use crate::evidence::{Backend, Snapshot, Table};

/// The chain that all of kube-proxy's in iptables mode hang on.
const SERVICES_CHAIN: &str = "KUBE-SERVICES";
/// The table of kube-proxy in nftables mode (`kubeProxyTable`, pkg/proxy/nftables/proxier.go).
const NFT_TABLE: &str = "kube-proxy";
/// The device that has all service addresses in IPVS mode (`defaultDummyDevice`, pkg/proxy/ipvs/proxier.go).
pub(super) const IPVS_DEVICE: &str = "kube-ipvs0";

/// What carries services.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Proxy {
    /// Mechanisms that are there: `iptables`, `iptables-legacy`, `nftables`, `ipvs`.
    pub modes: Vec<Mode>,
    /// Names of programs at the node's interfaces that may carry services themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Whether rules could not be read, so that an empty list means nothing.
    pub is_unknown: bool,
}

/// A mode of kube-proxy, or of what stands in for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Chains of iptables in `nf_tables`.
    Iptables,
    /// Chains of iptables in `ip_tables`.
    IptablesLegacy,
    /// Maps of nftables.
    Nftables,
    /// Virtual servers.
    Ipvs,
}

impl Proxy {
    pub(super) fn of(node: &Snapshot) -> Self {
        let mut modes = Vec::new();
        let mut add = |mode| {
            if !modes.contains(&mode) {
                modes.push(mode);
            }
        };
        // In IPVS mode a few chains of iptables are there as well: they masquerade.
        let is_ipvs = !node.firewall.ipvs.is_empty() || node.link_named(IPVS_DEVICE).is_some();
        if is_ipvs {
            add(Mode::Ipvs);
        }
        for table in &node.firewall.tables {
            if table.name == NFT_TABLE {
                add(Mode::Nftables);
            }
            if !is_ipvs && has_service_chains(table) {
                add(if table.backend == Backend::Nft { Mode::Iptables } else { Mode::IptablesLegacy });
            }
        }
        let foreign = node.programs.iter().filter(|program| !program.is_own);
        let mut programs: Vec<String> = foreign.filter_map(|program| program.name.clone()).collect();
        programs.sort();
        programs.dedup();
        Self { modes, programs, is_unknown: is_unread(node) }
    }

    /// Whether nothing that is known could carry services.
    pub(super) fn is_absent(&self) -> bool {
        self.modes.is_empty() && self.programs.is_empty() && !self.is_unknown
    }
}

/// A chain that no longer holds a rule for a service is what a stopped kube-proxy's clean-up leaves.
fn has_service_chains(table: &Table) -> bool {
    table.name == "nat"
        && table.chains.iter().any(|chain| chain.name == SERVICES_CHAIN && !chain.rules.is_empty())
}

/// Whether rules are among what could not be read.
pub(super) fn is_unread(node: &Snapshot) -> bool {
    let words = ["nftables", "iptables", "rules", "ipvs"];
    node.missing.iter().any(|missing| {
        let is_routing = missing.what.contains("routing");
        !is_routing && words.iter().any(|word| missing.what.contains(word))
    })
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Iptables => "iptables",
            Self::IptablesLegacy => "iptables (legacy)",
            Self::Nftables => "nftables",
            Self::Ipvs => "IPVS",
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes: Vec<String> = self.modes.iter().map(ToString::to_string).collect();
        match (modes.is_empty(), self.programs.is_empty(), self.is_unknown) {
            (false, ..) => f.write_str(&modes.join(" and ")),
            (true, _, true) => f.write_str("unknown (rules could not be read)"),
            (true, true, false) => f.write_str("none"),
            (true, false, false) => write!(f, "none in rules; programs: {}", self.programs.join(", ")),
        }
    }
}
