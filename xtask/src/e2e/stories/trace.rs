//! Where packets go when nothing is wrong.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Seen;
use crate::e2e::kflow::Ended;
use crate::e2e::stage::{AGENTS, LOCKED, NAMESPACE, Stage};
use crate::e2e::told::{Told, endpoint, ends, is_translated, nodes};

/// How long a trace runs.
pub(super) const DURATION: &str = "8";
/// How long requests are sent: from before it starts until after it ended.
pub(super) const TRAFFIC: u32 = 30;
/// The longest that a trace may take in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// From Enter to the first hop on the screen.
const FIRST_HOP: Duration = Duration::from_secs(5);

/// A trace with these words, to its end.
pub(super) fn trace(stage: &Stage, words: &[&str]) -> Result<Ended> {
    let fixed = ["trace", "-n", NAMESPACE, "-o", "json", "--duration", DURATION];
    stage.kflow.start_with_agents(&[&fixed, words].concat())?.finish(PATIENCE)
}

/// The same, complete: it ended with 0, and said that nothing was missed.
pub(super) fn complete(stage: &Stage, words: &[&str]) -> Result<Told> {
    let told = Told::of(&trace(stage, words)?.expect(0)?)?;
    let summary = told.summary().context("no summary")?;
    ensure!(summary["complete"] == true, "it is not complete: {summary}");
    Ok(told)
}

/// What it took to the first hop, which is a requirement.
fn first_hop(told: &Told) -> Result<String> {
    let took = told.first_hop().context("it told of no packet while it ran")?;
    ensure!(took < FIRST_HOP, "the first hop came after {:.2} s", took.as_secs_f64());
    Ok(format!("first hop after {:.2} s", took.as_secs_f64()))
}

fn seen(flows: &[&Value], told: &Told) -> Result<Seen> {
    let hops = flows.iter().map(|flow| crate::e2e::told::hops(flow).count()).max().unwrap_or_default();
    Ok(Seen::What(format!("{} flows delivered, {hops} hops there, {}", flows.len(), first_hop(told)?)))
}

pub(super) fn dry_run(stage: &Stage) -> Result<Seen> {
    let words = ["trace", "--agent-namespace", AGENTS, "-n", NAMESPACE, "--dry-run", "client", "far"];
    let ended = stage.kflow.run(&words, PATIENCE)?.expect(0)?;
    for node in [stage.near(), stage.far()] {
        ensure!(ended.text().contains(&node.name), "{} is not in the plan: {}", node.name, ended.text());
    }
    let namespaces = stage.cluster.text(&["get", "namespaces", "-o", "name"])?;
    ensure!(!namespaces.lines().any(|line| line == format!("namespace/{AGENTS}")), "it made a namespace");
    Ok(Seen::What(format!("{:.2} s, both nodes named", ended.took.as_secs_f64())))
}

pub(super) fn two_nodes(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let told = complete(stage, &["client", "far"])?;
    let flows = told.delivered()?;
    let way = [stage.near().name.clone(), stage.far().name.clone()];
    ensure!(flows.iter().all(|flow| nodes(flow) == way), "not over both nodes: {:?}", nodes(flows[0]));
    ensure!(
        ends(flows[0]).0.ends_with("client") && ends(flows[0]).1.ends_with("far"),
        "{:?}",
        ends(flows[0])
    );
    seen(&flows, &told)
}

pub(super) fn one_node(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "near")?, TRAFFIC)?;
    let told = complete(stage, &["client", "near"])?;
    let flows = told.delivered()?;
    let way = [stage.near().name.clone()];
    ensure!(flows.iter().all(|flow| nodes(flow) == way), "not on one node: {:?}", nodes(flows[0]));
    seen(&flows, &told)
}

pub(super) fn cluster_ip(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.service_address("web")?, TRAFFIC)?;
    let told = complete(stage, &["client", "svc/web"])?;
    let flows = told.delivered()?;
    all_translated(&flows)?;
    let endpoints: BTreeSet<String> = flows.iter().filter_map(|flow| endpoint(flow)).collect();
    ensure!(endpoints.len() == 3, "{} flows went to {endpoints:?}", flows.len());
    seen(&flows, &told)
}

pub(super) fn node_port(stage: &Stage) -> Result<Seen> {
    let address = format!("{}:{}", stage.near().address, stage.node_port("web-outside")?);
    if let Err(error) = request(&address) {
        return Ok(Seen::Skipped(format!("nodes are not reached from this machine: {error}")));
    }
    let stop = Instant::now() + Duration::from_secs(TRAFFIC.into());
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let requests = thread::spawn({
        let address = address.clone();
        move || {
            let goes_on = || matches!(receiver.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
            while goes_on() && Instant::now() < stop {
                // One that fails is one flow less: the trace tells.
                let _ = request(&address);
                thread::sleep(Duration::from_millis(100));
            }
        }
    });
    let told = complete(stage, &[&address]);
    drop(sender);
    requests.join().ok().context("the requests panicked")?;
    let told = told?;
    // Requests to the same pods by other ways are told as well.
    let port = stage.node_port("web-outside")?;
    let mut flows = told.delivered_inside()?;
    flows.retain(|flow| flow["destination"]["port"] == port);
    all_translated(&flows)?;
    ensure!(
        flows.iter().any(|flow| nodes(flow).len() == 2),
        "none of {} went on to the other node",
        flows.len()
    );
    seen(&flows, &told)
}

pub(super) fn deployment(stage: &Stage) -> Result<Seen> {
    let (caller, _) = stage.pods("app=caller")?.pop().context("no pod of the deployment")?;
    let _traffic = stage.traffic(&caller, &stage.service_address("web")?, TRAFFIC)?;
    let told = complete(stage, &["deploy/caller", "svc/web"])?;
    let flows = told.delivered()?;
    all_translated(&flows)?;
    seen(&flows, &told)
}

pub(super) fn restricted(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(LOCKED, "locked")?, TRAFFIC)?;
    let target = format!("{LOCKED}/locked");
    let told = complete(stage, &["client", &target])?;
    let pods = stage.cluster.text(&["get", "pods", "-n", LOCKED, "-o", "name"])?;
    ensure!(pods.trim() == "pod/locked", "it made something in the target's namespace: {pods}");
    seen(&told.delivered()?, &told)
}

pub(super) fn pod_side(stage: &Stage) -> Result<Seen> {
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let told = complete(stage, &["--pod-side", "client", "far"])?;
    let flows = told.delivered()?;
    let is_inside = |flow: &&&Value| {
        let pods: Vec<_> = crate::e2e::told::hops(flow).filter_map(|hop| hop["pod"].as_str()).collect();
        pods == [format!("{NAMESPACE}/client"), format!("{NAMESPACE}/far")]
    };
    ensure!(flows.iter().any(|flow| is_inside(&flow)), "no flow begins and ends in a pod: {}", flows[0]);
    seen(&flows, &told)
}

/// Fails with the first flow to a service that tells no DNAT.
fn all_translated(flows: &[&Value]) -> Result<()> {
    let mut plain = flows.iter().filter(|flow| !is_translated(flow));
    let first = plain.next();
    let count = usize::from(first.is_some()) + plain.count();
    ensure!(
        first.is_none(),
        "{count} of {} flows tell no DNAT: {}",
        flows.len(),
        first.map(ToString::to_string).unwrap_or_default()
    );
    Ok(())
}

/// One request from this machine.
fn request(address: &str) -> std::io::Result<()> {
    let address = address.parse().map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: talk\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(|_| ())
}
