//! What was seen where, told by payloads alone.

use std::{collections::HashMap, fmt};

use tracer_core::{capture::Frame, report::Hop, units::Direction};

use super::{
    content::{self, Piece},
    parse::{self, Inside},
    way::Lane,
};
use crate::lab::topology::{POD_PORT, SVC_NODEPORT};

/// The ports that servers have, in front of NAT and behind: what tells the direction of a segment without payload.
const SERVER_PORTS: [u16; 2] = match SVC_NODEPORT.node_port {
    Some(port) => [POD_PORT, port],
    None => [POD_PORT, POD_PORT],
};

/// An interface and a direction: `k8s-node1:tunl0 ingress`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place(String);

impl Place {
    /// The interface of a node or pod, and a direction.
    pub fn new(host: &str, interface: &str, direction: Option<Direction>) -> Self {
        let direction = direction.map_or_else(|| "?".to_owned(), |direction| direction.to_string());
        Self(format!("{host}:{interface} {direction}"))
    }

    /// Where a hop of a report is.
    pub fn of(hop: &Hop) -> Self {
        let pod = hop.pod.as_deref().map(|pod| pod.rsplit('/').next().unwrap_or(pod));
        Self::new(pod.unwrap_or(&hop.node), &hop.interface, hop.direction)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which packet a wire segment is, as its bytes tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// That which carries this piece, by its number in [`Seen::pieces`].
    Known(u32),
    /// It carries nothing.
    Bare,
    /// It carries too little to tell, or something else.
    Untold,
}

/// One wire segment seen once.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// What it is.
    pub unit: Unit,
    /// Which way it goes.
    pub lane: Lane,
    /// Where, by the number in [`Seen::places`].
    pub place: u16,
    /// When, in nanoseconds by the recorder's clock.
    pub time: u64,
}

/// All wire segments of all recordings, in the order in which the engine was given them.
#[derive(Debug, Default)]
pub struct Seen {
    /// Where something was seen.
    pub places: Vec<Place>,
    /// Distinct pieces.
    pub pieces: Vec<Piece>,
    /// Every sight.
    pub sights: Vec<Sight>,
    /// Number of the first sight of each observation.
    first: Vec<u32>,
    place_numbers: HashMap<Place, u16>,
    piece_numbers: HashMap<Piece, u32>,
}

impl Seen {
    /// Notes a frame; one that is no IPv4 packet is no observation.
    pub(super) fn frame(&mut self, place: &Place, frame: &Frame<'_>) {
        let Some(inside) = parse::frame(&frame.data) else { return };
        let size = frame.gso.map_or(usize::MAX, |gso| usize::from(gso.size).max(1));
        let is_reply = SERVER_PORTS.contains(&inside.ports.0);
        let lane = if is_reply { Lane::Reply } else { Lane::Forward };
        let otherwise = if inside.payload.is_empty() { Unit::Bare } else { Unit::Untold };
        self.packet(place, frame.time.0, lane, &carried(&inside, size), otherwise);
    }

    /// Notes a packet by the pieces of its wire segments. One without a piece goes the way of `lane`, and is what
    /// `otherwise` says.
    pub(super) fn packet(
        &mut self,
        place: &Place,
        time: u64,
        lane: Lane,
        pieces: &[Option<Piece>],
        otherwise: Unit,
    ) {
        let place = self.place(place);
        self.first.push(u32::try_from(self.sights.len()).unwrap_or(u32::MAX));
        for piece in pieces {
            let lane = piece.map_or(lane, |piece| Lane::of(piece.tag));
            let unit = self.unit(*piece, otherwise);
            self.sights.push(Sight { unit, lane, place, time });
        }
    }

    /// Packets seen, each as often as it was seen.
    pub fn observations(&self) -> usize {
        self.first.len()
    }

    /// The number of a sight by that of its observation and its place in it; absent where there is none.
    pub fn number(&self, observation: u64, part: u16) -> Option<u32> {
        let observation = usize::try_from(observation).ok()?;
        let number = self.first.get(observation)? + u32::from(part);
        let end = self.first.get(observation + 1).copied();
        (number < end.unwrap_or(u32::try_from(self.sights.len()).ok()?)).then_some(number)
    }

    /// The number of a place, if something was seen there.
    pub fn place_number(&self, place: &Place) -> Option<u16> {
        self.place_numbers.get(place).copied()
    }

    fn place(&mut self, place: &Place) -> u16 {
        if let Some(number) = self.place_numbers.get(place) {
            return *number;
        }
        let number = u16::try_from(self.places.len()).unwrap_or(u16::MAX);
        self.places.push(place.clone());
        self.place_numbers.insert(place.clone(), number);
        number
    }

    fn unit(&mut self, piece: Option<Piece>, otherwise: Unit) -> Unit {
        let Some(piece) = piece else { return otherwise };
        let next = u32::try_from(self.pieces.len()).unwrap_or(u32::MAX);
        let number = *self.piece_numbers.entry(piece).or_insert(next);
        if number == next {
            self.pieces.push(piece);
        }
        Unit::Known(number)
    }
}

/// What each wire segment of a packet carries, by the number in its header or by its bytes; one for each segment.
pub(super) fn carried(inside: &Inside<'_>, size: usize) -> Vec<Option<Piece>> {
    let number =
        parse::experiment(inside.options).and_then(|bytes| content::number_of(bytes.try_into().ok()?));
    if number.is_some() || inside.payload.is_empty() {
        return vec![number];
    }
    inside.payload.chunks(size).map(content::read).collect()
}
