//! The double beside what a real API server was recorded to say (`src/cluster/recorded`).
//!
//! Refusals have to be the same word for word. Objects and events of the double may say nothing that the real server
//! did not say: then nothing that reads them relies on what there is only here.

mod exec;
mod pods;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tests::cluster::{DoubleConfig, Fate, NodeConfig, Rule, User};

use crate::{
    client::Bare,
    raw::{Reply, ask},
    support::{Failure, Test, eventually, word},
};

fn recorded(name: &str) -> Result<Value, Failure> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/cluster/recorded/{name}.json"));
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// A cluster as that of the recordings: a namespace, and users with few rights.
fn site(name: &str, fate: &Fate) -> Result<Bare, Failure> {
    let nodes = ["node-a", "node-b"]
        .map(|name| (name.to_owned(), NodeConfig { fate: fate.clone(), ..NodeConfig::default() }));
    let only =
        |verb: &str| User::new(&format!("only-{verb}"), [Rule::everywhere("", &["pods/exec"], &[verb])]);
    let users = vec![User::admin(), User::new("alice", []), only("get"), only("create")];
    let bare = Bare::up(name, DoubleConfig { nodes: nodes.into(), users, ..DoubleConfig::default() })?;
    bare.double.set(
        &json!({ "kind": "Namespace", "metadata": { "name": "recorded" }, "status": { "phase": "Active" } }),
    )?;
    Ok(bare)
}

/// Sends the request of a recording again.
fn again(bare: &Bare, user: &str, recording: &Value) -> Result<Reply, Failure> {
    let request = &recording["request"];
    let body = request.get("body");
    Ok(ask(bare.double.address(), user, word(&request["method"]), word(&request["path"]), body)?)
}

fn create(bare: &Bare, name: &str, node: Option<&str>) -> Test {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "rec" } },
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "nodeName": node,
            "containers": [{ "name": "agent", "image": "kflow:1" }],
        },
    });
    if node.is_none() {
        pod["spec"]["nodeName"] = Value::Null;
        pod["spec"]["nodeSelector"] = json!({ "no": "such" });
    }
    let path = "/api/v1/namespaces/recorded/pods";
    let reply = ask(bare.double.address(), "admin", "POST", path, Some(&pod))?;
    assert_eq!(reply.status, 201, "{}", reply.value());
    Ok(())
}

fn phase(bare: &Bare, name: &str) -> String {
    let pods = bare.double.objects("Pod");
    let pod = pods.iter().find(|pod| pod["metadata"]["name"] == name);
    pod.map(|pod| word(&pod["status"]["phase"]).to_owned()).unwrap_or_default()
}

#[test]
fn refusals_are_the_same_word_for_word() -> Test {
    let bare = site("refusals", &Fate::Runs)?;
    create(&bare, "good", Some("node-a"))?;
    create(&bare, "unsched", None)?;
    eventually("the pod runs", || phase(&bare, "good") == "Running");
    let mut checked = BTreeSet::new();
    for (name, user) in [
        ("unknown-resource", "admin"),
        ("not-found", "admin"),
        ("namespace-not-found", "admin"),
        ("namespace-exists", "admin"),
        ("pod-exists", "admin"),
        ("pod-invalid", "admin"),
        ("unauthorized", "stranger"),
        ("forbidden-list", "alice"),
        ("forbidden-list-namespace", "alice"),
        ("forbidden-nodes", "alice"),
        ("forbidden-slices", "alice"),
        ("forbidden-create", "alice"),
        ("apply-forbidden", "alice"),
        ("apply-no-manager", "admin"),
        ("delete-not-found", "admin"),
        ("field-selector-bad", "admin"),
        ("watch-bad", "admin"),
        ("exec-not-found", "admin"),
        ("exec-no-container", "admin"),
        ("exec-unscheduled", "admin"),
        ("exec-forbidden", "alice"),
    ] {
        same(&bare, name, user)?;
        assert!(checked.insert(name));
    }
    Ok(())
}

#[test]
fn an_unknown_version_of_a_group_is_refused_alike() -> Test {
    same(&site("group", &Fate::Runs)?, "unknown-group", "admin")
}

#[test]
fn half_a_right_to_exec_is_refused_alike() -> Test {
    let bare = site("half", &Fate::Runs)?;
    let namespace =
        json!({ "kind": "Namespace", "metadata": { "name": "demo" }, "status": { "phase": "Active" } });
    bare.double.set(&namespace)?;
    for name in ["only-get", "only-create"] {
        same(&bare, &format!("exec-{name}"), name)?;
    }
    Ok(())
}

#[test]
fn admission_refuses_alike() -> Test {
    for (name, level) in [("pod-security-restricted", "restricted"), ("pod-security-baseline", "baseline")] {
        let bare = site(name, &Fate::Runs)?;
        let labels = json!({ "pod-security.kubernetes.io/enforce": level });
        let namespace = json!({ "kind": "Namespace", "metadata": { "name": "recorded", "labels": labels }, "status": { "phase": "Active" } });
        bare.double.set(&namespace)?;
        same(&bare, name, "admin")?;
    }
    let bare = site("terminating", &Fate::Silent)?;
    create(&bare, "keeps-it", Some("node-a"))?;
    ask(bare.double.address(), "admin", "DELETE", "/api/v1/namespaces/recorded", None)?;
    same(&bare, "namespace-terminating", "admin")
}

#[test]
fn a_container_that_does_not_run_is_refused_alike() -> Test {
    let bare = site("waiting", &Fate::ImageNever)?;
    create(&bare, "never", Some("node-a"))?;
    same(&bare, "exec-not-running", "admin")
}

/// Asserts the same status, content type and body.
fn same(bare: &Bare, name: &str, user: &str) -> Test {
    let recording = recorded(name)?;
    let reply = again(bare, user, &recording)?;
    let expected = &recording["response"];
    assert_eq!(Value::from(reply.status), expected["status"], "{name}: {}", reply.value());
    assert_eq!(reply.header("content-type"), expected["headers"]["content-type"].as_str(), "{name}");
    assert_eq!(reply.value(), expected["body"], "{name}");
    Ok(())
}

#[test]
fn answers_say_nothing_that_the_real_ones_do_not() -> Test {
    let bare = site("answers", &Fate::Runs)?;
    create(&bare, "one", Some("node-a"))?;
    create(&bare, "two", Some("node-b"))?;
    eventually("both run", || ["one", "two"].iter().all(|name| phase(&bare, name) == "Running"));
    for (name, user) in [
        ("list-page", "admin"),
        ("version", "admin"),
        ("api", "admin"),
        ("apis-discovery", "admin"),
        ("apis-discovery-v1", "admin"),
        ("list-namespace-absent", "admin"),
        ("access-allowed", "admin"),
        ("access-denied", "alice"),
        ("self-review", "admin"),
        ("pod-created", "admin"),
        ("pod-delete", "admin"),
        ("apply-created", "admin"),
        ("daemonset-delete", "admin"),
        ("namespace-delete", "admin"),
    ] {
        let recording = recorded(name)?;
        let reply = again(&bare, user, &recording)?;
        let expected = &recording["response"];
        assert_eq!(
            u64::from(reply.status),
            expected["status"].as_u64().unwrap(),
            "{name}: {}",
            reply.value()
        );
        assert_within(name, &reply.value(), &expected["body"]);
        for key in ["kind", "apiVersion"] {
            assert_eq!(reply.value()[key], expected["body"][key], "{name}");
        }
        if name == "pod-created" {
            eventually("the pod runs", || phase(&bare, "good") == "Running");
        }
    }
    Ok(())
}

#[test]
fn a_namespace_is_made_alike() -> Test {
    let bare = Bare::up("namespace", DoubleConfig::default())?;
    let recording = recorded("namespace-created")?;
    let reply = again(&bare, "admin", &recording)?;
    assert_eq!(reply.status, 201);
    assert_within("namespace-created", &reply.value(), &recording["response"]["body"]);
    Ok(())
}

#[test]
fn a_used_up_quota_is_refused_alike() -> Test {
    let bare = site("quota", &Fate::Quota)?;
    let mut recording = recorded("quota-exceeded")?;
    recording["request"]["body"]["spec"]["nodeName"] = json!("node-a");
    let reply = again(&bare, "admin", &recording)?;
    assert_eq!((reply.status, &reply.value()), (403, &recording["response"]["body"]));
    Ok(())
}

#[test]
fn lists_and_watches_that_came_too_late_are_refused_alike() -> Test {
    let config = DoubleConfig { expires_lists: true, ..DoubleConfig::default() };
    let bare = Bare::up("late", config)?;
    let page = ask(bare.double.address(), "admin", "GET", "/api/v1/nodes?limit=1", None)?;
    let token = word(&page.value()["metadata"]["continue"]).to_owned();
    bare.double.compact();
    for (name, path) in [
        ("continue-expired", format!("/api/v1/nodes?limit=1&continue={token}")),
        ("continue-bad", "/api/v1/nodes?limit=1&continue=nonsense".to_owned()),
        ("list-newer-than-known", "/api/v1/pods?resourceVersion=101450".to_owned()),
        ("watch-expired", "/api/v1/pods?watch=1&resourceVersion=1".to_owned()),
    ] {
        let recording = recorded(name)?;
        let reply = ask(bare.double.address(), "admin", "GET", &path, None)?;
        let (told, real) = (reply.value(), &recording["response"]["body"]);
        assert_eq!(Value::from(reply.status), recording["response"]["status"], "{name}");
        assert_within(name, &told, real);
        let of = |body: &Value| if body["type"] == "ERROR" { body["object"].clone() } else { body.clone() };
        let (told, real) = (of(&told), of(real));
        for key in ["kind", "status", "reason", "code"] {
            assert_eq!(told[key], real[key], "{name}: {key}");
        }
        let words = |body: &Value| word(&body["message"]).replace(|letter: char| letter.is_ascii_digit(), "");
        assert!(words(&real).starts_with(&words(&told)), "{name}: {} is not {}", words(&told), words(&real));
    }
    Ok(())
}

#[test]
fn endpoints_are_told_alike() -> Test {
    let labels = json!({ "app": "echo" });
    let bare = site("endpoints", &Fate::Runs)?;
    bare.double.set(&json!({
        "kind": "Pod", "metadata": { "name": "echo", "namespace": "demo", "labels": labels },
        "spec": { "nodeName": "node-a", "containers": [] }, "status": { "phase": "Running", "podIP": "192.0.2.7" },
    }))?;
    let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP" }]);
    bare.double.set(&json!({
        "kind": "Service", "metadata": { "name": "echo", "namespace": "demo" }, "spec": { "selector": labels, "ports": ports },
    }))?;
    for (name, kind) in [("endpointslices", "EndpointSlice"), ("endpoints", "Endpoints")] {
        eventually(kind, || {
            bare.double.objects(kind).first().is_some_and(|each| each.to_string().contains("192.0.2.7"))
        });
        let recording = recorded(name)?;
        let reply = again(&bare, "admin", &recording)?;
        assert_within(name, &reply.value(), &recording["response"]["body"]);
    }
    Ok(())
}

/// Asserts that everything in one value has a place of the same type in the other.
fn assert_within(name: &str, told: &Value, real: &Value) {
    let (told, real) = (paths(told), paths(real));
    let invented: Vec<&String> = told.difference(&real).collect();
    assert!(invented.is_empty(), "{name}: the real server does not say {invented:?}");
}

/// Names of the fields with the type of what is in them; elements of arrays are one.
fn paths(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        match value {
            // Whose keys are anybody's.
            Value::Object(_) if path.ends_with("labels") || path.ends_with("annotations") => {}
            Value::Object(fields) => {
                found.insert(format!("{path}{{}}"));
                fields.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), found)),
            Value::String(_) => drop(found.insert(format!("{path}: string"))),
            Value::Number(_) => drop(found.insert(format!("{path}: number"))),
            Value::Bool(_) => drop(found.insert(format!("{path}: bool"))),
            Value::Null => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(value, "", &mut found);
    found
}

#[test]
fn every_recording_is_used() -> Test {
    let sources = ["fidelity.rs", "fidelity/exec.rs", "fidelity/pods.rs"];
    let read = |file: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster").join(file))
    };
    let text = sources.into_iter().map(read).collect::<Result<String, _>>()?;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/recorded"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".json") {
            assert!(
                text.contains(&format!("\"{name}\""))
                    || text.contains(&format!(
                        "{:?}",
                        name.trim_start_matches("exec-").trim_start_matches("watch-pod-")
                    )),
                "{name} is not used"
            );
        }
    }
    Ok(())
}
