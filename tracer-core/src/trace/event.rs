//! What is told while a trace runs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Tracer;
use crate::flow::Protocol;
use crate::journey::Journey;
use crate::report::NamedEndpoint;
use crate::timeline::{FlowId, Lane, Orientation, Place, is_beginning};
use crate::units::Timestamp;

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
    /// Both sides sent a FIN.
    Closed,
    /// A RST was seen.
    Reset {
        /// Direction of the RST.
        by: Orientation,
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
    pub direction: Option<crate::units::Direction>,
}

/// What was told of a flow already.
#[derive(Debug, Default)]
pub(super) struct Told {
    closed: bool,
    reset: bool,
    stops: BTreeSet<Place>,
}

impl Tracer {
    /// Tells what a journey adds to its flow.
    pub(super) fn tell(&mut self, id: FlowId, orientation: Orientation, journey: &Journey, is_at_edge: bool) {
        let Some((number, is_new)) = self.number(id) else { return };
        let time = journey.first().time;
        if is_new {
            let flow = self.timeline.get(id);
            let opened = flow.filter(|flow| flow.protocol == Protocol::TCP).map(|flow| flow.tcp.opened);
            self.push_event(id, number, time, EventKind::Appeared { opened });
        }
        let Some(flow) = self.timeline.get(id) else { return };
        let stop = if is_at_edge { None } else { stop(flow.lane(orientation), journey) };
        let (is_closed, reset) = (flow.tcp.finished == (true, true), flow.tcp.reset);
        let Some((_, told)) = self.numbers.get_mut(&id) else { return };
        let mut kinds = Vec::new();
        if let Some((after, before)) = stop.filter(|(after, _)| told.stops.insert(*after)) {
            let (after, before) = (place_name(&self.points, after), place_name(&self.points, before));
            kinds.push(EventKind::Stopped { direction: orientation, after, before });
        }
        if let (false, Some(by)) = (told.reset, reset) {
            told.reset = true;
            kinds.push(EventKind::Reset { by });
        }
        if is_closed && !told.closed {
            told.closed = true;
            kinds.push(EventKind::Closed);
        }
        for kind in kinds {
            self.push_event(id, number, time, kind);
        }
    }

    fn push_event(&mut self, id: FlowId, flow_number: u32, time_ns: Timestamp, kind: EventKind) {
        let Some(flow) = self.timeline.get(id) else { return };
        let key = flow.tuples[0];
        let named = |endpoint| NamedEndpoint { endpoint, name: self.names.label(flow.protocol, endpoint) };
        self.progress.events.push(Event {
            flow: flow_number,
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
    let path: Vec<Place> =
        journey.hops.iter().map(|hop| Place { point: hop.point, headers: hop.headers }).collect();
    let longest = lane.main_path();
    if !is_beginning(&path, longest) {
        return None;
    }
    let after = *path.last()?;
    let end = longest.iter().position(|place| *place == after)?;
    Some((after, *longest.get(end + 1)?))
}

fn place_name(points: &crate::point::Points, place: Place) -> PlaceName {
    let interface = points.at(place.point.interface);
    PlaceName {
        node: points.node_of(place.point.interface).name.clone(),
        pod: interface.pod.clone(),
        interface: interface.name.clone(),
        direction: place.point.direction,
    }
}
