//! A packet on its way through the rules.

use super::{Ending, Probe, Step, Walk};
use crate::evidence::{Hook, TranslationTarget};
use crate::flow::FlowKey;

/// Doubts that are kept.
const MOST_DOUBTS: usize = 16;

/// A packet as the rules so far have made it.
#[derive(Clone, Debug)]
pub(super) struct Packet<'a> {
    /// As it came to the hook.
    pub(super) probe: &'a Probe,
    /// Five-tuple now.
    pub(super) key: FlowKey,
    /// Mark, and which of its bits are not known.
    pub(super) mark: Bits,
    /// Mark of the connection.
    pub(super) connection_mark: Bits,
    /// State of the connection.
    pub(super) state: &'a str,
    /// Whether the destination is an address of this node; absent after NAT.
    pub(super) is_local: Option<bool>,
    /// Whether the destination was translated at this hook.
    pub(super) has_dnat: bool,
    /// Whether the source was.
    pub(super) has_snat: bool,
    /// Whether the source was masqueraded by an address that is not known.
    pub(super) is_masqueraded: bool,
    /// With which probability it came so far.
    pub(super) probability: f64,
    /// Rules that did something.
    pub(super) steps: Vec<Step>,
    /// Rules of which it cannot be told whether they hold.
    pub(super) doubts: Vec<String>,
    /// Those rules as steps.
    pub(super) suspects: Vec<Step>,
}

/// A number of which some bits may not be known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    pub(super) value: u32,
    pub(super) unknown: u32,
}

impl Bits {
    /// Whether the bits of a mask have a value; absent if it cannot be told.
    pub(super) fn has(self, value: u32, mask: u32) -> Option<bool> {
        let known = mask & !self.unknown;
        if (self.value ^ value) & known != 0 || value & !mask != 0 {
            return Some(false);
        }
        (known == mask).then_some(true)
    }

    /// `(self & !mask) ^ value`.
    pub(super) fn turned(self, value: u32, mask: u32) -> Self {
        Self { value: (self.value & !mask) ^ value, unknown: self.unknown & !mask }
    }

    /// The bits of a mask from another.
    pub(super) fn with(self, other: Self, mask: u32) -> Self {
        Self {
            value: (self.value & !mask) | (other.value & mask),
            unknown: (self.unknown & !mask) | (other.unknown & mask),
        }
    }
}

impl<'a> Packet<'a> {
    pub(super) fn new(probe: &'a Probe, hook: Hook) -> Self {
        // Of a new connection the mark is 0 until somebody sets it.
        let is_first =
            probe.state == "new" && matches!(hook, Hook::Ingress | Hook::Prerouting | Hook::Output);
        let unknown = if is_first || probe.connection_mark.is_some() { 0 } else { u32::MAX };
        Self {
            probe,
            key: probe.key,
            mark: Bits { value: probe.mark, unknown: 0 },
            connection_mark: Bits { value: probe.connection_mark.unwrap_or(0), unknown },
            state: &probe.state,
            is_local: Some(probe.is_local),
            has_dnat: false,
            has_snat: false,
            is_masqueraded: false,
            probability: 1.0,
            steps: Vec::new(),
            doubts: Vec::new(),
            suspects: Vec::new(),
        }
    }

    pub(super) fn doubt(&mut self, text: &str) {
        if self.doubts.len() < MOST_DOUBTS && !self.doubts.iter().any(|doubt| doubt == text) {
            self.doubts.push(text.to_owned());
        }
    }

    /// A rule of which it cannot be told whether it holds.
    pub(super) fn suspect(&mut self, step: Step) {
        self.doubt(&step.text);
        if self.suspects.len() < MOST_DOUBTS && !self.suspects.contains(&step) {
            self.suspects.push(step);
        }
    }

    /// Destination NAT.
    pub(super) fn set_destination(&mut self, to: TranslationTarget) {
        if let Some(address) = to.address {
            self.is_local = self.is_local.filter(|_| address == self.key.destination.address);
            self.key.destination.address = address;
        }
        if let Some(port) = to.port.filter(|_| self.key.protocol.has_ports()) {
            self.key.destination.port.0 = port;
        }
        self.has_dnat = true;
    }

    /// Source NAT. The port stays what it was, as it does in the kernel where that is free and in the range that is given.
    pub(super) fn set_source(&mut self, to: TranslationTarget) {
        if let Some(address) = to.address {
            self.key.source.address = address;
        }
        self.has_snat = true;
    }

    /// Source NAT to an address of the interface that it leaves by. Its port stays the same where that is free and not drawn
    /// at random.
    pub(super) fn masquerade(&mut self) {
        match self.probe.masquerade {
            Some(address) => self.key.source.address = address,
            None => self.is_masqueraded = true,
        }
        self.has_snat = true;
    }

    /// What became of it.
    pub(super) fn end(self, ending: Ending) -> Walk {
        Walk {
            probability: self.probability,
            steps: self.steps,
            key: self.key,
            mark: self.mark.value,
            ending,
            doubts: self.doubts,
            suspects: self.suspects,
            is_masqueraded: self.is_masqueraded,
            connection_mark: (self.connection_mark.unknown == 0).then_some(self.connection_mark.value),
            is_untracked: self.state == "untracked",
        }
    }
}
