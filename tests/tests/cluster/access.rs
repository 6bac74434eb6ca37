//! Who may trace: the minimal role is enough, and without it the refusal prints it.

use serde_json::json;
use tests::cluster::{Entry, Rule, User};

use crate::support::{DEST, POD_TO_POD, Site, Test, assert_delivered, eventually};

const READ: [&str; 2] = ["list", "watch"];

/// What the refusals print, for the namespace of the pods and for that of the agents.
fn minimal() -> Vec<Rule> {
    vec![
        Rule::within("default", "", &["pods", "services"], &READ),
        Rule::within("default", "discovery.k8s.io", &["endpointslices"], &READ),
        Rule::within("kflow", "", &["pods"], &["create", "delete", "get", "list", "watch"]),
        Rule::within("kflow", "", &["pods/exec"], &["create", "get"]),
    ]
}

fn namespace(level: &str, name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": name, "labels": { "pod-security.kubernetes.io/enforce": level } },
        "status": { "phase": "Active" },
    })
}

#[test]
fn the_minimal_role_is_enough() -> Test {
    let site = Site::with_users(vec![User::new("alice", minimal())])?;
    // Somebody else made it.
    site.double.set(&namespace("privileged", "kflow"))?;
    let kflow = site.trace(POD_TO_POD)?;
    site.get(DEST)?;
    let outcome = kflow.stop()?;
    // Nodes may not be listed: they are known from the pods.
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_delivered(&outcome.told()?.flows[0]);
    eventually("no agent is left", || site.agents().is_empty());
    Ok(())
}

#[test]
fn without_any_right_the_role_is_printed() -> Test {
    let site = Site::with_users(vec![User::new("nobody", [])])?;
    let outcome = site.run("trace", POD_TO_POD)?;
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    for words in ["nobody", "list pods in the namespace default", "kind: Role", "kind: RoleBinding"] {
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
    assert!(!site.double.requests().iter().any(Entry::is_change), "{:?}", site.double.requests());
    Ok(())
}

/// Who has got what the first refusal asked for is not refused again.
#[test]
fn all_that_is_missing_is_told_at_once() -> Test {
    let site = Site::with_users(vec![User::new("nobody", [])])?;
    for (command, words) in [("trace", POD_TO_POD.as_slice()), ("capture", &["pod/pod-src"])] {
        let outcome = site.run(command, words.iter().copied())?;
        assert_eq!(outcome.code, Some(4), "{command}: {outcome:?}");
        for words in ["list pods in the namespace default", "create pods in the namespace kflow"] {
            assert!(outcome.stderr.contains(words), "{command}: {words}: {}", outcome.stderr);
        }
    }
    Ok(())
}

#[test]
fn without_the_agents_rights_their_role_is_printed() -> Test {
    let mut rules = minimal();
    rules.truncate(2);
    let site = Site::with_users(vec![User::new("reader", rules)])?;
    site.double.set(&namespace("privileged", "kflow"))?;
    let outcome = site.run("trace", POD_TO_POD)?;
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    for words in ["create pods in the namespace kflow", "resources: [pods/exec]", "verbs: [create, get]"] {
        assert!(outcome.stderr.contains(words), "{words}: {}", outcome.stderr);
    }
    Ok(())
}

#[test]
fn each_verb_of_exec_is_needed() -> Test {
    for missing in ["create", "get"] {
        let mut rules = minimal();
        rules.last_mut().unwrap().verbs.retain(|verb| verb != missing);
        let site = Site::with_users(vec![User::new("half", rules)])?;
        site.double.set(&namespace("privileged", "kflow"))?;
        let outcome = site.run("trace", POD_TO_POD)?;
        assert_eq!(outcome.code, Some(4), "{missing}: {outcome:?}");
        let words = format!("{missing} pods/exec");
        assert!(outcome.stderr.contains(&words), "{words}: {}", outcome.stderr);
    }
    Ok(())
}

#[test]
fn a_restricted_target_is_no_obstacle() -> Test {
    let site = Site::up()?;
    // Pods are never made there.
    site.double.set(&namespace("restricted", "default"))?;
    let kflow = site.trace(POD_TO_POD)?;
    site.get(DEST)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let made = site.double.requests().into_iter().filter(|entry| entry.method == "POST");
    assert!(made.into_iter().all(|entry| !entry.path.contains("/namespaces/default/")));
    Ok(())
}

#[test]
fn a_restricted_namespace_for_agents_is_named() -> Test {
    let site = Site::up()?;
    site.double.set(&namespace("restricted", "kflow"))?;
    let outcome = site.run("trace", POD_TO_POD)?;
    assert!(matches!(outcome.code, Some(3 | 4)), "{outcome:?}");
    assert!(outcome.stderr.contains("pod-security.kubernetes.io/enforce"), "{}", outcome.stderr);
    Ok(())
}
