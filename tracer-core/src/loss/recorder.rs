//! When recorders lost packets: a packet that was not seen then may have passed all the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use crate::flow::{FlowKey, Protocol};
use crate::point::{InterfaceIndex, NodeId};
use crate::units::Timestamp;

/// Intervals kept of one node; beyond, two neighbours become one.
const MAX_INTERVALS: usize = 4096;

/// Addresses whose unrecognisable packets are kept apart; beyond, they cloud their whole node.
const MAX_BLIND: usize = 65_536;

/// Why a node may not have recorded a packet that passed it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Cloud {
    /// Its recorder lost packets at about that time.
    Lost(NodeId),
    /// It recorded packets at about that time of which too little was captured to recognise them.
    Blind(NodeId),
    /// One of its captures did not reach to that time.
    Uncovered(NodeId),
}

impl Cloud {
    /// The node.
    pub fn node(self) -> NodeId {
        match self {
            Self::Lost(node) | Self::Blind(node) | Self::Uncovered(node) => node,
        }
    }
}

/// What the recorders lost, by time of each node's own clock.
#[derive(Clone, Debug, Default)]
pub struct RecorderLosses {
    interfaces: BTreeMap<InterfaceIndex, Known>,
    nodes: BTreeMap<NodeId, Vec<(Timestamp, Timestamp)>>,
    /// When packets of an address were recorded that cannot be recognised.
    blind: HashMap<(NodeId, Protocol, IpAddr), (Timestamp, Timestamp)>,
    blind_nodes: BTreeSet<NodeId>,
}

/// Up to when an interface's losses are known.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    until: Timestamp,
    /// In all.
    lost: u64,
    /// As far as the packets themselves tell: statistics may have told more already.
    by_packets: u64,
}

impl RecorderLosses {
    /// Notes that an interface has lost `lost` packets in all up to `time`.
    pub fn total(&mut self, node: NodeId, interface: InterfaceIndex, time: Timestamp, lost: u64) {
        let known = self.interfaces.entry(interface).or_default();
        let before = *known;
        *known = Known { until: time, lost: lost.max(before.lost), ..before };
        if lost > before.lost {
            self.add(node, before.until, time);
        }
    }

    /// Notes that an interface lost `lost` packets between the packet before and one at `time`.
    pub fn between(&mut self, node: NodeId, interface: InterfaceIndex, time: Timestamp, lost: u64) {
        let known = self.interfaces.entry(interface).or_default();
        let before = *known;
        let by_packets = before.by_packets.saturating_add(lost);
        if by_packets > before.lost {
            *known = Known { until: time, lost: by_packets, by_packets };
            self.add(node, before.until, time);
        } else {
            known.by_packets = by_packets;
        }
    }

    /// Notes a packet that was recorded and cannot be recognised: it may be any of its addresses that is missed.
    pub fn blind(&mut self, node: NodeId, flow: &FlowKey, time: Timestamp) {
        self.blind_nodes.insert(node);
        for address in [flow.source.address, flow.destination.address] {
            let key = (node, flow.protocol, address);
            if self.blind.len() >= MAX_BLIND && !self.blind.contains_key(&key) {
                self.add(node, time, time);
                continue;
            }
            let interval = self.blind.entry(key).or_insert((time, time));
            *interval = (interval.0.min(time), interval.1.max(time));
        }
    }

    /// Whether a node recorded packets that cannot be recognised, of one of the addresses of a flow, between two times of
    /// its clock.
    pub fn is_blind(&self, node: NodeId, flow: &FlowKey, from: Timestamp, to: Timestamp) -> bool {
        [flow.source.address, flow.destination.address].into_iter().any(|address| {
            let interval = self.blind.get(&(node, flow.protocol, address));
            interval.is_some_and(|interval| interval.0 <= to && from <= interval.1)
        })
    }

    /// Nodes that recorded packets which cannot be recognised.
    pub fn blind_nodes(&self) -> impl Iterator<Item = NodeId> {
        self.blind_nodes.iter().copied()
    }

    /// Nodes that lost something.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// Whether a node lost packets between two times of its clock.
    pub fn any(&self, node: NodeId, from: Timestamp, to: Timestamp) -> bool {
        let lost = self.nodes.get(&node).map(Vec::as_slice).unwrap_or_default();
        lost.iter().rev().any(|interval| interval.0 <= to && from <= interval.1)
    }

    fn add(&mut self, node: NodeId, from: Timestamp, to: Timestamp) {
        // A clock that was set back in between.
        let (from, to) = (from.min(to), from.max(to));
        let intervals = self.nodes.entry(node).or_default();
        match intervals.last_mut().filter(|last| last.1 >= from && last.0 <= from) {
            Some(last) => last.1 = last.1.max(to),
            None => intervals.push((from, to)),
        }
        if intervals.len() > MAX_INTERVALS {
            intervals.sort_unstable();
            let pairs = intervals.chunks(2);
            *intervals = pairs.map(|pair| (pair[0].0, pair[pair.len() - 1].1.max(pair[0].1))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(0);
    const ETH0: InterfaceIndex = InterfaceIndex(0);

    #[test]
    fn losses_lie_between_what_is_known() {
        let mut losses = RecorderLosses::default();
        losses.total(NODE, ETH0, Timestamp(100), 0);
        assert!(!losses.any(NODE, Timestamp(0), Timestamp(u64::MAX)));
        losses.total(NODE, ETH0, Timestamp(200), 5);
        losses.total(NODE, ETH0, Timestamp(300), 5);
        losses.between(NODE, ETH0, Timestamp(410), 7);
        for (from, to, expected) in [
            (0, 99, false),
            (90, 100, true),
            (150, 160, true),
            (201, 299, false),
            (350, 400, true),
            (411, 900, false),
        ] {
            assert_eq!(losses.any(NODE, Timestamp(from), Timestamp(to)), expected, "{from}-{to}");
        }
        assert!(!losses.any(NodeId(1), Timestamp(0), Timestamp(900)));
    }

    #[test]
    fn what_statistics_told_is_not_told_again() {
        let mut losses = RecorderLosses::default();
        losses.total(NODE, ETH0, Timestamp(100), 0);
        losses.total(NODE, ETH0, Timestamp(200), 5);
        losses.between(NODE, ETH0, Timestamp(250), 5);
        assert!(!losses.any(NODE, Timestamp(210), Timestamp(240)));
        losses.total(NODE, ETH0, Timestamp(300), 10);
        assert!(losses.any(NODE, Timestamp(260), Timestamp(290)));
    }

    #[test]
    fn memory_is_bounded_and_no_loss_is_forgotten() {
        let mut losses = RecorderLosses::default();
        for n in 0..20_000 {
            losses.total(NODE, ETH0, Timestamp(n * 100 + 50), n);
            losses.total(NODE, ETH0, Timestamp(n * 100 + 90), n);
        }
        assert!(losses.nodes[&NODE].len() <= MAX_INTERVALS);
        assert!((1..20_000).all(|n| losses.any(NODE, Timestamp(n * 100), Timestamp(n * 100 + 40))));
    }
}
