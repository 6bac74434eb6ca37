//! The agents that there are, and what they say of themselves.

use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fleet::diagnosis::{Standing, standing};
use super::fleet::pod::{BINARY, CONTAINER, POD_SIDE, RUN, SELECTOR, VERSION};
use super::fleet::refusal;

/// Agents that are asked at once.
const AT_ONCE: usize = 16;
/// How long an agent may take to answer: it tries out the kernel's features.
const ANSWERING: Duration = Duration::from_secs(15);
/// The longest answer that is taken.
const LONGEST: u64 = 1 << 20;

/// An agent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AgentEntry {
    /// Its node.
    pub node: Option<String>,
    /// Its pod.
    pub pod: String,
    /// The run that made it; absent where `kflow install` did.
    pub run: Option<String>,
    /// Whether it runs.
    pub ready: bool,
    /// Why it does not.
    pub reason: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Whether it can enter the network namespaces of pods.
    pub pod_side: bool,
    /// What `kflow doctor --json` says on its node.
    pub doctor: Option<Value>,
}

/// All agents in a namespace, by their nodes. Those that run are asked about their kernel.
pub async fn list(client: &Client, space: &str) -> Result<Vec<AgentEntry>, String> {
    let api: Api<Pod> = Api::namespaced(client.clone(), space);
    let pods =
        api.list(&ListParams::default().labels(SELECTOR)).await.map_err(|error| refusal::words(&error))?;
    let turns = &Semaphore::new(AT_ONCE);
    let entries = Mutex::new(Vec::new());
    let asked = pods.items.iter().map(|pod| {
        let (api, entries) = (&api, &entries);
        async move {
            let _turn = turns.acquire().await;
            let mut entry = entry(pod);
            if entry.ready {
                match examine(api, &entry.pod, space).await {
                    Ok(doctor) => entry.doctor = Some(doctor),
                    Err(reason) => entry.reason = Some(reason),
                }
            }
            entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(entry);
        }
    });
    join_all(asked).await;
    let mut entries = entries.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    entries.sort_by(|one, other| (&one.node, &one.pod).cmp(&(&other.node, &other.pod)));
    Ok(entries)
}

/// What its pod tells.
fn entry(pod: &Pod) -> AgentEntry {
    let labels = pod.labels();
    let reason = match standing(pod) {
        Standing::Ready => None,
        Standing::Coming(reason) | Standing::Failed(reason) => Some(reason),
    };
    AgentEntry {
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        pod: pod.name_any(),
        run: labels.get(RUN).cloned(),
        ready: reason.is_none(),
        reason,
        version: labels.get(VERSION).cloned(),
        pod_side: labels.contains_key(POD_SIDE),
        doctor: None,
    }
}

/// What its kernel can do.
async fn examine(api: &Api<Pod>, pod: &str, space: &str) -> Result<Value, String> {
    let streams = kube::api::AttachParams::default().container(CONTAINER).stderr(false);
    let answer = async {
        let mut process = api
            .exec(pod, [BINARY, "doctor", "--json"], &streams)
            .await
            .map_err(|error| refusal::of_exec(&error, space))?;
        let mut json = Vec::new();
        if let Some(stdout) = process.stdout() {
            let read = stdout.take(LONGEST).read_to_end(&mut json).await;
            read.map_err(|error| format!("the agent's answer breaks off: {error}"))?;
        }
        serde_json::from_slice(&json).map_err(|error| format!("the agent's answer makes no sense: {error}"))
    };
    let answer = timeout(ANSWERING, answer).await;
    answer.unwrap_or_else(|_| Err(format!("the agent has not answered within {} s", ANSWERING.as_secs())))
}
