//! The engine against ground truth: the full run, at least a million wire segments.
//!
//! Called with words, only the conditions whose line in the table has one of them are run.

use std::process::ExitCode;

use tests::{
    kflow,
    truth::{
        TruthError,
        condition::{Condition, RunOptions, measure},
        table::{self, Table},
    },
};

/// Wire segments over all conditions.
const SEGMENTS: u64 = 1_300_000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("\nground_truth: requirements missed:");
            for line in missed {
                eprintln!("  {line}");
            }
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("ground_truth: {failure}");
            let mut cause = std::error::Error::source(&failure);
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[String]) -> Result<Vec<String>, TruthError> {
    let program = kflow::program();
    let is_meant = |condition: &Condition| {
        let line = format!("{} {}", condition.label(), condition.protocol());
        words.is_empty() || words.iter().any(|word| line.contains(word.as_str()))
    };
    let mut results = Table::default();
    println!("{}", table::header());
    for condition in Condition::all(SEGMENTS).into_iter().filter(is_meant) {
        let score = measure(&condition, RunOptions { program: &program })?;
        println!("{}", table::row(&condition, &score));
        results.add(condition, score);
    }
    println!("{} wire segments", results.segments());
    Ok(results.missed())
}
