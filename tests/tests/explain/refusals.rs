//! Words and flags that make no sense, and what cannot be had.

use std::ffi::OsString;

use tests::{Kflow, kflow};

use super::support::{Site, Test};

#[test]
fn words_that_name_nothing() -> Test {
    let site = Site::up()?;
    for (words, code, part) in [
        (&["svc/svc-clusteripp"][..], 1, "did you mean default/svc-clusterip"),
        (&["svc/svc-clusterip:443"], 1, "it has 8080"),
        (&["deploy/web"], 2, "cannot explain \"deploy/web\""),
        (&["svc/svc-clusterip", "--from", "svc/svc-nodeport"], 2, "sends no packets"),
        (&["svc/svc-clusterip", "--node", "k8s-node9"], 1, "no such node: k8s-node9"),
        (&["svc/svc-clusterip", "--pod", "pod-src=/nowhere"], 2, "is not NAME=netns:PATH"),
        (
            &["svc/svc-clusterip", "--pod", "pod-src=netns:/nowhere"],
            1,
            "there is no network namespace /nowhere",
        ),
    ] {
        let outcome = site.run(words)?;
        assert_eq!(outcome.code, Some(code), "{words:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(part), "{words:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{words:?}");
    }
    Ok(())
}

#[test]
fn addresses_need_no_cluster_and_names_do() -> Test {
    let run = |words: &[&str]| Kflow::run(&kflow::program(), words.iter().map(OsString::from));
    let outcome = run(&["explain", "127.0.0.1:1", "--local"])?;
    assert!(matches!(outcome.code, Some(0 | 3)), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("127.0.0.1: nobody in the cluster"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("nobody listens"), "{}", outcome.stdout);
    let outcome = run(&["explain", "svc/web", "--local"])?;
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no cluster tells its address"), "{}", outcome.stderr);
    Ok(())
}
