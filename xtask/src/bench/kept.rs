//! The run that others are compared with, as a file of the repository.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use super::figure::Figure;

const HEAD: &str = "\
| figure | kept | now | now / kept, above 1 is worse | noise | |
| --- | ---: | ---: | ---: | ---: | --- |";

/// A run: where it was made, and what was measured.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) about: Value,
    pub(super) figures: Vec<Figure>,
}

impl Run {
    /// The one in a file; absent where there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let json: Value = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
        let figures = json["figures"].as_object().into_iter().flatten();
        let figures = figures.map(|(name, figure)| Figure::parse(name, figure)).collect::<Option<_>>();
        let figures = figures.with_context(|| format!("{} has a figure without a value", path.display()))?;
        Ok(Some(Self { about: json["about"].clone(), figures }))
    }

    /// Where and when it was made, for a person.
    pub(super) fn described(&self) -> String {
        let word = |key: &str| self.about[key].as_str().unwrap_or_default().to_owned();
        let versions = self.about["versions"].as_object().into_iter().flatten();
        let versions: Vec<_> = versions
            .map(|(name, version)| format!("{name}: {}", version.as_str().unwrap_or_default()))
            .collect();
        let busy =
            if self.about["busy"] == true { "; the machine was busy with something else, too" } else { "" };
        format!(
            "{}; {} cores, {}; Linux {}; {}{busy}",
            word("date"),
            self.about["cores"],
            word("processor"),
            word("kernel"),
            versions.join("; ")
        )
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let figures: Map<_, _> =
            self.figures.iter().map(|figure| (figure.name.clone(), figure.json())).collect();
        let text = format!("{:#}\n", json!({ "about": self.about, "figures": figures }));
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// This run with the figures that it has not from another one: a part was run alone.
    pub(super) fn over(mut self, kept: Option<Self>) -> Self {
        let others = kept.into_iter().flat_map(|kept| kept.figures);
        let missing: Vec<_> =
            others.filter(|other| self.figures.iter().all(|figure| figure.name != other.name)).collect();
        self.figures.extend(missing);
        self.figures.sort_by(|one, other| one.name.cmp(&other.name));
        self
    }
}

/// A table of what both runs have, and how many figures are worse by more than their noise.
pub(super) fn compare(now: &[Figure], kept: &[Figure]) -> (String, usize) {
    let mut lines = vec![HEAD.to_owned()];
    let mut worse = 0;
    for figure in now {
        let Some(then) = kept.iter().find(|then| then.name == figure.name) else { continue };
        let margin = figure.margin(then);
        let (ratio, mark) = match figure.worse_than(then) {
            None => ("?".to_owned(), ""),
            Some(ratio) if ratio > margin => {
                worse += 1;
                (format!("{ratio:.2}"), "worse")
            }
            Some(ratio) if ratio < 1.0 / margin => (format!("{ratio:.2}"), "better"),
            Some(ratio) => (format!("{ratio:.2}"), ""),
        };
        let Figure { name, unit, value, .. } = figure;
        let noise = (margin - 1.0) * 100.0;
        let (then, value) = (short(then.value), short(*value));
        lines.push(format!("| {name} | {then} {unit} | {value} {unit} | {ratio} | {noise:.0} % | {mark} |"));
    }
    (lines.join("\n"), worse)
}

/// Three digits that count.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        large if large >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(name: &str, runs: &[f64]) -> Figure {
        Figure::of(name, "ns", runs).expect("runs")
    }

    #[test]
    fn worse_is_beyond_the_noise_of_either_run() {
        let kept = [figure("a", &[100.0, 100.0]), figure("b", &[100.0, 150.0]), figure("c", &[100.0])];
        let now = [figure("a", &[110.0, 110.0]), figure("b", &[140.0, 140.0]), figure("d", &[1.0])];
        let (table, worse) = compare(&now, &kept);
        assert_eq!(worse, 1, "{table}");
        let lines: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            lines,
            ["| a | 100 ns | 110 ns | 1.10 | 2 % | worse |", "| b | 100 ns | 140 ns | 1.40 | 50 % |  |"]
        );
    }

    #[test]
    fn a_part_alone_leaves_the_figures_of_the_others() {
        let run = |figures: &[Figure]| Run { about: json!({}), figures: figures.to_vec() };
        let whole = run(&[figure("b", &[1.0])]).over(Some(run(&[figure("a", &[2.0]), figure("b", &[3.0])])));
        let values: Vec<_> =
            whole.figures.iter().map(|figure| (figure.name.as_str(), figure.value)).collect();
        assert_eq!(values, [("a", 2.0), ("b", 1.0)]);
    }
}
