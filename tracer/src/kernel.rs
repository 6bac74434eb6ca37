//! The kernel: loading the programs, attaching them, and reading what they record.

pub mod attach;
pub mod btf;
pub mod clock;
mod clsact;
pub mod confine;
pub mod conntrack;
pub mod counters;
pub mod drops;
pub mod filter;
pub mod firewall;
pub mod interfaces;
pub mod inventory;
pub(crate) mod memory;
pub mod namespaces;
mod netfilter;
pub mod netlink;
pub mod netns;
pub mod node;
pub mod object;
pub mod probe;
pub mod ring;
pub mod room;
pub mod watchdog;
