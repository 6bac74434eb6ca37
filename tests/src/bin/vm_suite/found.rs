//! What came of a feature.

use std::{collections::BTreeMap, error::Error};

/// Why a feature could not be tried, or is not as it must be.
pub(crate) type Failure = Box<dyn Error>;

/// How it is with a feature, best first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Grade {
    /// It works.
    Ok,
    /// It works, and kflow says what is missing.
    Degraded,
    /// The kernel has none, and kflow or the kernel's tools say so.
    None,
    /// It does not work.
    Failed,
}

impl Grade {
    /// Its name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::None => "none",
            Self::Failed => "failed",
        }
    }
}

/// What was found of a feature.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) grade: Grade,
    /// In words; empty where there is nothing to add.
    pub(crate) detail: String,
}

impl Found {
    /// It works.
    pub(crate) fn ok(detail: impl Into<String>) -> Self {
        Self { grade: Grade::Ok, detail: detail.into() }
    }

    /// It works, less this.
    pub(crate) fn degraded(detail: impl Into<String>) -> Self {
        Self { grade: Grade::Degraded, detail: detail.into() }
    }

    /// The kernel has none.
    pub(crate) fn none(detail: impl Into<String>) -> Self {
        Self { grade: Grade::None, detail: detail.into() }
    }
}

/// What is known of the features that were tried.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<&'static str, Found>);

impl Known {
    /// Notes one.
    pub(crate) fn add(&mut self, name: &'static str, found: Found) {
        self.0.insert(name, found);
    }

    /// The grade of one; absent where it was not tried.
    pub(crate) fn grade(&self, name: &str) -> Option<Grade> {
        self.0.get(name).map(|found| found.grade)
    }

    /// Whether any failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.values().any(|found| found.grade == Grade::Failed)
    }
}

/// Fails with these words unless the condition holds.
pub(crate) fn ensure(condition: bool, words: impl FnOnce() -> String) -> Result<(), Failure> {
    if condition { Ok(()) } else { Err(words().into()) }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
