//! What the tracer told against what happened.

mod latencies;
mod links;
mod losses;

use std::collections::HashMap;

use tracer_core::report::Report;

use crate::emission::LaneId;
use crate::feed::Told;
use crate::recorder::Recording;
use crate::truth::Truth;
use crate::world::History;

/// Wrong claims that are described.
const NOTES: usize = 12;

/// Counts of what was right and wrong.
///
/// A link is a pair of successive sightings of one wire segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    pub(crate) counts: Counts,
    /// The first wrong claims, to be read by whoever looks for the cause.
    pub(crate) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts {
    pub(crate) segments: u64,
    pub(crate) observations: u64,
    /// Links there are.
    pub(crate) links: u64,
    /// Of these, such that were told.
    pub(crate) found: u64,
    /// Of these, such that were told as exact or ordinal.
    pub(crate) sure: u64,
    /// Links that were told, and are none.
    pub(crate) wrong: u64,
    /// Of these, such that were told as exact.
    pub(crate) wrong_exact: u64,
    /// Of these, such that join two wire segments.
    pub(crate) mixed_exact: u64,
    /// Wire segments of which nothing arrived at the next point.
    pub(crate) lost: u64,
    /// Of these, such that are told as lost there.
    pub(crate) located: u64,
    /// Wire segments that are told as lost where they were not.
    pub(crate) false_lost: u64,
    /// Journeys and main paths whose hops are told in a wrong order.
    pub(crate) disordered: u64,
    /// Latencies by two clocks.
    pub(crate) bounds: u64,
    /// Of these, such that the bound holds of.
    pub(crate) held: u64,
    /// Latencies by one clock.
    pub(crate) medians: u64,
    /// Of these, such that are true.
    pub(crate) true_medians: u64,
    /// Wire segments told too many or too few, over all directions of flows.
    pub(crate) miscounted: u64,
    /// Wire segments whose end is told as unknown or uncertain.
    pub(crate) unknown: u64,
    /// Wire segments that were seen, but not at the last point that they reached.
    pub(crate) unseen: u64,
    /// Observations that recorders lost.
    pub(crate) unrecorded: u64,
    /// Those that the report tells of.
    pub(crate) unrecorded_told: u64,
    /// Wire segments gathered too long for the budget.
    pub(crate) evicted: u64,
}

impl Score {
    pub(crate) fn of(history: &History, recording: &Recording, told: &Told) -> Self {
        let truth = Truth::new(history, recording, &told.numbered);
        let mut score = Self::default();
        score.counts.segments = history.emissions.len() as u64;
        score.counts.observations =
            recording.is_written.iter().filter(|is_written| **is_written).count() as u64;
        score.counts.unrecorded = recording.lost;
        score.counts.unrecorded_told = told.report.loss.recorder_lost();
        score.counts.evicted = told.report.loss.evicted;
        score.links(&truth, &told.journeys);
        score.losses(&truth, &told.report);
        score.latencies(&truth, &told.report);
        score.count(&truth, &told.report);
        score
    }

    /// Adds another run's.
    pub(crate) fn add(&mut self, other: Self) {
        let (mine, theirs) = (&mut self.counts, &other.counts);
        for (sum, more) in [
            (&mut mine.segments, theirs.segments),
            (&mut mine.observations, theirs.observations),
            (&mut mine.links, theirs.links),
            (&mut mine.found, theirs.found),
            (&mut mine.sure, theirs.sure),
            (&mut mine.wrong, theirs.wrong),
            (&mut mine.wrong_exact, theirs.wrong_exact),
            (&mut mine.mixed_exact, theirs.mixed_exact),
            (&mut mine.lost, theirs.lost),
            (&mut mine.located, theirs.located),
            (&mut mine.false_lost, theirs.false_lost),
            (&mut mine.disordered, theirs.disordered),
            (&mut mine.bounds, theirs.bounds),
            (&mut mine.held, theirs.held),
            (&mut mine.medians, theirs.medians),
            (&mut mine.true_medians, theirs.true_medians),
            (&mut mine.miscounted, theirs.miscounted),
            (&mut mine.unknown, theirs.unknown),
            (&mut mine.unseen, theirs.unseen),
            (&mut mine.unrecorded, theirs.unrecorded),
            (&mut mine.unrecorded_told, theirs.unrecorded_told),
            (&mut mine.evicted, theirs.evicted),
        ] {
            *sum += more;
        }
        for note in other.notes {
            self.note(|| note);
        }
    }

    fn note(&mut self, note: impl FnOnce() -> String) {
        if self.notes.len() < NOTES {
            self.notes.push(note());
        }
    }

    /// How many wire segments there were, by direction.
    fn count(&mut self, truth: &Truth<'_>, report: &Report) {
        let mut told: HashMap<LaneId, u64> = HashMap::new();
        for flow in &report.flows {
            for lane in [&flow.forward, &flow.reply] {
                let Some(first) = lane.hops.first() else { continue };
                match truth.station(first, flow.protocol) {
                    Some((id, _)) => *told.entry(id).or_default() += lane.packets,
                    None => self.counts.miscounted += lane.packets,
                }
            }
        }
        for (lane, count) in truth.counts.iter().filter(|(lane, _)| !truth.is_mixed(**lane)) {
            let told = told.get(lane).copied().unwrap_or_default();
            if told != *count {
                self.counts.miscounted += told.abs_diff(*count);
                let tuple = truth.history.network.ways[lane.0][0].tuple;
                self.note(|| format!("{tuple}: {told} segments were told, {count} there were"));
            }
        }
    }
}
