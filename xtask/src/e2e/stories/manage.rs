//! What is there before, and what remains for later.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Seen;
use super::trace::{PATIENCE, TRAFFIC, complete};
use crate::e2e::cluster::items;
use crate::e2e::kflow::Ended;
use crate::e2e::stage::{AGENTS, NAMESPACE, Stage};
use crate::step::output;

const SHORT: Duration = Duration::from_secs(30);
/// The longest that a node may take from the start of a capture to its being attached.
const ATTACH: Duration = Duration::from_millis(500);
/// Of which the median counts.
const RUNS: usize = 5;

pub(super) fn state(stage: &Stage) -> Result<Seen> {
    let ended = stage.kflow.run(&["state", "-n", NAMESPACE], SHORT)?.expect(0)?;
    let told: Value = serde_json::from_str(&ended.text()).context("no JSON")?;
    for (kind, name) in [("Pod", "client"), ("Service", "web"), ("Node", &stage.near().name)] {
        let is_there = items(&told).any(|item| item["kind"] == kind && item["metadata"]["name"] == name);
        ensure!(is_there, "no {kind} {name}");
    }
    for word in ["containers", "env", "image", "token"] {
        ensure!(
            !ended.text().contains(&format!("\"{word}\"")),
            "it has `{word}` in it, and is to have names only"
        );
    }
    Ok(Seen::What(format!("{} objects, {:.2} s", items(&told).count(), ended.took.as_secs_f64())))
}

pub(super) fn install(stage: &Stage) -> Result<Seen> {
    let yaml = manage(stage, "install", &["--dry-run=client", "-o", "yaml"])?.text();
    let file = stage.cluster.kubeconfig().with_file_name("install.yaml");
    std::fs::write(&file, yaml).context("cannot write the manifests")?;
    stage.cluster.text(&["apply", "--dry-run=client", "-f", &file.display().to_string()])?;
    let used = use_installed(stage);
    // Whatever came of it, the other stories are played without.
    let removed = manage(stage, "uninstall", &[]);
    let seen = used?;
    removed?;
    Ok(Seen::What(seen))
}

/// One of the commands that place and list agents.
fn manage(stage: &Stage, command: &str, words: &[&str]) -> Result<Ended> {
    stage.kflow.run(&[&[command, "--agent-namespace", AGENTS], words].concat(), PATIENCE)?.expect(0)
}

fn use_installed(stage: &Stage) -> Result<String> {
    let installed = manage(stage, "install", &[])?;
    let agents = manage(stage, "agents", &["-o", "json"])?.text();
    for node in [stage.near(), stage.far()] {
        ensure!(agents.contains(&node.name), "{} is not listed: {agents}", node.name);
    }
    let _traffic = stage.traffic("client", &stage.pod_address(NAMESPACE, "far")?, TRAFFIC)?;
    let told = complete(stage, &["client", "far"])?;
    told.delivered()?;
    let first = told.first_hop().context("it told of no packet while it ran")?;
    let pods = stage.cluster.text(&["get", "pods", "-n", AGENTS, "-o", "name"])?;
    ensure!(
        pods.lines().count() == stage.cluster.nodes().len(),
        "not one agent on each node any more: {pods}"
    );
    let (installed, first) = (installed.took.as_secs_f64(), first.as_secs_f64());
    let attached = pods.lines().map(|pod| attached(stage, pod)).collect::<Result<Vec<_>>>()?;
    let slowest = attached.into_iter().max().unwrap_or_default();
    ensure!(slowest < ATTACH, "from exec to attached it took {} ms", slowest.as_millis());
    Ok(format!(
        "installed in {installed:.1} s; first hop after {first:.2} s; attached {} ms after exec on the slower node",
        slowest.as_millis()
    ))
}

/// What a capture in an agent takes from its start until it says that it is attached, without what kubectl takes.
fn attached(stage: &Stage, pod: &str) -> Result<Duration> {
    let exec = |words: &[&str]| {
        let mut kubectl = stage.cluster.kubectl(&["exec", "-n", AGENTS, pod, "--", "/kflow"]);
        kubectl.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        kubectl
    };
    let mut measured = Vec::new();
    for _ in 0..RUNS {
        let start = Instant::now();
        output(exec(&["-V"]).stdout(Stdio::piped()))?;
        let alone = start.elapsed();
        let start = Instant::now();
        let mut capture = exec(&["capture", "-i", "any", "-w", "/dev/null", "--duration", "1"]);
        let mut capture = capture.spawn().context("cannot run kubectl")?;
        let mut lines = BufReader::new(capture.stderr.take().context("no pipe")?).lines();
        let is_said = lines.by_ref().map_while(Result::ok).any(|line| line.contains("capturing on"));
        let whole = start.elapsed();
        // The rest is read, so that it can be written.
        let said: Vec<String> = lines.map_while(Result::ok).collect();
        capture.wait().context("cannot wait for kubectl")?;
        ensure!(is_said, "a capture did not begin: {}", said.join("; "));
        measured.push(whole.saturating_sub(alone));
    }
    measured.sort();
    measured.get(RUNS / 2).copied().context("no run")
}

pub(super) fn plugin(stage: &Stage) -> Result<Seen> {
    let directory = stage.cluster.kubeconfig().with_file_name("bin");
    std::fs::create_dir_all(&directory).context("cannot make a directory")?;
    let link = directory.join("kubectl-kflow");
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(&link).context("cannot remove an old link")?;
    }
    let program = std::path::absolute(stage.kflow.program()).context("no path")?;
    std::os::unix::fs::symlink(program, &link).context("cannot link")?;
    let mut path = directory.into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["kflow", "trace", "--help"]).env("PATH", path);
    let help = output(&mut kubectl)?;
    ensure!(help.contains("Usage: kubectl kflow trace "), "its usage cannot be typed: {help}");
    Ok(Seen::What("`kubectl kflow trace --help` says `kubectl kflow trace`".to_owned()))
}
