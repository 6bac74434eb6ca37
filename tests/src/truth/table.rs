//! The results as a table.

use std::fmt;

use super::{
    condition::{Condition, Demand},
    demands,
    latency::Statements,
    score::Score,
};

/// The results of all conditions.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(Condition, Score)>,
}

impl Table {
    /// Adds a result.
    pub fn add(&mut self, condition: Condition, score: Score) {
        self.rows.push((condition, score));
    }

    /// What the engine missed of what is demanded, a line each.
    pub fn missed(&self) -> Vec<String> {
        let missed = |(condition, score): &(Condition, Score)| {
            let label = condition.label();
            demands::missed(condition, score).into_iter().map(move |what| format!("{label}: {what}"))
        };
        let scores: Vec<Score> = self.rows.iter().map(|(_, score)| *score).collect();
        let over_all = demands::missed_by_all(&scores).map(|what| format!("all conditions: {what}"));
        self.rows.iter().flat_map(missed).chain(over_all).collect()
    }

    /// Wire segments over all conditions.
    pub fn segments(&self) -> u64 {
        self.rows.iter().map(|(_, score)| score.segments).sum()
    }
}

/// The header of the table.
pub fn header() -> String {
    format!("{:66} {:5}{}", "condition", "proto", COLUMNS.map(|(name, _)| format!("{name:>13}")).concat())
}

type Column = (&'static str, fn(&Condition, &Score) -> String);

const COLUMNS: [Column; 13] = [
    ("segments", |_, score| score.segments.to_string()),
    ("observations", |_, score| score.observations.to_string()),
    ("recall", |condition, score| match condition.demand {
        Demand::Refragmented => "-".to_owned(),
        _ => percent(score.found, score.links),
    }),
    ("false links", |_, score| score.wrong.to_string()),
    ("wrong exact", |_, score| score.wrong_exact.to_string()),
    ("lost", |_, score| score.lost.to_string()),
    ("located", |_, score| percent(score.located, score.lost)),
    ("false lost", |_, score| score.false_lost.to_string()),
    ("times", |_, score| {
        let Statements { stated, true_ones } = score.latencies;
        if stated == 0 { "-".to_owned() } else { format!("{true_ones}/{stated}") }
    }),
    ("ordinal", |_, score| score.ordinal.to_string()),
    ("unknown", |_, score| (score.unknown + score.uncertain).to_string()),
    ("unseen", |_, score| score.unseen.to_string()),
    ("not judged", |_, score| (score.unproved + score.untold).to_string()),
];

/// A row of the table.
pub fn row(condition: &Condition, score: &Score) -> String {
    let cells = COLUMNS.map(|(_, cell)| format!("{:>13}", cell(condition, score)));
    format!("{:66} {:5}{}", condition.label(), condition.protocol(), cells.concat())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows.iter().map(|(condition, score)| row(condition, score));
        writeln!(f, "{}", header())?;
        rows.into_iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    // Cut, not rounded: 100 % is all.
    let share = part.saturating_mul(1_000_000) / whole;
    format!("{}.{:04} %", share / 10_000, share % 10_000)
}
