//! The results as a table.

use std::fmt;

use super::{Judged, run::FaultError};

/// What is demanded, in hundredths.
#[derive(Clone, Copy, Debug)]
pub struct Requirements {
    /// Of all injections.
    pub over_all: usize,
    /// Of the injections of each fault.
    pub each: usize,
}

impl Default for Requirements {
    fn default() -> Self {
        Self { over_all: 95, each: 80 }
    }
}

/// A fault's results.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The fault.
    pub name: String,
    /// How often it was injected.
    pub injections: usize,
    /// How often the place was right.
    pub places: usize,
    /// How often the cause was right.
    pub causes: usize,
    /// How often both were.
    pub both: usize,
    /// Variants that could not be tried.
    pub failed: Vec<String>,
}

/// The results of all faults.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a result.
    pub fn add(&mut self, name: &str, judged: &Result<Judged, FaultError>) {
        let index = self.rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), ..Row::default() });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        row.injections += 1;
        match judged {
            Ok(judged) => {
                row.places += usize::from(judged.place);
                row.causes += usize::from(judged.cause);
                row.both += usize::from(judged.place && judged.cause);
            }
            Err(error) => row.failed.push(error.to_string()),
        }
    }

    /// Puts rows into the order of these names.
    pub fn sort_by_names(&mut self, names: &[&str]) {
        self.rows.sort_by_key(|row| names.iter().position(|name| *name == row.name));
    }

    /// What of the requirements is missed, a line each.
    pub fn missed(&self, requirements: Requirements) -> Vec<String> {
        let all = self.over_all();
        let short = |row: &Row, share: usize| {
            let is_short = row.both * 100 < share * row.injections;
            is_short
                .then(|| format!("{}: {} of {} right, {share} % wanted", row.name, row.both, row.injections))
        };
        let each = self.rows.iter().filter_map(|row| short(row, requirements.each));
        each.chain(short(&all, requirements.over_all)).collect()
    }

    fn over_all(&self) -> Row {
        let sum = |of: fn(&Row) -> usize| self.rows.iter().map(of).sum();
        Row {
            name: "all".to_owned(),
            injections: sum(|row| row.injections),
            places: sum(|row| row.places),
            causes: sum(|row| row.causes),
            both: sum(|row| row.both),
            failed: Vec::new(),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:18} {:>10} {:>10} {:>11} {:>6}",
            "fault", "injections", "right hop", "right cause", "both"
        )?;
        let all = self.over_all();
        for row in self.rows.iter().chain([&all]) {
            let Row { name, injections, places, causes, both, failed } = row;
            write!(f, "{name:18} {injections:>10} {places:>10} {causes:>11} {both:>6}")?;
            if !failed.is_empty() {
                write!(f, "  {} not tried", failed.len())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
