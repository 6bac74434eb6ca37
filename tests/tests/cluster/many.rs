//! Fifty agents at once, with streams that were captured before.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tests::{
    Kflow,
    cluster::{ApiDouble, DoubleConfig, Fate, NodeConfig},
    kflow,
    lab::topology::POD_SRC,
};

use crate::support::{DEST, Failure, Site, Test, eventually, word};

const NODES: usize = 50;
/// As long as the names of the nodes are, so that it can be replaced in a capture.
const STAND_IN: &str = "node-xx";

#[test]
fn fifty_agents_at_once() -> Test {
    let site = Site::up()?;
    let stream = captured(&site)?;
    let name = |number: usize| format!("node-{number:02}");
    let nodes = (0..NODES).map(|number| {
        let fate = Fate::Replays(Arc::new(renamed(&stream, &name(number))));
        (name(number), NodeConfig { fate, ..NodeConfig::default() })
    });
    let objects = (0..NODES).flat_map(|number| [node(&name(number), number), pod(&name(number), number)]);
    let config =
        DoubleConfig { nodes: nodes.collect(), objects: objects.collect(), ..DoubleConfig::default() };
    let double = ApiDouble::start(config)?;
    let path = site.lab.directory().join("fifty");
    double.kubeconfig(&path)?;
    let path = path.display().to_string();
    let begin = Instant::now();
    // What is replayed are captures, and no evidence.
    let ends = ["-l", "app=crowd", "10.244.131.5"];
    let words = ["trace", "--kubeconfig", &path, "-o", "json", "--no-evidence"].into_iter().chain(ends);
    let running = Kflow::tracing(&kflow::program(), words)?;
    let traced = begin.elapsed();
    let outcome = running.stop()?;
    let requests = double.requests();
    let execs = requests.iter().filter(|entry| entry.path.ends_with("/exec") && entry.status == 101);
    assert_eq!(execs.count(), NODES, "{outcome:?}");
    let told = outcome.told()?;
    let broken = told.summary["loss"]["broken_streams"].as_array().map_or(0, Vec::len);
    assert_eq!(broken, 0, "{:#}", told.summary);
    assert!(traced < Duration::from_secs(20), "{traced:?} until {NODES} agents captured");
    eventually("no pod is left", || {
        let pods = double.objects("Pod");
        pods.iter().all(|pod| pod["metadata"]["namespace"] != "kflow")
    });
    let made: BTreeSet<&str> = requests
        .iter()
        .filter(|entry| entry.method == "POST" && entry.path == "/api/v1/namespaces/kflow/pods")
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(made.len(), 1);
    Ok(())
}

/// What `kflow capture` writes of one request.
fn captured(site: &Site) -> Result<Vec<u8>, Failure> {
    let file = site.lab.directory().join("stream.pcapng");
    let mut command = Command::new(kflow::program());
    command
        .args(["capture", "--node", STAND_IN, "-i", POD_SRC.interface, "--max-packets", "6", "-w"])
        .arg(&file);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = site.lab.node(POD_SRC.node).spawn(&mut command)?;
    eventually("a request is captured", || {
        let is_answered = site.get(DEST).is_ok();
        is_answered && child.try_wait().is_ok_and(|status| status.is_some())
    });
    Ok(fs::read(file)?)
}

fn renamed(stream: &[u8], name: &str) -> Vec<u8> {
    assert_eq!(name.len(), STAND_IN.len());
    let mut stream = stream.to_vec();
    let places: Vec<usize> = stream
        .windows(name.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == STAND_IN.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    for at in places {
        stream[at..at + name.len()].copy_from_slice(name.as_bytes());
    }
    stream
}

fn node(name: &str, number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": format!("172.19.0.{}", number + 1) }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn pod(node: &str, number: usize) -> Value {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("pod-on-{node}"), "namespace": "default", "labels": { "app": "crowd" } },
        "spec": { "nodeName": node, "containers": [{ "name": "c", "image": "c" }] },
        "status": { "phase": "Running", "podIP": format!("10.245.{number}.2"), "podIPs": [{ "ip": format!("10.245.{number}.2") }] },
    });
    assert_eq!(word(&pod["spec"]["nodeName"]), node);
    pod
}
