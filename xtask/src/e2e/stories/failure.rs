//! Where something goes wrong meanwhile.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::Seen;
use super::trace::{PATIENCE, TRAFFIC};
use crate::e2e::cluster::{items, word};
use crate::e2e::kflow::{Kflow, Running};
use crate::e2e::leftover;
use crate::e2e::proxy::{Proxy, host_and_port};
use crate::e2e::stage::{AGENTS, NAMESPACE, Stage};
use crate::e2e::told::{Told, endpoint};

/// How long what was seen before may go on before something is broken.
const BEFORE: Duration = Duration::from_secs(3);
/// How long a trace that is about to be broken would run.
const DURATION: &str = "25";

/// A trace from the client, which has told of a packet.
fn begun(kflow: &Kflow, to: &str) -> Result<Running> {
    let words = ["trace", "-n", NAMESPACE, "-o", "json", "--duration", DURATION, "client", to];
    let mut running = kflow.start_with_agents(&words)?;
    let line = running.line(Duration::from_secs(30), |line| line.contains("\"type\":\"event\""));
    if let Err(error) = line {
        running.signal(Signal::KILL)?;
        let ended = running.finish(Duration::from_secs(5))?;
        return Err(error).with_context(|| format!("it told of no packet, and said: {}", ended.err));
    }
    thread::sleep(BEFORE);
    Ok(running)
}

pub(super) fn recreated(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.service_address("fleeting")?, 40)?;
    let running = begun(&stage.kflow, "svc/fleeting")?;
    stage.cluster.text(&["delete", "pod", "-n", NAMESPACE, "-l", "app=fleeting", "--wait"])?;
    stage.ready(NAMESPACE)?;
    // Its SYNs without an answer are a part of the story: what matters is that the new pod's packets are told as well.
    let told = Told::of(&running.finish(PATIENCE)?)?;
    let endpoints: BTreeSet<String> = told.delivered()?.into_iter().filter_map(endpoint).collect();
    ensure!(endpoints.len() == 2, "delivered to {endpoints:?}, and there were two pods, one after the other");
    Ok(Seen::What(format!("delivered to both, {}", endpoints.into_iter().collect::<Vec<_>>().join(" and "))))
}

pub(super) fn agent_killed(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, 40)?;
    let running = begun(&stage.kflow, "far")?;
    let pods = stage.cluster.json(&["get", "pods", "-n", AGENTS])?;
    let far = &stage.far().name;
    let agent = items(&pods).find(|pod| pod["spec"]["nodeName"] == far.as_str());
    let agent = word(&agent.with_context(|| format!("no agent on {far}"))?["metadata"]["name"]);
    stage.cluster.text(&["delete", "pod", "-n", AGENTS, &agent, "--grace-period=0", "--force"])?;
    let ended = running.finish(PATIENCE)?.expect(3)?;
    let told = Told::of(&ended)?;
    let broken = &told.summary().context("no summary")?["loss"]["broken_streams"];
    let is_named = broken.as_array().into_iter().flatten().any(|stream| stream["node"] == far.as_str());
    ensure!(is_named, "the summary does not name {far}: {broken}");
    Ok(Seen::What(format!("ended with 3: {broken}")))
}

pub(super) fn connection_cut(stage: &Stage) -> Result<Seen> {
    let mut server = String::new();
    stage.cluster.changed_kubeconfig("unused.kubeconfig", |config| {
        server = host_and_port(&word(&config["clusters"][0]["cluster"]["server"]));
    })?;
    let proxy = Proxy::to(&server)?;
    let config = stage.cluster.changed_kubeconfig("proxy.kubeconfig", |config| proxy.redirect(config))?;
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, 40)?;
    let running = begun(&stage.kflow.with(config), "far")?;
    proxy.cut();
    let ended = running.finish(PATIENCE)?.expect(3)?;
    ensure!(!Told::of(&ended)?.flows().is_empty(), "what it had seen before is not told");
    leftover::nothing_runs(stage)?;
    // Nobody was left to take the ended pods away: the next run does.
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    super::trace::trace(stage, &["client", "far"])?.expect(0)?;
    Ok(Seen::What(format!(
        "ended with 3 after {:.1} s; what ended was swept by the next run",
        ended.took.as_secs_f64()
    )))
}

pub(super) fn interrupted(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let running = begun(&stage.kflow, "far")?;
    running.signal(Signal::INT)?;
    let signalled = std::time::Instant::now();
    let ended = running.finish(Duration::from_secs(20))?.expect(0)?;
    let took = signalled.elapsed();
    ensure!(!Told::of(&ended)?.delivered()?.is_empty(), "it told of no flow");
    leftover::none(stage)?;
    Ok(Seen::What(format!(
        "ended {:.1} s after it, nothing left {:.1} s after it",
        took.as_secs_f64(),
        signalled.elapsed().as_secs_f64()
    )))
}

pub(super) fn killed(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let running = begun(&stage.kflow, "far")?;
    running.signal(Signal::KILL)?;
    let killed = std::time::Instant::now();
    leftover::none(stage)?;
    let took = killed.elapsed();
    running.finish(Duration::from_secs(1))?;
    Ok(Seen::What(format!("nothing left {:.1} s after it", took.as_secs_f64())))
}
