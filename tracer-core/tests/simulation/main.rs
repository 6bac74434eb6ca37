//! The tracer against ground truth: a described network is simulated, its observations are traced, and what is told
//! is compared with what happened.
//!
//! `cargo test` runs small simulations; the full run, a million wire segments for the hardest condition, is that of
//! `cargo xtask accuracy`.
#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod bytes;
mod clock;
mod conditions;
mod defrag;
mod emission;
mod feed;
mod network;
mod offload;
mod plan;
mod properties;
mod random;
mod recorder;
mod sanity;
mod score;
mod table;
mod traffic;
mod truth;
mod world;

use conditions::{Condition, Scale};
use properties::{FEW, MANY};

#[test]
fn frames_are_what_they_mean() {
    sanity::frames_are_what_they_mean();
}

#[test]
fn the_hard_cases_occur() {
    sanity::the_hard_cases_occur();
}

#[test]
fn losses_are_located() {
    check(conditions::located(Scale::Small));
}

#[test]
fn packets_without_identification_are_counted() {
    check(conditions::without_identification(Scale::Small));
}

#[test]
fn recorder_losses_are_no_losses() {
    check(conditions::overflow(Scale::Small));
}

#[test]
fn wrong_clocks_tell_no_wrong_path() {
    check(conditions::clocks(Scale::Small));
}

#[test]
fn flows_may_have_begun_before() {
    check(conditions::begun_before(Scale::Small));
}

#[test]
fn nothing_told_is_wrong() {
    properties::nothing_told_is_wrong(FEW);
}

#[test]
fn feeding_changes_no_verdict() {
    properties::feeding_changes_no_verdict(FEW);
}

#[test]
fn little_memory_tells_nothing_wrong() {
    properties::little_memory_tells_nothing_wrong(FEW);
}

#[test]
#[ignore = "`cargo xtask accuracy` runs it with optimization: some millions of wire segments"]
fn accuracy() {
    check(conditions::all(Scale::Full));
}

#[test]
#[ignore = "a search for counterexamples, to be run by hand and with optimization: some thousand cases"]
fn all_properties() {
    properties::nothing_told_is_wrong(MANY);
    properties::feeding_changes_no_verdict(MANY);
    properties::little_memory_tells_nothing_wrong(MANY);
}

/// Runs conditions, prints their table and fails if one lacks something.
fn check(conditions: Vec<Condition>) {
    let mut lacks = Vec::new();
    let mut rows = Vec::new();
    for condition in conditions {
        let score = condition.score();
        let failures = condition.requirement.failures(&score.counts);
        if !failures.is_empty() {
            lacks.push(format!("{}, {}: {}", condition.name, condition.protocol, failures.join(", ")));
            lacks.extend(score.notes.iter().map(|note| format!("    {note}")));
        }
        rows.push((condition, score.counts));
    }
    #[expect(clippy::disallowed_macros, reason = "the table is what the run is for")]
    {
        println!("{}", table::render(&rows));
    }
    assert!(lacks.is_empty(), "\n{}", lacks.join("\n"));
}
