//! Which commit is shipped.

use anyhow::{Context as _, Result};

use crate::step::output;
use crate::workspace::Workspace;

/// What the sources say of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// In hexadecimal, with `-dirty` if the tree differs from it; `unknown` outside a checkout.
    pub(crate) hash: String,
    /// When it was made, in UTC and as RFC 3339 writes it; the epoch outside a checkout.
    pub(crate) time: String,
}

impl Commit {
    /// Asks git. What it cannot tell is unknown, and not a failure: archives of the sources have no git.
    pub(crate) fn of(workspace: &Workspace) -> Result<Self> {
        let git = |words: &[&str]| output(workspace.command("git").env("TZ", "UTC0").args(words)).ok();
        let format = ["--format=%H %cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"];
        let shown = git(&["show", "--no-patch", "--no-show-signature", format[0], format[1], "HEAD"]);
        let Some(shown) = shown else {
            eprintln!("not a checkout of git: the commit is `unknown`");
            return Ok(Self::unknown());
        };
        let status = git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"]);
        let is_clean = status.is_some_and(|status| status.trim().is_empty());
        Self::parse(shown.trim(), is_clean).with_context(|| format!("git shows no commit: {shown}"))
    }

    fn parse(shown: &str, is_clean: bool) -> Option<Self> {
        let (hash, time) = shown.split_once(' ')?;
        let mark = if is_clean { "" } else { "-dirty" };
        Some(Self { hash: format!("{hash}{mark}"), time: time.to_owned() })
    }

    fn unknown() -> Self {
        Self { hash: "unknown".to_owned(), time: "1970-01-01T00:00:00Z".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_git_shows() {
        let shown = "6bba0531 2026-11-21T17:43:20Z";
        let commit = Commit::parse(shown, true).expect("a commit");
        assert_eq!(commit.hash, "6bba0531");
        assert_eq!(commit.time, "2026-11-21T17:43:20Z");
        assert_eq!(Commit::parse(shown, false).expect("a commit").hash, "6bba0531-dirty");
        assert_eq!(Commit::parse("", true), None);
    }
}
