//! Connections as netfilter tracks them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::flow::Protocol;
use crate::units::Timestamp;

/// What netfilter's connection tracking says (`nf_conntrack`, by netlink and `/proc/net/stat`).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Conntrack {
    /// Entries that have one of the addresses asked for.
    pub entries: Vec<ConntrackEntry>,
    /// What happened to such entries since the snapshot before; only in the one after.
    pub events: Vec<ConntrackEvent>,
    /// Events that the kernel or we could not keep up with.
    pub events_lost: u64,
    /// Entries there are, of all addresses (`nf_conntrack_count`).
    pub count: Option<u64>,
    /// Entries there may be (`nf_conntrack_max`).
    pub max: Option<u64>,
    /// `/proc/net/stat/nf_conntrack`, by processor.
    pub cpus: Vec<ConntrackCpu>,
}

/// Statistics of one processor since boot.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ConntrackCpu {
    /// Its number.
    pub cpu: u32,
    /// Packets that belong to no connection and open none (`invalid`).
    pub invalid: u64,
    /// Entries that could not be inserted (`insert_failed`): most often because another packet had made the same one.
    pub insert_failed: u64,
    /// Packets dropped because an entry could not be made (`drop`): most often because the table is full.
    pub drop: u64,
    /// Entries removed to make room (`early_drop`).
    pub early_drop: u64,
    /// Insertions refused because an equal entry existed already, and resolved (`clash_resolve`).
    pub clash_resolve: u64,
    /// Look-ups given up because chains are too long (`chaintoolong`).
    pub chain_too_long: u64,
}

/// One direction of an entry.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ConntrackTuple {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// IP protocol.
    pub protocol: Protocol,
    /// Source port, or ICMP identifier; 0 where there is none.
    pub source_port: u16,
    /// Destination port, or ICMP type and code; 0 where there is none.
    pub destination_port: u16,
}

/// What NAT does to a connection (`IPS_SRC_NAT`, `IPS_DST_NAT`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NatKind {
    /// Neither address is changed.
    None,
    /// The source is.
    Source,
    /// The destination is.
    Destination,
    /// Both are.
    Both,
}

/// A tracked connection.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConntrackEntry {
    /// As the opener sends.
    pub original: ConntrackTuple,
    /// As answers come in.
    pub reply: ConntrackTuple,
    /// What NAT does.
    pub nat: NatKind,
    /// TCP's state in the kernel's words (`SYN_SENT`, `ESTABLISHED`); absent for other protocols.
    pub state: Option<String>,
    /// Whether both directions have been seen (`IPS_SEEN_REPLY`).
    pub is_answered: bool,
    /// Whether it survives a full table (`IPS_ASSURED`).
    pub is_assured: bool,
    /// Mark.
    pub mark: u32,
    /// Zone.
    pub zone: u16,
    /// Seconds until it is forgotten.
    pub timeout: Option<u32>,
    /// Packets and bytes of the original direction, where accounting is on (`nf_conntrack_acct`).
    pub original_count: Option<(u64, u64)>,
    /// The same of the reply direction.
    pub reply_count: Option<(u64, u64)>,
}

/// What happened to an entry.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConntrackEventKind {
    /// It was confirmed.
    New,
    /// It is gone.
    Destroy,
}

/// A change of the table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConntrackEvent {
    /// When it was read, in nanoseconds since the epoch.
    pub time_ns: Timestamp,
    /// What happened.
    pub kind: ConntrackEventKind,
    /// To which entry.
    pub entry: ConntrackEntry,
}
