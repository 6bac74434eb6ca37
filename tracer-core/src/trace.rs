//! The whole of a trace: captures in, events and frames out as they become certain, a report at the end.

mod close;
mod coverage;
mod dropped;
mod event;
mod frames;
mod heard;
mod observe;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub use event::{Event, EventKind, PlaceName};
pub use frames::{Note, TracedFrame};
pub use observe::Taken;
pub use source::SourceId;

use crate::capture::{Item, Statistics};
use crate::clock::Clocks;
use crate::correlate::{Correlator, Directions, Piece};
use crate::drops::{self, DropTable};
use crate::headers::{HeadersTable, TupleId};
use crate::identity::{HashKey, SegmentKey};
use crate::journey::{Journey, ObservationId};
use crate::loss::{BrokenStream, InterfaceLoss, LossReport, RecorderLosses};
use crate::packet::{Decoder, Fragments, Quote};
use crate::point::{InterfaceIndex, NodeId, Points};
use crate::report::{Report, Reporter};
use crate::resolve::{Names, Scope};
use crate::timeline::{Flow, FlowId, Timeline};
use crate::units::Timestamp;
use event::Numbers;
use frames::Frames;
use source::Source;

/// Packets last seen so shortly before the end of their node's capture may still have been on their way.
const IN_FLIGHT: Duration = Duration::from_millis(150);

/// A loss is told by the statistics block after it, a quarter of a second later at most; it clouds what was expected within
/// [`coverage::SLACK`] of it.
const TELLING: Duration = Duration::from_millis(750);

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
    /// Sightings of wire segments whose window is open, about 50 bytes each.
    pub sightings: usize,
    /// Distinct headers, about 250 bytes each.
    pub headers: usize,
    /// Flows, about 20 KB each.
    pub flows: usize,
}

impl Default for Budget {
    /// About 2 GB when all is full, most of it flows: 20 KB each.
    fn default() -> Self {
        Self { sightings: 6_000_000, headers: 500_000, flows: 100_000 }
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

/// How long after its first sighting a group closes: what recorders lost in its time is known then as well.
fn closing(options: &TraceOptions) -> Duration {
    if options.is_merged { options.window } else { options.window + TELLING }
}

/// An ICMP error as one observation shows it: NAT rewrites what it quotes.
#[derive(Clone, Copy, Debug)]
struct IcmpMessage {
    observation: ObservationId,
    kind: u8,
    code: u8,
    quote: Quote,
}

/// Follows packets through any number of captures.
pub struct Tracer {
    options: TraceOptions,
    scope: Option<Scope>,
    names: Names,
    points: Points,
    headers: HeadersTable,
    correlator: Correlator,
    /// TCP data of traces in which some capture does not tell how super-packets were segmented.
    pieces: Option<Correlator<Piece>>,
    /// Maximum segment sizes that SYNs announced, by the tuple of the SYN.
    segment_sizes: HashMap<TupleId, u16>,
    /// Packets that ICMP errors in open groups quote.
    quotes: HashMap<SegmentKey, Vec<IcmpMessage>>,
    heard: heard::Heard,
    /// What kernels dropped.
    drops: DropTable,
    /// What the recorders of drops counted, by node and pod.
    drop_statistics: BTreeMap<(NodeId, Option<String>), Statistics>,
    fragments: Fragments,
    directions: Directions,
    /// Whether directions were learnt from what had been gathered before the first group closed.
    has_learnt: bool,
    clocks: Clocks,
    recorders: RecorderLosses,
    timeline: Timeline,
    sources: Vec<Source>,
    ready: Option<Timestamp>,
    ends: BTreeMap<NodeId, Timestamp>,
    statistics: BTreeMap<InterfaceIndex, Statistics>,
    /// Packets taken, by interface.
    taken: Vec<u64>,
    observations: u64,
    frames: Frames,
    numbers: Numbers,
    loss: LossReport,
    progress: Progress,
}

impl Tracer {
    /// A trace of the flows in a scope, or of every flow.
    pub fn new(options: TraceOptions, scope: Option<Scope>, names: Names) -> Self {
        Self {
            headers: HeadersTable::new(options.budget.headers, &options.hash_key),
            correlator: Correlator::new(closing(&options), options.budget.sightings),
            pieces: None,
            segment_sizes: HashMap::new(),
            quotes: HashMap::new(),
            heard: heard::Heard::default(),
            drops: DropTable::default(),
            drop_statistics: BTreeMap::new(),
            fragments: Fragments::default(),
            directions: Directions::default(),
            has_learnt: false,
            clocks: Clocks::default(),
            recorders: RecorderLosses::default(),
            timeline: Timeline::new(options.budget.flows),
            options,
            scope,
            names,
            points: Points::default(),
            sources: Vec::new(),
            ready: None,
            ends: BTreeMap::new(),
            statistics: BTreeMap::new(),
            taken: Vec::new(),
            observations: 0,
            frames: Frames::default(),
            numbers: Numbers::default(),
            loss: LossReport::default(),
            progress: Progress::default(),
        }
    }

    /// Looks for the flows of another scope from now on, under other names: a pod may have come or moved.
    ///
    /// Flows that were in the scope before stay in the report.
    pub fn rescope(&mut self, scope: Option<Scope>, names: Names) {
        self.scope = scope;
        self.names = names;
        self.numbers.look_again();
    }

    /// Announces a capture. What passed before one that joins later was attached is not called lost there.
    ///
    /// All that do not tell `gso_size` are announced before the first item of any.
    pub fn source(&mut self, spec: &SourceSpec) -> SourceId {
        self.sources.push(Source::new(spec, !self.options.is_merged));
        if !spec.tells_gso && self.pieces.is_none() {
            self.pieces = Some(Correlator::new(closing(&self.options), self.options.budget.sightings));
        }
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
    pub fn take(&mut self, source: SourceId, item: &Item<'_>, now: Timestamp) -> Taken {
        match item {
            Item::Section(section) => self.sources[source.0].begin(section, &mut self.points, now),
            Item::Interface(_, interface) => {
                self.sources[source.0].describe(interface, &mut self.points);
                if drops::is_interface(&interface.name).is_some() {
                    self.drops.watch();
                }
                self.taken.resize(self.points.interfaces().len(), 0);
            }
            Item::Frame(frame) => {
                let drops = self.sources[source.0].drops(frame.interface).cloned();
                return match drops {
                    Some(place) => self.note_drop(source, &place, frame, now),
                    None => self.observe(source, frame, now),
                };
            }
            Item::Statistics(id, time, statistics) => {
                if self.sources[source.0].tells_end {
                    self.sources[source.0].note(*time, now);
                }
                if let Some(drops) = self.sources[source.0].drops(*id) {
                    self.drop_statistics.insert((drops.node, drops.pod.clone()), *statistics);
                }
                let Some((interface, _)) = self.sources[source.0].interface(*id) else {
                    return Taken::Nothing;
                };
                let node = self.points.at(interface).node;
                self.statistics.insert(interface, *statistics);
                // dumpcap counts the time of statistics in microseconds, whatever unit it says: then they are of some time.
                let end = self.ends.get(&node).copied().unwrap_or_default();
                let is_known = self.sources[source.0].tells_end || *time >= end;
                let time = if is_known { *time } else { end };
                self.recorders.total(node, interface, time, statistics.lost);
                self.ends.insert(node, time.max(end));
                self.attached(source, now);
            }
            Item::Other(_) => {}
        }
        Taken::Nothing
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
        let broken = &mut self.sources[source.0];
        broken.broke = Some(broken.delivered().unwrap_or(now));
        self.ended(source, now);
    }

    /// Closes every window that all captures have delivered past.
    pub fn advance(&mut self, now: Timestamp) -> Progress {
        self.pass_over_empty(now);
        let delivered = self.delivered(now);
        self.close_until(delivered);
        self.settle_drops(delivered.before(closing(&self.options)));
        self.release(self.oldest());
        self.progress.frames.extend(self.frames.ordered(now));
        std::mem::take(&mut self.progress)
    }

    /// Closes every window and reports.
    pub fn finish(mut self) -> (Report, Progress, Points) {
        self.close_all();
        self.settle_drops(Timestamp(u64::MAX));
        self.release(None);
        self.progress.frames.extend(self.frames.rest());
        self.count_losses();
        self.count_lost_drops();
        let report = self.report();
        (report, self.progress, self.points)
    }

    /// Up to when, by the trace's clock, all captures that go on have delivered everything.
    fn delivered(&self, now: Timestamp) -> Timestamp {
        if self.options.is_merged {
            return now;
        }
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
        let announced = &mut self.sources[source.0];
        if self.ready.is_some() && !announced.is_attached {
            announced.joined = Some(now);
        }
        announced.is_attached = true;
        if self.ready.is_none() && self.sources.iter().all(|source| source.is_attached) {
            self.ready = Some(now);
        }
    }

    fn release(&mut self, before: Option<ObservationId>) {
        for (flow, frame) in self.frames.resolved(before) {
            let flow = self.timeline.current(flow);
            let Some((number, _)) = self.number(flow) else { continue };
            self.frames.order(number, frame);
        }
    }

    fn count_losses(&mut self) {
        self.loss.evicted = self.correlator.evicted() + self.pieces.as_ref().map_or(0, Correlator::evicted);
        self.loss.overflow += self.timeline.overflow() + self.drops.overflow();
        for (index, interface) in self.points.interfaces() {
            let taken = self.taken.get(index.0 as usize).copied().unwrap_or_default();
            let counted = self.statistics.get(&index);
            self.loss.interfaces.push(InterfaceLoss {
                node: self.points.node_of(index).name.clone(),
                pod: interface.pod.clone(),
                interface: interface.name.clone(),
                seen: counted.map_or(taken, |counted| counted.seen),
                matched: counted.map_or(taken, |counted| counted.matched),
                lost: counted.map(|counted| counted.lost),
            });
        }
    }

    /// Recorders of drops that lost some are named with the interfaces; those that lost none are no interfaces.
    fn count_lost_drops(&mut self) {
        for ((node, pod), counted) in self.drop_statistics.iter().filter(|(_, counted)| counted.lost > 0) {
            self.loss.interfaces.push(InterfaceLoss {
                node: self.points.node_at(*node).name.clone(),
                pod: pod.clone(),
                interface: drops::INTERFACE.to_owned(),
                seen: counted.seen,
                matched: counted.matched,
                lost: Some(counted.lost),
            });
        }
    }

    fn report(&mut self) -> Report {
        let ids: Vec<FlowId> = self.timeline.flows().map(|(id, _)| id).collect();
        for id in ids {
            self.number(id);
        }
        let flows: Vec<&Flow> = self.timeline.flows().map(|(_, flow)| flow).collect();
        let mut chosen: Vec<(u32, &Flow)> = Vec::new();
        let mut others = Vec::new();
        for (id, flow) in self.timeline.flows() {
            match self.numbers.known(id) {
                Some(number) => chosen.push((number, flow)),
                None => others.push(flow),
            }
        }
        chosen.sort_by_key(|(number, _)| *number);
        let reporter = Reporter::new(
            &self.points,
            &self.headers,
            &self.names,
            &flows,
            &self.clocks,
            &self.loss,
            &self.drops,
        );
        reporter.report(&chosen, &others)
    }
}
