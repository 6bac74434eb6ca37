//! The table of conditions, and what is required.

use std::fmt::Write as _;

use crate::conditions::Condition;
use crate::score::Counts;

/// What a condition requires, each in parts of a million unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requirement {
    /// Links that are found, at least.
    recall: u64,
    /// Links that are found as exact or ordinal, at least.
    sure: u64,
    /// Links that are told and are none, at most.
    wrong: u64,
    /// Losses that are told, at the right place, at least.
    located: u64,
    /// Latencies that are within their bound, at least.
    held: u64,
    /// Whether the number of wire segments has to be right.
    counted: bool,
    /// Whether recorders lose something, and the tracer has to say so of every wire segment whose end was not seen.
    overflows: bool,
}

const WHOLE: u64 = 1_000_000;

impl Requirement {
    /// No exact link, loss or order may be wrong under any condition.
    const NONE: Self = Self {
        recall: 0,
        sure: 0,
        wrong: WHOLE,
        located: 0,
        held: 990_000,
        counted: false,
        overflows: false,
    };
    pub(crate) const LOCATED: Self = Self { recall: 999_900, wrong: 1, located: 999_000, ..Self::NONE };
    /// Of fragments: those that wait at a router for one that is lost vanish there without being lost.
    pub(crate) const WAITING: Self = Self { located: 0, ..Self::LOCATED };
    pub(crate) const COUNTED: Self = Self { sure: 999_000, located: WHOLE, counted: true, ..Self::NONE };
    pub(crate) const UNKNOWN: Self = Self { overflows: true, ..Self::NONE };
    pub(crate) const CLOCKS: Self = Self { recall: 999_000, ..Self::NONE };

    /// What a score lacks.
    pub(crate) fn failures(&self, score: &Counts) -> Vec<String> {
        let mut failures = Vec::new();
        let mut at_least = |what: &str, part: u64, whole: u64, required: u64| {
            if u128::from(part) * u128::from(WHOLE) < u128::from(whole) * u128::from(required) {
                failures.push(format!("{what}: {part} of {whole}"));
            }
        };
        at_least("recall", score.found, score.links, self.recall);
        at_least("exact or ordinal", score.sure, score.links, self.sure);
        at_least("loss located", score.located, score.lost, self.located);
        at_least("bound holds", score.held, score.bounds, self.held);
        at_least("medians by one clock", score.true_medians, score.medians, self.held);
        let told = score.found + score.wrong;
        if u128::from(score.wrong) * u128::from(WHOLE) > u128::from(told) * u128::from(self.wrong) {
            failures.push(format!("false links: {} of {told}", score.wrong));
        }
        let none = [
            ("wrong exact", score.wrong_exact),
            ("false lost", score.false_lost),
            ("order wrong", score.disordered),
            ("evicted", score.evicted),
            ("lost records not told", score.unrecorded.abs_diff(score.unrecorded_told)),
            ("miscounted", if self.counted { score.miscounted } else { 0 }),
        ];
        failures.extend(
            none.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what}: {count}")),
        );
        if self.overflows && (score.unseen == 0 || score.unknown < score.unseen) {
            failures.push(format!(
                "{} stated as unknown, the end of {} was not seen",
                score.unknown, score.unseen
            ));
        }
        if score.segments == 0 || score.links == 0 {
            failures.push("nothing was simulated".to_owned());
        }
        failures
    }
}

/// The table as text, one line per condition.
pub(crate) fn render(rows: &[(Condition, Counts)]) -> String {
    const HEAD: [&str; 12] = [
        "condition",
        "protocol",
        "wire segments",
        "observations",
        "recall",
        "exact or ordinal",
        "false links",
        "wrong exact",
        "loss located",
        "false lost",
        "order wrong",
        "bound holds",
    ];
    let mut table: Vec<Vec<String>> = vec![HEAD.iter().map(|&head| head.to_owned()).collect()];
    for (condition, score) in rows {
        table.push(vec![
            condition.name.to_owned(),
            condition.protocol.to_owned(),
            score.segments.to_string(),
            score.observations.to_string(),
            share(score.found, score.links),
            share(score.sure, score.links),
            score.wrong.to_string(),
            score.wrong_exact.to_string(),
            format!("{} ({} of {})", share(score.located, score.lost), score.located, score.lost),
            score.false_lost.to_string(),
            score.disordered.to_string(),
            format!("{} ({} of {})", share(score.held, score.bounds), score.held, score.bounds),
        ]);
    }
    let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in table.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
        if number == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            writeln!(text, "| {} |", rules.join(" | ")).unwrap();
        }
    }
    text
}

/// A share in per cent, rounded down, so that 100 % is all of them; `-` of none.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let units = u128::from(part) * 1_000_000 / u128::from(whole);
    format!("{}.{:04} %", units / 10_000, units % 10_000)
}
