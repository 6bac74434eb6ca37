//! What is told while a trace runs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Tracer;
use crate::flow::Protocol;
use crate::journey::Journey;
use crate::point::Points;
use crate::report::{DnsAnswer, DnsQuestion, IcmpError, NamedEndpoint};
use crate::timeline::{Added, Earlier, FlowId, Lane, Orientation, Place, QuotedError, Window, is_beginning};
use crate::units::{Direction, Timestamp};

/// Events of one kind that are told of one direction of a flow, one by one; the report has all of them.
const TOLD_AT_MOST: u8 = 8;

/// Something that happened to a flow.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Number of the flow.
    pub flow: u32,
    /// When, by the clock of the node that saw it first, in nanoseconds since the epoch.
    pub time_ns: Timestamp,
    /// IP protocol.
    pub protocol: Protocol,
    /// Who opened the flow.
    pub source: NamedEndpoint,
    /// Whom it was opened to.
    pub destination: NamedEndpoint,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Kinds of events.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// Its first packet was seen.
    Appeared {
        /// Whether that packet opened it (a SYN without ACK); absent for other protocols.
        #[serde(skip_serializing_if = "Option::is_none")]
        opened: Option<bool>,
    },
    /// The SYN was answered.
    Established {
        /// Nanoseconds from the SYN's first hop to the answer there.
        handshake_ns: u64,
    },
    /// Both sides sent a FIN.
    Closed,
    /// A RST was seen.
    Reset {
        /// Direction of the RST.
        by: Orientation,
        /// Where it was seen first: whoever sent it is there, or before.
        from: PlaceName,
    },
    /// A packet did not go on where others of its flow did; told once per place.
    Stopped {
        /// Direction of the packet.
        direction: Orientation,
        /// The last hop that saw it.
        after: PlaceName,
        /// The hop that others reached next.
        before: PlaceName,
    },
    /// Bytes were sent again.
    Retransmitted {
        /// Direction of the bytes.
        direction: Orientation,
        /// Sequence number of the first of them.
        sequence: u32,
        /// The last hop that saw the transmission before; absent where that went as far as any.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seen_at: Option<PlaceName>,
    },
    /// A segment arrived before one that had been sent before it.
    Reordered {
        /// Direction of the segment.
        direction: Orientation,
        /// The first hop that saw it too early.
        at: PlaceName,
    },
    /// A segment was doubled on its way.
    Duplicated {
        /// Direction of the segment.
        direction: Orientation,
        /// The first hop that saw it twice.
        at: PlaceName,
    },
    /// A side closed its receive window.
    ZeroWindow {
        /// Direction of the segment that says so.
        direction: Orientation,
    },
    /// A side opened its receive window again.
    WindowOpened {
        /// Direction of the segment that says so.
        direction: Orientation,
        /// Nanoseconds for which it was closed.
        closed_ns: u64,
    },
    /// An ICMP error quotes a packet of the flow.
    IcmpError(IcmpError),
    /// A name server was asked something.
    DnsQuestion(DnsQuestion),
    /// A name server answered.
    DnsAnswer {
        /// What was asked; absent where no message told it.
        #[serde(flatten, skip_serializing_if = "Option::is_none")]
        question: Option<DnsQuestion>,
        /// The answer.
        #[serde(flatten)]
        answer: DnsAnswer,
    },
}

/// A place in words.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PlaceName {
    /// Node.
    pub node: String,
    /// Pod whose namespace it is in, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Interface.
    pub interface: String,
    /// Direction relative to the interface; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
}

impl PlaceName {
    pub(crate) fn of(points: &Points, place: Place) -> Self {
        let interface = points.at(place.point.interface);
        Self {
            node: points.node_of(place.point.interface).name.clone(),
            pod: interface.pod.clone(),
            interface: interface.name.clone(),
            direction: place.point.direction,
        }
    }
}

/// The numbers under which flows are shown, and what was told of each.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    flows: Vec<State>,
    last: u32,
}

#[derive(Debug, Default)]
struct State {
    number: Option<u32>,
    /// With how many tuples it was last looked at and found out of scope.
    out_of_scope: usize,
    told: Told,
}

/// What was told of a flow already.
#[derive(Debug, Default)]
struct Told {
    is_closed: bool,
    is_reset: bool,
    is_established: bool,
    stops: BTreeSet<Place>,
    /// Retransmissions, reorderings and duplicates of both directions.
    counted: [[u8; 3]; 2],
    /// Questions to name servers and their answers.
    lookups: u8,
}

impl Numbers {
    /// The number of a flow that has one.
    pub(super) fn known(&self, id: FlowId) -> Option<u32> {
        self.flows.get(id.0 as usize)?.number
    }

    /// Makes every flow that was out of scope be looked at once more.
    pub(super) fn look_again(&mut self) {
        self.flows.iter_mut().for_each(|flow| flow.out_of_scope = 0);
    }

    fn state(&mut self, id: FlowId) -> &mut State {
        let index = id.0 as usize;
        if self.flows.len() <= index {
            self.flows.resize_with(index + 1, State::default);
        }
        &mut self.flows[index]
    }
}

impl Tracer {
    /// The number under which a flow is shown, and whether it is new; absent while it is not known to be in scope.
    pub(super) fn number(&mut self, id: FlowId) -> Option<(u32, bool)> {
        if let Some(number) = self.numbers.known(id) {
            return Some((number, false));
        }
        let flow = self.timeline.get(id)?;
        let state = self.numbers.state(id);
        if let Some(scope) = &self.scope {
            if state.out_of_scope == flow.tuples.len() {
                return None;
            }
            if !scope.contains(&flow.tuples) {
                state.out_of_scope = flow.tuples.len();
                return None;
            }
        }
        self.numbers.last += 1;
        let number = self.numbers.last;
        self.numbers.state(id).number = Some(number);
        Some((number, true))
    }

    /// Tells what a journey adds to its flow; `is_unsure` if it may have gone on unseen.
    pub(super) fn tell(&mut self, added: &Added, journey: &Journey, is_unsure: bool) {
        let id = added.flow;
        let Some((_, is_new)) = self.number(id) else { return };
        let time = journey.first().time;
        if is_new {
            let flow = self.timeline.get(id);
            let opened = flow.filter(|flow| flow.protocol == Protocol::TCP).map(|flow| flow.tcp.opened);
            self.push_event(id, time, EventKind::Appeared { opened });
        }
        let kinds = self.news(added, journey, is_unsure);
        for kind in kinds {
            self.push_event(id, time, kind);
        }
    }

    /// Tells that an ICMP error quotes a packet of a flow.
    pub(super) fn tell_error(&mut self, id: FlowId, error: &QuotedError, time: Timestamp) {
        if self.number(id).is_some() {
            let error = IcmpError::of(error, &self.points, &self.names);
            self.push_event(id, time, EventKind::IcmpError(error));
        }
    }

    /// Tells a question to a name server, or its answer.
    pub(super) fn tell_lookup(&mut self, id: FlowId, time: Timestamp, kind: EventKind) {
        if self.number(id).is_none() {
            return;
        }
        let told = &mut self.numbers.state(id).told.lookups;
        *told = told.saturating_add(1);
        if *told <= TOLD_AT_MOST {
            self.push_event(id, time, kind);
        }
    }

    fn news(&mut self, added: &Added, journey: &Journey, is_unsure: bool) -> Vec<EventKind> {
        let Added { flow: id, orientation: direction, news } = *added;
        let Some(flow) = self.timeline.get(id) else { return Vec::new() };
        let lane = flow.lane(direction);
        let points = &self.points;
        let told = &mut self.numbers.state(id).told;
        let mut kinds = Vec::new();
        let may_vanish = journey.segment.may_vanish || journey.is_copy;
        let is_short = !is_unsure && !may_vanish && news.path.is_some_and(|path| lane.is_short(path));
        let stop = if is_short { stop(lane, journey) } else { None };
        if let Some((after, before)) = stop.filter(|(after, _)| told.stops.insert(*after)) {
            let (after, before) = (PlaceName::of(points, after), PlaceName::of(points, before));
            kinds.push(EventKind::Stopped { direction, after, before });
        }
        let counted = &mut told.counted[usize::from(direction == Orientation::Reply)];
        let is_telling = |counter: &mut u8| {
            *counter = counter.saturating_add(1);
            *counter <= TOLD_AT_MOST
        };
        if let Some(earlier) = news.retransmission.filter(|_| is_telling(&mut counted[0])) {
            let last = match earlier {
                Earlier::Took(path) => lane.path(path).last().copied(),
                Earlier::Arrived => None,
            };
            kinds.push(EventKind::Retransmitted {
                direction,
                sequence: journey.segment.sequence,
                last_seen_at: last.map(|place| PlaceName::of(points, place)),
            });
        }
        if let Some(at) = news.reordered_at.filter(|_| is_telling(&mut counted[1])) {
            kinds.push(EventKind::Reordered { direction, at: PlaceName::of(points, at) });
        }
        if journey.is_copy && is_telling(&mut counted[2]) {
            kinds.push(EventKind::Duplicated {
                direction,
                at: PlaceName::of(points, Place::of(journey.first())),
            });
        }
        match news.window {
            Some(Window::Closed) => kinds.push(EventKind::ZeroWindow { direction }),
            Some(Window::Opened { after }) => {
                kinds.push(EventKind::WindowOpened { direction, closed_ns: after });
            }
            None => {}
        }
        let tcp = &flow.tcp;
        if let (false, Some(handshake_ns)) = (told.is_established, tcp.handshake) {
            told.is_established = true;
            kinds.push(EventKind::Established { handshake_ns });
        }
        if let (false, Some(by), Some(at)) = (told.is_reset, tcp.reset, tcp.reset_at) {
            told.is_reset = true;
            kinds.push(EventKind::Reset { by, from: PlaceName::of(points, at) });
        }
        if tcp.finished == (true, true) && !told.is_closed {
            told.is_closed = true;
            kinds.push(EventKind::Closed);
        }
        kinds
    }

    pub(super) fn push_event(&mut self, id: FlowId, time_ns: Timestamp, kind: EventKind) {
        let (Some(flow), Some(number)) = (self.timeline.get(id), self.numbers.known(id)) else { return };
        let key = flow.tuples[0];
        let named = |endpoint| NamedEndpoint { endpoint, name: self.names.label(flow.protocol, endpoint) };
        self.progress.events.push(Event {
            flow: number,
            time_ns,
            protocol: flow.protocol,
            source: named(key.source),
            destination: named(key.destination),
            kind,
        });
    }
}

/// Where a journey stopped, if others of its lane went on from there.
fn stop(lane: &Lane, journey: &Journey) -> Option<(Place, Place)> {
    let path: Vec<Place> = journey.hops.iter().map(Place::of).collect();
    let longest = lane.main_path();
    if !is_beginning(&path, longest) {
        return None;
    }
    let after = *path.last()?;
    let end = longest.iter().position(|place| *place == after)?;
    Some((after, *longest.get(end + 1)?))
}
