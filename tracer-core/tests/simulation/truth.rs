//! What really happened, in terms that do not depend on how the tracer recognises packets.

use std::collections::{HashMap, HashSet};

use tracer_core::flow::{FlowKey, Port};
use tracer_core::report::{Hop, NamedEndpoint};
use tracer_core::units::Direction;

use crate::emission::{Emission, EmissionId, LaneId, Segment};
use crate::feed::Followed;
use crate::network::{Interface, Network, Station, node_name, pod_name};
use crate::plan::MS;
use crate::recorder::Recording;
use crate::world::History;

/// Before the end of the captures a packet may still be on its way: no loss has to be told there.
const IN_FLIGHT: u64 = 200 * MS;

/// An interface of the network and a direction.
pub(crate) type Point = (usize, Direction);

/// One sighting of a wire segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) station: usize,
    /// Nanoseconds of true time.
    pub(crate) time: u64,
    pub(crate) is_written: bool,
    /// Whether the tracer could use it: too little may have been captured.
    is_followed: bool,
}

/// Wire segments lost between two points.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lost {
    /// Those of which nothing arrived: these have to be found.
    pub(crate) wholly: u64,
    /// These, and lost copies of others: more must not be claimed.
    pub(crate) at_most: u64,
}

/// What happened, to be compared with what is told.
pub(crate) struct Truth<'a> {
    pub(crate) history: &'a History,
    numbered: &'a [Followed],
    /// Per emission, in the order of true time.
    sightings: Vec<Vec<Sighting>>,
    interfaces: HashMap<(String, Option<String>, String), usize>,
    /// Which direction of which flow wears a tuple at a point, and at which of its stations.
    stations: HashMap<(FlowKey, Point), (LaneId, usize)>,
    /// By what was worn at the last point that saw them, that point, and the next one of their way.
    pub(crate) losses: HashMap<(FlowKey, Point), HashMap<Point, Lost>>,
    /// Wire segments seen at least once, by direction.
    pub(crate) counts: HashMap<LaneId, u64>,
    by_lane: HashMap<LaneId, Vec<EmissionId>>,
    fragmented: HashSet<FlowKey>,
    /// Stations at which some packets of a direction were recorded, but not in full.
    blind: HashSet<(LaneId, usize)>,
}

impl<'a> Truth<'a> {
    pub(crate) fn new(history: &'a History, recording: &Recording, numbered: &'a [Followed]) -> Self {
        let mut sightings: Vec<Vec<Sighting>> = vec![Vec::new(); history.emissions.len()];
        let mut followed = vec![0; history.observations.len()];
        for Followed { seen, parts } in numbered {
            followed[seen.0] = *parts;
        }
        for (number, observation) in history.observations.iter().enumerate() {
            for (part, index) in observation.parts.iter().zip(0..) {
                sightings[part.index()].push(Sighting {
                    station: observation.station,
                    time: observation.time,
                    is_written: recording.is_written[number],
                    is_followed: index < followed[number],
                });
            }
        }
        let mut truth = Self {
            history,
            numbered,
            sightings,
            interfaces: names(&history.network),
            stations: stations(&history.network),
            losses: HashMap::new(),
            counts: HashMap::new(),
            by_lane: HashMap::new(),
            fragmented: fragmented(history),
            blind: HashSet::new(),
        };
        for (number, observation) in history.observations.iter().enumerate() {
            if recording.is_written[number] && followed[number] < observation.parts.len() {
                truth.blind.insert((observation.lane, observation.station));
            }
        }
        for (number, emission) in history.emissions.iter().enumerate() {
            let id = EmissionId(u32::try_from(number).unwrap());
            truth.by_lane.entry(emission.lane).or_default().push(id);
            // Copies that arose before the first point are packets of their own for whoever looks from there on.
            let first = truth.followed(id).map(|sighting| sighting.station).min();
            let seen = truth.followed(id).filter(|sighting| Some(sighting.station) == first).count();
            if seen > 0 {
                *truth.counts.entry(emission.lane).or_default() += seen as u64;
            }
        }
        truth.note_losses(recording);
        truth
    }

    fn note_losses(&mut self, recording: &Recording) {
        let mut noted: HashSet<(EmissionId, usize)> = HashSet::new();
        for loss in &self.history.losses {
            let lane = self.history.emissions[loss.emission.index()].lane;
            let way = &self.history.network.ways[lane.0];
            let seen = &self.sightings[loss.emission.index()];
            let followed = || self.followed(loss.emission);
            let after = followed().map(|sighting| sighting.station).filter(|at| *at <= loss.after).max();
            let before =
                (loss.after + 1..way.len()).find(|index| self.history.network.is_recorded(&way[*index]));
            // Nobody can tell of a packet that was not seen before it was lost, nor of a loss behind the last point.
            let (Some(after), Some(before)) = (after, before) else { continue };
            let times = || followed().map(|sighting| sighting.time);
            let is_watched = times().min() > Some(recording.span.0)
                && times().max().is_some_and(|last| last + IN_FLIGHT < recording.span.1);
            let is_whole = seen.iter().all(|sighting| sighting.station <= loss.after);
            let is_first = noted.insert((loss.emission, before));
            let key = (self.known_by(way[after].tuple), point(&way[after]));
            let before = self.first_before(lane, after, before);
            let lost = self.losses.entry(key).or_default().entry(before).or_default();
            lost.at_most += 1;
            lost.wholly += u64::from(is_watched && is_whole && is_first);
        }
    }

    /// The first point after a hop at which a packet may have been lost that is told to be lost between that hop and
    /// a later one: points in between that could not always tell packets apart are passed over.
    pub(crate) fn first_before(&self, lane: LaneId, after: usize, before: usize) -> Point {
        let way = &self.history.network.ways[lane.0];
        let is_passed_over = |station: usize| {
            !self.history.network.is_recorded(&way[station]) || self.blind.contains(&(lane, station))
        };
        let is_first = |station: &usize| {
            self.history.network.is_recorded(&way[*station]) && (*station..before).all(is_passed_over)
        };
        let first = (after + 1..=before).find(is_first);
        point(&way[first.unwrap_or(before)])
    }

    /// What packets with a tuple are counted under. A fragment that is not the first has no ports, so that all
    /// packets between two addresses of which some are fragments are counted together.
    pub(crate) fn known_by(&self, tuple: FlowKey) -> FlowKey {
        let portless = portless(tuple);
        if self.fragmented.contains(&portless) { portless } else { tuple }
    }

    /// Whether some packets between two addresses, either way, are fragments.
    pub(crate) fn is_fragmented(&self, tuple: FlowKey) -> bool {
        [tuple, tuple.reversed()].iter().any(|tuple| self.fragmented.contains(&portless(*tuple)))
    }

    /// The emission and the station behind a sighting of the tracer.
    pub(crate) fn resolve(&self, observation: u64, part: u16) -> Option<(EmissionId, usize)> {
        let followed = self.numbered.get(usize::try_from(observation).ok()?)?;
        let observation = &self.history.observations[followed.seen.0];
        Some((*observation.parts.get(usize::from(part))?, observation.station))
    }

    /// How often each station saw an emission and wrote it, in the order of the way.
    pub(crate) fn places(&self, emission: EmissionId) -> Vec<(usize, usize)> {
        let written = self.sightings[emission.index()].iter().filter(|sighting| sighting.is_written);
        let mut stations: Vec<usize> = written.map(|sighting| sighting.station).collect();
        stations.sort_unstable();
        stations.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect()
    }

    /// Wire segments that were seen, but not at the last point that they reached.
    pub(crate) fn unseen(&self) -> u64 {
        let last = |seen: &Vec<Sighting>, is_meant: fn(&Sighting) -> bool| {
            seen.iter().filter(|sighting| is_meant(sighting)).map(|sighting| sighting.station).max()
        };
        let is_unseen = |seen: &&Vec<Sighting>| {
            last(seen, |sighting| sighting.is_followed).is_some_and(|at| Some(at) != last(seen, |_| true))
        };
        self.sightings.iter().filter(is_unseen).count() as u64
    }

    /// The next station after one that saw an emission, as far as the tracer could use it.
    pub(crate) fn next_place(&self, emission: EmissionId, station: usize) -> Option<usize> {
        self.followed(emission).map(|sighting| sighting.station).filter(|next| *next > station).min()
    }

    fn followed(&self, emission: EmissionId) -> impl Iterator<Item = &Sighting> {
        self.sightings[emission.index()].iter().filter(|sighting| sighting.is_followed)
    }

    /// A point in words.
    pub(crate) fn name(&self, (interface, direction): Point) -> String {
        let Interface { node, pod, name, .. } = &self.history.network.interfaces[interface];
        let pod = pod.map(|pod| format!("{}:", pod_name(pod))).unwrap_or_default();
        format!("{} {pod}{name} {direction}", node_name(*node))
    }

    /// The point of a hop in a report.
    pub(crate) fn point(&self, hop: &Hop) -> Option<Point> {
        let key = (hop.node.clone(), hop.pod.clone(), hop.interface.clone());
        Some((*self.interfaces.get(&key)?, hop.direction?))
    }

    /// The direction of a flow and the station that a hop in a report is.
    pub(crate) fn station(
        &self,
        hop: &Hop,
        protocol: tracer_core::flow::Protocol,
    ) -> Option<(LaneId, usize)> {
        self.stations.get(&(tuple(hop, protocol), self.point(hop)?)).copied()
    }

    /// True times between two stations, of all emissions that were seen there once each, in order.
    pub(crate) fn latencies(&self, lane: LaneId, from: usize, to: usize) -> Vec<u64> {
        let only = |emission: &EmissionId, station: usize| {
            let mut there = self.followed(*emission).filter(|sighting| sighting.station == station);
            there.next().filter(|_| there.next().is_none()).map(|sighting| sighting.time)
        };
        let emissions = self.by_lane.get(&lane).into_iter().flatten();
        let mut all: Vec<u64> =
            emissions.filter_map(|emission| Some(only(emission, to)? - only(emission, from)?)).collect();
        all.sort_unstable();
        all
    }

    /// Whether packets of a direction, or of its answers, wear somewhere what fragments wear: then they cannot be
    /// told from those of other flows.
    pub(crate) fn is_mixed(&self, lane: LaneId) -> bool {
        self.history.network.ways[lane.0].iter().any(|station| self.is_fragmented(station.tuple))
    }
}

/// What fragments wear that are not the first, over all flows and stations.
fn fragmented(history: &History) -> HashSet<FlowKey> {
    let is_later = |emission: &&Emission| matches!(emission.segment, Segment::Fragment { offset: 1.., .. });
    let lanes: HashSet<LaneId> =
        history.emissions.iter().filter(is_later).map(|emission| emission.lane).collect();
    let ways = lanes.into_iter().flat_map(|lane| &history.network.ways[lane.0]);
    ways.map(|station| portless(station.tuple)).collect()
}

/// What a hop in a report wears.
pub(crate) fn tuple(hop: &Hop, protocol: tracer_core::flow::Protocol) -> FlowKey {
    let end = |named: &NamedEndpoint| named.endpoint;
    FlowKey { protocol, source: end(&hop.source), destination: end(&hop.destination) }
}

pub(crate) fn point(station: &Station) -> Point {
    (station.interface, station.direction)
}

fn portless(mut tuple: FlowKey) -> FlowKey {
    tuple.source.port = Port(0);
    tuple.destination.port = Port(0);
    tuple
}

fn names(network: &Network) -> HashMap<(String, Option<String>, String), usize> {
    let name = |(number, interface): (usize, &Interface)| {
        ((node_name(interface.node), interface.pod.map(pod_name), interface.name.clone()), number)
    };
    network.interfaces.iter().enumerate().map(name).collect()
}

fn stations(network: &Network) -> HashMap<(FlowKey, Point), (LaneId, usize)> {
    let mut all = HashMap::new();
    for (lane, way) in network.ways.iter().enumerate() {
        for (number, station) in way.iter().enumerate() {
            for tuple in [station.tuple, portless(station.tuple)] {
                all.entry((tuple, point(station))).or_insert((LaneId(lane), number));
            }
        }
    }
    all
}
