//! One flow over all its tuples and both its directions.

use std::net::IpAddr;

use serde::Serialize;

use super::dns::{DnsNews, Lookups};
use super::lane::{Lane, News};
use super::path::{Circumstances, Place};
use crate::drops::KindId;
use crate::flow::{FlowKey, Protocol};
use crate::journey::{Confidence, Journey};
use crate::packet::TcpFlags;
use crate::packet::dns::Message;
use crate::point::InterfaceIndex;
use crate::units::Timestamp;

/// Tuples kept of one flow: a hostile sender cannot make it grow without bound.
const MAX_TUPLES: usize = 64;
/// Kinds of ICMP errors kept of one flow.
const MAX_ERRORS: usize = 32;
/// Kinds of drops kept of one flow.
const MAX_DROPS: usize = 256;

/// Which way a packet goes within its flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// From the one who opened the flow.
    Forward,
    /// To the one who opened it.
    Reply,
}

impl Orientation {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Reply,
            Self::Reply => Self::Forward,
        }
    }
}

/// A flow: tuples that NAT made of one another, and what its packets did.
#[derive(Clone, Debug)]
pub struct Flow {
    /// IP protocol.
    pub protocol: Protocol,
    /// Tuples of the forward direction, in the order in which they were learnt; never empty.
    pub tuples: Vec<FlowKey>,
    /// Packets from the one who opened it.
    pub forward: Lane,
    /// Packets to the one who opened it.
    pub reply: Lane,
    /// What TCP's flags told.
    pub tcp: TcpProgress,
    /// ICMP errors that quote one of its packets.
    pub errors: Vec<QuotedError>,
    /// Packets of it that kernels dropped.
    pub drops: Vec<FlowDrop>,
    /// Questions to name servers, and their answers; absent where there are none.
    pub lookups: Option<Box<Lookups>>,
    /// Time of the first packet, by the clock of the node that saw it first.
    pub first: Timestamp,
}

/// ICMP errors of one kind from one sender about packets of one direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuotedError {
    /// ICMP or ICMPv6.
    pub protocol: Protocol,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Next-hop MTU in bytes, where it names one.
    pub mtu: Option<u32>,
    /// Direction of the packets that it quotes.
    pub direction: Orientation,
    /// Address that sent it.
    pub source: IpAddr,
    /// Where it was seen first.
    pub place: Place,
    /// How many.
    pub count: u64,
}

/// Packets of one direction that a kernel dropped alike.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowDrop {
    /// Where, why and what.
    pub kind: KindId,
    /// Direction of the packets; of ICMP errors, that of the packets that they quote.
    pub direction: Orientation,
    /// The last hop that saw them before; absent where none did.
    pub after: Option<Place>,
    /// When the first was dropped, by its node's clock.
    pub first: Timestamp,
    /// Wire segments.
    pub packets: u64,
}

/// How far a TCP connection came.
#[derive(Clone, Debug, Default)]
pub struct TcpProgress {
    /// A SYN was seen.
    pub opened: bool,
    /// A SYN with ACK was seen.
    pub answered: bool,
    /// The one who opened it sent what only one sends who has heard an answer.
    pub acknowledged: bool,
    /// Each side's FIN: forward, reply.
    pub finished: (bool, bool),
    /// Who sent a RST first.
    pub reset: Option<Orientation>,
    /// Time from the SYN's first hop to the answer's arrival there, in nanoseconds, by that one node's clock.
    pub handshake: Option<u64>,
    /// Where the RST was seen first.
    pub reset_at: Option<Place>,
    /// Sequence number of the SYN: another one is another connection.
    pub syn_sequence: Option<u32>,
    syn: Option<(InterfaceIndex, Timestamp)>,
}

impl Flow {
    pub(super) fn new(key: FlowKey, first: Timestamp) -> Self {
        Self {
            protocol: key.protocol,
            tuples: vec![key],
            forward: Lane::default(),
            reply: Lane::default(),
            tcp: TcpProgress::default(),
            errors: Vec::new(),
            drops: Vec::new(),
            lookups: None,
            first,
        }
    }

    /// Notes an ICMP error; true when it is the first of its kind from its place.
    pub fn note_error(&mut self, error: QuotedError) -> bool {
        let is_same = |known: &&mut QuotedError| {
            (known.kind, known.code, known.mtu, known.direction, known.source)
                == (error.kind, error.code, error.mtu, error.direction, error.source)
        };
        if let Some(known) = self.errors.iter_mut().find(is_same) {
            known.count += error.count;
            return false;
        }
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
        true
    }

    /// Notes drops; false when they are of one kind too many.
    pub fn note_drop(&mut self, drop: FlowDrop) -> bool {
        let alike = |known: &&mut FlowDrop| {
            (known.kind, known.direction, known.after) == (drop.kind, drop.direction, drop.after)
        };
        if let Some(known) = self.drops.iter_mut().find(alike) {
            known.packets += drop.packets;
            known.first = known.first.min(drop.first);
            return true;
        }
        if self.drops.len() >= MAX_DROPS {
            return false;
        }
        self.drops.push(drop);
        true
    }

    /// The lane of one direction.
    pub fn lane(&self, orientation: Orientation) -> &Lane {
        match orientation {
            Orientation::Forward => &self.forward,
            Orientation::Reply => &self.reply,
        }
    }

    pub(super) fn add(
        &mut self,
        journey: &Journey,
        orientation: Orientation,
        circumstances: &Circumstances<'_>,
    ) -> News {
        if self.protocol == Protocol::TCP {
            self.tcp.note(journey, orientation);
        }
        let (lane, other) = match orientation {
            Orientation::Forward => (&mut self.forward, &mut self.reply),
            Orientation::Reply => (&mut self.reply, &mut self.forward),
        };
        if self.protocol == Protocol::TCP && journey.confidence == Confidence::Exact && !journey.is_copy {
            other.round_trips_mut().acknowledged(&journey.segment, &journey.hops);
        }
        lane.add(journey, self.protocol, circumstances, other.sequence().closed_since().is_some())
    }

    /// Notes a message to or from a name server that took this way; tells what is new.
    pub fn note_message(&mut self, message: &Message, journey: &Journey) -> Option<DnsNews> {
        self.lookups.get_or_insert_default().note(message, journey)
    }

    /// Notes an ICMP echo, or its reply.
    pub fn note_echo(&mut self, is_reply: bool, sequence: u16, orientation: Orientation, journey: &Journey) {
        if journey.confidence != Confidence::Exact || journey.is_copy {
            return;
        }
        if is_reply {
            let asked = if orientation == Orientation::Reply { &mut self.forward } else { &mut self.reply };
            asked.round_trips_mut().replied(sequence, &journey.hops);
        } else {
            let lane = if orientation == Orientation::Forward { &mut self.forward } else { &mut self.reply };
            lane.round_trips_mut().asked(sequence, journey.first());
        }
    }

    /// Notes a tuple of the forward direction; false when it is one too many.
    pub(super) fn learn(&mut self, tuple: FlowKey) -> bool {
        if self.tuples.contains(&tuple) {
            return true;
        }
        if self.tuples.len() >= MAX_TUPLES {
            return false;
        }
        self.tuples.push(tuple);
        true
    }

    /// Takes over a flow that turned out to be the same one; `orientation` is what its forward direction is here.
    pub(super) fn absorb(&mut self, other: Self, orientation: Orientation) {
        let (forward, reply) = match orientation {
            Orientation::Forward => (other.forward, other.reply),
            Orientation::Reply => (other.reply, other.forward),
        };
        self.forward.absorb(forward);
        self.reply.absorb(reply);
        self.first = self.first.min(other.first);
        if let Some(lookups) = other.lookups {
            self.lookups.get_or_insert_default().absorb(*lookups);
        }
        for error in other.errors {
            let direction = match orientation {
                Orientation::Forward => error.direction,
                Orientation::Reply => error.direction.reversed(),
            };
            self.note_error(QuotedError { direction, ..error });
        }
        for drop in other.drops {
            let direction = match orientation {
                Orientation::Forward => drop.direction,
                Orientation::Reply => drop.direction.reversed(),
            };
            self.note_drop(FlowDrop { direction, ..drop });
        }
        self.tcp.absorb(&other.tcp, orientation);
    }
}

impl TcpProgress {
    fn note(&mut self, journey: &Journey, orientation: Orientation) {
        let flags = journey.segment.flags;
        if flags.is_open() {
            self.opened = true;
            let first = journey.first();
            self.syn_sequence.get_or_insert(journey.segment.sequence);
            self.syn.get_or_insert((first.point.interface, first.time));
        } else if flags.any(TcpFlags::SYN) {
            self.answered = true;
            self.note_answer(journey);
        } else if orientation == Orientation::Forward && !flags.any(TcpFlags::RST) {
            self.acknowledged = true;
        }
        if flags.any(TcpFlags::FIN) {
            match orientation {
                Orientation::Forward => self.finished.0 = true,
                Orientation::Reply => self.finished.1 = true,
            }
        }
        if flags.any(TcpFlags::RST) {
            if self.reset.is_none() {
                self.reset_at = Some(Place::of(journey.first()));
            }
            self.reset.get_or_insert(orientation);
        }
    }

    fn note_answer(&mut self, journey: &Journey) {
        let Some((interface, sent)) = self.syn else { return };
        let arrival = journey.hops.iter().rev().find(|hop| hop.point.interface == interface);
        if let Some(hop) = arrival {
            self.handshake = self.handshake.or(u64::try_from(hop.time.since(sent)).ok());
        }
    }

    fn absorb(&mut self, other: &Self, orientation: Orientation) {
        let (forward, reply) = match orientation {
            Orientation::Forward => other.finished,
            Orientation::Reply => (other.finished.1, other.finished.0),
        };
        self.opened |= other.opened;
        self.answered |= other.answered;
        self.acknowledged |= other.acknowledged;
        self.finished = (self.finished.0 || forward, self.finished.1 || reply);
        let reset = match orientation {
            Orientation::Forward => other.reset,
            Orientation::Reply => other.reset.map(Orientation::reversed),
        };
        if self.reset.is_none() {
            self.reset_at = other.reset_at;
        }
        self.reset = self.reset.or(reset);
        self.syn_sequence = self.syn_sequence.or(other.syn_sequence);
        self.handshake = self.handshake.or(other.handshake);
        self.syn = self.syn.or(other.syn);
    }
}
