//! One group of equal keys to journeys.
//!
//! Two sightings of a key under two tuples are one packet only if NAT made one tuple of the other. The tests, in
//! their order:
//!
//! 1. The tuples are equal.
//! 2. They are known to belong to one flow ([`Related`]).
//! 3. Translation seen at work: on one node the key came in under the first tuple, did not leave under it, and
//!    later left under the second, which had not come in. Tuples that have one end in common go first, since most
//!    NAT leaves the other end alone; no tuple becomes its own reverse. Accepted only if exactly one tuple fits on each
//!    side.
//!
//! What fits more than one way is counted as ambiguous and stays apart.

use super::Group;
use super::pair::{self, Paired};
use crate::clock::Clocks;
use crate::flow::FlowKey;
use crate::headers::{HeadersTable, TupleId};
use crate::journey::{Confidence, Journey, Sighting};
use crate::point::{NodeId, Points};
use crate::units::Direction;

/// Knows which tuples belong to one flow already.
pub trait Related {
    /// Whether packets of `first` are known to become packets of `second`, or the reverse.
    fn related(&self, first: TupleId, second: TupleId) -> bool;
}

/// The outcome of splitting one group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Split {
    /// One journey per packet.
    pub journeys: Vec<Journey>,
    /// Tuples whose translation could be told in more than one way.
    pub ambiguous: u64,
}

/// Sightings of one chain of tuples.
struct Chain {
    tuples: Vec<(TupleId, FlowKey)>,
    sightings: Vec<Sighting>,
    is_ambiguous: bool,
}

impl Split {
    /// Splits a group into the journeys of the packets that had its key.
    pub fn of(
        group: Group,
        headers: &HeadersTable,
        points: &Points,
        clocks: &Clocks,
        known: &impl Related,
    ) -> Self {
        let segment = group.segment;
        let journey = |paired: Paired, is_ambiguous: bool| Journey {
            segment,
            hops: paired.hops,
            confidence: if is_ambiguous { Confidence::Unknown } else { paired.confidence },
            is_copy: paired.is_copy,
        };
        let mut tuples = group.members.iter().map(|hop| headers.tuple(hop.headers));
        let first = tuples.next();
        if first.is_some_and(|first| tuples.all(|tuple| tuple == first || known.related(first, tuple))) {
            let packets = pair::packets(group.members, headers, points, clocks).into_iter();
            return Self { journeys: packets.map(|paired| journey(paired, false)).collect(), ambiguous: 0 };
        }
        let mut chains = by_tuple(&group, headers);
        join_known(&mut chains, known);
        join_translated(&mut chains, points);
        let ambiguous = chains.iter().filter(|chain| chain.is_ambiguous).count() as u64;
        let mut journeys = Vec::with_capacity(chains.len());
        for chain in chains {
            let packets = pair::packets(chain.sightings, headers, points, clocks).into_iter();
            journeys.extend(packets.map(|paired| journey(paired, chain.is_ambiguous)));
        }
        Self { journeys, ambiguous }
    }
}

fn by_tuple(group: &Group, headers: &HeadersTable) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    for sighting in &group.members {
        let tuple = headers.tuple(sighting.headers);
        match chains.iter_mut().find(|chain| chain.tuples[0].0 == tuple) {
            Some(chain) => chain.sightings.push(*sighting),
            None => chains.push(Chain {
                tuples: vec![(tuple, headers.tuple_at(tuple))],
                sightings: vec![*sighting],
                is_ambiguous: false,
            }),
        }
    }
    chains
}

fn join_known(chains: &mut Vec<Chain>, known: &impl Related) {
    let mut index = 1;
    while index < chains.len() {
        let (tuple, _) = chains[index].tuples[0];
        let is_known = |chain: &Chain| chain.tuples.iter().any(|(other, _)| known.related(*other, tuple));
        match chains[..index].iter().position(is_known) {
            Some(host) => join(chains, host, index),
            None => index += 1,
        }
    }
}

fn join(chains: &mut Vec<Chain>, into: usize, from: usize) {
    let chain = chains.remove(from);
    let into = if from < into { into - 1 } else { into };
    chains[into].tuples.extend(chain.tuples);
    chains[into].sightings.extend(chain.sightings);
}

/// Joins chains by the translations that the sightings show and marks those that could not be decided.
fn join_translated(chains: &mut Vec<Chain>, points: &Points) {
    loop {
        let fits = translations(chains, points);
        let closer: Vec<_> =
            fits.iter().copied().filter(|(from, to)| keeps_an_end(&chains[*from], &chains[*to])).collect();
        if let Some((from, to)) = only_one(&closer).or_else(|| only_one(&fits)) {
            join(chains, from, to);
            continue;
        }
        for (from, to) in fits {
            chains[from].is_ambiguous = true;
            chains[to].is_ambiguous = true;
        }
        return;
    }
}

/// A pair of which neither side is in another pair.
fn only_one(pairs: &[(usize, usize)]) -> Option<(usize, usize)> {
    let count = |is_same: &dyn Fn(&(usize, usize)) -> bool| pairs.iter().filter(|pair| is_same(pair)).count();
    let is_only =
        |(from, to): &(usize, usize)| count(&|(f, _)| f == from) == 1 && count(&|(_, t)| t == to) == 1;
    pairs.iter().copied().find(is_only)
}

fn keeps_an_end(before: &Chain, after: &Chain) -> bool {
    before.tuples.iter().any(|(_, before)| {
        after
            .tuples
            .iter()
            .any(|(_, after)| after.source == before.source || after.destination == before.destination)
    })
}

/// Every pair of chains of which the second may be the first one, translated.
fn translations(chains: &[Chain], points: &Points) -> Vec<(usize, usize)> {
    let mut fits = Vec::new();
    for (from, before) in chains.iter().enumerate() {
        for (to, after) in chains.iter().enumerate() {
            let is_same_protocol = before.tuples[0].1.protocol == after.tuples[0].1.protocol;
            let is_reverse = after
                .tuples
                .iter()
                .any(|(_, tuple)| before.tuples.iter().any(|(_, b)| *tuple == b.reversed()));
            if from != to && is_same_protocol && !is_reverse && became(before, after, points) {
                fits.push((from, to));
            }
        }
    }
    fits
}

/// Whether some node took the packet in as `before` and sent it on as `after`.
fn became(before: &Chain, after: &Chain, points: &Points) -> bool {
    host_sightings(after, points).any(|(node, out)| {
        let here = |chain: &Chain, direction: Direction| {
            host_sightings(chain, points)
                .filter(|(at, sighting)| *at == node && sighting.point.direction == Some(direction))
                .map(|(_, sighting)| sighting.time)
                .min()
        };
        out.point.direction == Some(Direction::Egress)
            && here(before, Direction::Ingress).is_some_and(|time| time <= out.time)
            && here(before, Direction::Egress).is_none()
            && here(after, Direction::Ingress).is_none()
    })
}

/// Sightings in the nodes' own namespaces: NAT happens there, and a pod's `eth0` has the other sense of in and out.
fn host_sightings<'a>(
    chain: &'a Chain,
    points: &'a Points,
) -> impl Iterator<Item = (NodeId, &'a Sighting)> + 'a {
    chain.sightings.iter().filter_map(|sighting| {
        let interface = points.at(sighting.point.interface);
        interface.pod.is_none().then_some((interface.node, sighting))
    })
}
