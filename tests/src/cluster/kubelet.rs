//! Scheduler and kubelets: what becomes of a pod once it exists.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Shared,
    config::{Fate, NodeConfig},
    container::Container,
    pod_status::{self as status, Container as State, Told},
    resource::NODES,
    store::{Key, now},
};

/// How long pods have to end, where they say nothing else.
const GRACE: u64 = 30;
/// Stands for the first process of a container that has none.
const NO_PROCESS: i32 = 0;
/// How long a kubelet takes from a pull that failed to waiting for the next.
const BACK_OFF: Duration = Duration::from_millis(500);

/// The pods that have a life of their own.
#[derive(Default)]
pub(super) struct Lives(Mutex<HashMap<Key, Life>>);

#[derive(Clone)]
struct Life {
    /// The first process, while there is one.
    init: watch::Sender<Option<i32>>,
    /// How long it may take to end, once it has to.
    end: watch::Sender<Option<Duration>>,
}

impl Lives {
    /// The first process of a pod's container, while it runs.
    pub(super) fn init(&self, pod: &Key) -> Option<i32> {
        self.lock().get(pod).and_then(|life| *life.init.borrow())
    }

    /// The first processes of all containers that run, those of deleted pods included.
    pub(super) fn all(&self) -> Vec<i32> {
        self.lock().values().filter_map(|life| *life.init.borrow()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins the life of a pod that was just created.
pub(super) fn begin(shared: &Arc<Shared>, pod: &Key) {
    let life = Life { init: watch::Sender::new(None), end: watch::Sender::new(None) };
    shared.lives.lock().insert(pod.clone(), life.clone());
    let (shared, pod) = (Arc::clone(shared), pod.clone());
    tokio::spawn(async move {
        live(&shared, &pod, &life).await;
        let mut lives = shared.lives.lock();
        // A younger pod may have its name meanwhile.
        if lives.get(&pod).is_some_and(|other| other.end.same_channel(&life.end)) {
            lives.remove(&pod);
        }
    });
}

/// Deletes a pod as the server does: at once, or when its kubelet says that it has ended. What the server answers.
pub(super) fn delete(shared: &Arc<Shared>, pod: &Key, grace: Option<u64>) -> Option<Arc<Value>> {
    let before = shared.store.get(pod)?;
    let has_node = before["spec"]["nodeName"].is_string();
    let life = shared.lives.lock().get(pod).cloned();
    let own = before["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(GRACE);
    let grace = if has_node && life.is_some() { grace.unwrap_or(own) } else { 0 };
    let marked = shared.store.update(pod, |object| mark(object, grace))?;
    if let Some(life) = life {
        life.end.send_replace(Some(Duration::from_secs(grace)));
    }
    if grace == 0 {
        shared.store.remove(pod);
    }
    Some(marked)
}

fn mark(object: &mut Value, grace: u64) {
    let metadata = &mut object["metadata"];
    if metadata["deletionTimestamp"].is_null() {
        metadata["generation"] = json!(metadata["generation"].as_u64().unwrap_or(1) + 1);
        metadata["deletionTimestamp"] = json!(now());
    }
    metadata["deletionGracePeriodSeconds"] = json!(grace);
}

/// The node that a pod asks for, by name, by affinity or by its host name label.
pub(super) fn wanted_node(pod: &Value) -> Option<&str> {
    let spec = &pod["spec"];
    let terms = &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let field = terms["nodeSelectorTerms"][0]["matchFields"][0]["values"][0].as_str();
    let label = spec["nodeSelector"]["kubernetes.io/hostname"].as_str();
    spec["nodeName"].as_str().or(field).or(label)
}

/// Where a pod goes that may go anywhere.
fn any_node(shared: &Shared, pod: &Value) -> Option<String> {
    let is_free = pod["spec"]["nodeSelector"].is_null() && pod["spec"]["affinity"].is_null();
    shared.node_names().into_iter().find(|_| is_free)
}

async fn live(shared: &Arc<Shared>, pod: &Key, life: &Life) {
    let Some(object) = shared.store.get(pod) else { return };
    let wanted = wanted_node(&object).map(str::to_owned).or_else(|| any_node(shared, &object));
    let nodes = shared.config.nodes.len();
    let Some((name, node)) = wanted.as_deref().and_then(|name| shared.node(name).map(|node| (name, node)))
    else {
        let message = format!(
            "0/{nodes} nodes are available: {nodes} node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
        );
        shared.store.update(pod, |object| status::unschedulable(object, &message));
        return ended(life).await;
    };
    if matches!(node.fate, Fate::Tainted) && object["spec"]["nodeName"].is_null() {
        let others = nodes - 1;
        let message = format!(
            "0/{nodes} nodes are available: {others} node(s) didn't satisfy plugin(s) [NodeAffinity], 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
        );
        shared.store.update(pod, |object| status::unschedulable(object, &message));
        return ended(life).await;
    }
    shared.store.update(pod, |object| status::scheduled(object, name));
    let uid = object["metadata"]["uid"].clone();
    let kubelet = Kubelet { shared, pod, life, node: &node, host: host_address(shared, name), uid };
    if matches!(node.fate, Fate::Silent) {
        // Whoever deletes it waits for a kubelet that says nothing, to the end of the grace.
        ended(life).await;
        let grace = life.end.borrow().unwrap_or_default();
        let mut end = life.end.subscribe();
        let _ = timeout(grace, end.wait_for(|grace| grace.is_some_and(|grace| grace.is_zero()))).await;
    } else {
        kubelet.start(&object).await;
    }
    kubelet.finish().await;
}

/// Waits until the pod is deleted.
async fn ended(life: &Life) {
    let mut end = life.end.subscribe();
    // The sender lives as long as `life`.
    let _ = end.wait_for(Option::is_some).await;
}

struct Kubelet<'a> {
    shared: &'a Arc<Shared>,
    pod: &'a Key,
    life: &'a Life,
    node: &'a NodeConfig,
    host: String,
    /// A younger pod may have the same name.
    uid: Value,
}

impl Kubelet<'_> {
    async fn start(&self, pod: &Value) {
        let creating = State::Waiting { reason: "ContainerCreating", message: None };
        self.tell("Pending", creating, false);
        tokio::select! {
            () = sleep(self.node.start) => {}
            () = ended(self.life) => return,
        }
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        match &self.node.fate {
            Fate::ImagePull => self.fail_to_pull(image).await,
            Fate::ImageNever => {
                let why = format!("Container image {image:?} is not present with pull policy of Never");
                self.tell(
                    "Pending",
                    State::Waiting { reason: "ErrImageNeverPull", message: Some(&why) },
                    true,
                );
            }
            Fate::NoProgram => {
                let why = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"/kflow\": stat /kflow: no such file or directory";
                self.tell(
                    "Failed",
                    State::Ended { code: 128, reason: "StartError", message: Some(why) },
                    true,
                );
            }
            Fate::Crashes(code) => {
                self.tell("Running", State::Running, true);
                self.tell_end(pod, i32::from(*code));
            }
            Fate::Plays(_) => self.stand_in(pod).await,
            _ => self.run(pod).await,
        }
    }

    /// Runs nothing until the pod is deleted: what is called for in it is played.
    async fn stand_in(&self, pod: &Value) {
        self.life.init.send_replace(Some(NO_PROCESS));
        self.tell("Running", State::Running, true);
        ended(self.life).await;
        self.life.init.send_replace(None);
        self.tell_end(pod, 0);
    }

    async fn fail_to_pull(&self, image: &str) {
        let why = format!(
            "failed to pull and unpack image {image:?}: failed to resolve image: failed to do request: Head \"https://registry.invalid/v2/kflow/manifests/1\": dial tcp: lookup registry.invalid: no such host"
        );
        self.tell("Pending", State::Waiting { reason: "ErrImagePull", message: Some(&why) }, true);
        tokio::select! {
            () = sleep(BACK_OFF) => {}
            () = ended(self.life) => return,
        }
        let why = format!("Back-off pulling image {image:?}: ErrImagePull: {why}");
        self.tell("Pending", State::Waiting { reason: "ImagePullBackOff", message: Some(&why) }, true);
    }

    /// Runs the container until it ends or has to.
    async fn run(&self, pod: &Value) {
        let mut container = match Container::start(&self.shared.config.program, self.node, pod).await {
            Ok(container) => container,
            Err(error) => {
                let why = error.to_string();
                let state = State::Ended { code: 128, reason: "StartError", message: Some(&why) };
                return self.tell("Failed", state, true);
            }
        };
        self.life.init.send_replace(Some(container.init()));
        self.tell("Running", State::Running, true);
        let deadline = pod["spec"]["activeDeadlineSeconds"].as_u64();
        let deadline = deadline.map_or(Duration::MAX, Duration::from_secs);
        let code = tokio::select! {
            code = container.wait() => code,
            () = ended(self.life) => self.terminate(&mut container).await,
            () = sleep(deadline) => {
                self.update(|object| {
                    object["status"]["reason"] = json!("DeadlineExceeded");
                    object["status"]["message"] =
                        json!("Pod was active on the node longer than the specified deadline");
                });
                container.kill().await
            }
        };
        self.life.init.send_replace(None);
        self.tell_end(pod, code);
    }

    /// SIGTERM, and SIGKILL when the grace is over.
    async fn terminate(&self, container: &mut Container) -> i32 {
        let grace = self.life.end.borrow().unwrap_or_default();
        if !grace.is_zero() {
            container.signal(Signal::SIGTERM);
            let mut shorter = self.life.end.subscribe();
            let waited = tokio::select! {
                waited = timeout(grace, container.wait()) => waited.ok(),
                // A second deletion without grace.
                _ = shorter.wait_for(|grace| grace.is_some_and(|grace| grace.is_zero())) => None,
            };
            if let Some(code) = waited {
                return code;
            }
        }
        container.kill().await
    }

    fn tell_end(&self, pod: &Value, code: i32) {
        let reason = if code == 0 { "Completed" } else { "Error" };
        let is_deadline =
            self.shared.store.get(self.pod).is_some_and(|now| now["status"]["reason"] == "DeadlineExceeded");
        let is_final = matches!(pod["spec"]["restartPolicy"].as_str(), Some("Never")) || is_deadline;
        if is_final || self.life.end.borrow().is_some() {
            let phase = if code == 0 && !is_deadline { "Succeeded" } else { "Failed" };
            return self.tell(phase, State::Ended { code, reason, message: None }, true);
        }
        let name = &self.pod.name;
        let why = format!("back-off 10s restarting failed container=agent pod={name}_{}", self.pod.namespace);
        self.tell("Running", State::Waiting { reason: "CrashLoopBackOff", message: Some(&why) }, true);
        self.update(|object| {
            object["status"]["containerStatuses"][0]["lastState"] =
                json!({ "terminated": { "exitCode": code, "reason": reason, "finishedAt": now() } });
            object["status"]["containerStatuses"][0]["restartCount"] = json!(1);
        });
    }

    /// Waits for the deletion, and confirms it.
    async fn finish(&self) {
        ended(self.life).await;
        self.update(|object| mark(object, 0));
        if self.shared.store.get(self.pod).is_some_and(|object| object["metadata"]["uid"] == self.uid) {
            self.shared.store.remove(self.pod);
        }
    }

    fn tell(&self, phase: &str, container: State<'_>, has_sandbox: bool) {
        let address = has_sandbox.then_some(self.host.as_str());
        let told = Told { phase, container, host: &self.host, address };
        self.update(|object| status::tell(object, &told));
    }

    fn update(&self, change: impl FnOnce(&mut Value)) {
        self.shared.store.update(self.pod, |object| {
            if object["metadata"]["uid"] == self.uid {
                change(object);
            }
        });
    }
}

fn host_address(shared: &Shared, node: &str) -> String {
    let key = Key { resource: &NODES, namespace: String::new(), name: node.to_owned() };
    let object = shared.store.get(&key);
    let address = object.as_ref().and_then(|node| node["status"]["addresses"][0]["address"].as_str());
    address.unwrap_or("192.0.2.1").to_owned()
}
