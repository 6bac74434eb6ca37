//! What was not seen, per cause: no result is complete without it.

mod recorder;

pub use recorder::{Cloud, RecorderLosses};

use serde::Serialize;

/// Counts of what a trace missed or could not use.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct LossReport {
    /// Per interface, what its hook and its ring buffer counted.
    pub interfaces: Vec<InterfaceLoss>,
    /// Packets that could not be decoded down to an IP flow.
    pub undecodable: u64,
    /// Packets, and wire segments of UDP super-packets, of which too little was captured to recognise them.
    pub unidentified: u64,
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
    /// Packets that matched and were lost in the ring buffer; absent where the capture does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
}

impl LossReport {
    /// Packets that the recorders lost, over all interfaces.
    pub fn recorder_lost(&self) -> u64 {
        self.interfaces.iter().filter_map(|interface| interface.lost).fold(0, u64::saturating_add)
    }

    /// Packets that the recorders of one node lost.
    pub fn lost_on(&self, node: &str) -> u64 {
        self.interfaces
            .iter()
            .filter(|interface| interface.node == node)
            .filter_map(|interface| interface.lost)
            .fold(0, u64::saturating_add)
    }

    /// Whether nothing is missing from the result.
    pub fn is_complete(&self) -> bool {
        let counts = [self.undecodable, self.unidentified, self.ambiguous, self.evicted, self.overflow];
        self.recorder_lost() == 0 && counts.iter().all(|count| *count == 0) && self.broken_streams.is_empty()
    }
}
