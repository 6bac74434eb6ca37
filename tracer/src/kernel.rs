//! The kernel: loading the programs, attaching them, and reading what they record.

pub mod attach;
pub mod clock;
mod clsact;
pub mod counters;
pub mod filter;
pub mod interfaces;
pub mod inventory;
pub mod netlink;
pub mod netns;
pub mod object;
pub mod probe;
pub mod ring;
pub mod room;
pub mod watchdog;
