//! What the stories are played on: pods that talk, on two nodes, and services before them.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cluster::{Cluster, Node, items, word};
use super::kflow::Kflow;
use super::leftover;

/// Of everything that talks.
pub(super) const NAMESPACE: &str = "kflow-e2e";
/// A namespace that refuses every pod with a privilege.
pub(super) const LOCKED: &str = "kflow-e2e-locked";
/// Of kflow's own pods.
pub(super) const AGENTS: &str = "kflow-e2e-agents";
/// The image of what talks.
pub(super) const IMAGE: &str = "docker.io/library/kflow-e2e-talk:1";
/// Where servers listen.
pub(super) const PORT: u16 = 8080;
/// Where services do.
pub(super) const SERVICE_PORT: u16 = 80;

/// How long pods may take to run, and namespaces to go.
const PATIENCE: Duration = Duration::from_mins(2);

/// The cluster with all of it in place.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) kflow: Kflow,
    /// Programs of kflow in the kernel before anything began, where that can be seen.
    pub(super) programs: Option<usize>,
}

/// Requests from one pod, one after the other. Those that are still to come are not sent when it is dropped.
pub(super) struct Traffic(Child);

impl Drop for Traffic {
    fn drop(&mut self) {
        // It may have ended by itself; kubectl leaves its end of the conversation to the server, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    /// Makes everything and waits for it to run.
    pub(super) fn raise(cluster: Cluster, kflow: Kflow) -> Result<Self> {
        let programs = leftover::programs(&cluster)?;
        let stage = Self { cluster, kflow, programs };
        stage.strike()?;
        stage.cluster.apply_all(&namespaces())?;
        stage.cluster.apply_all(&stage.objects())?;
        for namespace in [NAMESPACE, LOCKED] {
            stage.ready(namespace)?;
        }
        Ok(stage)
    }

    /// Takes everything away, and waits until it is.
    pub(super) fn strike(&self) -> Result<()> {
        let words = ["delete", "namespace", "--ignore-not-found", "--wait", NAMESPACE, LOCKED, AGENTS];
        self.cluster.text(&words)?;
        Ok(())
    }

    /// Takes away what kflow left.
    pub(super) fn remove_agents(&self) -> Result<()> {
        self.cluster.text(&["delete", "namespace", "--ignore-not-found", "--wait", AGENTS])?;
        Ok(())
    }

    /// Where callers are, and a server with them.
    pub(super) fn near(&self) -> &Node {
        &self.cluster.nodes()[0]
    }

    /// Where the other server is.
    pub(super) fn far(&self) -> &Node {
        &self.cluster.nodes()[1]
    }

    /// Requests from the pod `client`, or another one of the namespace, for so many seconds, ten a second.
    pub(super) fn traffic(&self, pod: &str, address: &str, seconds: u32) -> Result<Traffic> {
        let count = (seconds * 10).to_string();
        self.cluster.exec(NAMESPACE, pod, &["/talk", "get", address, &count, "100"]).map(Traffic)
    }

    /// Address and port of a server's pod.
    pub(super) fn pod_address(&self, namespace: &str, pod: &str) -> Result<String> {
        let pod = self.cluster.json(&["get", "pod", "-n", namespace, pod])?;
        Ok(format!("{}:{PORT}", word(&pod["status"]["podIP"])))
    }

    /// Address and port of a service.
    pub(super) fn service_address(&self, service: &str) -> Result<String> {
        let service = self.cluster.json(&["get", "service", "-n", NAMESPACE, service])?;
        Ok(format!("{}:{SERVICE_PORT}", word(&service["spec"]["clusterIP"])))
    }

    /// The port of every node that stands for a service.
    pub(super) fn node_port(&self, service: &str) -> Result<u16> {
        let service = self.cluster.json(&["get", "service", "-n", NAMESPACE, service])?;
        let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("no NodePort")?;
        u16::try_from(port).context("no port")
    }

    /// Name and node of each pod with a label.
    pub(super) fn pods(&self, label: &str) -> Result<Vec<(String, String)>> {
        let pods = self.cluster.json(&["get", "pods", "-n", NAMESPACE, "-l", label])?;
        let place = |pod: &Value| (word(&pod["metadata"]["name"]), word(&pod["spec"]["nodeName"]));
        Ok(items(&pods).map(place).collect())
    }

    /// Waits until every pod of a namespace is ready; fails with what they are instead.
    pub(super) fn ready(&self, namespace: &str) -> Result<()> {
        let waited = self.cluster.wait(PATIENCE, &format!("the pods of {namespace} run"), |cluster| {
            let pods = cluster.json(&["get", "pods", "-n", namespace])?;
            Ok((items(&pods).count() > 0 && items(&pods).all(is_ready)).then_some(()))
        });
        waited.or_else(|error| {
            let pods = self.cluster.text(&["get", "pods", "-n", namespace, "-o", "wide"])?;
            Err(error.context(pods))
        })
    }

    fn objects(&self) -> Vec<Value> {
        let (near, far) = (&self.near().name, &self.far().name);
        let mut objects = vec![
            pod(NAMESPACE, "client", near),
            pod(NAMESPACE, "near", near),
            pod(NAMESPACE, "far", far),
            pod(LOCKED, "locked", far),
            deployment("web", 3, &[near, far]),
            deployment("caller", 1, &[near, far]),
            deployment("fleeting", 1, &[far]),
        ];
        objects.push(service("web", "web", "ClusterIP"));
        objects.push(service("web-outside", "web", "NodePort"));
        objects.push(service("fleeting", "fleeting", "ClusterIP"));
        objects
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_going = !pod["metadata"]["deletionTimestamp"].is_null();
    !is_going && conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

fn namespaces() -> [Value; 2] {
    let restricted = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    [namespace(NAMESPACE, &json!({})), namespace(LOCKED, &restricted)]
}

/// A namespace with labels.
pub(super) fn namespace(name: &str, labels: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

fn pod(namespace: &str, name: &str, node: &str) -> Value {
    let mut spec = spec();
    spec["nodeName"] = json!(node);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
        "spec": spec,
    })
}

/// What the strictest Pod Security admits.
fn spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": false,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "talk",
            "image": IMAGE,
            "imagePullPolicy": "IfNotPresent",
            "ports": [{ "name": "http", "containerPort": PORT }],
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    })
}

/// Pods that are spread over the nodes as evenly as their number allows.
fn deployment(name: &str, replicas: u32, nodes: &[&String]) -> Value {
    let labels = json!({ "app": name });
    let mut spec = spec();
    let terms = json!([{ "matchExpressions": [{ "key": "kubernetes.io/hostname", "operator": "In", "values": nodes }] }]);
    spec["affinity"] = json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
    } });
    spec["topologySpreadConstraints"] = json!([{
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": { "matchLabels": labels },
    }]);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
        },
    })
}

fn service(name: &str, app: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": {
            "type": kind,
            "selector": { "app": app },
            "ports": [{ "name": "http", "port": SERVICE_PORT, "targetPort": "http" }],
        },
    })
}
