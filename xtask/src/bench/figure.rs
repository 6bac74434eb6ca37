//! What was measured, as numbers that another run can be compared with.

use serde_json::{Value, json};

use super::measure::median;

/// What is taken for the noise of a figure of one run, as a part of it.
const OF_ONE_RUN: f64 = 0.2;
/// No figure is more exact.
const LEAST_NOISE: f64 = 0.02;

/// One of them; what is written and kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// The same in every run.
    pub(super) name: String,
    /// `ratio` where it is one to a rival.
    pub(super) unit: String,
    /// The median of its runs.
    pub(super) value: f64,
    /// How far from it a run was at most, as a part of it.
    pub(super) noise: f64,
    /// Of what kind a better figure is.
    pub(super) better: Better,
}

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Less,
    More,
}

impl Figure {
    /// Of several runs; absent where there was none.
    pub(super) fn of(name: impl Into<String>, unit: &str, runs: &[f64]) -> Option<Self> {
        let value = median(runs.to_vec())?;
        let most = runs.iter().map(|run| (run - value).abs()).fold(0.0, f64::max);
        let noise = match runs.len() {
            1 => OF_ONE_RUN,
            _ if value == 0.0 => LEAST_NOISE,
            _ => (most / value.abs()).max(LEAST_NOISE),
        };
        Some(Self { name: name.into(), unit: unit.to_owned(), value, noise, better: Better::Less })
    }

    /// The same, the more the better.
    pub(super) fn more(self) -> Self {
        Self { better: Better::More, ..self }
    }

    /// How many times as good or bad as another run's it is: above 1 is worse. Absent where that cannot be said.
    pub(super) fn worse_than(&self, kept: &Self) -> Option<f64> {
        let (now, then) = match self.better {
            Better::Less => (self.value, kept.value),
            Better::More => (kept.value, self.value),
        };
        match (now, then) {
            (0.0, 0.0) => Some(1.0),
            (_, 0.0) => Some(f64::INFINITY),
            _ => Some(now / then).filter(|ratio| ratio.is_finite() && *ratio >= 0.0),
        }
    }

    /// What may differ without being a change.
    pub(super) fn margin(&self, kept: &Self) -> f64 {
        1.0 + self.noise.max(kept.noise)
    }

    pub(super) fn json(&self) -> Value {
        let Self { unit, value, noise, better, .. } = self;
        let round = |number: f64| format!("{number:.4e}").parse::<f64>().unwrap_or(number);
        let mut json = json!({ "value": round(*value), "unit": unit, "noise": round(*noise) });
        if *better == Better::More {
            json["better"] = "more".into();
        }
        json
    }

    /// Absent where something is missing.
    pub(super) fn parse(name: &str, json: &Value) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            unit: json["unit"].as_str()?.to_owned(),
            value: json["value"].as_f64()?,
            noise: json["noise"].as_f64()?,
            better: if json["better"] == "more" { Better::More } else { Better::Less },
        })
    }
}

/// What a part of the bench ends with.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Markdown, by its title.
    pub(super) tables: Vec<(String, String)>,
    pub(super) figures: Vec<Figure>,
    /// Requirements that are missed.
    pub(super) missed: Vec<String>,
}

impl Outcome {
    /// Adds a table.
    pub(super) fn table(&mut self, title: &str, head: &str, lines: &[String]) {
        self.tables.push((title.to_owned(), format!("{head}\n{}", lines.join("\n"))));
    }

    /// Adds what another part ended with.
    pub(super) fn extend(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.figures.extend(other.figures);
        self.missed.extend(other.missed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(runs: &[f64]) -> Figure {
        Figure::of("start", "s", runs).expect("runs")
    }

    #[test]
    fn noise_is_that_of_the_runs() {
        let noise = [&[1.0, 2.0, 5.0][..], &[2.0], &[2.0, 2.0]].map(|runs| figure(runs).noise);
        assert_eq!(noise.map(|noise| noise.to_string()), ["1.5", "0.2", "0.02"]);
        assert_eq!(Figure::of("start", "s", &[]), None);
    }

    #[test]
    fn above_one_is_worse_whatever_is_better() {
        let (one, two) = (figure(&[1.0]), figure(&[2.0]));
        assert_eq!(two.worse_than(&one), Some(2.0));
        assert_eq!(two.clone().more().worse_than(&one), Some(0.5));
        assert_eq!(figure(&[0.0]).worse_than(&figure(&[0.0])), Some(1.0));
        assert_eq!(one.worse_than(&figure(&[0.0])), Some(f64::INFINITY));
        assert_eq!(figure(&[-1.0]).worse_than(&one), None);
    }

    #[test]
    fn what_is_kept_is_read_again() {
        for figure in [figure(&[1.0, 1.25, 1.5]), figure(&[3.0]).more()] {
            assert_eq!(Figure::parse("start", &figure.json()), Some(figure));
        }
        assert_eq!(Figure::parse("start", &json!({ "value": 1 })), None);
    }
}
