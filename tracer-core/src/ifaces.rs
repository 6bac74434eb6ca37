//! Every interface of a machine with whom it belongs to: `kflow ifaces`.
//!
//! Pods are found by network namespaces, links and addresses alone; no container runtime is asked.

mod behind;
mod cgroup;
mod names;
mod table;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use behind::behind;
pub use cgroup::{Container, Owned, owned};
pub use table::table;

use crate::evidence::{Link, Missing, Program};

/// What was found on a machine.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Survey {
    /// The machine's name, or that of the node.
    pub node: String,
    /// The kernel's release (`uname -r`).
    pub kernel: String,
    /// Identifier of the kernel's boot.
    pub boot_id: String,
    /// Network namespaces that could be looked into, that of whoever looked first.
    pub namespaces: Vec<Room>,
    /// What cannot be seen from where it was looked from, and why.
    pub unseen: Vec<Missing>,
    /// What could not be read, and why.
    pub missing: Vec<Missing>,
}

/// A network namespace.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Room {
    /// Its inode, by which a kernel tells namespaces apart.
    pub netns: u64,
    /// What it is called where namespaces have names (`ip netns`, container runtimes).
    pub names: Vec<String>,
    /// Whether it is that of whoever looked: on a node of a cluster the node's own.
    pub is_own: bool,
    /// Whether the first process of the machine is in it.
    pub is_of_init: bool,
    /// Pods whose namespace it is; several where they share an address in the cluster's state.
    pub pods: Vec<String>,
    /// Identifiers of pods that its processes are of.
    pub pod_uids: Vec<String>,
    /// Containers that its processes are in.
    pub containers: Vec<Container>,
    /// Its first processes.
    pub processes: Vec<Process>,
    /// How many processes are in it; absent where processes cannot be seen.
    pub process_count: Option<usize>,
    /// Its interfaces, in the order of their indices.
    pub interfaces: Vec<Interface>,
}

/// A process.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name (`/proc/PID/comm`); empty where it ended meanwhile.
    pub name: String,
}

/// An interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Interface {
    /// What the kernel tells of it.
    #[serde(flatten)]
    pub link: Link,
    /// Programs and filters at it, by whomever.
    pub programs: Vec<Program>,
    /// Addresses that are reached by it as by a pod's interface: routed to it singly, or heard of behind it.
    pub behind: Vec<IpAddr>,
    /// The bridge or bond that it is a port of, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_name: Option<String>,
    /// The other end of the pair, or the link below, by name; absent where it cannot be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// Pods that it leads to, or is in.
    #[serde(default)]
    pub pods: Vec<String>,
}
