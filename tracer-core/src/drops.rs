//! Packets of a flow that the kernel says it dropped, by where and why.

mod nature;
mod notice;
mod table;

pub use nature::Nature;
pub use notice::{INTERFACE, NotANotice, Notice, interface_of, is_interface};
use serde::Serialize;
pub use table::{DropTable, Dropped, Kind, KindId, Past, Whereabouts};

use crate::flow::FlowKey;
use crate::packet::Tunnel;
use crate::trace::PlaceName;
use crate::units::{Direction, Timestamp};

/// Packets of one direction of a flow that one place of one kernel dropped for one reason.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct DropReport {
    /// The node.
    pub node: String,
    /// The pod in whose namespace it was; absent in the node's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Inode of the network namespace, which tells it from others of the same kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<u64>,
    /// Whether the packet had come into that namespace by an interface (ingress), or was made there (egress); absent
    /// where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// The interface that the packet belonged to when it was dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The function of the kernel that dropped it (`nf_hook_slow`, `ip_forward`); absent where symbols cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The kernel's reason without its prefix (`NETFILTER_DROP`, `NO_SOCKET`), from 5.17 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether that is what happens to every packet of this kind in the end (`CONSUMED`), and no loss.
    pub is_benign: bool,
    /// What the packet wore there: its innermost five-tuple.
    pub tuple: FlowKey,
    /// Encapsulations around that, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tunnels: Vec<Tunnel>,
    /// The last hop that saw the packets before; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<PlaceName>,
    /// When the first was dropped, in nanoseconds since the epoch by its node's clock.
    pub first_ns: Timestamp,
    /// Packets.
    pub packets: u64,
}
