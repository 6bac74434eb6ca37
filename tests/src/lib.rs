//! What kflow is tested on: a lab of two Calico-like nodes in network namespaces, the traffic that crosses
//! it, and tcpdump as the second pair of eyes.
//!
//! Everything here needs root. Nothing leaves the lab's own namespaces, and nothing stays after it.

pub mod aftermath;
pub mod attached;
pub mod cgroup;
pub mod cluster;
mod command;
pub mod cores;
pub mod ending;
mod error;
pub mod expressions;
pub mod faults;
pub mod kflow;
pub mod lab;
pub mod namespace;
pub mod neighbour;
pub mod pair;
pub mod process;
pub mod synthetic;
pub mod tcpdump;
pub mod traffic;
pub mod truth;
pub mod wireshark;

pub use command::{CommandError, run};
pub use error::LabError;
pub use kflow::Kflow;
pub use lab::{Lab, LabConfig, Overlay};
pub use namespace::{Namespace, NamespaceError};
pub use tcpdump::{Tcpdump, TcpdumpOptions};
