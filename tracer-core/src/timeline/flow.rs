//! One flow over all its tuples and both its directions.

use serde::Serialize;

use super::lane::Lane;
use crate::flow::{FlowKey, Protocol};
use crate::journey::Journey;
use crate::packet::TcpFlags;
use crate::point::InterfaceIndex;
use crate::units::Timestamp;

/// Tuples kept of one flow: a hostile sender cannot make it grow without bound.
const MAX_TUPLES: usize = 64;

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
    /// Time of the first packet, by the clock of the node that saw it first.
    pub first: Timestamp,
}

/// How far a TCP connection came.
#[derive(Clone, Debug, Default)]
pub struct TcpProgress {
    /// A SYN was seen.
    pub opened: bool,
    /// A SYN with ACK was seen.
    pub answered: bool,
    /// Each side's FIN: forward, reply.
    pub finished: (bool, bool),
    /// Who sent a RST first.
    pub reset: Option<Orientation>,
    /// Time from the SYN's first hop to the answer's arrival there, in nanoseconds, by that one node's clock.
    pub handshake: Option<u64>,
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
            first,
        }
    }

    /// The lane of one direction.
    pub fn lane(&self, orientation: Orientation) -> &Lane {
        match orientation {
            Orientation::Forward => &self.forward,
            Orientation::Reply => &self.reply,
        }
    }

    pub(super) fn add(&mut self, journey: &Journey, orientation: Orientation, is_at_edge: bool) {
        self.tcp.note(journey, orientation);
        match orientation {
            Orientation::Forward => self.forward.add(journey, is_at_edge),
            Orientation::Reply => self.reply.add(journey, is_at_edge),
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
        self.tcp.absorb(&other.tcp, orientation);
    }
}

impl TcpProgress {
    fn note(&mut self, journey: &Journey, orientation: Orientation) {
        let flags = journey.segment.flags;
        if flags.is_open() {
            self.opened = true;
            let first = journey.first();
            self.syn.get_or_insert((first.point.interface, first.time));
        } else if flags.any(TcpFlags::SYN) {
            self.answered = true;
            self.note_answer(journey);
        }
        if flags.any(TcpFlags::FIN) {
            match orientation {
                Orientation::Forward => self.finished.0 = true,
                Orientation::Reply => self.finished.1 = true,
            }
        }
        if flags.any(TcpFlags::RST) {
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
        self.finished = (self.finished.0 || forward, self.finished.1 || reply);
        let reset = match orientation {
            Orientation::Forward => other.reset,
            Orientation::Reply => other.reset.map(Orientation::reversed),
        };
        self.reset = self.reset.or(reset);
        self.handshake = self.handshake.or(other.handshake);
        self.syn = self.syn.or(other.syn);
    }
}
