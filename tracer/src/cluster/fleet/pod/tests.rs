use serde_json::{Value, json};

use super::*;
use crate::cli::cluster::AgentArgs;

fn args() -> AgentArgs {
    AgentArgs {
        agent_namespace: "kflow".to_owned(),
        image: "registry.example/kflow:1".to_owned(),
        image_pull_secret: vec!["pull".to_owned()],
        node_selector: vec!["kubernetes.io/os=linux".to_owned()],
        toleration: vec!["gpu=yes:NoExecute".to_owned()],
        agent_cpu: None,
        agent_memory: Some("128Mi".to_owned()),
        max_rate: 10_000_000,
    }
}

fn made(pod_side: bool) -> Value {
    let spec = AgentSpec::parse(&args(), Needs { pod_side }).unwrap();
    serde_json::to_value(pod(&spec, "node-1", "cafe", 0, 3600)).unwrap()
}

#[test]
fn an_agent_may_do_what_a_capture_needs_and_nothing_else() {
    let pod = made(false);
    let spec = &pod["spec"];
    let expected = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"add": ["BPF", "NET_ADMIN", "PERFMON"], "drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": true,
    });
    assert_eq!(spec["containers"][0]["securityContext"], expected);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert_eq!(spec["hostNetwork"], true);
    for absent in ["hostPID", "hostIPC", "volumes", "serviceAccountName", "nodeName", "priorityClassName"] {
        assert_eq!(spec[absent], Value::Null, "{absent}");
    }
    assert_eq!(spec["containers"][0]["ports"], Value::Null);
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn captures_are_noted_and_bound_by_the_environment_alone() {
    let audit = json!({"name": "KFLOW_AUDIT", "value": "/proc/1/fd/2"});
    assert_eq!(made(false)["spec"]["containers"][0]["env"], json!([audit]));
    let spec = AgentSpec::parse(&args(), Needs::default()).unwrap().with_max_snap(Some("headers".to_owned()));
    let spec = serde_json::to_value(pod_spec(&spec, Life::Stay)).unwrap();
    let ceiling = json!({"name": "KFLOW_MAX_SNAP", "value": "headers"});
    assert_eq!(spec["containers"][0]["env"], json!([audit, ceiling]));
}

#[test]
fn a_pod_side_adds_one_capability_and_one_path_that_cannot_be_written() {
    let pod = made(true);
    let container = &pod["spec"]["containers"][0];
    let added = json!(["BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN"]);
    assert_eq!(container["securityContext"]["capabilities"]["add"], added);
    let mount = json!([{
        "name": "network-namespaces", "mountPath": "/run/netns", "readOnly": true, "mountPropagation": "HostToContainer",
    }]);
    assert_eq!(container["volumeMounts"], mount);
    let volume =
        json!([{"name": "network-namespaces", "hostPath": {"path": "/run/netns", "type": "Directory"}}]);
    assert_eq!(pod["spec"]["volumes"], volume);
    assert_eq!(pod["metadata"]["labels"][POD_SIDE], "true");
}

#[test]
fn a_run_is_on_its_node_and_ends() {
    let pod = made(false);
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let field = &affinity["nodeSelectorTerms"][0]["matchFields"][0];
    assert_eq!(*field, json!({"key": "metadata.name", "operator": "In", "values": ["node-1"]}));
    assert_eq!(pod["spec"]["activeDeadlineSeconds"], 3600);
    assert_eq!(pod["spec"]["restartPolicy"], "Never");
    assert_eq!(pod["spec"]["containers"][0]["command"], json!(["/kflow", "agent", "--idle", "45"]));
    assert_eq!(pod["metadata"]["labels"][RUN], "cafe");
    assert_eq!(pod["metadata"]["namespace"], "kflow");
}

#[test]
fn the_flags_arrive() {
    let pod = made(false);
    let spec = &pod["spec"];
    assert_eq!(spec["containers"][0]["image"], "registry.example/kflow:1");
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(spec["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    let resources = json!({"requests": {"cpu": "10m"}, "limits": {"memory": "128Mi"}});
    assert_eq!(spec["containers"][0]["resources"], resources);
    let tolerations = spec["tolerations"].as_array().unwrap();
    assert_eq!(tolerations[0], json!({"operator": "Exists", "effect": "NoSchedule"}));
    let own = json!({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute"});
    assert_eq!(tolerations.last(), Some(&own));
}

#[test]
fn one_that_stays_has_no_end() {
    let spec = AgentSpec::parse(&args(), Needs::default()).unwrap();
    let spec = serde_json::to_value(pod_spec(&spec, Life::Stay)).unwrap();
    assert_eq!(spec["activeDeadlineSeconds"], Value::Null);
    assert_eq!(spec["affinity"], Value::Null);
    assert_eq!(spec["restartPolicy"], "Always");
    assert_eq!(spec["containers"][0]["command"], json!(["/kflow", "agent", "--stay"]));
}

#[test]
fn names_are_labels_and_tell_nodes_apart() {
    let long = "ip-10-0-0-1.eu-central-1.compute.internal.a-very-long-domain-of-a-very-large-company.example";
    let names = ["n1", "10.0.0.1", "10-0-0-1", long, &long[..80], "Node_ä"]
        .map(|node| name(node, "0123456789", 1000));
    for name in &names {
        assert!(name.len() <= 63, "{name}");
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{name}"
        );
    }
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
    assert_eq!(names[0], "kflow-agent-n1-0123456789-1000");
}
