//! What to capture on a cluster, and how.

use tracer_core::capture::Section;
use tracer_core::units::Direction;

use super::Targets;
use crate::capture::{Expression, Limits, Product, Shape, Verbosity};

/// What to capture on a cluster, and how.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is asked for or not, in any combination")]
pub struct RemotePlan {
    /// Pods and nodes.
    pub targets: Targets,
    /// Interfaces of the nodes, by names and patterns; where there are none, the host interfaces of the pods, or all of a
    /// node.
    pub interfaces: Vec<String>,
    /// Which packets, by a filter expression.
    pub expression: Option<Expression>,
    /// Which packets, by their direction at the interface; absent for both.
    pub direction: Option<Direction>,
    /// What is done to them.
    pub shape: Shape,
    /// The snap length as the agents are told it.
    pub snap: String,
    /// What becomes of them.
    pub product: Product,
    /// Whether each packet is handed on as it comes.
    pub packet_buffered: bool,
    /// The user to become before the first file is opened.
    pub user: Option<String>,
    /// Size of the buffer on each node in KiB.
    pub ring_kib: u32,
    /// Until when, over all nodes.
    pub limits: Limits,
    /// A further UDP port that carries VXLAN.
    pub vxlan_port: Option<u16>,
    /// How programs are attached, where that is not left to the agents.
    pub attach: Option<&'static str>,
    /// Whether the programs log what they do.
    pub debug: bool,
    /// Whether a node's capture has the connections by which it travels itself.
    pub own_traffic: bool,
    /// Whether only to tell what would be done.
    pub dry_run: bool,
    /// What is told on standard error.
    pub verbosity: Verbosity,
}

/// What the capture begins with: its interfaces tell their nodes.
pub(super) fn section() -> Section {
    let application = concat!("kflow ", env!("CARGO_PKG_VERSION"));
    Section { application: Some(application.to_owned()), ..Section::default() }
}
