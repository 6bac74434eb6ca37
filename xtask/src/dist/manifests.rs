//! What is applied to a cluster, for those who want it there before it is needed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::VERSION;
use super::binary::Binary;
use crate::step::output;
use crate::workspace::Workspace;

/// What places the agents. The file in `deploy` is what this prints, so that `kubectl apply -k deploy` does the same.
const INSTALL: [&str; 4] = ["install", "--dry-run=client", "-o", "yaml"];

/// Copies the manifests, with the version in their names, and refuses those of other agents than this version's.
pub(super) fn write(workspace: &Workspace, binaries: &[Binary], out: &Path) -> Result<()> {
    let deploy = workspace.root().join("deploy");
    let read = |name: &str| fs::read_to_string(deploy.join(name)).with_context(|| format!("deploy/{name}"));
    let agents = read("agents.yaml")?;
    let mut kflow = super::pages::runnable(binaries)?;
    let printed = output(kflow.args(INSTALL).env_remove("KFLOW_IMAGE"))?;
    ensure!(
        agents == printed,
        "deploy/agents.yaml is not what this version installs: `kflow {} > deploy/agents.yaml`",
        INSTALL.join(" ")
    );
    for (name, text) in [("agents", agents), ("rbac", read("rbac/rbac.yaml")?)] {
        let to = out.join(format!("kflow-{VERSION}-{name}.yaml"));
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}
