use serde_json::json;

use super::*;

fn pod(labels: &serde_json::Value, node: &str, is_running: bool) -> Pod {
    let state =
        if is_running { json!({"running": {}}) } else { json!({"waiting": {"reason": "ContainerCreating"}}) };
    let pod = json!({
        "metadata": {"name": "kflow-agent-x", "labels": labels},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "containerStatuses": [{
            "name": "agent", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state,
        }]},
    });
    serde_json::from_value(pod).unwrap()
}

#[test]
fn only_an_installed_agent_of_this_version_that_runs_there_is_used() {
    let version = env!("CARGO_PKG_VERSION");
    let plain = json!({VERSION: version});
    let table = vec![
        (pod(&plain, "n1", true), false, true),
        (pod(&plain, "n2", true), false, false),
        (pod(&plain, "n1", false), false, false),
        (pod(&json!({VERSION: "0.0.1"}), "n1", true), false, false),
        (pod(&json!({VERSION: version, RUN: "cafe"}), "n1", true), false, false),
        (pod(&plain, "n1", true), true, false),
        (pod(&json!({VERSION: version, POD_SIDE: "true"}), "n1", true), true, true),
        (pod(&json!({VERSION: version, POD_SIDE: "true"}), "n1", true), false, true),
    ];
    for (at, (pod, pod_side, expected)) in table.into_iter().enumerate() {
        assert_eq!(is_installed(&pod, "n1", pod_side), expected, "row {at}");
    }
}
