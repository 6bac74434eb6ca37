//! Counters of a network namespace and of its node.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Counters; those of which nothing is known are absent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Counters {
    /// `/proc/net/snmp`, `snmp6` and `netstat` as `nstat` names them (`IpInAddrErrors`, `TcpExtListenOverflows`,
    /// `Ip6OutNoRoutes`).
    pub protocols: BTreeMap<String, u64>,
    /// `/proc/net/softnet_stat`, by processor. The same in every namespace of a node.
    pub softnet: Vec<SoftnetCpu>,
}

/// One processor's backlog of received packets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct SoftnetCpu {
    /// Its number.
    pub cpu: u32,
    /// Packets processed.
    pub processed: u64,
    /// Packets dropped because the queue was full (`net.core.netdev_max_backlog`).
    pub dropped: u64,
    /// Rounds that ended with work left over (`net.core.netdev_budget`).
    pub squeezed: u64,
}
