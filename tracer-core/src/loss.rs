//! What was not seen, per cause: no result is complete without it.

use serde::Serialize;

/// Counts of what a trace missed or could not use.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct LossReport {
    /// Per interface, what its hook and its ring buffer counted.
    pub interfaces: Vec<InterfaceLoss>,
    /// Packets that could not be decoded down to an IP flow.
    pub undecodable: u64,
    /// Packets whose direction the capture does not tell.
    pub undirected: u64,
    /// Translations that could be told in more than one way and were not assigned.
    pub ambiguous: u64,
    /// Keys given up before their window was over, because memory ran out.
    pub evicted: u64,
    /// Packets left out because the table of addresses, or that of a flow's paths, was full.
    pub overflow: u64,
    /// Captures that ended before the trace did.
    pub broken_streams: Vec<BrokenStream>,
}

/// A capture that ended before the trace did.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct BrokenStream {
    /// Its node.
    pub node: String,
    /// Whose namespace it was, and why it ended.
    pub reason: String,
}

/// What one interface's hook counted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct InterfaceLoss {
    /// Node.
    pub node: String,
    /// Pod whose namespace it is in, if any.
    pub pod: Option<String>,
    /// Name.
    pub interface: String,
    /// Packets that passed the hooks.
    pub seen: u64,
    /// Packets that matched the filter.
    pub matched: u64,
    /// Packets that matched and were lost in the ring buffer.
    pub lost: u64,
}

impl LossReport {
    /// Packets that the recorders lost, over all interfaces.
    pub fn recorder_lost(&self) -> u64 {
        self.interfaces.iter().map(|interface| interface.lost).sum()
    }

    /// Packets that the recorders of one node lost.
    pub fn lost_on(&self, node: &str) -> u64 {
        self.interfaces
            .iter()
            .filter(|interface| interface.node == node)
            .map(|interface| interface.lost)
            .sum()
    }

    /// Whether nothing is missing from the result.
    pub fn is_complete(&self) -> bool {
        let others = self.undecodable + self.undirected + self.ambiguous + self.evicted + self.overflow;
        self.recorder_lost() + others == 0 && self.broken_streams.is_empty()
    }
}
