//! What must not be there when a command is over.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::cluster::{Cluster, items, word};
use super::stage::{AGENTS, Stage};
use crate::setup;
use crate::step::output;

/// The longest that anything may stay, even after a SIGKILL.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Names of kflow's programs begin like this.
const PROGRAM: &str = "kflow_";

/// Waits until there is no pod of kflow's and no namespace for them, and no program more in the kernel than before the
/// stories.
pub(super) fn none(stage: &Stage) -> Result<()> {
    wait(stage, PATIENCE, everything)
}

/// The same, but pods that have ended may stay, for the next run to take away: nobody was left to do it.
pub(super) fn nothing_runs(stage: &Stage) -> Result<()> {
    wait(stage, PATIENCE, running)
}

fn wait(stage: &Stage, patience: Duration, pods: fn(&Cluster) -> Result<Vec<String>>) -> Result<()> {
    let mut last = String::new();
    let waited = stage.cluster.wait(patience, "nothing is left", |cluster| {
        let pods = pods(cluster)?;
        let programs = programs(cluster)?;
        let more = programs.zip(stage.programs).map_or(0, |(now, before)| now.saturating_sub(before));
        last = format!("{}; {more} programs", pods.join(", "));
        Ok((pods.is_empty() && more == 0).then_some(()))
    });
    if waited.is_err() {
        bail!("left behind after {} s: {last}", patience.as_secs());
    }
    Ok(())
}

/// All pods of the agents' namespace, and itself.
fn everything(cluster: &Cluster) -> Result<Vec<String>> {
    let pods = cluster.text(&["get", "pods", "-n", AGENTS, "-o", "name"])?;
    let namespace = cluster.text(&["get", "namespace", AGENTS, "--ignore-not-found", "-o", "name"])?;
    Ok(pods.lines().chain(namespace.lines()).map(str::to_owned).collect())
}

/// Those of them that have not ended.
fn running(cluster: &Cluster) -> Result<Vec<String>> {
    let pods = cluster.json(&["get", "pods", "-n", AGENTS])?;
    let is_running = |pod: &&Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    Ok(items(&pods).filter(is_running).map(|pod| word(&pod["metadata"]["name"])).collect())
}

/// How many programs of kflow are in the kernel. None where nodes have kernels of their own: a program lives as long as
/// its process, which the end of the pod ends.
pub(super) fn programs(cluster: &Cluster) -> Result<Option<usize>> {
    if !cluster.is_local() {
        return Ok(None);
    }
    let bpftool = setup::program("bpftool", "bpftool", "counts the programs in the kernel")?;
    let text = output(Command::new(bpftool).args(["--json", "prog", "list"]))?;
    let list: Value = serde_json::from_str(&text).context("bpftool: no JSON")?;
    let programs = list.as_array().into_iter().flatten();
    Ok(Some(programs.filter(|program| word(&program["name"]).starts_with(PROGRAM)).count()))
}
