//! What the kernel of a node says about the way of packets: the evidence that a cause is named from.
//!
//! A [`Snapshot`] is of one network namespace. Two of them, before and after, tell what counted in between. What could
//! not be read is part of it ([`Missing`]): an absent rule and an unread table are not the same.

mod conntrack;
mod counters;
mod firewall;
mod lookup;
mod node;
#[cfg(test)]
pub(crate) mod testing;
mod walk;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use conntrack::{
    Conntrack, ConntrackCpu, ConntrackEntry, ConntrackEvent, ConntrackEventKind, ConntrackTuple, NatKind,
};
pub use counters::{Counters, SoftnetCpu};
pub use firewall::{
    Action, Backend, Chain, Counted, Field, Firewall, Hook, IpvsServer, IpvsService, Match, PortRange,
    Prefix, Rule, Set, SetElement, SetValue, Table, TranslationTarget, iptables_text, is_policy_chain,
    nft_text,
};
pub use lookup::{Lookup, RouteAnswer};
pub use node::{
    FdbEntry, Link, LinkAddress, LinkCounters, LinkKind, Neighbour, NeighbourState, Program, ProgramHook,
    Route, RouteKind, RoutingRule, Socket, SocketState, Tunnel, Vxlan,
};
pub use walk::{Ending, Probe, Step, Walk};

use crate::units::Timestamp;

/// What one network namespace says of itself at one time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Snapshot {
    /// When it was taken, in nanoseconds since the epoch.
    pub taken_ns: Timestamp,
    /// The node that the namespace is on.
    pub node: String,
    /// The pod whose namespace it is, as `namespace/name`; absent for the node's own.
    pub pod: Option<String>,
    /// Inode of the network namespace, which tells it from others of the same kernel.
    pub netns: u64,
    /// The kernel's release (`uname -r`).
    pub kernel: String,
    /// Identifier of the kernel's boot (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Interfaces with their addresses.
    pub links: Vec<Link>,
    /// Routes of all tables.
    pub routes: Vec<Route>,
    /// What the kernel learned of single destinations, and uses before a route: path MTUs, redirects.
    pub exceptions: Vec<Route>,
    /// Which packets use which table.
    pub rules: Vec<RoutingRule>,
    /// Neighbours by ARP and NDP.
    pub neighbours: Vec<Neighbour>,
    /// Forwarding entries of bridges and of VXLAN devices.
    pub fdb: Vec<FdbEntry>,
    /// Settings that make a kernel drop or rewrite packets: name below `/proc/sys/` with `/`, and value.
    pub sysctls: BTreeMap<String, String>,
    /// Counters of the protocols, of the queues and of the sockets.
    pub counters: Counters,
    /// Sockets that listen or are bound, and those of the flow's addresses.
    pub sockets: Vec<Socket>,
    /// XDP and TC programs, by whomever.
    pub programs: Vec<Program>,
    /// Rules for packets.
    pub firewall: Firewall,
    /// Connections that the kernel tracks.
    pub conntrack: Conntrack,
    /// What could not be read.
    pub missing: Vec<Missing>,
}

/// Something that could not be read, and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Missing {
    /// What: `conntrack`, `nftables`, `iptables (legacy)`, `drop reasons`.
    pub what: String,
    /// Why, in one line.
    pub why: String,
}

/// The two snapshots of one namespace; `after` is absent where only one could be taken.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Evidence {
    /// When the trace began.
    pub before: Snapshot,
    /// When it ended.
    pub after: Option<Snapshot>,
}

impl Evidence {
    /// The later one.
    pub fn last(&self) -> &Snapshot {
        self.after.as_ref().unwrap_or(&self.before)
    }
}
