//! How a run ended, as the shell sees it.

use std::process::ExitCode;

/// Exit codes of `kflow`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Everything asked for was done.
    Complete,
    /// It failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// It finished, but something is missing: lost records, a node, any packet at all.
    Incomplete,
    /// This environment cannot do it: a capability, a kernel feature, access to the cluster.
    Environment,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::Environment => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error with its causes, `first: cause: cause`, on one line unless one of them has several.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some libraries print their cause themselves.
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

/// An error with the exit code it stands for.
pub trait ExitStatus: std::error::Error {
    /// The exit code.
    fn exit(&self) -> Exit;
}
