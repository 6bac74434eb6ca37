//! What a kubelet and the scheduler write into a pod, as recorded.

use serde_json::{Value, json};

use super::store::now;

/// Why no node takes a pod.
pub(super) fn unschedulable(pod: &mut Value, message: &str) {
    let generation = pod["metadata"]["generation"].clone();
    pod["status"]["conditions"] = json!([{
        "type": "PodScheduled", "observedGeneration": generation, "status": "False", "lastProbeTime": null,
        "lastTransitionTime": now(), "reason": "Unschedulable", "message": message,
    }]);
}

/// The scheduler's word.
pub(super) fn scheduled(pod: &mut Value, node: &str) {
    pod["spec"]["nodeName"] = json!(node);
    pod["status"]["conditions"] = json!([{
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now(),
    }]);
}

/// The state of the pod's container, as the kubelet tells it.
pub(super) enum Container<'a> {
    Waiting { reason: &'a str, message: Option<&'a str> },
    Running,
    Ended { code: i32, reason: &'a str, message: Option<&'a str> },
}

/// Everything that a kubelet says of a pod.
pub(super) struct Told<'a> {
    pub(super) phase: &'a str,
    pub(super) container: Container<'a>,
    /// The node's address.
    pub(super) host: &'a str,
    /// The pod's, once it has one.
    pub(super) address: Option<&'a str>,
}

pub(super) fn tell(pod: &mut Value, told: &Told<'_>) {
    let is_ready = matches!(told.container, Container::Running);
    let name = pod["spec"]["containers"][0]["name"].clone();
    let why = if told.phase == "Failed" { "PodFailed" } else { "ContainersNotReady" };
    let started = pod["status"]["startTime"].as_str().map_or_else(now, str::to_owned);
    let reason = pod["status"]["reason"].clone();
    let message = pod["status"]["message"].clone();
    pod["status"] = json!({
        "observedGeneration": pod["metadata"]["generation"],
        "phase": told.phase,
        "conditions": conditions(is_ready, told, why, name.as_str().unwrap_or_default()),
        "hostIP": told.host,
        "hostIPs": [{ "ip": told.host }],
        "startTime": started,
        "containerStatuses": [{
            "name": name,
            "state": state(&told.container),
            "lastState": {},
            "ready": is_ready,
            "restartCount": 0,
            "image": pod["spec"]["containers"][0]["image"],
            "imageID": "",
            "started": is_ready,
        }],
        "qosClass": "BestEffort",
    });
    for (key, kept) in [("reason", reason), ("message", message)] {
        if !kept.is_null() {
            pod["status"][key] = kept;
        }
    }
    if let Some(address) = told.address {
        pod["status"]["podIP"] = json!(address);
        pod["status"]["podIPs"] = json!([{ "ip": address }]);
    }
}

fn conditions(is_ready: bool, told: &Told<'_>, why: &str, container: &str) -> Value {
    let has_sandbox = told.address.is_some();
    let condition = |kind: &str, is_true: bool, is_about_containers: bool| {
        let mut condition = json!({
            "type": kind, "status": if is_true { "True" } else { "False" },
            "lastProbeTime": null, "lastTransitionTime": now(),
        });
        if is_about_containers && !is_true {
            condition["reason"] = json!(why);
            if told.phase != "Failed" {
                condition["message"] = json!(format!("containers with unready status: [{container}]"));
            }
        }
        condition
    };
    json!([
        condition("PodReadyToStartContainers", has_sandbox, false),
        condition("Initialized", true, false),
        condition("Ready", is_ready, true),
        condition("ContainersReady", is_ready, true),
        condition("PodScheduled", true, false),
    ])
}

fn state(container: &Container<'_>) -> Value {
    let with = |mut state: Value, message: Option<&str>| {
        if let Some(message) = message {
            state["message"] = json!(message);
        }
        state
    };
    match container {
        Container::Waiting { reason, message } => {
            json!({ "waiting": with(json!({ "reason": reason }), *message) })
        }
        Container::Running => json!({ "running": { "startedAt": now() } }),
        Container::Ended { code, reason, message } => json!({ "terminated": with(
            json!({ "exitCode": code, "reason": reason, "startedAt": now(), "finishedAt": now() }),
            *message,
        )}),
    }
}
