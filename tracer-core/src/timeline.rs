//! Journeys of one flow over all nodes.

mod change;
pub(crate) mod dns;
mod extent;
mod flow;
mod lane;
mod path;
mod peaks;
mod round;
mod samples;
mod sequence;
mod step;

pub use change::{Change, changes};
pub use dns::{Answer, DnsNews, Lookup, Lookups};
pub use extent::Extent;
pub use flow::{Flow, FlowDrop, Orientation, QuotedError, TcpProgress};
pub use lane::{Lane, News};
pub use path::{Circumstances, PathCount, Place, is_beginning};
pub use peaks::Peaks;
pub use round::RoundTrips;
pub use samples::{Samples, quantile};
pub use sequence::{Earlier, PathId, Sequence, Window};
pub use step::StepSamples;

use crate::correlate::Related;
use crate::flow::FlowKey;
use crate::headers::{HeadersTable, TupleId};
use crate::journey::Journey;
use crate::packet::TcpFlags;
use crate::resolve::Names;
use crate::units::Timestamp;

/// Number of a flow within one trace; flows that turn out to be one keep the smaller number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FlowId(pub u32);

/// The flows of a trace.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// By their numbers.
    flows: Vec<Slot>,
    /// By the numbers of tuples.
    places: Vec<Option<(FlowId, Orientation)>>,
    count: usize,
    capacity: usize,
    overflow: u64,
}

/// A flow, or where it went.
#[derive(Clone, Debug)]
enum Slot {
    Kept(Box<Flow>),
    JoinedTo(FlowId),
}

/// What a journey added to a timeline.
#[derive(Clone, Copy, Debug)]
pub struct Added {
    /// Its flow.
    pub flow: FlowId,
    /// Its direction within the flow.
    pub orientation: Orientation,
    /// What is new about the flow.
    pub news: News,
}

impl Related for Timeline {
    fn related(&self, first: TupleId, second: TupleId) -> bool {
        let first = self.place(first);
        first.is_some() && first == self.place(second)
    }
}

impl Timeline {
    /// A timeline of at most `capacity` flows.
    pub fn new(capacity: usize) -> Self {
        Self { flows: Vec::new(), places: Vec::new(), count: 0, capacity, overflow: 0 }
    }

    /// Adds a journey to its flow, which its tuples tell; a journey that connects two flows makes them one.
    /// Absent when it would open one flow too many.
    pub fn add(
        &mut self,
        journey: &Journey,
        headers: &mut HeadersTable,
        names: &Names,
        circumstances: &Circumstances<'_>,
    ) -> Option<Added> {
        let first = headers.tuple(journey.first().headers);
        if let Some((known, _)) = self.place(first)
            && self.is_succeeded(known, journey)
        {
            self.retire(known, headers);
        }
        let (flow, orientation) = match self.place(first) {
            Some(place) if self.is_whole(journey, place, headers) => place,
            _ => self.gather(journey, headers, names)?,
        };
        let news = self.flow_mut(flow)?.add(journey, orientation, circumstances);
        Some(Added { flow, orientation, news })
    }

    /// A flow by its number.
    pub fn get(&self, id: FlowId) -> Option<&Flow> {
        match self.flows.get(id.0 as usize)? {
            Slot::Kept(flow) => Some(flow),
            Slot::JoinedTo(_) => None,
        }
    }

    /// A flow by its number, to be added to.
    pub fn flow_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        match self.flows.get_mut(id.0 as usize)? {
            Slot::Kept(flow) => Some(flow),
            Slot::JoinedTo(_) => None,
        }
    }

    /// The flow that a tuple belongs to now, and the direction that it is of.
    pub fn place(&self, tuple: TupleId) -> Option<(FlowId, Orientation)> {
        self.places.get(tuple.index()).copied().flatten()
    }

    /// The number under which a flow is kept now: it may have been joined to another.
    pub fn current(&self, mut id: FlowId) -> FlowId {
        while let Some(Slot::JoinedTo(other)) = self.flows.get(id.0 as usize) {
            id = *other;
        }
        id
    }

    /// All flows by their numbers.
    pub fn flows(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        (0..).map(FlowId).zip(&self.flows).filter_map(|(id, slot)| match slot {
            Slot::Kept(flow) => Some((id, flow.as_ref())),
            Slot::JoinedTo(_) => None,
        })
    }

    /// Journeys left out because there were too many flows, tuples or paths.
    pub fn overflow(&self) -> u64 {
        let paths: u64 = self.flows().map(|(_, flow)| flow.forward.overflow + flow.reply.overflow).sum();
        self.overflow + paths
    }

    /// Whether every tuple of a journey is known to be of one flow and direction.
    fn is_whole(&self, journey: &Journey, place: (FlowId, Orientation), headers: &HeadersTable) -> bool {
        journey.hops.iter().all(|hop| self.place(headers.tuple(hop.headers)) == Some(place))
    }

    /// Whether a journey opens another connection between the same ports.
    fn is_succeeded(&self, id: FlowId, journey: &Journey) -> bool {
        journey.segment.flags.is_open()
            && !journey.is_copy
            && self
                .get(id)
                .and_then(|flow| flow.tcp.syn_sequence)
                .is_some_and(|syn| syn != journey.segment.sequence)
    }

    /// Lets the tuples of a flow go: what wears them from now on is another flow.
    fn retire(&mut self, id: FlowId, headers: &HeadersTable) {
        let Some(flow) = self.get(id) else { return };
        for tuple in flow.tuples.clone().into_iter().flat_map(|tuple| [tuple, tuple.reversed()]) {
            let number =
                headers.known_tuple(tuple).filter(|number| self.place(*number).is_some_and(|p| p.0 == id));
            if let Some(number) = number {
                self.places[number.index()] = None;
            }
        }
    }

    /// The flow of a journey of which not all tuples are known to belong together yet: they do from now on.
    fn gather(
        &mut self,
        journey: &Journey,
        headers: &mut HeadersTable,
        names: &Names,
    ) -> Option<(FlowId, Orientation)> {
        let mut tuples: Vec<TupleId> = Vec::with_capacity(4);
        for hop in &journey.hops {
            let tuple = headers.tuple(hop.headers);
            if !tuples.contains(&tuple) {
                tuples.push(tuple);
            }
        }
        let known: Vec<_> = tuples.iter().filter_map(|tuple| self.place(*tuple)).collect();
        let (id, orientation) = if let Some(place) = known.iter().min() {
            *place
        } else {
            let keys: Vec<FlowKey> = tuples.iter().map(|tuple| headers.tuple_at(*tuple)).collect();
            self.open(journey, &keys, names)?
        };
        for other in known {
            self.join((id, orientation), other, headers);
        }
        for tuple in tuples {
            self.learn(id, oriented(headers.tuple_at(tuple), orientation), headers);
        }
        Some((id, orientation))
    }

    /// Opens a flow of which no packet was seen, for its tuple; the direction of the tuple within it. Absent when it would
    /// be one flow too many.
    pub fn open_unseen(
        &mut self,
        tuple: FlowKey,
        is_answer: bool,
        time: Timestamp,
        headers: &mut HeadersTable,
        names: &Names,
    ) -> Option<(FlowId, Orientation)> {
        if self.count >= self.capacity {
            self.overflow += 1;
            return None;
        }
        let is_answer = is_answer || names.is_front(tuple.protocol, tuple.source);
        let orientation = if is_answer { Orientation::Reply } else { Orientation::Forward };
        let id = FlowId(u32::try_from(self.flows.len()).ok()?);
        self.count += 1;
        let forward = oriented(tuple, orientation);
        self.flows.push(Slot::Kept(Box::new(Flow::new(forward, time))));
        self.learn(id, forward, headers);
        Some((id, orientation))
    }

    fn open(
        &mut self,
        journey: &Journey,
        tuples: &[FlowKey],
        names: &Names,
    ) -> Option<(FlowId, Orientation)> {
        if self.count >= self.capacity {
            self.overflow += 1;
            return None;
        }
        let flags = journey.segment.flags;
        // Nobody opens a connection from the address of a service.
        let is_from_service = || tuples.iter().any(|tuple| names.is_front(tuple.protocol, tuple.source));
        let is_answer = flags.any(TcpFlags::SYN) && flags.any(TcpFlags::ACK);
        let is_answer = is_answer || (!flags.any(TcpFlags::SYN) && is_from_service());
        let orientation = if is_answer { Orientation::Reply } else { Orientation::Forward };
        let id = FlowId(u32::try_from(self.flows.len()).ok()?);
        self.count += 1;
        // What the opener sees: the first tuple of its own packets, the last one of the answers.
        let seen_by_opener = match orientation {
            Orientation::Forward => tuples[0],
            Orientation::Reply => tuples[tuples.len() - 1],
        };
        let flow = Flow::new(oriented(seen_by_opener, orientation), journey.first().time);
        self.flows.push(Slot::Kept(Box::new(flow)));
        Some((id, orientation))
    }

    /// Moves `other` into `kept` where they are two flows.
    fn join(
        &mut self,
        kept: (FlowId, Orientation),
        other: (FlowId, Orientation),
        headers: &mut HeadersTable,
    ) {
        if kept.0 == other.0 {
            return;
        }
        let Some(slot @ Slot::Kept(_)) = self.flows.get_mut(other.0.0 as usize) else { return };
        let Slot::Kept(absorbed) = std::mem::replace(slot, Slot::JoinedTo(kept.0)) else { return };
        self.count -= 1;
        let flip = if kept.1 == other.1 { Orientation::Forward } else { Orientation::Reply };
        for tuple in absorbed.tuples.clone() {
            self.learn(kept.0, oriented(tuple, flip), headers);
        }
        if let Some(flow) = self.flow_mut(kept.0) {
            flow.absorb(*absorbed, flip);
        }
    }

    /// Notes a tuple of a flow's forward direction.
    fn learn(&mut self, id: FlowId, forward: FlowKey, headers: &mut HeadersTable) {
        let Some(flow) = self.flow_mut(id) else { return };
        if !flow.learn(forward) {
            self.overflow += 1;
            return;
        }
        if forward.reversed() != forward {
            self.put(headers.tuple_id(forward.reversed()), (id, Orientation::Reply));
        }
        self.put(headers.tuple_id(forward), (id, Orientation::Forward));
    }

    fn put(&mut self, tuple: Option<TupleId>, place: (FlowId, Orientation)) {
        let Some(tuple) = tuple else { return };
        if self.places.len() <= tuple.index() {
            self.places.resize(tuple.index() + 1, None);
        }
        self.places[tuple.index()] = Some(place);
    }
}

fn oriented(tuple: FlowKey, orientation: Orientation) -> FlowKey {
    match orientation {
        Orientation::Forward => tuple,
        Orientation::Reply => tuple.reversed(),
    }
}
