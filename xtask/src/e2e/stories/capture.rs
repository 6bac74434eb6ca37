//! Packets of many pods in one file.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Seen;
use super::trace::{PATIENCE, TRAFFIC};
use crate::e2e::kflow::Ended;
use crate::e2e::stage::{NAMESPACE, Stage};

/// A capture of `what` into a file for some seconds, and what was printed of the file.
fn capture(stage: &Stage, what: &str) -> Result<(Ended, String)> {
    let file = stage.cluster.kubeconfig().with_file_name("capture.pcapng").display().to_string();
    let words = ["capture", "-n", NAMESPACE, "--duration", "5", "-w", &file, what];
    let ended = stage.kflow.start_with_agents(&words)?.finish(PATIENCE)?.expect(0)?;
    let read = stage.kflow.run(&["capture", "-r", &file], Duration::from_secs(30))?.expect(0)?;
    Ok((ended, read.text()))
}

pub(super) fn deployment(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.service_address("web")?, TRAFFIC)?;
    let (ended, text) = capture(stage, "deploy/web")?;
    let pods = stage.cluster.json(&["get", "pods", "-n", NAMESPACE, "-l", "app=web"])?;
    for pod in crate::e2e::cluster::items(&pods) {
        let address = pod["status"]["podIP"].as_str().context("a pod has no address")?;
        ensure!(
            text.contains(&format!(" {address}.8080 > ")),
            "no packet of {address}; it said: {}",
            ended.err
        );
    }
    Ok(Seen::What(format!("{} packets of three pods", text.lines().count())))
}

pub(super) fn node(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let (ended, text) = capture(stage, &format!("node/{}", stage.far().name))?;
    let address = stage.pod_address(NAMESPACE, "far")?.replace(':', ".");
    ensure!(text.contains(&format!(" > {address}: ")), "no packet to {address}; it said: {}", ended.err);
    Ok(Seen::What(format!("{} packets", text.lines().count())))
}
