//! What came of the stories.

use std::fmt::{self, Display};
use std::time::Duration;

use super::stories::Seen;

/// A story that was played.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) result: anyhow::Result<Seen>,
    pub(super) took: Duration,
}

/// All of them.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

impl Table {
    pub(super) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(super) fn failures(&self) -> usize {
        self.0.iter().filter(|row| row.result.is_err()).count()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, what) = match &self.result {
            Ok(Seen::What(what)) => ("pass", what.clone()),
            Ok(Seen::Skipped(why)) => ("skipped", why.clone()),
            Err(error) => ("FAIL", format!("{error:#}").replace('\n', "\n    ")),
        };
        write!(f, "{:46} {word:8} {:5.1} s  {what}", self.name, self.took.as_secs_f64())
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))
    }
}
