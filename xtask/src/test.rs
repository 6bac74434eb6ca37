//! Everything that can be checked on this machine.

use anyhow::Result;

use crate::setup::setup;
use crate::step::{run, step};
use crate::workspace::{Workspace, require_root};

/// Runs the tests of all host crates, or those whose name contains `filter`.
///
/// Root is required at the start, so that no test has a reason to pass for the lack of it. What needs no root
/// runs by `cargo test` as well.
pub(crate) fn test(workspace: &Workspace, filter: Option<&str>) -> Result<()> {
    require_root("the tests make network namespaces and load eBPF programs")?;
    step("setup", || setup(workspace))?;
    step("build", || {
        run(&mut workspace.cargo("build"))?;
        run(&mut workspace.cargo("test --no-run --quiet"))
    })?;
    step("test", || run(workspace.cargo("test").args(filter)))
}
