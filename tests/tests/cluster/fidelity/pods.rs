//! How a pod lives and ends, and how a watch tells it.

use serde_json::{Value, json};
use tests::cluster::Fate;

use super::{assert_within, create, phase, recorded, site};
use crate::{
    raw::ask,
    support::{Failure, Test, eventually, list, word},
};

#[test]
fn a_watch_begins_with_what_is_there_alike() -> Test {
    let bare = site("initial", &Fate::Runs)?;
    create(&bare, "good", Some("node-a"))?;
    eventually("the pod runs", || phase(&bare, "good") == "Running");
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let events = ask(bare.double.address(), "admin", "GET", &format!("/api/v1/pods?{query}"), None)?.lines();
    let recording = recorded("watch-initial-events")?;
    let real = list(&recording["response"]["events"]);
    let kinds = |events: &[Value]| events.iter().map(|event| event["type"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&events), kinds(real));
    assert_eq!(events[1]["object"]["metadata"]["annotations"], real[1]["object"]["metadata"]["annotations"]);
    assert_within("watch-initial-events", &json!([events[1]]), &json!([real[1]]));
    Ok(())
}

#[test]
fn a_pod_whose_time_is_over_is_told_alike() -> Test {
    let bare = site("deadline", &Fate::Runs)?;
    let pod = json!({
        "metadata": { "name": "long" },
        "spec": { "activeDeadlineSeconds": 1, "restartPolicy": "Never", "containers": [{ "name": "agent", "image": "kflow:1" }] },
    });
    ask(bare.double.address(), "admin", "POST", "/api/v1/namespaces/recorded/pods", Some(&pod))?;
    eventually("its time is over", || phase(&bare, "long") == "Failed");
    let recording = recorded("pod-deadline")?;
    let (told, real) = (&bare.double.objects("Pod")[0]["status"], &recording["response"]["body"]["status"]);
    for key in ["phase", "reason", "message"] {
        assert_eq!(told[key], real[key]);
    }
    let code = |status: &Value| status["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone();
    assert_eq!(code(told), code(real));
    Ok(())
}

#[test]
fn pods_live_as_they_do() -> Test {
    let all = all_pods()?;
    for (name, fate, pod) in [
        ("watch-pod-life", Fate::Runs, "good"),
        ("watch-pod-delete", Fate::Runs, "byname"),
        ("watch-pod-pull", Fate::ImagePull, "pull"),
        ("watch-pod-never", Fate::ImageNever, "never"),
        ("watch-pod-ended", Fate::Crashes(4), "ended"),
        ("watch-pod-no-program", Fate::NoProgram, "noprog"),
    ] {
        let recording = recorded(name)?;
        let expected = list(&recording["response"]["events"]);
        let bare = site(name, &fate)?;
        create(&bare, pod, Some("node-a"))?;
        let goal = |state: &str| {
            let pods = bare.double.objects("Pod");
            pods.iter().any(|pod| states(pod).iter().any(|each| each == state))
        };
        let last = expected.iter().rev().find(|event| event["type"] == "MODIFIED").unwrap();
        let is_deleted = expected.last().unwrap()["type"] == "DELETED";
        let state = if is_deleted { "running".to_owned() } else { states(&last["object"]).concat() };
        eventually(&format!("{name}: {state}"), || goal(&state));
        if is_deleted {
            let grace = if name == "watch-pod-life" { "?gracePeriodSeconds=0" } else { "" };
            let path = format!("/api/v1/namespaces/recorded/pods/{pod}{grace}");
            ask(bare.double.address(), "admin", "DELETE", &path, None)?;
            eventually("the pod is gone", || bare.double.objects("Pod").is_empty());
        }
        let path = "/api/v1/namespaces/recorded/pods?watch=1&resourceVersion=2&timeoutSeconds=1";
        let events = ask(bare.double.address(), "admin", "GET", path, None)?.lines();
        for event in &events {
            assert_within(name, &json!([event["object"]]), &all);
        }
        // One recording begins when the pod runs.
        let (told, real) = (story(&events), story(expected));
        assert!(told.ends_with(&real), "{name}: {told:#?} is not {real:#?}");
        assert!(name == "watch-pod-delete" || told.len() == real.len(), "{name}: {told:#?} is not {real:#?}");
    }
    Ok(())
}

/// Every state of a pod that was recorded.
fn all_pods() -> Result<Value, Failure> {
    let names = ["life", "delete", "pull", "never", "ended", "no-program", "unschedulable"];
    let mut pods = Vec::new();
    for name in names {
        let recording = recorded(&format!("watch-pod-{name}"))?;
        pods.extend(list(&recording["response"]["events"]).iter().map(|event| event["object"].clone()));
    }
    Ok(Value::Array(pods))
}

/// What happened to a pod: kind of event, phase, and state of its container, without repetition.
fn story(events: &[Value]) -> Vec<String> {
    let told = events.iter().map(|event| {
        let object = &event["object"];
        let is_going = if object["metadata"]["deletionTimestamp"].is_null() { "" } else { " going" };
        format!(
            "{} {} {}{is_going}",
            word(&event["type"]),
            word(&object["status"]["phase"]),
            states(object).concat()
        )
    });
    let mut told: Vec<String> = told.collect();
    told.dedup();
    // The real kubelet may tell an end before or together with the phase that follows from it.
    told.retain(|each| {
        !each.starts_with("MODIFIED Running terminated") && !each.starts_with("MODIFIED Pending terminated")
    });
    told
}

/// The state of each container with its reason.
fn states(pod: &Value) -> Vec<String> {
    let containers = list(&pod["status"]["containerStatuses"]).iter();
    let named = containers.filter_map(|each| each["state"].as_object()?.iter().next());
    named.map(|(state, how)| format!("{state}{}", word(&how["reason"]))).collect()
}

#[test]
fn a_pod_that_no_node_takes_is_told_alike() -> Test {
    let bare = site("taint", &Fate::Tainted)?;
    let recording = recorded("watch-pod-unschedulable")?;
    let mut pod = list(&recording["response"]["events"])[0]["object"].clone();
    pod.as_object_mut().unwrap().remove("status");
    let path = "/api/v1/namespaces/recorded/pods";
    ask(bare.double.address(), "admin", "POST", path, Some(&pod))?;
    let condition = |pod: &Value| pod["status"]["conditions"][0].clone();
    eventually("the scheduler has told", || {
        bare.double.objects("Pod").first().is_some_and(|pod| !condition(pod).is_null())
    });
    let (told, real) = (
        condition(&bare.double.objects("Pod")[0]),
        condition(&list(&recording["response"]["events"])[1]["object"]),
    );
    for key in ["type", "status", "reason", "message"] {
        assert_eq!(told[key], real[key]);
    }
    Ok(())
}
