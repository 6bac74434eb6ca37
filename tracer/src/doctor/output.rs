//! The report as text and as JSON.

use std::io;

use serde_json::{Value, json};

use super::ability;
use super::{Check, Report, State};
use tracer_core::output::printable;

/// Whether text has colours (ECMA-48, SGR).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// None.
    Plain,
    /// For a terminal.
    Colour,
}

impl Style {
    /// The state in a column of its own.
    fn state(self, state: State) -> String {
        let name = format!("{:<8}", state.name());
        let colour = match state {
            State::Ok => 32,
            State::Degraded | State::Unknown => 33,
            State::Missing => 31,
        };
        match self {
            Self::Plain => name,
            Self::Colour => format!("\x1b[{colour}m{name}\x1b[0m"),
        }
    }

    fn strong(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[1m{text}\x1b[0m"),
        }
    }
}

/// A line for each check; what is not as it should be has its meaning and its remedy below.
pub(super) fn text(out: &mut impl io::Write, report: &Report, style: Style) -> io::Result<()> {
    let width = report.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &report.checks {
        writeln!(out, "{}  {:<width$}  {}", style.state(check.state), check.name, printable(&check.found))?;
        if check.state != State::Ok {
            below(out, width, "", &check.meaning)?;
            if let Some(remedy) = &check.remedy {
                below(out, width, "remedy: ", remedy)?;
            }
        }
    }
    writeln!(out, "\n{}", style.strong(&ability::verdict(&report.abilities)))
}

fn below(out: &mut impl io::Write, width: usize, label: &str, text: &str) -> io::Result<()> {
    const STATE: usize = 8;
    writeln!(out, "{:indent$}{label}{}", "", printable(text), indent = STATE + 2 + width + 2)
}

/// One object and a line feed.
pub(super) fn json(out: &mut impl io::Write, report: &Report) -> io::Result<()> {
    let abilities: Vec<Value> = report
        .abilities
        .iter()
        .map(
            |ability| json!({ "name": ability.name, "works": ability.works(), "blockers": ability.blockers }),
        )
        .collect();
    let object = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernel": report.kernel,
        "checks": report.checks.iter().map(check).collect::<Vec<_>>(),
        "abilities": abilities,
        "verdict": ability::verdict(&report.abilities),
    });
    writeln!(out, "{object}")
}

fn check(check: &Check) -> Value {
    json!({
        "name": check.name,
        "state": check.state.name(),
        "found": check.found,
        "meaning": check.meaning,
        "remedy": check.remedy,
    })
}
