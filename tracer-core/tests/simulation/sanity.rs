//! The simulation against its own description: what is traced has to be what was meant.

use std::collections::HashSet;

use tracer_core::capture::LinkLayer;
use tracer_core::packet::{Decoder, Transport};

use crate::bytes;
use crate::conditions::{self, Scale};
use crate::emission::{Segment, gso};
use crate::plan::{Encapsulation, Family, Plan};
use crate::world::{self, History};

const SNAP: usize = 400;
/// Of so many frames one is looked at.
const STRIDE: usize = 5;

/// Every frame decodes to what its station wears.
pub(crate) fn frames_are_what_they_mean() {
    for plan in plans() {
        let history = world::run(&plan);
        for observation in history.observations.iter().step_by(STRIDE) {
            let station = &history.network.ways[observation.lane.0][observation.station];
            let captured = bytes::capture(&observation.parts, &history.emissions, station, SNAP);
            assert_eq!(captured.data.len(), SNAP.min(captured.original_len as usize));
            let packet = Decoder::default()
                .decode(LinkLayer::Ethernet, &captured.data, captured.original_len)
                .unwrap();
            let first = &history.emissions[observation.parts[0].index()];
            let is_later = matches!(first.segment, Segment::Fragment { offset: 1.., .. });
            assert!(is_later || packet.flow == station.tuple, "{} {station:?}", packet.flow);
            assert_eq!(packet.ip.ttl, station.ttl);
            assert_eq!(packet.ip.identification, first.identification);
            let tunnels = packet.tunnels.iter().map(|worn| (worn.kind, worn.source, worn.destination));
            let expected = station.tunnels.iter().map(|worn| (worn.kind, worn.source, worn.destination));
            assert!(tunnels.eq(expected), "{station:?}");
            if let (Transport::Tcp(facts), Segment::Tcp(tcp)) = (packet.transport, &first.segment) {
                assert_eq!(facts.sequence, tcp.sequence);
                assert_eq!(facts.timestamps, tcp.timestamps);
                assert_eq!(facts.sack, tcp.sack.first().copied());
                let len: u32 =
                    observation.parts.iter().map(|part| history.emissions[part.index()].segment.len()).sum();
                assert_eq!(packet.payload_len, len);
            }
        }
    }
}

/// What makes recognising packets hard does happen.
pub(crate) fn the_hard_cases_occur() {
    let (mut cut, mut joined_otherwise, mut doubled, mut lost, mut alike) = (0, 0, 0, 0, 0);
    for plan in plans() {
        let history = world::run(&plan);
        let super_packets =
            history.observations.iter().filter(|seen| gso(&seen.parts, &history.emissions).is_some());
        let mut cuts: HashSet<Vec<_>> = HashSet::new();
        for seen in super_packets {
            if seen.station <= 1 {
                cuts.insert(seen.parts.clone());
                cut += 1;
            } else if !cuts.contains(&seen.parts) {
                joined_otherwise += 1;
            }
        }
        lost += history.losses.len();
        doubled += doubles(&history);
        alike += identical_retransmissions(&history);
    }
    assert!(cut > 100 && joined_otherwise > 100, "{cut} super-packets, {joined_otherwise} joined otherwise");
    assert!(lost > 100 && doubled > 10, "{lost} lost, {doubled} doubled");
    assert!(alike > 10, "{alike} retransmissions that are identical");
}

fn doubles(history: &History) -> usize {
    let mut seen = HashSet::new();
    let each = history.observations.iter().flat_map(|at| at.parts.iter().map(|part| (*part, at.station)));
    each.filter(|sighting| !seen.insert(*sighting)).count()
}

/// Data of TCP over IPv6 that was sent before, with the same acknowledgement within the same tick.
fn identical_retransmissions(history: &History) -> usize {
    let mut seen = HashSet::new();
    let data = history.emissions.iter().filter_map(|emission| match &emission.segment {
        Segment::Tcp(tcp) if emission.identification.is_none() && tcp.len > 0 => {
            Some((emission.lane, tcp.sequence, tcp.acknowledgement, tcp.timestamps))
        }
        _ => None,
    });
    data.filter(|sent| !seen.insert(*sent)).count()
}

/// Those of the small conditions, and one behind tunnels over IPv6.
fn plans() -> Vec<Plan> {
    let mut plans: Vec<Plan> =
        conditions::all(Scale::Small).into_iter().flat_map(|condition| condition.runs).collect();
    let mut nested = plans[0].clone();
    nested.underlay = Family::V6;
    nested.tunnels = vec![Encapsulation::Ipip, Encapsulation::Geneve];
    plans.push(nested);
    plans
}
