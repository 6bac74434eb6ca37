//! Everything that can be checked on this machine.

use anyhow::Result;

use crate::setup::setup;
use crate::step::{run, step};
use crate::workspace::{Workspace, require_root};

/// Which tests run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of the host crates, except what takes minutes.
    All,
    /// Those of them whose name contains this.
    Named(String),
    /// What happens to kflow when something breaks, in full.
    Faults,
}

/// The targets of the fault suite.
const FAULTS: [&str; 4] = ["--package", "tests", "--test", "faults_*"];

impl Scope {
    /// As typed.
    pub(crate) fn named(word: &str) -> Self {
        match word {
            "faults" => Self::Faults,
            filter => Self::Named(filter.to_owned()),
        }
    }

    /// What `cargo test` takes for the targets, and for the names in them.
    fn words(&self) -> (&[&str], Vec<&str>) {
        match self {
            Self::All => (&[], Vec::new()),
            Self::Named(filter) => (&[], vec![filter]),
            Self::Faults => (&FAULTS, vec!["--", "--include-ignored"]),
        }
    }
}

/// Runs the tests in `scope`.
///
/// Root is required at the start, so that no test has a reason to pass for the lack of it. What needs no root
/// runs by `cargo test` as well.
pub(crate) fn test(workspace: &Workspace, scope: &Scope) -> Result<()> {
    require_root("the tests make network namespaces and load eBPF programs")?;
    let (targets, names) = scope.words();
    step("setup", || setup(workspace))?;
    step("build", || {
        run(&mut workspace.cargo("build"))?;
        run(workspace.cargo("test --no-run --quiet").args(targets))
    })?;
    step("test", || run(workspace.cargo("test").args(targets).args(names)))
}
