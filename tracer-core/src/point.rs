//! Observation points: where packets are seen, and on whose clock.

use std::collections::HashMap;

use serde::Serialize;

use crate::capture::{Interface, LinkLayer};
use crate::units::Direction;

/// Number of a node within one trace.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub u32);

/// Number of an interface within one trace, over all nodes.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InterfaceIndex(pub u32);

/// Observation point (RFC 5475): an interface in a network namespace of a node, and a direction.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Point {
    /// The interface.
    pub interface: InterfaceIndex,
    /// Relative to the interface; absent where neither the capture nor the packets tell.
    pub direction: Option<Direction>,
}

/// One machine with one clock.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Node {
    /// Name, as the capture's section header or the user gave it.
    pub name: String,
    /// Boot id of its kernel; two nodes with the same one share one clock.
    pub boot_id: Option<String>,
}

/// An interface that packets were observed on.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
pub struct ObservedInterface {
    /// Its node.
    #[serde(skip)]
    pub node: NodeId,
    /// The pod whose namespace it is in; absent in the node's own.
    pub pod: Option<String>,
    /// Its name in its namespace.
    pub name: String,
    /// Its index there, where the capture tells.
    pub ifindex: Option<u32>,
    /// What its packets begin with.
    #[serde(skip)]
    pub link: LinkLayer,
}

/// All nodes and interfaces of a trace.
#[derive(Clone, Debug, Default)]
pub struct Points {
    nodes: Vec<Node>,
    interfaces: Vec<ObservedInterface>,
    node_ids: HashMap<String, NodeId>,
    /// The first node with a boot id.
    boots: HashMap<String, NodeId>,
    indices: HashMap<ObservedInterface, InterfaceIndex>,
    /// The first node with the same clock, by the number of the node.
    clocks: Vec<NodeId>,
}

impl Points {
    /// The number of a node, made at its first mention.
    pub fn node(&mut self, name: &str, boot_id: Option<&str>) -> NodeId {
        if let Some(id) = self.node_ids.get(name) {
            return *id;
        }
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        let clock = boot_id.map_or(id, |boot_id| *self.boots.entry(boot_id.to_owned()).or_insert(id));
        self.clocks.push(clock);
        self.nodes.push(Node { name: name.to_owned(), boot_id: boot_id.map(str::to_owned) });
        self.node_ids.insert(name.to_owned(), id);
        id
    }

    /// The number of an interface that a capture describes; a description seen again keeps its number.
    pub fn interface(&mut self, node: NodeId, interface: &Interface) -> InterfaceIndex {
        let observed = ObservedInterface {
            node,
            pod: interface.pod.clone(),
            name: interface.name.clone(),
            ifindex: interface.ifindex,
            link: interface.link,
        };
        let next = InterfaceIndex(u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX));
        *self.indices.entry(observed).or_insert_with_key(|observed| {
            self.interfaces.push(observed.clone());
            next
        })
    }

    /// A node by its number.
    pub fn node_of(&self, interface: InterfaceIndex) -> &Node {
        &self.nodes[self.at(interface).node.0 as usize]
    }

    /// A node by its number.
    pub fn node_at(&self, node: NodeId) -> &Node {
        &self.nodes[node.0 as usize]
    }

    /// An interface by its number.
    pub fn at(&self, interface: InterfaceIndex) -> &ObservedInterface {
        &self.interfaces[interface.0 as usize]
    }

    /// Every interface with its number.
    pub fn interfaces(&self) -> impl ExactSizeIterator<Item = (InterfaceIndex, &ObservedInterface)> {
        let count = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        (0..count).zip(&self.interfaces).map(|(index, interface)| (InterfaceIndex(index), interface))
    }

    /// Whether two interfaces' times come from one clock: the same node, or the same kernel.
    pub fn share_clock(&self, a: InterfaceIndex, b: InterfaceIndex) -> bool {
        self.clock(a) == self.clock(b)
    }

    /// The clock that an interface's times come from, as the first node that has it.
    pub fn clock(&self, interface: InterfaceIndex) -> NodeId {
        self.clock_of(self.at(interface).node)
    }

    /// The clock of a node, as the first node that has it.
    pub fn clock_of(&self, node: NodeId) -> NodeId {
        self.clocks.get(node.0 as usize).copied().unwrap_or(node)
    }

    /// Whether some interface inside a pod's namespace is observed.
    pub fn observes_pod(&self, pod: &str) -> bool {
        self.interfaces.iter().any(|interface| interface.pod.as_deref() == Some(pod))
    }

    /// Whether some interface of a node's own namespace is observed.
    pub fn observes_node(&self, node: &str) -> bool {
        self.node_ids.get(node).is_some_and(|id| {
            self.interfaces.iter().any(|interface| interface.node == *id && interface.pod.is_none())
        })
    }
}
