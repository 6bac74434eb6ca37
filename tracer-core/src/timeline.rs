//! Journeys of one flow over all nodes.

mod change;
mod flow;
mod lane;
mod samples;

use std::collections::{BTreeMap, HashMap};

pub use change::{Change, changes};
pub use flow::{Flow, Orientation, TcpProgress};
pub use lane::{Lane, PathCount, Place, is_beginning};
pub use samples::Samples;

use crate::correlate::Related;
use crate::flow::FlowKey;
use crate::headers::HeadersTable;
use crate::journey::Journey;
use crate::packet::TcpFlags;

/// Number of a flow within one trace; flows that turn out to be one keep the smaller number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlowId(pub u32);

/// The flows of a trace.
#[derive(Clone, Debug)]
pub struct Timeline {
    flows: BTreeMap<FlowId, Flow>,
    by_tuple: HashMap<FlowKey, (FlowId, Orientation)>,
    next: u32,
    capacity: usize,
    overflow: u64,
}

impl Related for Timeline {
    fn related(&self, first: FlowKey, second: FlowKey) -> bool {
        match (self.by_tuple.get(&first), self.by_tuple.get(&second)) {
            (Some(first), Some(second)) => first == second,
            _ => false,
        }
    }
}

impl Timeline {
    /// A timeline of at most `capacity` flows.
    pub fn new(capacity: usize) -> Self {
        Self { flows: BTreeMap::new(), by_tuple: HashMap::new(), next: 1, capacity, overflow: 0 }
    }

    /// Adds a journey to its flow, which its tuples tell; a journey that connects two flows makes them one.
    /// Absent when it would open one flow too many.
    pub fn add(
        &mut self,
        journey: &Journey,
        headers: &HeadersTable,
        is_at_edge: bool,
    ) -> Option<(FlowId, Orientation)> {
        let mut tuples: Vec<FlowKey> = Vec::with_capacity(2);
        for hop in &journey.hops {
            let tuple = headers.flow(hop.headers);
            if !tuples.contains(&tuple) {
                tuples.push(tuple);
            }
        }
        let known: Vec<_> = tuples.iter().filter_map(|tuple| self.by_tuple.get(tuple).copied()).collect();
        let (id, orientation) = match known.iter().min() {
            Some(place) => *place,
            None => self.open(journey, tuples[0])?,
        };
        for other in known {
            self.join((id, orientation), other);
        }
        for tuple in tuples {
            self.learn(id, orientation, tuple);
        }
        self.flows.get_mut(&id)?.add(journey, orientation, is_at_edge);
        Some((id, orientation))
    }

    /// A flow by its number.
    pub fn get(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    /// The number under which a flow that was joined to another is kept now.
    pub fn current(&self, tuple: FlowKey) -> Option<FlowId> {
        self.by_tuple.get(&tuple).map(|(id, _)| *id)
    }

    /// All flows by their numbers.
    pub fn flows(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.flows.iter().map(|(id, flow)| (*id, flow))
    }

    /// Journeys left out because there were too many flows, tuples or paths.
    pub fn overflow(&self) -> u64 {
        let paths: u64 = self.flows.values().map(|flow| flow.forward.overflow + flow.reply.overflow).sum();
        self.overflow + paths
    }

    fn open(&mut self, journey: &Journey, tuple: FlowKey) -> Option<(FlowId, Orientation)> {
        if self.flows.len() >= self.capacity {
            self.overflow += 1;
            return None;
        }
        let flags = journey.segment.flags;
        let is_answer = flags.any(TcpFlags::SYN) && flags.any(TcpFlags::ACK);
        let orientation = if is_answer { Orientation::Reply } else { Orientation::Forward };
        let id = FlowId(self.next);
        self.next += 1;
        let key = oriented(tuple, orientation);
        self.flows.insert(id, Flow::new(key, journey.first().time));
        Some((id, orientation))
    }

    /// Moves `other` into `kept` where they are two flows.
    fn join(&mut self, kept: (FlowId, Orientation), other: (FlowId, Orientation)) {
        if kept.0 == other.0 {
            return;
        }
        let Some(absorbed) = self.flows.remove(&other.0) else { return };
        let flip = if kept.1 == other.1 { Orientation::Forward } else { Orientation::Reply };
        for tuple in absorbed.tuples.clone() {
            self.learn(kept.0, Orientation::Forward, oriented(tuple, flip));
        }
        if let Some(flow) = self.flows.get_mut(&kept.0) {
            flow.absorb(absorbed, flip);
        }
    }

    fn learn(&mut self, id: FlowId, orientation: Orientation, tuple: FlowKey) {
        let forward = oriented(tuple, orientation);
        let Some(flow) = self.flows.get_mut(&id) else { return };
        if !flow.learn(forward) {
            self.overflow += 1;
            return;
        }
        self.by_tuple.insert(forward, (id, Orientation::Forward));
        if forward.reversed() != forward {
            self.by_tuple.insert(forward.reversed(), (id, Orientation::Reply));
        }
    }
}

fn oriented(tuple: FlowKey, orientation: Orientation) -> FlowKey {
    match orientation {
        Orientation::Forward => tuple,
        Orientation::Reply => tuple.reversed(),
    }
}
