//! What setup ends with: a line per part.

use std::fmt::{self, Display};

use anyhow::{Result, ensure};

/// A part that is there.
pub(crate) struct Provided<T> {
    pub(crate) part: T,
    /// Whether this run has put it there.
    pub(crate) installed: bool,
}

impl<T> Provided<T> {
    pub(crate) fn found(part: T) -> Self {
        Self { part, installed: false }
    }

    pub(crate) fn installed(part: T) -> Self {
        Self { part, installed: true }
    }
}

/// The lines, in the order in which the parts were asked for.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

struct Line {
    state: &'static str,
    part: String,
    detail: String,
}

impl Report {
    /// Takes the part, or notes the remedy that its error names.
    pub(crate) fn part<T: Display>(&mut self, name: &str, result: Result<Provided<T>>) -> Option<T> {
        let (state, detail, part) = match result {
            Ok(Provided { part, installed }) => {
                (if installed { "installed" } else { "found" }, part.to_string(), Some(part))
            }
            Err(error) => ("missing", format!("{error:#}"), None),
        };
        self.lines.push(Line { state, part: name.to_owned(), detail });
        part
    }

    /// Prints the lines; fails when a part is missing.
    pub(crate) fn finish(&self) -> Result<()> {
        let missing = self.lines.iter().filter(|line| line.state == "missing").count();
        for line in &self.lines {
            eprintln!("{line}");
        }
        ensure!(missing == 0, "setup: {missing} of {} parts missing", self.lines.len());
        Ok(())
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, part, detail } = self;
        write!(f, "{state:<9}  {part:<16}  {detail}")
    }
}
