//! A cluster asked over its API: who has which address, and captures on its nodes.
//!
//! Everything that waits for the network runs on threads of its own ([`Cluster::runtime`]), so that captures are read
//! and decoded as those of this machine are: from something that implements [`std::io::Read`].

pub mod access;
pub mod agents;
pub mod connect;
pub mod fleet;
pub mod install;
pub mod janitor;
pub mod remote;
pub mod state;
pub mod watch;

pub use connect::{Cluster, ConnectError};
