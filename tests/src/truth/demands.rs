//! What the engine has to achieve, and what of that a score misses.

use super::{
    clocks::Clocks,
    condition::{Condition, Demand},
    score::Score,
};

/// Least share of links found, in 10,000: TCP over IPv4.
const RECALL: u64 = 9_999;
/// Least share of links stated as exact or ordinal, in 1,000: packets without identification.
const CERTAIN: u64 = 999;
/// Least share of losses stated where they were, in 1,000.
const LOCATED: u64 = 999;
/// Least share of stated times between nodes whose bound holds, in 100.
const BOUNDS: u64 = 99;
/// Links of which one may be wrong.
const LINKS_PER_WRONG: u64 = 1_000_000;

/// A demand, and what to say where it is missed.
type Held = (bool, String);

/// What a score misses of what is demanded, in words.
pub(super) fn missed(condition: &Condition, score: &Score) -> Vec<String> {
    let own = match condition.demand {
        Demand::Identified => identified(score),
        Demand::Unidentified => unidentified(score),
        Demand::Refragmented => refragmented(score),
        Demand::Overflowing => overflowing(score),
    };
    let recorded = match condition.demand {
        Demand::Overflowing => Vec::new(),
        _ => whole(condition, score),
    };
    let demands = always(score).into_iter().chain(recorded).chain(own);
    demands.filter(|(is_held, _)| !is_held).map(|(_, what)| what).collect()
}

/// What is missed over all conditions: of the few times that one of them states, a share in a hundred says nothing.
pub(super) fn missed_by_all(scores: &[Score]) -> Option<String> {
    let stated: u64 = scores.iter().map(|score| score.latencies.stated).sum();
    let held: u64 = scores.iter().map(|score| score.latencies.true_ones).sum();
    let is_held = held * 100 >= stated * BOUNDS;
    (!is_held).then(|| format!("{held} of {stated} times are within their bounds"))
}

fn always(score: &Score) -> Vec<Held> {
    vec![
        (score.false_lost == 0, format!("{} segments called lost that were not", score.false_lost)),
        (score.misordered == 0, format!("{} steps against the way", score.misordered)),
    ]
}

/// Where the recorders are to see everything.
fn whole(condition: &Condition, score: &Score) -> Vec<Held> {
    let stated = score.latencies.stated;
    let is_timed = condition.clocks != Clocks::Equal && condition.is_one_flow();
    vec![
        (score.links > 0, "nothing was sent".to_owned()),
        (score.recorder_lost == 0, format!("the recorders lost {} packets", score.recorder_lost)),
        (!is_timed || stated > 0, "no time between nodes is stated".to_owned()),
    ]
}

fn identified(score: &Score) -> Vec<Held> {
    let Score { found, links, wrong, stated, located, lost, .. } = *score;
    vec![
        (found * 10_000 >= links * RECALL, format!("{found} of {links} links found")),
        (wrong * LINKS_PER_WRONG <= stated, format!("{wrong} of {stated} stated links are wrong")),
        (located * 1000 >= lost * LOCATED, format!("{located} of {lost} losses located")),
    ]
}

fn unidentified(score: &Score) -> Vec<Held> {
    let Score { certain, links, wrong_exact, located, lost, miscounted, .. } = *score;
    vec![
        (certain * 1000 >= links * CERTAIN, format!("{certain} of {links} links found as exact or ordinal")),
        (wrong_exact == 0, format!("{wrong_exact} links called exact are wrong")),
        (located == lost, format!("{located} of {lost} losses counted where they were")),
        (miscounted == 0, format!("counts are off by {miscounted}")),
    ]
}

fn refragmented(score: &Score) -> Vec<Held> {
    vec![(score.wrong == 0, format!("{} links are between different datagrams", score.wrong))]
}

fn overflowing(score: &Score) -> Vec<Held> {
    let (unseen, stated) = (score.unseen, score.unknown + score.uncertain);
    vec![
        (score.recorder_lost > 0, "the recorders lost nothing".to_owned()),
        (unseen > 0, "the end of every packet was seen".to_owned()),
        (
            stated >= unseen,
            format!("{stated} segments stated as unknown, and the end of {unseen} was not seen"),
        ),
    ]
}
