//! The packets of one chain of tuples.
//!
//! Where no place saw the key twice, the chain is one packet. Otherwise the places are put in their order, and the
//! k-th sighting at one is taken for the k-th at the next. Where one place saw fewer, each sighting goes to the latest
//! one before it, by one clock or by two whose offset is known; where another one is about as near, the identity of
//! those that are missing is not known, only their number.

use super::order;
use crate::clock::Clocks;
use crate::headers::{HeadersId, HeadersTable};
use crate::journey::{Confidence, Sighting};
use crate::point::{Point, Points};

/// One packet of a chain.
pub(super) struct Paired {
    pub(super) hops: Vec<Sighting>,
    pub(super) confidence: Confidence,
    /// Whether it came into being between two places: the first of its hops saw more equal packets than the place
    /// before.
    pub(super) is_copy: bool,
}

/// A place as one packet passes it: a packet that comes by again, in a routing loop, has a lower time to live.
type Place = (Point, HeadersId, u8);

fn place(hop: &Sighting) -> Place {
    (hop.point, hop.headers, hop.ttl)
}

/// The packets that a chain's sightings are of.
pub(super) fn packets(
    mut sightings: Vec<Sighting>,
    headers: &HeadersTable,
    points: &Points,
    clocks: &Clocks,
) -> Vec<Paired> {
    let is_repeated =
        |(index, hop): (usize, &Sighting)| sightings[..index].iter().any(|other| place(other) == place(hop));
    if !sightings.iter().enumerate().any(is_repeated) {
        order::sort(&mut sightings, headers, points);
        return vec![Paired { hops: sightings, confidence: Confidence::Exact, is_copy: false }];
    }
    let mut tracks: Vec<Track> = Vec::new();
    for (number, seen) in by_place(sightings, headers, points).into_iter().enumerate() {
        extend(&mut tracks, seen, number == 0, points, clocks);
    }
    let paired = |track: Track| Paired {
        hops: track.hops,
        confidence: if track.is_unclear { Confidence::Flow } else { Confidence::Ordinal },
        is_copy: track.is_copy,
    };
    tracks.into_iter().map(paired).collect()
}

struct Track {
    hops: Vec<Sighting>,
    is_copy: bool,
    /// Whether the place before the current one saw it.
    is_current: bool,
    /// Whether some of its hops could as well be another packet's.
    is_unclear: bool,
}

impl Track {
    fn last(&self) -> &Sighting {
        &self.hops[self.hops.len() - 1]
    }
}

/// The sightings of each place by their times, places in the order of the way.
fn by_place(sightings: Vec<Sighting>, headers: &HeadersTable, points: &Points) -> Vec<Vec<Sighting>> {
    let mut places: Vec<Vec<Sighting>> = Vec::new();
    for hop in sightings {
        match places.iter_mut().find(|seen| place(&seen[0]) == place(&hop)) {
            Some(seen) => seen.push(hop),
            None => places.push(vec![hop]),
        }
    }
    for seen in &mut places {
        seen.sort_by_key(|hop| hop.time);
    }
    let mut order: Vec<Sighting> = places.iter().map(|seen| seen[0]).collect();
    order::sort(&mut order, headers, points);
    let rank = |seen: &Vec<Sighting>| order.iter().position(|hop| place(hop) == place(&seen[0]));
    places.sort_by_key(rank);
    places
}

/// Adds the sightings of the next place to the packets that passed those before.
fn extend(tracks: &mut Vec<Track>, seen: Vec<Sighting>, is_first: bool, points: &Points, clocks: &Clocks) {
    let on_their_way: Vec<usize> = (0..tracks.len()).filter(|index| tracks[*index].is_current).collect();
    let mut candidates: Vec<usize> =
        if on_their_way.len() >= seen.len() { on_their_way } else { (0..tracks.len()).collect() };
    // A duplicate comes last among the packets, and in between by its time.
    let clock = |index: &usize| points.clock(tracks[*index].last().point.interface);
    if candidates.first().map(clock).is_some_and(|first| candidates.iter().all(|index| clock(index) == first))
    {
        candidates.sort_by_key(|index| tracks[*index].last().time);
    }
    let pairing = Pairing { tracks, candidates, points, clocks };
    let Assignment { assigned, unclear } = pairing.assign(&seen);
    for index in unclear {
        tracks[index].is_unclear = true;
    }
    for track in tracks.iter_mut() {
        track.is_current = false;
    }
    for (hop, to) in seen.into_iter().zip(assigned) {
        match to {
            Some(index) => {
                tracks[index].hops.push(hop);
                tracks[index].is_current = true;
            }
            None => tracks.push(Track {
                hops: vec![hop],
                is_copy: !is_first,
                is_current: true,
                is_unclear: false,
            }),
        }
    }
}

/// What the sightings of a place are taken for.
#[derive(Default)]
struct Assignment {
    /// For each sighting its packet.
    assigned: Vec<Option<usize>>,
    /// Packets of which another one could as well have been seen.
    unclear: Vec<usize>,
}

/// Packets that may have reached a place.
struct Pairing<'a> {
    tracks: &'a [Track],
    candidates: Vec<usize>,
    points: &'a Points,
    clocks: &'a Clocks,
}

impl Pairing<'_> {
    /// For each sighting the packet that it is taken for, order being kept.
    fn assign(&self, seen: &[Sighting]) -> Assignment {
        if self.candidates.len() > seen.len() {
            self.assign_latest(seen)
        } else {
            Assignment { assigned: self.assign_all(seen), unclear: Vec::new() }
        }
    }

    /// Each packet goes on; what is left over came into being in between.
    fn assign_all(&self, seen: &[Sighting]) -> Vec<Option<usize>> {
        let mut assigned = vec![None; seen.len()];
        let mut spare = seen.len() - self.candidates.len();
        let mut next = 0;
        for (number, hop) in seen.iter().enumerate() {
            if next == self.candidates.len() {
                break;
            }
            if spare > 0 && !self.fits(next, hop) {
                spare -= 1;
                continue;
            }
            assigned[number] = Some(self.candidates[next]);
            next += 1;
        }
        assigned
    }

    /// Some packets end here: the latest one that fits goes on.
    fn assign_latest(&self, seen: &[Sighting]) -> Assignment {
        let mut assignment = Assignment { assigned: vec![None; seen.len()], unclear: Vec::new() };
        let mut free = self.candidates.len();
        for (number, hop) in seen.iter().enumerate().rev() {
            // As many are kept back as there are earlier sightings, so that those find a packet as well.
            let latest = (number..free).rev().find(|candidate| self.fits(*candidate, hop));
            let found = latest.unwrap_or(free - 1);
            // They are in the order of their times: the neighbours are the nearest rivals.
            let rivals = [found.checked_sub(1).filter(|rival| *rival >= number), Some(found + 1)];
            for rival in rivals.into_iter().flatten().filter(|rival| *rival < free) {
                if !self.is_nearer(found, rival, hop) {
                    assignment.unclear.extend([self.candidates[found], self.candidates[rival]]);
                }
            }
            assignment.assigned[number] = Some(self.candidates[found]);
            free = found;
        }
        assignment
    }

    /// Nanoseconds from a packet's last hop to this one, and how far off that may be; absent where the two clocks
    /// cannot be compared.
    fn delay(&self, candidate: usize, hop: &Sighting) -> Option<(i64, i64)> {
        let before = self.tracks[self.candidates[candidate]].last();
        let (from, to) = (before.point.interface, hop.point.interface);
        let difference = hop.time.since(before.time);
        if self.points.share_clock(from, to) {
            return Some((difference, 0));
        }
        let offset = self.clocks.recent(self.points.clock(from), self.points.clock(to))?;
        Some((difference.saturating_sub(offset.offset), offset.bound))
    }

    fn fits(&self, candidate: usize, hop: &Sighting) -> bool {
        self.delay(candidate, hop).is_none_or(|(delay, bound)| delay.saturating_add(bound) >= 0)
    }

    /// Whether one packet is so much nearer than another one that the hop is certainly not the other's.
    fn is_nearer(&self, found: usize, other: usize, hop: &Sighting) -> bool {
        let (Some((near, bound)), Some((far, _))) = (self.delay(found, hop), self.delay(other, hop)) else {
            return false;
        };
        let is_impossible = far.saturating_add(bound) < 0;
        is_impossible || far.saturating_sub(bound) > near.saturating_add(bound).saturating_mul(2)
    }
}
