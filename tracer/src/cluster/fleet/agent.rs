//! One agent: from the wish for it to a pod that runs, or to the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Node, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Error, ResourceExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::board::Seen;
use super::diagnosis::{Standing, is_unheard_of, is_unready, late, standing};
use super::pod::{self, POD_SIDE, RUN, VERSION};
use super::{Inner, namespace, refusal};

/// How long an agent may take before it is told what it waits for.
const PATIENCE: Duration = Duration::from_secs(9);
/// How long an agent may take that is on its way: an image is pulled.
const MOST: Duration = Duration::from_mins(3);
/// How often a pod is made again in a namespace that another run removes.
const ATTEMPTS: usize = 5;

/// How it is with a node's agent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Agent {
    /// It is being seen to; what it waits for, where that takes long.
    Coming(Option<String>),
    /// It runs in this pod.
    Ready(String),
    /// There is none, or none any more.
    Failed(String),
}

/// Brings a node's agent up, and then says when it is gone.
pub(super) async fn bring_up(inner: Arc<Inner>, node: String, agent: watch::Sender<Agent>) {
    let outcome = match installed(&inner, &node) {
        Some(name) => Ok(name),
        None => make(&inner, &node).await,
    };
    let name = match outcome {
        Ok(name) => name,
        Err(reason) => {
            agent.send_replace(Agent::Failed(reason));
            return;
        }
    };
    let mut pod = inner.board.follow(&name);
    let reason = match until_ready(&inner, &node, &mut pod, &agent).await {
        Ok(()) => {
            agent.send_replace(Agent::Ready(name));
            until_gone(&mut pod).await
        }
        Err(reason) => reason,
    };
    agent.send_replace(Agent::Failed(reason));
}

/// The agent that `kflow install` placed on the node, if it is of this version, runs, and can do what is needed.
fn installed(inner: &Inner, node: &str) -> Option<String> {
    inner
        .board
        .pods()
        .into_iter()
        .find(|pod| is_installed(pod, node, inner.spec.needs.pod_side))
        .map(|pod| pod.name_any())
}

fn is_installed(pod: &Pod, node: &str, pod_side: bool) -> bool {
    let labels = pod.labels();
    !labels.contains_key(RUN)
        && labels.get(VERSION).is_some_and(|version| version == env!("CARGO_PKG_VERSION"))
        && (!pod_side || labels.contains_key(POD_SIDE))
        && pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref() == Some(node))
        && standing(pod) == Standing::Ready
}

/// Makes the pod. Returns its name.
async fn make(inner: &Inner, node: &str) -> Result<String, String> {
    let _turn = inner.turns.acquire().await.map_err(|_| "the run is over".to_owned())?;
    let space = &inner.spec.namespace;
    let api: Api<Pod> = Api::namespaced(inner.client.clone(), space);
    let wanted = pod::pod(&inner.spec, node, &inner.run, inner.next(), inner.deadline);
    let name = wanted.name_any();
    inner.announce(&name);
    for _ in 0..ATTEMPTS {
        match api.create(&PostParams::default(), &wanted).await {
            Ok(_) => return Ok(name),
            Err(error) if refusal::is_terminating(&error) || refusal::is_namespace_missing(&error) => {
                let made = namespace::ensure(&inner.client, space, &inner.run).await;
                made.map_err(|error| error.to_string())?;
            }
            Err(error) => return Err(refusal::of_pod(&error, space)),
        }
    }
    Err(format!("the namespace {space} is removed by others again and again"))
}

/// Waits until the agent runs. What takes long is told; what nothing is known of fails.
async fn until_ready(
    inner: &Inner,
    node: &str,
    pod: &mut watch::Receiver<Seen>,
    agent: &watch::Sender<Agent>,
) -> Result<(), String> {
    let started = Instant::now();
    let mut look = started + PATIENCE;
    loop {
        let seen = pod.borrow_and_update().clone();
        let waits_for = match &seen {
            Seen::Not => "the pod was made, and nothing was heard of it since".to_owned(),
            Seen::Gone => return Err("somebody deleted the agent's pod".to_owned()),
            Seen::As(pod) => match standing(pod) {
                Standing::Ready => return Ok(()),
                Standing::Failed(reason) => return Err(reason),
                Standing::Coming(what) => what,
            },
        };
        tokio::select! {
            changed = pod.changed() => changed.map_err(|_| "the run is over".to_owned())?,
            () = sleep_until(look) => {
                let (reason, is_hopeless) = known(inner, node, &seen, &waits_for).await;
                if is_hopeless || started.elapsed() > MOST {
                    let seconds = started.elapsed().as_secs();
                    return Err(format!("the agent has not come up within {seconds} s: {reason}"));
                }
                agent.send_replace(Agent::Coming(Some(reason)));
                look = Instant::now() + PATIENCE;
            }
        }
    }
}

/// What is known of a pod that does not come, and whether waiting on makes sense: its node is ready, and its kubelet
/// has taken it up.
async fn known(inner: &Inner, node: &str, seen: &Seen, waits_for: &str) -> (String, bool) {
    let nodes: Api<Node> = Api::all(inner.client.clone());
    // Who may not read nodes and events is told less.
    let node = nodes.get(node).await.ok();
    let Seen::As(pod) = seen else { return (late(waits_for, node.as_ref(), None), true) };
    let event = last_event(inner, &pod.name_any()).await.ok().flatten();
    let is_hopeless = is_unheard_of(pod) || node.as_ref().is_some_and(is_unready);
    (late(waits_for, node.as_ref(), event.as_deref()), is_hopeless)
}

/// The last thing that was said of a pod, such as a volume that cannot be mounted or an image that is being pulled.
async fn last_event(inner: &Inner, pod: &str) -> Result<Option<String>, Error> {
    let api: Api<Event> = Api::namespaced(inner.client.clone(), &inner.spec.namespace);
    let of_pod = ListParams::default().fields(&format!("involvedObject.name={pod}")).limit(100);
    let events = api.list(&of_pod).await?.items;
    let time = |event: &Event| event.last_timestamp.clone().or_else(|| event.first_timestamp.clone());
    // That it was placed is known.
    let last =
        events.into_iter().filter(|event| event.reason.as_deref() != Some("Scheduled")).max_by_key(time);
    Ok(last.and_then(|event| event.message))
}

/// Waits until the agent runs no more. Returns why.
async fn until_gone(pod: &mut watch::Receiver<Seen>) -> String {
    loop {
        let reason = match &*pod.borrow_and_update() {
            Seen::Gone => Some("somebody deleted the agent's pod".to_owned()),
            Seen::As(pod) => match standing(pod) {
                Standing::Failed(reason) => Some(reason),
                Standing::Ready | Standing::Coming(_) => None,
            },
            Seen::Not => None,
        };
        if let Some(reason) = reason {
            return reason;
        }
        if pod.changed().await.is_err() {
            return "the run is over".to_owned();
        }
    }
}

#[cfg(test)]
mod tests;
