//! Rules of netfilter and IPVS, whoever wrote them and by whichever tool they are read.

mod counted;
mod policy;
mod set;
mod text;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use counted::Counted;
pub use policy::is_policy_chain;
pub use set::{Field, Set, SetElement, SetValue};
pub use text::{iptables_text, nft_text};

use super::walk::Step;
use crate::flow::Protocol;

/// Which mechanism a table belongs to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// `nf_tables`, `iptables-nft` included.
    Nft,
    /// `ip_tables`, as `iptables-legacy` writes.
    Legacy,
}

/// All rules of a network namespace.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Firewall {
    /// Tables.
    pub tables: Vec<Table>,
    /// Virtual servers.
    pub ipvs: Vec<IpvsService>,
    /// Sets of `ipset`, which rules of any table may name.
    pub ipsets: Vec<Set>,
}

impl Firewall {
    /// A table by family and name, as `ip nat`; `nf_tables` before legacy.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.label() == name)
    }

    /// The rule of a step; absent for a policy.
    pub fn rule(&self, step: &Step) -> Option<&Rule> {
        let tables = self.tables.iter().filter(|table| table.label() == step.table);
        let rules = tables.filter_map(|table| table.chain(&step.chain)?.rules.get(step.index?));
        rules.into_iter().find(|rule| step.text.starts_with(&rule.text))
    }
}

/// A table.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Table {
    /// Mechanism.
    pub backend: Backend,
    /// `ip`, `ip6`, `inet`, `arp`, `bridge` or `netdev`.
    pub family: String,
    /// Name (`filter`, `nat`, `kube-proxy`).
    pub name: String,
    /// Chains, in the order of the kernel.
    pub chains: Vec<Chain>,
    /// Sets and maps that rules look things up in.
    #[serde(default)]
    pub sets: Vec<Set>,
}

impl Table {
    /// Family and name, as `ip nat`.
    pub fn label(&self) -> String {
        format!("{} {}", self.family, self.name)
    }

    /// A chain by its name.
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// A set or a map by its name.
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }
}

/// Where netfilter calls a base chain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// For this node.
    Input,
    /// Through this node.
    Forward,
    /// From this node.
    Output,
    /// After routing.
    Postrouting,
    /// On a device, before anything else.
    Ingress,
    /// On a device, after everything else.
    Egress,
}

/// A chain.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// Where it is called from; absent for a chain that others jump to.
    pub hook: Option<Hook>,
    /// What a base chain is for: `filter`, `nat` or `route`; absent for others.
    #[serde(default)]
    pub kind: Option<String>,
    /// Order at the hook, least first (`NF_IP_PRI_*`).
    pub priority: i32,
    /// What becomes of packets at the end of a base chain; [`Action::Accept`] unless it is [`Action::Drop`].
    pub policy: Option<Action>,
    /// Packets that met the policy, where it is counted (legacy only).
    pub policy_packets: Option<u64>,
    /// Devices that an `ingress` or `egress` chain is on; empty for the other hooks.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Rules, in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Rule {
    /// What it is for: all have to hold.
    pub matches: Vec<Match>,
    /// What it does; several where a rule does more than one thing (mark, then jump).
    pub actions: Vec<Action>,
    /// Comment of whoever wrote it (`--comment`, `comment`).
    pub comment: Option<String>,
    /// Packets counted; absent where the rule does not count.
    pub packets: Option<u64>,
    /// The rule as `iptables-save` or `nft list ruleset` would print it, about.
    pub text: String,
    /// Its handle, which stays the same while others come and go; absent where there is none.
    pub handle: Option<u64>,
}

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PortRange {
    /// Least.
    pub first: u16,
    /// Greatest.
    pub last: u16,
}

/// A network.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Prefix {
    /// Address.
    pub address: IpAddr,
    /// Length of the prefix in bits.
    pub length: u8,
}

impl Prefix {
    /// The least address of the network.
    pub fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & self.mask_v4()).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & self.mask_v6()).into()),
        }
    }

    /// The greatest address of the network.
    pub fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() | !self.mask_v4()).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() | !self.mask_v6()).into()),
        }
    }

    /// Whether an address is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && self.first() <= address && address <= self.last()
    }

    fn mask_v4(&self) -> u32 {
        u32::MAX.checked_shl(32u32.saturating_sub(self.length.into())).unwrap_or(0)
    }

    fn mask_v6(&self) -> u128 {
        u128::MAX.checked_shl(128u32.saturating_sub(self.length.into())).unwrap_or(0)
    }
}

/// A condition. `is_negated` turns it round.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "on", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum Match {
    /// IP protocol.
    Protocol { protocol: Protocol, is_negated: bool },
    /// Source address is in one of the networks.
    Source { networks: Vec<Prefix>, is_negated: bool },
    /// Destination address is in one of the networks.
    Destination { networks: Vec<Prefix>, is_negated: bool },
    /// Source port is in one of the ranges.
    SourcePort { ports: Vec<PortRange>, is_negated: bool },
    /// Destination port is in one of the ranges.
    DestinationPort { ports: Vec<PortRange>, is_negated: bool },
    /// Interface that the packet came in by; `+` or `*` at the end is any rest.
    Input { name: String, is_negated: bool },
    /// Interface that the packet leaves by.
    Output { name: String, is_negated: bool },
    /// Mark of the packet.
    Mark { value: u32, mask: u32, is_negated: bool },
    /// Mark of the connection (`connmark`, `ct mark`).
    ConnectionMark { value: u32, mask: u32, is_negated: bool },
    /// State of the connection: `new`, `established`, `related`, `invalid`, `untracked`, `dnat`, `snat`.
    ConntrackState { states: Vec<String>, is_negated: bool },
    /// Kind of the destination's address: `LOCAL`, `BROADCAST`.
    DestinationType { kind: String, is_negated: bool },
    /// Kind of the source's address.
    SourceType { kind: String, is_negated: bool },
    /// With this probability.
    Probability { probability: f64 },
    /// TCP flags: of `mask` those of `set`.
    TcpFlags { mask: u8, set: u8, is_negated: bool },
    /// ICMP type, and code if any.
    IcmpType { kind: u8, code: Option<u8>, is_negated: bool },
    /// Time to live, or hop limit: `op` is `==`, `<` or `>`.
    Ttl { op: String, value: u8 },
    /// Length of the packet without its link layer.
    Length { first: u16, last: u16, is_negated: bool },
    /// These fields together are in a set of the same table (or an `ipset` of [`Firewall::ipsets`]).
    InSet { fields: Vec<Field>, set: String, is_negated: bool },
    /// Something that is not understood, in the words of the tool that writes it: whether it holds cannot be told.
    Other { text: String },
}

/// What NAT writes into a packet.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct TranslationTarget {
    /// Address, the first where there are several.
    pub address: Option<IpAddr>,
    /// Port, the first where there are several.
    pub port: Option<u16>,
    /// Whether ports are drawn at random.
    pub is_random: bool,
}

/// What a rule or a policy does with a packet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the fields are what the variants say")]
pub enum Action {
    /// It may pass this hook's base chain.
    Accept,
    /// It is dropped.
    Drop,
    /// It is refused; `with` is `tcp-reset`, or the ICMP error in the words of iptables (`icmp-port-unreachable`).
    Reject { with: String },
    /// Rules of another chain, and back.
    Jump { chain: String },
    /// Rules of another chain, and not back.
    Goto { chain: String },
    /// Back to the chain before.
    Return,
    /// Destination NAT.
    Dnat { to: TranslationTarget },
    /// Source NAT.
    Snat { to: TranslationTarget },
    /// Source NAT to an address of the interface that it leaves by.
    Masquerade { is_random: bool },
    /// Destination NAT to this node.
    Redirect { port: Option<u16> },
    /// The mark becomes `(mark & !mask) ^ value`.
    Mark { value: u32, mask: u32 },
    /// The connection's mark becomes `(mark & !mask) ^ value`.
    ConnectionMark { value: u32, mask: u32 },
    /// The bits of `mask` go from the packet's mark into the connection's.
    SaveMark { mask: u32 },
    /// The bits of `mask` go from the connection's mark into the packet's.
    RestoreMark { mask: u32 },
    /// What a map of the same table says of these fields; nothing for what is not in it.
    Lookup { fields: Vec<Field>, map: String },
    /// It is not tracked.
    NoTrack,
    /// It goes to a program.
    Queue { number: u16 },
    /// It is counted, logged or changed in a way that decides nothing.
    Nothing { text: String },
    /// Something that is not understood: what becomes of the packet cannot be told.
    Other { text: String },
}

/// A virtual server of IPVS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IpvsService {
    /// IP protocol.
    pub protocol: Protocol,
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// How servers are chosen (`rr`, `lc`).
    pub scheduler: String,
    /// How long one client stays at one server, in ticks of its kernel (`jiffies`), whose length it does not tell; absent
    /// where each connection is decided anew.
    pub persistent_ticks: Option<u64>,
    /// Servers.
    pub servers: Vec<IpvsServer>,
}

/// A real server of IPVS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IpvsServer {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// How packets are forwarded (`Masq`, `Route`, `Tunnel`).
    pub forward: String,
    /// Weight; 0 takes no new connections.
    pub weight: u32,
    /// Connections now.
    pub active: u64,
}
