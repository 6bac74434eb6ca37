//! What is typed wrong, and what changes nothing.

use tests::cluster::Entry;

use crate::support::{POD_TO_POD, Site, Test};

#[test]
fn names_that_do_not_exist() -> Test {
    let site = Site::up()?;
    for (words, code, said) in [
        (&["--context", "nope", "pod-src", "pod-dest"][..], 2, "no such context: nope"),
        (&["pod-srx", "pod-dest"], 1, "did you mean default/pod-src"),
        (&["-n", "nope", "pod-src", "pod-dest"], 1, "no such pod: nope/pod-src"),
        (&["pod-src", "svc/svc-clusterip2"], 1, "svc-clusterip"),
        (&["pod-src", "node/k8s-node9"], 1, "k8s-node1"),
        (&["pod-src", "deploy/none"], 1, "deploy"),
        (&["-l", "app=none", "pod-dest"], 1, "app=none"),
    ] {
        let outcome = site.run("trace", words.iter().copied())?;
        assert_eq!(outcome.code, Some(code), "{words:?}: {outcome:?}");
        assert!(outcome.stderr.contains(said), "{words:?}: {}", outcome.stderr);
    }
    assert!(!site.double.requests().iter().any(Entry::is_change));
    Ok(())
}

#[test]
fn a_kubeconfig_that_is_not_there() -> Test {
    let site = Site::up()?;
    let missing = site.lab.directory().join("none").display().to_string();
    let words = ["trace", "--kubeconfig", &missing, "pod-src", "pod-dest"];
    let outcome = tests::Kflow::run(&tests::kflow::program(), words)?;
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert!(outcome.stderr.contains(&missing), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn a_dry_run_makes_nothing() -> Test {
    let site = Site::up()?;
    let outcome = site.run("trace", ["--dry-run", "pod-src", "svc/svc-clusterip"])?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for words in ["k8s-node1", "k8s-node2", "10.107.94.97", "BPF"] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    let changes: Vec<_> = site.double.requests().into_iter().filter(Entry::is_change).collect();
    assert!(changes.is_empty(), "{changes:?}");
    Ok(())
}

#[test]
fn a_token_that_is_not_known() -> Test {
    let site = Site::up()?;
    let path = site.kubeconfig();
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("token-of-admin", "expired"))?;
    let outcome = site.run("trace", POD_TO_POD)?;
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert!(outcome.stderr.contains("401"), "{}", outcome.stderr);
    Ok(())
}

#[test]
fn the_state_is_what_a_trace_of_files_takes() -> Test {
    let site = Site::up()?;
    let outcome = site.run("state", [])?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let state: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
    let names: Vec<&str> = state["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect();
    for name in ["k8s-node1", "pod-src", "pod-dest", "svc-clusterip"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(!outcome.stdout.contains("image"), "more than names and addresses: {}", outcome.stdout);
    Ok(())
}
