//! The cluster that the nodes are of.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tests::cluster::{ApiDouble, DoubleConfig, Fate, NodeConfig};
use tests::synthetic::{Node, PODS};

use crate::Failure;
use crate::streams::Streams;

/// Label of all pods.
pub(crate) const LABEL: &str = "app=crowd";

pub(crate) struct Site {
    // It goes with this value.
    _double: ApiDouble,
    kubeconfig: PathBuf,
}

impl Site {
    /// A cluster with these nodes, their agents sending these streams.
    pub(crate) fn up(pairs: u8, streams: &Streams, folder: &Path) -> Result<Self, Failure> {
        let nodes = streams.plays().map(|(name, play)| {
            let fate = Fate::Plays(Arc::clone(play));
            (name.clone(), NodeConfig { fate, ..NodeConfig::default() })
        });
        let objects = (0..pairs).flat_map(|pair| [Node::Clients, Node::Servers].map(|node| (pair, node)));
        let objects = objects.flat_map(|(pair, node)| objects_of(pair, node)).collect();
        let double =
            ApiDouble::start(DoubleConfig { nodes: nodes.collect(), objects, ..DoubleConfig::default() })?;
        fs::create_dir_all(folder)?;
        let kubeconfig = folder.join(format!("kubeconfig-{}", std::process::id()));
        double.kubeconfig(&kubeconfig)?;
        Ok(Self { _double: double, kubeconfig })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // It may be gone.
        let _ = fs::remove_file(&self.kubeconfig);
    }
}

fn objects_of(pair: u8, node: Node) -> Vec<Value> {
    let name = node.name(pair);
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": node.address(pair).to_string() }],
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })];
    let (key, value) = LABEL.split_once('=').unwrap_or((LABEL, ""));
    objects.extend((0..PODS).map(|pod| {
        let address = node.pod(pair, pod).to_string();
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": format!("{name}-pod-{pod}"), "namespace": "default", "labels": { key: value } },
            "spec": { "nodeName": name, "containers": [{ "name": "c", "image": "c" }] },
            "status": { "phase": "Running", "podIP": address, "podIPs": [{ "ip": address }] },
        })
    }));
    objects
}
