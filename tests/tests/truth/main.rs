//! The engine against ground truth, in little; `ground_truth` is the same in large.

use tests::{
    kflow,
    truth::{
        TruthError,
        condition::{Condition, RunOptions, measure},
        table::Table,
    },
};

/// Wire segments over all conditions, about.
const SEGMENTS: u64 = 20_000;

#[test]
fn packets_are_what_their_payloads_say() -> Result<(), TruthError> {
    let program = kflow::program();
    let mut table = Table::default();
    for condition in Condition::some(SEGMENTS) {
        let score = measure(&condition, RunOptions { program: &program })?;
        table.add(condition, score);
    }
    assert_eq!(table.missed(), Vec::<String>::new(), "\n{table}");
    assert!(table.segments() > SEGMENTS * 3 / 4, "\n{table}");
    Ok(())
}
