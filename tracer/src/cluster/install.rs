//! The agent on every node, for those who want it ready: a namespace and a daemon set, and nothing that listens.

use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::{Namespace, Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::fleet::diagnosis::{Standing, standing};
use super::fleet::pod::{Life, POD_SIDE, RUN, SELECTOR, VERSION, labels, pod_spec};
use super::fleet::spec::{AgentSpec, SpecError};
use super::fleet::{Needs, namespace, refusal};
use crate::cli::cluster::AgentArgs;
use crate::error::{Exit, ExitStatus};

/// Name of the daemon set.
const NAME: &str = "kflow-agent";
/// Who the fields belong to in the eyes of the API server.
const MANAGER: &str = "kflow";

/// Why it is not installed, or not away.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A flag makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// It cannot be written down.
    #[error("cannot write the manifest")]
    Manifest(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The API server refuses.
    #[error("cannot {verb} the {kind} {name}: {message}")]
    Refused {
        /// What was to be done.
        verb: &'static str,
        /// To what kind of object.
        kind: &'static str,
        /// To which one.
        name: String,
        /// Why not.
        message: String,
    },
    /// It is placed, but not running everywhere.
    #[error("not every agent runs: {0}")]
    Incomplete(String),
}

impl ExitStatus for InstallError {
    fn exit(&self) -> Exit {
        match self {
            Self::Spec(_) => Exit::Usage,
            Self::Manifest(_) => Exit::Failed,
            Self::Refused { .. } => Exit::Environment,
            Self::Incomplete(_) => Exit::Incomplete,
        }
    }
}

/// What is installed.
#[derive(Clone, Debug)]
pub struct Manifest {
    namespace: Namespace,
    daemon_set: DaemonSet,
}

impl Manifest {
    /// By the flags.
    pub fn new(args: &AgentArgs, needs: Needs, max_snap: Option<String>) -> Result<Self, InstallError> {
        let spec = AgentSpec::parse(args, needs)?.with_max_snap(max_snap);
        Ok(Self { namespace: namespace::namespace(spec.namespace()), daemon_set: daemon_set(&spec) })
    }

    /// Its objects, as the API server takes them.
    pub fn objects(&self) -> Result<Vec<Value>, InstallError> {
        Ok(vec![json(&self.namespace)?, json(&self.daemon_set)?])
    }

    /// As YAML, one document an object.
    pub fn yaml(&self) -> Result<String, InstallError> {
        let texts = self.objects()?.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>();
        let texts = texts.map_err(|error| InstallError::Manifest(Box::new(error)))?;
        let ended = texts.into_iter().map(|text| format!("{}\n", text.trim_end()));
        Ok(ended.collect::<Vec<_>>().join("---\n"))
    }

    /// As one JSON list.
    pub fn json(&self) -> Result<String, InstallError> {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": self.objects()?});
        serde_json::to_string_pretty(&list).map_err(|error| InstallError::Manifest(Box::new(error)))
    }
}

fn json(object: &impl Serialize) -> Result<Value, InstallError> {
    serde_json::to_value(object).map_err(|error| InstallError::Manifest(Box::new(error)))
}

fn daemon_set(spec: &AgentSpec) -> DaemonSet {
    let all = labels(spec);
    // What selects cannot be changed later: nothing that a newer version or other flags change.
    let selects: std::collections::BTreeMap<_, _> =
        all.clone().into_iter().filter(|(key, _)| key != VERSION && key != POD_SIDE).collect();
    let at_once = RollingUpdateDaemonSet {
        max_unavailable: Some(IntOrString::String("25%".to_owned())),
        max_surge: None,
    };
    DaemonSet {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(spec.namespace().to_owned()),
            labels: Some(all.clone()),
            ..ObjectMeta::default()
        },
        spec: DaemonSetSpec {
            selector: LabelSelector { match_labels: Some(selects), match_expressions: None },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(all), ..ObjectMeta::default() }),
                spec: Some(pod_spec(spec, Life::Stay)),
            },
            update_strategy: Some(DaemonSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(at_once),
            }),
            ..DaemonSetSpec::default()
        },
        status: None,
    }
}

/// Applies the manifest. What there was is changed to it; what is as it should be stays.
pub async fn apply(client: &Client, manifest: &Manifest) -> Result<(), InstallError> {
    let space = manifest.namespace.name_any();
    let manager = PatchParams::apply(MANAGER).force();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let applied = namespaces.patch(&space, &manager, &Patch::Apply(&manifest.namespace)).await;
    if let Err(error) = applied {
        // Who may not change namespaces may use one that somebody has made.
        let is_usable = refusal::is(&error, 403) && namespaces.get(&space).await.is_ok();
        if !is_usable {
            return Err(refused("apply", "namespace", &space, &error));
        }
        log::warn!("the namespace {space} is left as it is: {}", refusal::words(&error));
    }
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), &space);
    let applied = sets.patch(NAME, &manager, &Patch::Apply(&manifest.daemon_set)).await;
    applied.map(drop).map_err(|error| refused("apply", "daemon set", NAME, &error))
}

fn refused(verb: &'static str, kind: &'static str, name: &str, error: &kube::Error) -> InstallError {
    InstallError::Refused { verb, kind, name: name.to_owned(), message: refusal::words(error) }
}

/// Waits until every agent runs, and tells how many do whenever that changes.
pub async fn until_ready(
    client: &Client,
    space: &str,
    patience: Duration,
    mut tell: impl FnMut(i32, i32),
) -> Result<i32, InstallError> {
    let end = Instant::now() + patience;
    let api: Api<DaemonSet> = Api::namespaced(client.clone(), space);
    let one = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut sets = watcher(api, one).default_backoff().applied_objects().boxed();
    let mut told = None;
    while let Ok(Some(set)) = timeout_at(end, sets.next()).await {
        let Ok(set) = set.inspect_err(|error| log::debug!("watch on the daemon set: {error}")) else {
            continue;
        };
        let Some((ready, wanted)) = progress(&set) else { continue };
        if told.replace((ready, wanted)) != Some((ready, wanted)) {
            tell(ready, wanted);
        }
        if ready >= wanted {
            return Ok(wanted);
        }
    }
    Err(InstallError::Incomplete(missing(client, space).await))
}

/// Agents of the newest kind that run, and how many are wanted; nothing while the controller has not seen the change.
fn progress(set: &DaemonSet) -> Option<(i32, i32)> {
    let status = set.status.as_ref()?;
    let is_seen = status.observed_generation >= set.metadata.generation;
    let updated = status.updated_number_scheduled.unwrap_or(0);
    is_seen.then_some((status.number_ready.min(updated), status.desired_number_scheduled))
}

/// Why agents are missing.
async fn missing(client: &Client, space: &str) -> String {
    let api: Api<Pod> = Api::namespaced(client.clone(), space);
    let pods = match api.list(&ListParams::default().labels(&format!("{SELECTOR},!{RUN}"))).await {
        Ok(pods) => pods.items,
        Err(error) => return refusal::words(&error),
    };
    let reasons = pods.iter().filter_map(|pod| {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("a node");
        match standing(pod) {
            Standing::Ready => None,
            Standing::Coming(reason) | Standing::Failed(reason) => Some(format!("on {node}: {reason}")),
        }
    });
    let reasons = reasons.collect::<Vec<_>>().join("; ");
    if reasons.is_empty() { "the daemon set's controller has not made the pods".to_owned() } else { reasons }
}

/// Takes the daemon set away, and the namespace if it was made for it and nothing else is in it. Returns what was removed.
pub async fn remove(client: &Client, space: &str) -> Result<Vec<String>, InstallError> {
    let mut removed = Vec::new();
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), space);
    match sets.delete(NAME, &DeleteParams::foreground()).await {
        Ok(_) => removed.push(format!("daemon set {space}/{NAME}")),
        Err(error) if refusal::is(&error, 404) => {}
        Err(error) => return Err(refused("delete", "daemon set", NAME, &error)),
    }
    if is_ours_alone(client, space).await {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let deleted = namespaces.delete(space, &DeleteParams::default()).await;
        deleted.map_err(|error| refused("delete", "namespace", space, &error))?;
        removed.push(format!("namespace {space}"));
    }
    Ok(removed)
}

/// Whether kflow made the namespace, and only pods of the daemon set are in it.
async fn is_ours_alone(client: &Client, space: &str) -> bool {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let Ok(found) = namespaces.get(space).await else { return false };
    let is_ours =
        found.labels().get("app.kubernetes.io/managed-by").is_some_and(|manager| manager == MANAGER);
    let is_applied = found.managed_fields().iter().any(|fields| {
        fields.manager.as_deref() == Some(MANAGER) && fields.operation.as_deref() == Some("Apply")
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), space);
    let Ok(pods) = pods.list(&ListParams::default()).await else { return false };
    let is_agent = |pod: &Pod| pod.labels().get("app.kubernetes.io/name").is_some_and(|name| name == "kflow");
    let is_staying = |pod: &Pod| is_agent(pod) && !pod.labels().contains_key(RUN);
    is_ours && is_applied && found.metadata.deletion_timestamp.is_none() && pods.items.iter().all(is_staying)
}

#[cfg(test)]
mod tests;
