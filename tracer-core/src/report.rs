//! What a trace found out, ready to be written in any format.

mod fate;
mod hops;

use serde::Serialize;

pub use hops::{Hop, StepLatency};

use crate::clock::Offsets;
use crate::flow::{Endpoint, FlowKey, Protocol};
use crate::headers::HeadersTable;
use crate::loss::LossReport;
use crate::point::Points;
use crate::resolve::Names;
use crate::timeline::{Flow, FlowId, Orientation, TcpProgress};
use crate::units::Timestamp;
use fate::Fate;

/// Flows out of scope that are named at most.
const NEAREST: usize = 5;

/// Everything that a trace found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The flows between the two ends, in the order in which they appeared.
    pub flows: Vec<FlowReport>,
    /// Flows that the captures hold besides, because they wear an address of one of the ends.
    pub others: u64,
    /// Some of them, most packets first: what was nearly meant when nothing matched.
    pub nearest: Vec<OtherFlow>,
    /// What was not seen.
    pub loss: LossReport,
}

impl Report {
    /// Whether it tells all that was asked for: something was followed, and nothing was missed.
    pub fn is_complete(&self) -> bool {
        !self.flows.is_empty() && self.loss.is_complete()
    }
}

/// A flow that is not between the two ends.
#[derive(Clone, Debug, Serialize)]
pub struct OtherFlow {
    /// IP protocol.
    pub protocol: Protocol,
    /// Who opened it.
    pub source: NamedEndpoint,
    /// Whom it was opened to.
    pub destination: NamedEndpoint,
    /// Wire segments, both ways.
    pub packets: u64,
}

/// One flow.
#[derive(Clone, Debug, Serialize)]
pub struct FlowReport {
    /// Its number.
    pub flow: u32,
    /// IP protocol.
    pub protocol: Protocol,
    /// Who opened it, with the name at its first hop.
    pub source: NamedEndpoint,
    /// Whom it was opened to, with the name at its first hop.
    pub destination: NamedEndpoint,
    /// Every tuple that it wore from opener to opened, in the order learnt.
    pub tuples: Vec<FlowKey>,
    /// First packet, nanoseconds since the epoch.
    pub first_ns: Timestamp,
    /// TCP only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpReport>,
    /// From the one who opened it.
    pub forward: LaneReport,
    /// To the one who opened it.
    pub reply: LaneReport,
}

/// One end of a flow with the name of its address.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NamedEndpoint {
    /// Address and port.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Every owner of the address, joined by `|`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What TCP's flags told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct TcpReport {
    /// A SYN was seen.
    pub opened: bool,
    /// A SYN with ACK was seen.
    pub answered: bool,
    /// Nanoseconds from the SYN's first hop to the answer there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_ns: Option<u64>,
    /// Directions in which a FIN was seen.
    pub fin: Vec<Orientation>,
    /// Which direction a RST came in first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Orientation>,
}

impl TcpReport {
    fn of(tcp: &TcpProgress) -> Self {
        let fin = [(tcp.finished.0, Orientation::Forward), (tcp.finished.1, Orientation::Reply)];
        Self {
            opened: tcp.opened,
            answered: tcp.answered,
            handshake_ns: tcp.handshake,
            fin: fin.into_iter().filter(|(seen, _)| *seen).map(|(_, direction)| direction).collect(),
            reset: tcp.reset,
        }
    }
}

/// One direction of a flow.
#[derive(Clone, Debug, Serialize)]
pub struct LaneReport {
    /// Wire segments, each counted once however often it was seen.
    pub packets: u64,
    /// Transport payload bytes of them.
    pub payload_bytes: u64,
    /// Wire segments that reached the end of their way.
    pub delivered: u64,
    /// Wire segments of which it cannot be said where they ended: they left the observed nodes, were at an edge
    /// of the trace, or had more than one translation that fits.
    pub unknown: u64,
    /// Wire segments that were recognised by their order only.
    pub ordinal: u64,
    /// The way that the packets took.
    pub hops: Vec<Hop>,
    /// Where packets stopped, if any did.
    pub stopped: Vec<Stop>,
}

/// Packets that were not seen any more after some hop.
#[derive(Clone, Debug, Serialize)]
pub struct Stop {
    /// The last hop that saw them.
    pub after: Hop,
    /// The hop that others of the same way reached next; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Hop>,
    /// Wire segments.
    pub packets: u64,
    /// Why it is not certain that they were lost; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<String>,
}

/// Everything that a report is made of.
pub struct Reporter<'a> {
    /// Observation points.
    pub points: &'a Points,
    /// Addresses and tunnels.
    pub headers: &'a HeadersTable,
    /// Names of addresses.
    pub names: &'a Names,
    /// Every flow that was followed: others of the trace tell which hop comes next.
    pub flows: &'a [(FlowId, &'a Flow)],
    /// What was not seen.
    pub loss: &'a LossReport,
}

impl Reporter<'_> {
    /// The report on the numbered flows, the others being mentioned.
    pub fn report(&self, chosen: &[(u32, &Flow)], others: &[&Flow]) -> Report {
        let offsets = self.offsets();
        let packets = |flow: &Flow| flow.forward.segments() + flow.reply.segments();
        let mut ranked = others.to_vec();
        ranked.sort_by_key(|flow| std::cmp::Reverse(packets(flow)));
        let other = |flow: &&Flow| OtherFlow {
            protocol: flow.protocol,
            source: self.named(flow.protocol, flow.tuples[0].source),
            destination: self.named(flow.protocol, flow.tuples[0].destination),
            packets: packets(flow),
        };
        Report {
            flows: chosen.iter().map(|(number, flow)| self.flow(*number, flow, &offsets)).collect(),
            others: others.len() as u64,
            nearest: ranked.iter().take(NEAREST).map(other).collect(),
            loss: self.loss.clone(),
        }
    }

    fn flow(&self, number: u32, flow: &Flow, offsets: &Offsets) -> FlowReport {
        let key = flow.tuples[0];
        FlowReport {
            flow: number,
            protocol: flow.protocol,
            source: self.named(flow.protocol, key.source),
            destination: self.named(flow.protocol, key.destination),
            tuples: flow.tuples.clone(),
            first_ns: flow.first,
            tcp: (flow.protocol == Protocol::TCP).then(|| TcpReport::of(&flow.tcp)),
            forward: self.lane(flow, Orientation::Forward, offsets),
            reply: self.lane(flow, Orientation::Reply, offsets),
        }
    }

    fn lane(&self, flow: &Flow, orientation: Orientation, offsets: &Offsets) -> LaneReport {
        let lane = flow.lane(orientation);
        let is_answered = flow.lane(orientation.reversed()).segments() > 0;
        let mut report = LaneReport {
            packets: lane.segments(),
            payload_bytes: lane.payload(),
            delivered: 0,
            unknown: lane.overflow,
            ordinal: 0,
            hops: self.hops(lane, lane.main_path(), orientation, offsets),
            stopped: Vec::new(),
        };
        for (path, count) in lane.paths() {
            report.ordinal += count.ordinal;
            let sure = count.segments - count.open_ended;
            match self.fate(lane, path) {
                Fate::Delivered => report.delivered += count.segments,
                Fate::Unknown => report.unknown += count.segments,
                Fate::Stopped { after, before } => {
                    report.unknown += count.open_ended;
                    if sure > 0 {
                        let hop = |place| self.hop(lane, None, place, orientation, offsets);
                        report.stopped.push(Stop {
                            after: hop(after),
                            before: before.map(hop),
                            packets: sure,
                            uncertain: self.doubt(after, before, is_answered),
                        });
                    }
                }
            }
        }
        report
    }

    fn named(&self, protocol: Protocol, endpoint: Endpoint) -> NamedEndpoint {
        NamedEndpoint { endpoint, name: self.names.label(protocol, endpoint) }
    }
}
