//! What a trace found out, ready to be written in any format.

mod dns;
mod drops;
mod fate;
mod hops;
mod lane;
mod missing;
mod next;
mod outliers;
mod storm;

use std::cmp::Reverse;

use serde::Serialize;

pub use dns::{DnsAnswer, DnsLookup, DnsQuestion, DnsReport};
pub use hops::{Hop, StepLatency};
pub use lane::{Duplicates, LaneReport, Reordering, Retransmissions, Stop};
pub use missing::MissingEvidence;
pub use outliers::{Outlier, Outliers, RoundTrip};
pub use storm::{Storm, StormKind};

use crate::clock::{Clocks, Offsets};
use crate::diagnose::Verdict;
use crate::drops::DropTable;
use crate::evidence::Evidence;
use crate::flow::{Endpoint, FlowKey, Port, Protocol};
use crate::headers::HeadersTable;
use crate::loss::LossReport;
use crate::point::Points;
use crate::resolve::Names;
use crate::timeline::{Flow, Orientation, QuotedError, TcpProgress};
use crate::trace::PlaceName;
use crate::units::Timestamp;
use next::NextHops;

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
    /// Clocks that were stepped while packets went over.
    pub clock_steps: Vec<ClockStep>,
    /// What the kernels did not tell.
    pub missing_evidence: Vec<MissingEvidence>,
    /// What was not seen.
    pub loss: LossReport,
}

/// One of two nodes' clocks was stepped against the other.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ClockStep {
    /// The two nodes.
    pub nodes: [String; 2],
    /// How often.
    pub times: u64,
}

impl Report {
    /// Puts the flows that are worth looking at first: most packets lost, then most packets, then the order in which
    /// they appeared.
    pub fn rank(&mut self) {
        self.flows.sort_by_cached_key(|flow| (Reverse(flow.lost()), Reverse(flow.packets()), flow.flow));
    }

    /// Notes what is missing of the evidence that verdicts are made from.
    pub fn note_missing(&mut self, evidence: &[Evidence]) {
        self.missing_evidence = MissingEvidence::of(evidence);
    }

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
    /// ICMP errors that quote its packets.
    pub icmp_errors: Vec<IcmpError>,
    /// Questions to name servers, and their answers; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsReport>,
    /// From the one who opened it.
    pub forward: LaneReport,
    /// To the one who opened it.
    pub reply: LaneReport,
    /// What became of it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

impl FlowReport {
    /// Wire segments of both directions.
    fn packets(&self) -> u64 {
        self.forward.packets + self.reply.packets
    }

    /// Wire segments of both directions of which it is certain that they were lost.
    fn lost(&self) -> u64 {
        let stops = self.forward.stopped.iter().chain(&self.reply.stopped);
        let stopped: u64 = stops.filter(|stop| stop.uncertain.is_none()).map(|stop| stop.packets).sum();
        stopped + self.dropped_unseen()
    }
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
    /// Where the RST was seen first: whoever sent it is there, or before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_from: Option<PlaceName>,
}

impl TcpReport {
    fn of(tcp: &TcpProgress, points: &Points) -> Self {
        let fin = [(tcp.finished.0, Orientation::Forward), (tcp.finished.1, Orientation::Reply)];
        Self {
            opened: tcp.opened,
            answered: tcp.answered,
            handshake_ns: tcp.handshake,
            fin: fin.into_iter().filter(|(seen, _)| *seen).map(|(_, direction)| direction).collect(),
            reset: tcp.reset,
            reset_from: tcp.reset_at.map(|place| PlaceName::of(points, place)),
        }
    }
}

/// ICMP errors of one kind that quote packets of a flow.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct IcmpError {
    /// Direction of the packets that they quote.
    pub quotes: Orientation,
    /// ICMP or ICMPv6.
    pub icmp: Protocol,
    /// Type.
    #[serde(rename = "icmp_type")]
    pub kind: u8,
    /// Code.
    #[serde(rename = "icmp_code")]
    pub code: u8,
    /// What type and code mean.
    pub meaning: String,
    /// Next-hop MTU in bytes, where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Who sent it.
    pub sender: NamedEndpoint,
    /// Where it was seen first.
    pub seen_at: PlaceName,
    /// How many.
    pub packets: u64,
}

impl IcmpError {
    pub(crate) fn of(error: &QuotedError, points: &Points, names: &Names) -> Self {
        let endpoint = Endpoint { address: error.source, port: Port(0) };
        Self {
            quotes: error.direction,
            icmp: error.protocol,
            kind: error.kind,
            code: error.code,
            meaning: error.protocol.icmp_meaning(error.kind, error.code),
            mtu: error.mtu,
            sender: NamedEndpoint { endpoint, name: names.label(error.protocol, endpoint) },
            seen_at: PlaceName::of(points, error.place),
            packets: error.count,
        }
    }
}

/// Everything that a report is made of.
pub struct Reporter<'a> {
    points: &'a Points,
    headers: &'a HeadersTable,
    names: &'a Names,
    loss: &'a LossReport,
    drops: &'a DropTable,
    offsets: Offsets,
    /// Where packets to an address went next: flows of others tell where one of this flow would have gone.
    next: NextHops,
}

impl<'a> Reporter<'a> {
    /// A reporter on the flows of a trace.
    pub fn new(
        points: &'a Points,
        headers: &'a HeadersTable,
        names: &'a Names,
        flows: &[&Flow],
        clocks: &Clocks,
        loss: &'a LossReport,
        drops: &'a DropTable,
    ) -> Self {
        let next = NextHops::of(flows, headers);
        Self { points, headers, names, loss, drops, offsets: clocks.offsets(), next }
    }

    /// The report on the numbered flows, the others being mentioned.
    pub fn report(&self, chosen: &[(u32, &Flow)], others: &[&Flow]) -> Report {
        let packets = |flow: &Flow| flow.forward.segments() + flow.reply.segments();
        let mut ranked = others.to_vec();
        ranked.sort_by_key(|flow| Reverse(packets(flow)));
        let other = |flow: &&Flow| OtherFlow {
            protocol: flow.protocol,
            source: self.named(flow.protocol, flow.tuples[0].source),
            destination: self.named(flow.protocol, flow.tuples[0].destination),
            packets: packets(flow),
        };
        Report {
            flows: chosen.iter().map(|(number, flow)| self.flow(*number, flow)).collect(),
            others: others.len() as u64,
            nearest: ranked.iter().take(NEAREST).map(other).collect(),
            clock_steps: self.clock_steps(),
            missing_evidence: Vec::new(),
            loss: self.loss.clone(),
        }
    }

    fn flow(&self, number: u32, flow: &Flow) -> FlowReport {
        let key = flow.tuples[0];
        let errors = flow.errors.iter().map(|error| IcmpError::of(error, self.points, self.names));
        FlowReport {
            flow: number,
            protocol: flow.protocol,
            source: self.named(flow.protocol, key.source),
            destination: self.named(flow.protocol, key.destination),
            tuples: flow.tuples.clone(),
            first_ns: flow.first,
            tcp: (flow.protocol == Protocol::TCP).then(|| TcpReport::of(&flow.tcp, self.points)),
            icmp_errors: errors.collect(),
            dns: flow.lookups.as_deref().map(DnsReport::of),
            forward: self.lane(flow, Orientation::Forward),
            reply: self.lane(flow, Orientation::Reply),
            verdict: None,
        }
    }

    fn clock_steps(&self) -> Vec<ClockStep> {
        let name = |node| self.points.node_at(node).name.clone();
        let steps = self.offsets.steps();
        steps.map(|(a, b, times)| ClockStep { nodes: [name(a), name(b)], times }).collect()
    }

    fn named(&self, protocol: Protocol, endpoint: Endpoint) -> NamedEndpoint {
        NamedEndpoint { endpoint, name: self.names.label(protocol, endpoint) }
    }
}
