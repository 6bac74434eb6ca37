//! What the engine said against what was so.

mod judge;
mod losses;

use std::collections::BTreeMap;

use judge::Judge;

use super::{
    content::Piece,
    instances::{self, Steps},
    latency::{self, Statements},
    replay::Replay,
    seen::Place,
    way::Lane,
};

/// Counts of what was so, of what the engine said, and of where both differ.
///
/// A link is the statement that two sights, at two places of which the second is the next on the way, are one packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// Wire segments that tell which packet they are, as often as they were sent.
    pub segments: u64,
    /// Packets seen, each at every place where it was.
    pub observations: u64,
    /// Links that there are.
    pub links: u64,
    /// Those of them that the engine stated.
    pub found: u64,
    /// Those of them that it stated as exact or ordinal.
    pub certain: u64,
    /// Links that the engine stated between segments of which at least one tells what it is.
    pub stated: u64,
    /// Those of them that are between different packets.
    pub wrong: u64,
    /// Those of them in a journey that the engine calls exact.
    pub wrong_exact: u64,
    /// Steps of journeys against the order of the way.
    pub misordered: u64,
    /// Sights whose transmission cannot be proved; links between transmissions of the same bytes are not judged there.
    pub unproved: u64,
    /// Sights of payload too short to tell.
    pub untold: u64,
    /// Wire segments that were lost, by place.
    pub lost: u64,
    /// Those of them that the report states as lost there.
    pub located: u64,
    /// Segments that the report states as lost and that were not.
    pub false_lost: u64,
    /// Segments that the report states as perhaps lost.
    pub uncertain: u64,
    /// Segments of which the report states that it does not know.
    pub unknown: u64,
    /// How far the report's counts of packets and of deliveries are off, added up.
    pub miscounted: u64,
    /// Segments that were seen on their way and not at its end, because recorders lost packets.
    pub unseen: u64,
    /// Packets that the recorders lost.
    pub recorder_lost: u64,
    /// Medians and maxima of times between nodes; none where the report's flows cannot be told apart.
    pub latencies: Statements,
    /// Journeys that are called ordinal.
    pub ordinal: u64,
}

/// What the lab says about a run.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The way of each direction.
    pub paths: Vec<(Lane, Vec<Place>)>,
    /// What was recorded as dropped.
    pub dropped: Vec<Piece>,
    /// Whether all is one flow of the report.
    pub is_one_flow: bool,
    /// Whether packets are cut anew on their way, so that only their numbers stay.
    pub is_recut: bool,
    /// Whether the recorders lose packets: what they did not see was there all the same.
    pub is_overflowing: bool,
}

/// Compares a replay with what was so.
pub fn score(replay: &Replay, expected: &Expected) -> Score {
    let Replay { seen, journeys, report } = replay;
    let steps = Steps::of(seen, &expected.paths);
    let pieces = instances::by_piece(seen);
    let instances = instances::instances(seen, &steps, &pieces, &expected.dropped);
    let judge = Judge { seen, steps: &steps, instances: &instances, is_recut: expected.is_recut };
    let mut score = Score { observations: seen.observations() as u64, ..Score::default() };
    judge.sights(&mut score);
    let truth = judge.links(&pieces);
    score.links = truth.values().map(|count| u64::from(*count)).sum();
    judge.journeys(journeys, truth, &mut score);
    let passed = judge.passed(&pieces);
    if expected.is_overflowing {
        score.unseen = judge.unseen(&pieces);
    }
    let was_lost = !expected.is_overflowing && !expected.is_recut;
    losses::compare(report, &expected.paths, &if was_lost { passed } else { BTreeMap::new() }, &mut score);
    if expected.is_one_flow {
        score.latencies = latency::check(seen, &steps, &expected.paths, &pieces, report);
    }
    score.recorder_lost = report.loss.recorder_lost();
    score
}
