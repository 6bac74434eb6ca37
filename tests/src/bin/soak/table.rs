//! The quarters of a run, in Markdown.

use crate::watched::Sample;

/// The parts that a run is told in.
const PARTS: usize = 4;

/// One row a quarter: the most that was held in it, and what was counted in it.
pub(crate) fn quarters(samples: &[Sample]) -> String {
    let mut text = String::from(
        "| quarter | resident MiB | anonymous MiB | descriptors | maps MiB | programs, links | packets seen | recorded | lost | written MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let intervals = samples.len().saturating_sub(1);
    for part in 0..PARTS {
        let part_of = |number: usize| intervals * number / PARTS;
        let samples = &samples[part_of(part)..=part_of(part + 1)];
        if let [first, .., last] = samples {
            text += &row(part + 1, first, last, samples);
        }
    }
    text
}

fn row(number: usize, first: &Sample, last: &Sample, samples: &[Sample]) -> String {
    let range = |figure: fn(&Sample) -> u64, unit: f64| {
        let figures = || samples.iter().map(figure);
        let [low, high] = [figures().min(), figures().max()].map(|one| one.unwrap_or_default() as f64 / unit);
        let digits = if unit > 1.0 { 2 } else { 0 };
        let [low, high] = [low, high].map(|figure| format!("{figure:.digits$}"));
        if low == high { high } else { format!("{low} to {high}") }
    };
    let counted = last.counters.since(&first.counters);
    format!(
        "| {number} | {} | {} | {} | {} | {}, {} | {} | {} | {} | {} |\n",
        range(|one| one.held.resident, 1024.0),
        range(|one| one.held.anonymous, 1024.0),
        range(|one| one.held.descriptors as u64, 1.0),
        range(|one| one.held.map_bytes, 1_048_576.0),
        range(|one| one.held.programs.len() as u64, 1.0),
        range(|one| one.held.links.len() as u64, 1.0),
        counted.seen,
        counted.written,
        counted.lost(),
        (last.output - first.output) >> 20,
    )
}
