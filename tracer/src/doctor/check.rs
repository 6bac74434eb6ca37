//! One thing that was looked at.

use std::borrow::Cow;

/// How it is with one thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// As it should be.
    Ok,
    /// kflow works without it, but not as well.
    Degraded,
    /// What needs it does not work.
    Missing,
    /// It could not be found out, because something else is missing.
    Unknown,
}

impl State {
    /// Its name in both outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at, and what it means.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Its name, the same for ever: programs read it.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What follows from that for the user.
    pub meaning: Cow<'static, str>,
    /// How to get what is lacking; absent where nothing is, or nothing helps.
    pub remedy: Option<String>,
}

impl Check {
    /// A check without a remedy.
    pub(super) fn new(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        meaning: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { name, state, found: found.into(), meaning: meaning.into(), remedy: None }
    }

    /// The same with a remedy.
    pub(super) fn with(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
