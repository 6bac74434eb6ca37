//! The namespace of the agents: made where it is missing, and then removed by the last one who uses it.
//!
//! Each run that uses a namespace which a run made leaves a mark on it, an annotation with the time until which the mark
//! counts. Whoever removes the namespace names the version that it saw, so that a mark set in between keeps it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client, Error};
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::pod::RUN;
use super::refusal::{ENFORCE, is, words};

/// Annotation of a namespace that a run made, and not a person or `kflow install`.
const MADE: &str = "kflow/made-by-run";
/// Annotations of the runs that use it, followed by the run.
const USED: &str = "used-by.kflow/";
/// How long a mark counts: from then on the run's pods show that it is used.
const MARK: Duration = Duration::from_mins(5);
/// How long a namespace may take to go, when another run removes it.
const GOING: Duration = Duration::from_mins(1);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(300);

/// Why there is no namespace.
#[derive(Debug, Error)]
pub enum NamespaceError {
    /// It does not exist and may not be made.
    #[error(
        "the namespace {name} does not exist and may not be made ({message}): somebody who may has to run `kubectl create namespace {name}` and `kubectl label namespace {name} {ENFORCE}=privileged`, or choose one with --agent-namespace"
    )]
    Forbidden {
        /// The namespace.
        name: String,
        /// What the API server says.
        message: String,
    },
    /// It is being deleted, and does not go.
    #[error("the namespace {0} is being deleted, and is still there after {n} s", n = GOING.as_secs())]
    Stuck(String),
    /// The API server cannot be asked.
    #[error("cannot make the namespace {name}: {message}")]
    Unasked {
        /// The namespace.
        name: String,
        /// Why.
        message: String,
    },
}

/// The namespace as `kflow install` and runs make it.
pub(in crate::cluster) fn namespace(name: &str) -> Namespace {
    let policy = ["enforce", "audit", "warn"]
        .map(|mode| (format!("pod-security.kubernetes.io/{mode}"), "privileged".to_owned()));
    let ours = [("app.kubernetes.io/name", "kflow"), ("app.kubernetes.io/managed-by", "kflow")];
    let ours = ours.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(policy.into_iter().chain(ours).collect()),
        ..ObjectMeta::default()
    };
    Namespace { metadata, ..Namespace::default() }
}

/// The namespace that a run uses: the one that was asked for, or while that is still going, because an earlier run has
/// removed it, one beside it. A namespace takes seconds to go.
pub(super) async fn choose(client: &Client, name: &str, run: &str) -> String {
    let api: Api<Namespace> = Api::all(client.clone());
    match api.get(name).await {
        Ok(found) if found.metadata.deletion_timestamp.is_some() && is_made_by_run(&found) => {
            beside(name, run)
        }
        _ => name.to_owned(),
    }
}

/// A name for a namespace has 63 characters at most (RFC 1123).
fn beside(name: &str, run: &str) -> String {
    const MOST: usize = 63;
    let kept: String = name.chars().take(MOST - 1 - run.len()).collect();
    format!("{}-{run}", kept.trim_end_matches('-'))
}

/// Removes namespaces that runs made and nobody uses any more: their pods have ended, and no mark counts.
pub(super) async fn sweep(client: &Client, run: &str, now: Timestamp) {
    let api: Api<Namespace> = Api::all(client.clone());
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=kflow");
    // Who may not list namespaces did not make any.
    let Ok(found) = api.list(&ours).await else { return };
    let is_left = |found: &Namespace| {
        let annotations = found.metadata.annotations.as_ref();
        is_made_by_run(found)
            && found.metadata.deletion_timestamp.is_none()
            && !is_marked(annotations, "", now)
            && !annotations.is_some_and(|all| all.contains_key(&format!("{USED}{run}")))
    };
    for left in found.items.into_iter().filter(is_left) {
        let name = left.metadata.name.unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        let has_ended = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        let is_unused =
            pods.list(&ListParams::default()).await.is_ok_and(|list| list.items.iter().all(has_ended));
        let preconditions =
            Preconditions { uid: left.metadata.uid, resource_version: left.metadata.resource_version };
        if is_unused
            && let Err(error) = api.delete(&name, &DeleteParams::default().preconditions(preconditions)).await
        {
            log::debug!("the namespace {name}, which an earlier run left: {error}");
        }
    }
}

/// How the namespace came to be there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ensured {
    /// This call made it.
    pub(super) is_new: bool,
    /// How long another run's took to go.
    pub(super) waited: Duration,
}

/// Sees to it that the namespace is there, with this run's mark if a run made it.
pub(super) async fn ensure(client: &Client, name: &str, run: &str) -> Result<Ensured, NamespaceError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let started = Instant::now();
    let ensured = |is_new| Ok(Ensured { is_new, waited: started.elapsed() });
    loop {
        match api.get(name).await {
            Ok(found) if found.metadata.deletion_timestamp.is_some() => {
                if started.elapsed() > GOING {
                    return Err(NamespaceError::Stuck(name.to_owned()));
                }
                sleep(LOOK).await;
            }
            Ok(found) => {
                if is_made_by_run(&found) {
                    mark(&api, name, run, Some(Timestamp::now() + MARK)).await;
                }
                return ensured(false);
            }
            Err(error) if is(&error, 404) => match make(&api, name, run).await {
                // Another run was faster.
                Err(error) if is(&error, 409) => sleep(LOOK).await,
                Err(error) if is(&error, 403) => {
                    return Err(NamespaceError::Forbidden { name: name.to_owned(), message: words(&error) });
                }
                Err(error) => return Err(unasked(name, &error)),
                Ok(()) => return ensured(true),
            },
            // Who may not read namespaces may still make pods in this one; if it is missing, that will be said there.
            Err(error) if is(&error, 403) => return ensured(false),
            Err(error) => return Err(unasked(name, &error)),
        }
    }
}

fn unasked(name: &str, error: &Error) -> NamespaceError {
    NamespaceError::Unasked { name: name.to_owned(), message: words(error) }
}

async fn make(api: &Api<Namespace>, name: &str, run: &str) -> Result<(), Error> {
    let mut wanted = namespace(name);
    let annotations =
        [(MADE.to_owned(), run.to_owned()), (format!("{USED}{run}"), (Timestamp::now() + MARK).to_string())];
    wanted.metadata.annotations = Some(annotations.into());
    api.create(&PostParams::default(), &wanted).await.map(drop)
}

/// Sets a run's mark or takes it away. Who may not is kept from nothing by it.
async fn mark(api: &Api<Namespace>, name: &str, run: &str, until: Option<Timestamp>) {
    let value = until.map(|until| until.to_string());
    let patch = json!({"metadata": {"annotations": {format!("{USED}{run}"): value}}});
    if let Err(error) = api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
        log::debug!("the mark on the namespace {name}: {error}");
    }
}

/// Removes the namespace if a run made it and nobody uses it. Returns what went wrong.
pub(in crate::cluster) async fn release(client: &Client, name: &str, run: &str) -> Result<(), Error> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = match api.get(name).await {
        Ok(found) if is_made_by_run(&found) && found.metadata.deletion_timestamp.is_none() => found,
        Err(error) if !is(&error, 403) && !is(&error, 404) => return Err(error),
        _ => return Ok(()),
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), name);
    let is_used = is_marked(found.metadata.annotations.as_ref(), run, Timestamp::now())
        || pods.list(&ListParams::default()).await?.items.iter().any(|pod| !is_of(pod, run));
    if is_used {
        mark(&api, name, run, None).await;
        return Ok(());
    }
    let preconditions =
        Preconditions { uid: found.metadata.uid, resource_version: found.metadata.resource_version };
    match api.delete(name, &DeleteParams::default().preconditions(preconditions)).await {
        // Somebody else changed it just now, and will see to it.
        Err(error) if is(&error, 409) || is(&error, 404) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Ok(()),
    }
}

fn is_made_by_run(namespace: &Namespace) -> bool {
    namespace.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MADE))
}

fn is_of(pod: &Pod, run: &str) -> bool {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(RUN)).is_some_and(|found| found == run)
}

/// Whether a run other than this one has a mark that still counts.
fn is_marked(annotations: Option<&BTreeMap<String, String>>, run: &str, now: Timestamp) -> bool {
    annotations.into_iter().flatten().any(|(key, until)| {
        let is_other = key.strip_prefix(USED).is_some_and(|found| found != run);
        is_other && until.parse::<Timestamp>().is_ok_and(|until| until > now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_others_count_until_their_time() {
        let now: Timestamp = "2026-01-05T00:00:00Z".parse().unwrap();
        let table = [
            ("used-by.kflow/other", "2026-01-05T00:00:01Z", true),
            ("used-by.kflow/other", "2026-01-04T23:59:59Z", false),
            ("used-by.kflow/other", "some day", false),
            ("used-by.kflow/mine", "2026-01-06T00:00:00Z", false),
            ("made-by.example/other", "2026-01-06T00:00:00Z", false),
        ];
        for (key, until, expected) in table {
            let annotations = [(key.to_owned(), until.to_owned())].into();
            assert_eq!(is_marked(Some(&annotations), "mine", now), expected, "{key} {until}");
        }
        assert!(!is_marked(None, "mine", now));
    }

    #[test]
    fn a_namespace_beside_another_has_a_name_that_kubernetes_takes() {
        assert_eq!(beside("kflow", "1d733da77e"), "kflow-1d733da77e");
        let long = format!("{}-{}", "a".repeat(51), "b".repeat(10));
        let name = beside(&long, "1d733da77e");
        assert_eq!((name.len(), name.as_str()), (62, &*format!("{}-1d733da77e", "a".repeat(51))));
    }

    #[test]
    fn the_namespace_allows_host_networking_and_warns_of_nothing() {
        let labels = namespace("kflow").metadata.labels.unwrap();
        for mode in ["enforce", "audit", "warn"] {
            assert_eq!(labels[&format!("pod-security.kubernetes.io/{mode}")], "privileged");
        }
    }
}
