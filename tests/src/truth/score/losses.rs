//! Losses and counts of the report against what was seen.

use std::collections::BTreeMap;

use tracer_core::report::{LaneReport, Report};

use super::Score;
use crate::truth::{seen::Place, way::Lane};

/// What passed a step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// Wire segments seen there.
    pub(super) seen: u64,
    /// Of those, what was not seen at the next step.
    pub(super) stopped: u64,
}

/// Adds to a score what the report says of losses, and how far its counts are off.
pub(super) fn compare(
    report: &Report,
    paths: &[(Lane, Vec<Place>)],
    passed: &BTreeMap<(Lane, u8), Passed>,
    score: &mut Score,
) {
    let lanes = || report.flows.iter().flat_map(|flow| [&flow.forward, &flow.reply]);
    let mut told = stops(lanes(), score);
    for (lane, places) in paths {
        for (step, places) in (0..).zip(places.windows(2)) {
            let lost = passed.get(&(*lane, step)).map_or(0, |passed| passed.stopped);
            let interval = (places[0].clone(), Some(places[1].clone()));
            let stated = told.get(&interval).copied().unwrap_or_default();
            score.lost += lost;
            score.located += lost.min(stated);
            if let Some(stated) = told.get_mut(&interval) {
                *stated = stated.saturating_sub(lost);
            }
            // Without a next hop the statement is less, and no less true.
            let left = lost.saturating_sub(stated);
            if let Some(stated) = told.get_mut(&(places[0].clone(), None)) {
                *stated = stated.saturating_sub(left);
            }
        }
    }
    score.false_lost = told.values().sum();
    counts(lanes(), paths, passed, score);
}

/// Certain losses by their interval; the others are counted.
fn stops<'a>(
    lanes: impl Iterator<Item = &'a LaneReport>,
    score: &mut Score,
) -> BTreeMap<(Place, Option<Place>), u64> {
    let mut told: BTreeMap<(Place, Option<Place>), u64> = BTreeMap::new();
    for lane in lanes {
        score.unknown += lane.unknown;
        for stop in &lane.stopped {
            if stop.uncertain.is_some() {
                score.uncertain += stop.packets;
            } else {
                *told.entry((Place::of(&stop.after), stop.before.as_ref().map(Place::of))).or_default() +=
                    stop.packets;
            }
        }
    }
    told
}

/// Packets and deliveries of all flows: what was sent, and what came to the last place.
fn counts<'a>(
    lanes: impl Iterator<Item = &'a LaneReport>,
    paths: &[(Lane, Vec<Place>)],
    passed: &BTreeMap<(Lane, u8), Passed>,
    score: &mut Score,
) {
    let (mut packets, mut delivered) = (0, 0);
    for lane in lanes {
        packets += lane.packets;
        delivered += lane.delivered;
    }
    let seen = |lane: &Lane, step: usize| {
        let step = u8::try_from(step).unwrap_or(u8::MAX);
        passed.get(&(*lane, step)).map_or(0, |passed| passed.seen)
    };
    let sent: u64 = paths.iter().map(|(lane, _)| seen(lane, 0)).sum();
    let arrived: u64 = paths.iter().map(|(lane, places)| seen(lane, places.len() - 1)).sum();
    score.miscounted = sent.abs_diff(packets) + arrived.abs_diff(delivered);
}
