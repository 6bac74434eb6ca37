//! The agent's pod: what it may do, and how it is recognised.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, EnvVar, HostPathVolumeSource, NodeAffinity, NodeSelector,
    NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSecurityContext, PodSpec, SeccompProfile,
    SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Needs;
use super::spec::AgentSpec;
use crate::audit::AUDIT;
use crate::capture::policy::MAX_SNAP;

/// The agent's container.
pub(in crate::cluster) const CONTAINER: &str = "agent";
/// The binary in its image.
pub(in crate::cluster) const BINARY: &str = "/kflow";
/// Label with the run that an agent belongs to.
pub(in crate::cluster) const RUN: &str = "kflow/run";
/// Label of agents that can enter the network namespaces of pods.
pub(in crate::cluster) const POD_SIDE: &str = "kflow/pod-side";
/// Label with the agent's version.
pub(in crate::cluster) const VERSION: &str = "app.kubernetes.io/version";
/// Selects every agent.
pub(in crate::cluster) const SELECTOR: &str =
    "app.kubernetes.io/name=kflow,app.kubernetes.io/component=agent";

/// Seconds without a capture after which an agent ends.
const IDLE: &str = "45";
/// Seconds that an agent has to end: it has nothing to do for it.
const GRACE: i64 = 2;
/// The log of the container: what its first process writes on standard error.
const LOG: &str = "/proc/1/fd/2";
/// Where container runtimes keep the network namespaces of pods.
const NAMESPACES: &str = "/run/netns";

/// How long an agent lives.
#[derive(Clone, Copy, Debug)]
pub(in crate::cluster) enum Life<'a> {
    /// On one node, until nobody uses it or this many seconds have passed.
    Run {
        /// Name of the node.
        node: &'a str,
        /// The most that it lives, in seconds.
        deadline: i64,
    },
    /// On every node, until it is uninstalled.
    Stay,
}

/// What agents are recognised by.
pub(in crate::cluster) fn labels(spec: &AgentSpec) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<_, _> = [
        ("app.kubernetes.io/name", "kflow"),
        ("app.kubernetes.io/component", "agent"),
        ("app.kubernetes.io/managed-by", "kflow"),
        (VERSION, env!("CARGO_PKG_VERSION")),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    if spec.needs.pod_side {
        labels.insert(POD_SIDE.to_owned(), "true".to_owned());
    }
    labels
}

/// The agent of a run on a node, the how manieth one the run makes.
pub(super) fn pod(spec: &AgentSpec, node: &str, run: &str, serial: u32, deadline: i64) -> Pod {
    let mut labels = labels(spec);
    labels.insert(RUN.to_owned(), run.to_owned());
    let metadata = ObjectMeta {
        name: Some(name(node, run, serial)),
        namespace: Some(spec.namespace.clone()),
        labels: Some(labels),
        ..ObjectMeta::default()
    };
    Pod { metadata, spec: Some(pod_spec(spec, Life::Run { node, deadline })), status: None }
}

/// A name that tells the node, below the 63 bytes that a label may have.
fn name(node: &str, run: &str, serial: u32) -> String {
    const SHOWN: usize = 24;
    let letter =
        |letter: char| if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' };
    let shown: String = node.chars().take(SHOWN).map(letter).collect();
    if shown == node {
        return format!("kflow-agent-{node}-{run}-{serial}");
    }
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    format!("kflow-agent-{}-{:06x}-{run}-{serial}", shown.trim_end_matches('-'), hasher.finish() & 0xFF_FFFF)
}

/// What runs, and what it may do.
pub(in crate::cluster) fn pod_spec(spec: &AgentSpec, life: Life<'_>) -> PodSpec {
    let (volumes, mounts) = namespaces(spec.needs.pod_side).unzip();
    let (affinity, deadline) = match life {
        Life::Run { node, deadline } => (Some(on_node(node)), Some(deadline)),
        Life::Stay => (None, None),
    };
    let is_run = deadline.is_some();
    PodSpec {
        active_deadline_seconds: deadline,
        affinity,
        automount_service_account_token: Some(false),
        containers: vec![container(spec, life, mounts)],
        dns_policy: Some("Default".to_owned()),
        enable_service_links: Some(false),
        host_network: Some(true),
        image_pull_secrets: spec.pull_secrets.clone(),
        node_selector: spec.node_selector.clone(),
        restart_policy: Some(if is_run { "Never" } else { "Always" }.to_owned()),
        security_context: Some(PodSecurityContext {
            run_as_user: Some(0),
            run_as_group: Some(0),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..Default::default()
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(GRACE),
        tolerations: Some(spec.tolerations.clone()),
        volumes,
        ..PodSpec::default()
    }
}

fn container(spec: &AgentSpec, life: Life<'_>, mounts: Option<Vec<VolumeMount>>) -> Container {
    let words: &[&str] = match life {
        Life::Run { .. } => &[BINARY, "agent", "--idle", IDLE],
        Life::Stay => &[BINARY, "agent", "--stay"],
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        env: Some(policy(spec)),
        command: Some(words.iter().map(|&word| word.to_owned()).collect()),
        resources: Some(spec.resources.clone()),
        security_context: Some(security(spec.needs)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: mounts,
        ..Container::default()
    }
}

/// What binds every capture in it: who starts one there can give it no other environment.
fn policy(spec: &AgentSpec) -> Vec<EnvVar> {
    let variable = |name: &str, value: &str| EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..EnvVar::default()
    };
    let ceiling = spec.max_snap.as_deref().map(|most| variable(MAX_SNAP, most));
    [variable(AUDIT, LOG)].into_iter().chain(ceiling).collect()
}

/// The capabilities of an agent: three, and with a pod's own side what setns(2) asks for.
pub fn capabilities(needs: Needs) -> Vec<&'static str> {
    let mut added = vec!["BPF", "NET_ADMIN", "PERFMON"];
    if needs.pod_side {
        added.push("SYS_ADMIN");
    }
    added
}

/// Not privileged: no more than the capabilities that it needs.
fn security(needs: Needs) -> SecurityContext {
    let added = capabilities(needs);
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            add: Some(added.into_iter().map(str::to_owned).collect()),
            drop: Some(vec!["ALL".to_owned()]),
        }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

/// The scheduler places it, so that it tells of taints and resources.
fn on_node(node: &str) -> Affinity {
    let name = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![name]), match_expressions: None };
    Affinity {
        node_affinity: Some(NodeAffinity {
            required_during_scheduling_ignored_during_execution: Some(NodeSelector {
                node_selector_terms: vec![term],
            }),
            ..NodeAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// The network namespaces of pods, also of those that come later.
fn namespaces(pod_side: bool) -> Option<(Vec<Volume>, Vec<VolumeMount>)> {
    let name = "network-namespaces".to_owned();
    let source = HostPathVolumeSource { path: NAMESPACES.to_owned(), type_: Some("Directory".to_owned()) };
    let mount = VolumeMount {
        name: name.clone(),
        mount_path: NAMESPACES.to_owned(),
        read_only: Some(true),
        mount_propagation: Some("HostToContainer".to_owned()),
        ..VolumeMount::default()
    };
    pod_side.then(|| (vec![Volume { name, host_path: Some(source), ..Volume::default() }], vec![mount]))
}

#[cfg(test)]
mod tests;
