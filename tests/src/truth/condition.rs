//! The conditions under which the engine is measured.

mod list;
mod run;

pub use run::{RunOptions, measure};

use super::{
    clocks::Clocks,
    craft::Numbering,
    impair::Impairment,
    loss::Loss,
    udp::{Identification, Shape},
    way::Way,
};
use crate::{Overlay, lab::topology::POD_DEST};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// TCP of the kernel, several connections side by side.
    Streams {
        /// Bytes of a segment and its options at most (`TCP_MAXSEG`).
        segment: u32,
    },
    /// UDP of the kernel.
    Datagrams {
        /// How datagrams look.
        shape: Shape,
        /// Their identification.
        identification: Identification,
    },
    /// TCP written by hand.
    Crafted {
        /// Their identification.
        numbering: Numbering,
        /// Payload bytes of a full segment.
        segment: u16,
    },
}

/// What the engine has to achieve.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Demand {
    /// Nearly every link found, none wrong, losses located.
    Identified,
    /// Packets without identity: nearly all exact or ordinal, no wrong exact, every count exact.
    Unidentified,
    /// Fragments are put together and cut anew on their way: which is which cannot be told, but no datagram is
    /// called lost, or taken for another.
    Refragmented,
    /// The recorders lose packets on purpose: what is not known for that is stated, and nothing is called lost.
    Overflowing,
}

/// A condition: a lab, traffic, and what happens to it.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What it is called in the table.
    pub name: String,
    /// How nodes are joined.
    pub overlay: Overlay,
    /// How the traffic goes.
    pub way: Way,
    /// Whether links segment and join packets.
    pub offloads: bool,
    /// What is sent.
    pub traffic: Traffic,
    /// How many wire segments, about.
    pub segments: u64,
    /// What is dropped.
    pub loss: Option<Loss>,
    /// What the network between the nodes does.
    pub impairment: Option<Impairment>,
    /// How the nodes' clocks differ.
    pub clocks: Clocks,
    /// Ring buffer per namespace, in KiB.
    pub buffer_kib: u32,
    /// What the engine has to achieve.
    pub demand: Demand,
}

/// Room for everything.
const PLENTY_KIB: u32 = 256 * 1024;
/// So little that packets are lost when nobody takes them out.
const SCANT_KIB: u32 = 64;
/// A node and which packets there, in words of `iptables`.
type Where = (&'static str, &'static str);

impl Condition {
    fn new(name: &str, overlay: Overlay, way: Way, traffic: Traffic, segments: u64) -> Self {
        let demand = match traffic {
            Traffic::Streams { .. } | Traffic::Crafted { numbering: Numbering::Counted, .. } => {
                Demand::Identified
            }
            Traffic::Datagrams { .. } | Traffic::Crafted { .. } => Demand::Unidentified,
        };
        Self {
            name: name.to_owned(),
            overlay,
            way,
            offloads: true,
            traffic,
            segments,
            loss: None,
            impairment: None,
            clocks: Clocks::Equal,
            buffer_kib: PLENTY_KIB,
            demand,
        }
    }

    fn losing(self, (node, filter): Where, per_mille: u16) -> Self {
        let least = self.least();
        Self { loss: Some(Loss { node, filter, per_mille, least }), ..self }
    }

    fn impaired(self, duplicated: u16, delayed: u16) -> Self {
        let least = self.least();
        Self { impairment: Some(Impairment { duplicated, delayed, least }), ..self }
    }

    /// Length of an outermost packet that tells which one it is: the kernel's TCP acknowledges without payload.
    fn least(&self) -> u16 {
        if matches!(self.traffic, Traffic::Streams { .. }) { 180 } else { 0 }
    }

    fn without_offloads(self) -> Self {
        Self { offloads: false, ..self }
    }

    fn timed(self, clocks: Clocks) -> Self {
        Self { clocks, ..self }
    }

    fn refragmented(self) -> Self {
        Self { demand: Demand::Refragmented, ..self }
    }

    fn overflowing(self) -> Self {
        Self { name: "overflow".to_owned(), buffer_kib: SCANT_KIB, demand: Demand::Overflowing, ..self }
    }

    /// Everything but the name, for the table.
    pub fn label(&self) -> String {
        let overlay = match self.overlay {
            Overlay::Ipip => "IPIP",
            Overlay::Vxlan => "VXLAN",
            Overlay::None => "routed",
        };
        let offloads = if self.offloads { "GSO/GRO" } else { "no offloads" };
        let percent = |share: u16, what| match share {
            0 => String::new(),
            share => format!(", {}.{} % {what}", share / 10, share % 10),
        };
        let impaired = self.impairment.map_or_else(String::new, |impairment| {
            percent(impairment.duplicated, "twice") + &percent(impairment.delayed, "late")
        });
        let loss = percent(self.loss.map_or(0, |loss| loss.per_mille), "lost");
        format!(
            "{}: {}, {overlay}, {offloads}{impaired}{loss}{}",
            self.name,
            self.way.label(),
            self.clocks.label()
        )
    }

    /// Whether all its traffic is one flow.
    pub fn is_one_flow(&self) -> bool {
        !matches!(self.traffic, Traffic::Streams { .. }) && self.demand != Demand::Overflowing
    }

    /// TCP or UDP.
    pub fn protocol(&self) -> &'static str {
        match self.traffic {
            Traffic::Streams { .. } | Traffic::Crafted { .. } => "TCP",
            Traffic::Datagrams { .. } => "UDP",
        }
    }
}

/// Connections side by side.
const CONNECTIONS: u8 = 3;
/// The port that every server listens on.
const PORT: u16 = crate::lab::topology::POD_PORT;
/// Where every server is.
const SERVER: &str = POD_DEST.name;
