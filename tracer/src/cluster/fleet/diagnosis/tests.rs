use serde_json::{Value, json};

use super::*;

fn pod(status: &Value) -> Pod {
    let pod = json!({"metadata": {"name": "kflow-agent-n1-1"}, "spec": {"containers": []}, "status": status});
    serde_json::from_value(pod).unwrap()
}

fn container(state: &Value) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{
        "name": "agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    }]})
}

fn failed(status: &Value) -> String {
    match standing(&pod(status)) {
        Standing::Failed(reason) => reason,
        other => panic!("{other:?} for {status}"),
    }
}

#[test]
fn an_image_that_cannot_be_pulled_is_named_with_the_registry_s_words() {
    for reason in ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"] {
        let waiting =
            json!({"waiting": {"reason": reason, "message": "failed to pull \"kflow:9\":\n  not found"}});
        let words = failed(&container(&waiting));
        assert!(words.contains("cannot be pulled") && words.contains("--image"), "{words}");
        assert!(words.ends_with(&format!("{reason}: failed to pull \"kflow:9\": not found")), "{words}");
    }
    let waiting = json!({"waiting": {"reason": "InvalidImageName"}});
    assert!(failed(&container(&waiting)).contains("a name that is none"));
}

#[test]
fn a_container_that_cannot_be_made_fails() {
    for reason in ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"] {
        let waiting = json!({"waiting": {"reason": reason, "message": "unknown capability CAP_BPF"}});
        assert!(failed(&container(&waiting)).ends_with(&format!("{reason}: unknown capability CAP_BPF")));
    }
}

#[test]
fn the_scheduler_s_words_are_passed_on_with_advice() {
    let condition = |message: &str| {
        json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
        }]})
    };
    let taint = "0/2 nodes are available: 1 node(s) had untolerated taint(s) {gpu: yes}, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]. \
                 no new claims to deallocate, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    let words = failed(&condition(taint));
    assert!(!words.contains("NodeAffinity") && !words.contains("reemption"), "{words}");
    let none = "0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: no.";
    assert!(
        failed(&condition(none))
            .ends_with("0/1 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity].")
    );
    assert!(words.contains("untolerated taint(s) {gpu: yes}") && words.contains("--toleration"), "{words}");
    let words = failed(&condition("0/2 nodes are available: 1 Insufficient cpu."));
    assert!(words.contains("Insufficient cpu") && !words.contains("--toleration"), "{words}");
}

#[test]
fn ends_are_told_with_exit_code_and_message() {
    let ended = |reason: &str, message: &str| json!({"terminated": {"exitCode": 4, "reason": reason, "message": message}});
    assert_eq!(
        failed(&container(&ended("Error", "no such flag\n"))),
        "the agent ended with exit code 4: no such flag"
    );
    assert_eq!(failed(&container(&ended("OOMKilled", ""))), "the agent ended with exit code 4: OOMKilled");
    assert_eq!(failed(&container(&ended("Completed", ""))), "the agent ended with exit code 4");
    let deadline =
        json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active on the node"});
    assert_eq!(failed(&deadline), "the agent's pod reached its deadline");
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"});
    assert_eq!(failed(&evicted), "the agent's pod was ended: Evicted: The node was low on memory");
    assert_eq!(failed(&json!({"phase": "Succeeded"})), "the agent's pod ended");
}

#[test]
fn what_is_on_its_way_is_told_from_what_runs() {
    let table = [
        (json!({}), Some("the scheduler has not placed the pod")),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}),
            Some("the node's kubelet has not taken the pod up"),
        ),
        (
            container(&json!({"waiting": {"reason": "ContainerCreating"}})),
            Some("its container is being made (ContainerCreating)"),
        ),
        (container(&json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}})), None),
    ];
    for (status, waits) in table {
        let expected = waits.map_or(Standing::Ready, |waits| Standing::Coming(waits.to_owned()));
        assert_eq!(standing(&pod(&status)), expected, "{status}");
    }
}

#[test]
fn a_pod_that_is_being_deleted_counts_for_nothing_though_it_runs() {
    let mut pod = pod(&container(&json!({"running": {}})));
    pod.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(standing(&pod), Standing::Failed("somebody deleted the agent's pod".to_owned()));
}

#[test]
fn a_pod_is_unheard_of_until_a_kubelet_takes_it_up() {
    assert!(is_unheard_of(&pod(&json!({"phase": "Pending"}))));
    assert!(!is_unheard_of(&pod(&json!({"phase": "Pending", "startTime": "2026-01-01T00:00:00Z"}))));
}

#[test]
fn the_node_and_the_last_event_are_told_of_a_pod_that_is_late() {
    let node: Node = serde_json::from_value(json!({"status": {"conditions": [
        {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."},
    ]}}))
    .unwrap();
    assert!(is_unready(&node));
    let words = late("the kubelet has not taken it up", Some(&node), Some("Pulling image\n \"x\""));
    assert_eq!(
        words,
        "the kubelet has not taken it up; the node is not ready: Kubelet stopped posting node status.; Pulling image \"x\""
    );
    assert_eq!(late("it waits", None, None), "it waits");
}
