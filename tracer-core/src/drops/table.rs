//! Drops on their way to the flows that they are of.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Nature, Notice};
use crate::flow::FlowKey;
use crate::identity::SegmentKey;
use crate::journey::Sighting;
use crate::packet::{Packet, Quote, TcpFlags, Transport, Tunnel};
use crate::point::NodeId;
use crate::timeline::{FlowId, Orientation};
use crate::units::{Direction, Timestamp};

/// Kinds of drops that are told apart in a trace.
const MAX_KINDS: usize = 65_536;
/// Wire segments whose journey is waited for.
const MAX_WAITING: usize = 65_536;
/// Journeys that are remembered for drops that come late: a packet may wait for its neighbour's address for seconds.
const MAX_PAST: usize = 16_384;

/// Number of a kind of drops within one trace.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KindId(u32);

/// Drops that differ in their packets only.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Kind {
    /// The node.
    pub node: NodeId,
    /// The pod whose namespace it was in; absent for the node's own.
    pub pod: Option<String>,
    /// Inode of the namespace.
    pub netns: Option<u64>,
    /// Whether the packet had come in, or was made there.
    pub direction: Option<Direction>,
    /// The interface that it belonged to.
    pub interface: Option<String>,
    /// The function.
    pub function: Option<String>,
    /// The reason.
    pub reason: Option<String>,
    /// What it means.
    pub nature: Nature,
    /// The innermost five-tuple.
    pub tuple: FlowKey,
    /// Encapsulations, outermost first.
    pub tunnels: Vec<Tunnel>,
}

/// Where a drop was.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// The node.
    pub node: NodeId,
    /// The pod whose namespace it was in; absent for the node's own.
    pub pod: Option<String>,
    /// Inode of the namespace, where the drop itself does not tell it.
    pub netns: Option<u64>,
    /// Whether the packet had come in, or was made there.
    pub direction: Option<Direction>,
}

impl Kind {
    /// The kind of a dropped packet.
    pub fn of(notice: Notice, packet: &Packet<'_>, place: Whereabouts) -> Self {
        Self {
            nature: Nature::of(&notice, packet),
            node: place.node,
            pod: place.pod,
            netns: notice.netns.or(place.netns),
            direction: place.direction,
            interface: notice.interface,
            function: notice.function,
            reason: notice.reason,
            tuple: packet.flow,
            tunnels: packet.tunnels.clone(),
        }
    }
}

/// One wire segment that was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dropped {
    /// Where, why and what.
    pub kind: KindId,
    /// When, by its node's clock.
    pub time: Timestamp,
    /// When, by the trace's own.
    pub seen: Timestamp,
    /// Whether others have the packet as well.
    pub is_clone: bool,
    /// Its TCP flags; none for other protocols.
    pub flags: TcpFlags,
    /// The packet that it quotes, of an ICMP error.
    pub quote: Option<Quote>,
}

impl Dropped {
    /// What is noted of a packet besides its kind.
    pub fn of(kind: KindId, packet: &Packet<'_>, is_clone: bool, time: Timestamp, seen: Timestamp) -> Self {
        let (flags, quote) = match packet.transport {
            Transport::Tcp(tcp) => (tcp.flags, None),
            Transport::Icmp { quoted, .. } => (TcpFlags::default(), quoted),
            _ => (TcpFlags::default(), None),
        };
        Self { kind, time, seen, is_clone, flags, quote }
    }
}

/// How a journey ended that is over.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Its flow.
    pub flow: FlowId,
    /// Its direction.
    pub orientation: Orientation,
    /// Its last hop.
    pub last: Sighting,
}

/// All drops of a trace whose flow is not known yet, and the kinds of all that there were.
#[derive(Debug, Default)]
pub struct DropTable {
    kinds: Vec<Kind>,
    numbers: HashMap<Kind, KindId>,
    waiting: HashMap<SegmentKey, Vec<Dropped>>,
    /// Those that wait, in the order of their times, and those without a key.
    due: BTreeMap<(Timestamp, u64), (Option<SegmentKey>, Dropped)>,
    serial: u64,
    past: HashMap<SegmentKey, Past>,
    order: VecDeque<SegmentKey>,
    overflow: u64,
    /// Whether anybody tells of drops.
    is_watched: bool,
}

impl DropTable {
    /// Notes that drops are told from now on.
    pub fn watch(&mut self) {
        self.is_watched = true;
    }

    /// The number of a kind; absent when it is one too many.
    pub fn number(&mut self, kind: Kind) -> Option<KindId> {
        if let Some(known) = self.numbers.get(&kind) {
            return Some(*known);
        }
        if self.kinds.len() >= MAX_KINDS {
            self.overflow += 1;
            return None;
        }
        let id = KindId(u32::try_from(self.kinds.len()).ok()?);
        self.kinds.push(kind.clone());
        self.numbers.insert(kind, id);
        Some(id)
    }

    /// A kind by its number.
    pub fn kind(&self, id: KindId) -> &Kind {
        &self.kinds[id.0 as usize]
    }

    /// Keeps a wire segment until its journey is known, or its time is over.
    pub fn push(&mut self, key: Option<SegmentKey>, dropped: Dropped) {
        if self.due.len() >= MAX_WAITING {
            self.overflow += 1;
            return;
        }
        if let Some(key) = key {
            self.waiting.entry(key).or_default().push(dropped);
        }
        self.serial += 1;
        self.due.insert((dropped.seen, self.serial), (key, dropped));
    }

    /// Takes the drops of wire segments with this key; what the journeys do not claim is to be put back.
    pub fn take(&mut self, key: SegmentKey) -> Vec<Dropped> {
        if self.waiting.is_empty() { Vec::new() } else { self.waiting.remove(&key).unwrap_or_default() }
    }

    /// Puts back what no journey claimed.
    pub fn put_back(&mut self, key: SegmentKey, rest: Vec<Dropped>) {
        if !rest.is_empty() {
            self.waiting.insert(key, rest);
        }
    }

    /// The next one that nobody claimed by `until`, and how the journey with its key had ended before, if there was one.
    pub fn unclaimed(&mut self, until: Timestamp) -> Option<(Dropped, Option<Past>)> {
        while let Some(first) = self.due.first_entry() {
            if first.key().0 > until {
                return None;
            }
            let (key, dropped) = first.remove();
            let Some(key) = key else { return Some((dropped, None)) };
            let Some(waiting) = self.waiting.get_mut(&key) else { continue };
            let Some(at) = waiting.iter().position(|other| *other == dropped) else { continue };
            waiting.swap_remove(at);
            if waiting.is_empty() {
                self.waiting.remove(&key);
            }
            return Some((dropped, self.past.get(&key).copied()));
        }
        None
    }

    /// Remembers how a journey ended.
    pub fn remember(&mut self, key: SegmentKey, past: Past) {
        if !self.is_watched {
            return;
        }
        if self.past.insert(key, past).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > MAX_PAST {
            if let Some(oldest) = self.order.pop_front() {
                self.past.remove(&oldest);
            }
        }
    }

    /// Drops for which there was no room.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }
}
