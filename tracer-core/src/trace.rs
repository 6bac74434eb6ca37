//! The whole of a trace: captures in, events and frames out as they become certain, a report at the end.

mod event;
mod frames;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use event::{Event, EventKind, PlaceName};
pub use frames::{Note, TracedFrame};
pub use source::SourceId;

use crate::capture::{Frame, Item, Statistics};
use crate::correlate::{Correlator, Group, Split};
use crate::headers::HeadersTable;
use crate::identity::{HashKey, segments};
use crate::journey::{Journey, ObservationId, Sighting};
use crate::loss::{BrokenStream, InterfaceLoss, LossReport};
use crate::packet::{DecodeError, Decoder};
use crate::point::{InterfaceIndex, NodeId, Point, Points};
use crate::report::{Report, Reporter};
use crate::resolve::{Names, Scope};
use crate::timeline::{Flow, FlowId, Timeline};
use crate::units::Timestamp;
use event::Told;
use frames::Frames;
use source::Source;

/// Packets last seen so shortly before the end of their node's capture may still have been on their way.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// How a trace works.
#[derive(Clone, Debug)]
pub struct TraceOptions {
    /// How long a packet may be on its way from its first hop to its last.
    pub window: Duration,
    /// Key of the identity hash: random, drawn per run.
    pub hash_key: HashKey,
    /// Which UDP ports carry tunnels.
    pub decoder: Decoder,
    /// Whether frames are kept until their journeys are known, to be written with comments.
    pub keep_frames: bool,
    /// Whether journeys are handed out one by one, for whoever checks them.
    pub keep_journeys: bool,
    /// Whether items come merged in the order of their times, as from files: then no capture is waited for.
    pub is_merged: bool,
    /// Bounds on what is remembered.
    pub budget: Budget,
}

/// What a capture is known to tell before its first item.
#[derive(Clone, Debug)]
pub struct SourceSpec {
    /// Its node, unless its interfaces say otherwise.
    pub node: String,
    /// Whether it tells of each packet whether it is a super-packet (`gso_size`); captures of other tools do not.
    pub tells_gso: bool,
}

/// A journey with the flow that it belongs to.
#[derive(Clone, Debug)]
pub struct TracedJourney {
    /// The flow, as known so far; absent where there were too many.
    pub flow: Option<FlowId>,
    /// Its hops.
    pub journey: Journey,
}

/// Bounds on what a trace remembers; what exceeds them is counted in the loss report.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Sightings of wire segments whose window is open, about 100 bytes each.
    pub sightings: usize,
    /// Distinct headers, about 200 bytes each.
    pub headers: usize,
    /// Flows.
    pub flows: usize,
}

impl Default for Budget {
    /// About 300 MB when full.
    fn default() -> Self {
        Self { sightings: 1_000_000, headers: 500_000, flows: 100_000 }
    }
}

/// What became certain since the last call.
#[derive(Debug, Default)]
pub struct Progress {
    /// What happened to flows.
    pub events: Vec<Event>,
    /// Frames of the traced flows with their place on their way, in the order of their times.
    pub frames: Vec<TracedFrame>,
    /// Journeys of all flows, with [`TraceOptions::keep_journeys`] only.
    pub journeys: Vec<TracedJourney>,
}

/// Follows packets through any number of captures.
pub struct Tracer {
    options: TraceOptions,
    scope: Option<Scope>,
    names: Names,
    points: Points,
    headers: HeadersTable,
    correlator: Correlator,
    timeline: Timeline,
    sources: Vec<Source>,
    ready: Option<Timestamp>,
    ends: BTreeMap<NodeId, Timestamp>,
    statistics: BTreeMap<InterfaceIndex, Statistics>,
    observations: u64,
    frames: Frames,
    numbers: BTreeMap<FlowId, (u32, Told)>,
    next_number: u32,
    loss: LossReport,
    progress: Progress,
}

impl Tracer {
    /// A trace of the flows in a scope, or of every flow.
    pub fn new(options: TraceOptions, scope: Option<Scope>, names: Names) -> Self {
        Self {
            headers: HeadersTable::new(options.budget.headers),
            correlator: Correlator::new(options.window, options.budget.sightings),
            timeline: Timeline::new(options.budget.flows),
            options,
            scope,
            names,
            points: Points::default(),
            sources: Vec::new(),
            ready: None,
            ends: BTreeMap::new(),
            statistics: BTreeMap::new(),
            observations: 0,
            frames: Frames::default(),
            numbers: BTreeMap::new(),
            next_number: 1,
            loss: LossReport::default(),
            progress: Progress::default(),
        }
    }

    /// Announces a capture; all are announced before the first item of any.
    pub fn source(&mut self, spec: &SourceSpec) -> SourceId {
        self.sources.push(Source::new(&spec.node));
        SourceId(self.sources.len() - 1)
    }

    /// Observation points so far.
    pub fn points(&self) -> &Points {
        &self.points
    }

    /// Whether every capture said that its programs are attached, or ended.
    pub fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// Takes the next item of a capture, which arrived at `now`; `now` comes from one clock that never goes back.
    pub fn take(&mut self, source: SourceId, item: &Item<'_>, now: Timestamp) {
        match item {
            Item::Section(section) => self.sources[source.0].begin(section, &mut self.points, now),
            Item::Interface(_, interface) => self.sources[source.0].describe(interface, &mut self.points),
            Item::Frame(frame) => self.observe(source, frame, now),
            Item::Statistics(id, time, statistics) => {
                self.sources[source.0].note(*time, now);
                let Some((interface, _)) = self.sources[source.0].interface(*id) else { return };
                self.statistics.insert(interface, *statistics);
                self.ends.insert(self.points.at(interface).node, *time);
                self.attached(source, now);
            }
            Item::Other(_) => {}
        }
    }

    /// Notes that a capture ended: nothing waits for it any more.
    pub fn ended(&mut self, source: SourceId, now: Timestamp) {
        self.sources[source.0].has_ended = true;
        self.attached(source, now);
    }

    /// Notes that a capture ended before its time.
    pub fn broken(&mut self, source: SourceId, reason: &str, now: Timestamp) {
        let node = self.sources[source.0].node_name().to_owned();
        self.loss.broken_streams.push(BrokenStream { node, reason: reason.to_owned() });
        self.ended(source, now);
    }

    /// Closes every window that all captures have delivered past.
    pub fn advance(&mut self, now: Timestamp) -> Progress {
        self.pass_over_empty(now);
        let delivered = self.delivered(now);
        while let Some(group) = self.correlator.closed(delivered) {
            self.close(&group, false);
        }
        self.release(self.correlator.oldest());
        self.progress.frames.extend(self.frames.ordered(now));
        std::mem::take(&mut self.progress)
    }

    /// Closes every window and reports.
    pub fn finish(mut self) -> (Report, Progress, Points) {
        while let Some(group) = self.correlator.take() {
            self.close(&group, true);
        }
        self.release(None);
        self.progress.frames.extend(self.frames.rest());
        self.count_losses();
        let report = self.report();
        (report, self.progress, self.points)
    }

    /// Up to when, by the trace's clock, all captures that go on have delivered everything.
    fn delivered(&self, now: Timestamp) -> Timestamp {
        let since = now.before(self.options.window);
        let going_on = self.sources.iter().filter(|source| !source.has_ended && !source.is_empty(since));
        going_on.map(|source| source.delivered().unwrap_or_default()).min().unwrap_or(now)
    }

    /// A namespace without interfaces holds nothing up; one may still appear.
    fn pass_over_empty(&mut self, now: Timestamp) {
        let since = now.before(self.options.window);
        for number in 0..self.sources.len() {
            if !self.sources[number].is_attached && self.sources[number].is_empty(since) {
                self.attached(SourceId(number), now);
            }
        }
    }

    fn attached(&mut self, source: SourceId, now: Timestamp) {
        self.sources[source.0].is_attached = true;
        if self.ready.is_none() && self.sources.iter().all(|source| source.is_attached) {
            self.ready = Some(now);
        }
    }

    fn observe(&mut self, source: SourceId, frame: &Frame<'_>, now: Timestamp) {
        let Some((interface, link)) = self.sources[source.0].interface(frame.interface) else { return };
        let packet = match self.options.decoder.decode(link, &frame.data, frame.original_len) {
            Ok(packet) => packet,
            Err(DecodeError::NotIp) => return,
            Err(_) => {
                self.loss.undecodable += 1;
                return;
            }
        };
        let Some(headers) = self.headers.id(&packet) else {
            self.loss.overflow += 1;
            return;
        };
        let seen = self.sources[source.0].note(frame.time, now);
        let observation = ObservationId(self.observations);
        self.observations += 1;
        let point = Point { interface, direction: frame.direction };
        let ttl = packet.ip.ttl;
        for (part, segment) in (0..).zip(segments(&packet, frame.gso, &self.options.hash_key)) {
            let sighting = Sighting { point, time: frame.time, headers, ttl, observation, part };
            self.correlator.push(segment, sighting, seen);
        }
        if self.options.keep_frames {
            self.frames.keep(observation, interface, frame, now);
        }
    }

    fn close(&mut self, group: &Group, is_end: bool) {
        let began_early = self.ready.is_none_or(|ready| group.seen < ready);
        let is_partial = began_early || group.is_cut_short;
        let split = Split::of(group, &self.headers, &self.points, &self.timeline);
        self.loss.ambiguous += split.ambiguous;
        for journey in split.journeys {
            let is_at_edge = is_partial || (is_end && self.is_in_flight(&journey));
            let place = self.timeline.add(&journey, &self.headers, is_at_edge);
            if self.options.keep_journeys {
                let flow = place.map(|(id, _)| id);
                self.progress.journeys.push(TracedJourney { flow, journey: journey.clone() });
            }
            let Some((id, orientation)) = place else { continue };
            self.tell(id, orientation, &journey, is_at_edge);
            if self.options.keep_frames {
                self.frames.note(&journey, orientation, &self.headers);
            }
        }
    }

    /// Whether a packet may have gone on after the captures ended.
    fn is_in_flight(&self, journey: &Journey) -> bool {
        let last = journey.last();
        let end = self.ends.get(&self.points.at(last.point.interface).node);
        end.is_none_or(|end| last.time > end.before(IN_FLIGHT))
    }

    /// The number under which a flow is shown; absent while it is not known to be in scope.
    fn number(&mut self, id: FlowId) -> Option<(u32, bool)> {
        if let Some((number, _)) = self.numbers.get(&id) {
            return Some((*number, false));
        }
        let flow = self.timeline.get(id)?;
        if self.scope.as_ref().is_some_and(|scope| !scope.contains(&flow.tuples)) {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(id, (number, Told::default()));
        Some((number, true))
    }

    fn release(&mut self, before: Option<ObservationId>) {
        for (tuple, frame) in self.frames.resolved(before) {
            let id = self.timeline.current(tuple);
            let Some((number, _)) = id.and_then(|id| self.number(id)) else { continue };
            self.frames.order(number, frame);
        }
    }

    fn count_losses(&mut self) {
        self.loss.evicted = self.correlator.evicted();
        self.loss.overflow += self.timeline.overflow();
        for (index, interface) in self.points.interfaces() {
            let counted = self.statistics.get(&index).copied().unwrap_or_default();
            self.loss.interfaces.push(InterfaceLoss {
                node: self.points.node_of(index).name.clone(),
                pod: interface.pod.clone(),
                interface: interface.name.clone(),
                seen: counted.seen,
                matched: counted.matched,
                lost: counted.lost,
            });
        }
    }

    fn report(&mut self) -> Report {
        let ids: BTreeSet<FlowId> = self.timeline.flows().map(|(id, _)| id).collect();
        for id in ids {
            self.number(id);
        }
        let flows: Vec<(FlowId, &Flow)> = self.timeline.flows().collect();
        let mut chosen: Vec<(u32, &Flow)> = Vec::new();
        let mut others = Vec::new();
        for (id, flow) in &flows {
            match self.numbers.get(id) {
                Some((number, _)) => chosen.push((*number, flow)),
                None => others.push(*flow),
            }
        }
        chosen.sort_by_key(|(number, _)| *number);
        let reporter = Reporter {
            points: &self.points,
            headers: &self.headers,
            names: &self.names,
            flows: &flows,
            loss: &self.loss,
        };
        reporter.report(&chosen, &others)
    }
}
