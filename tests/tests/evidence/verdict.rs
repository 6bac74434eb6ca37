//! What people read at the end of a trace.

use tests::lab::topology::K8S_NODE1;

use crate::support::{DROP, Site, Test};

#[test]
fn the_rule_that_dropped_is_named_with_what_to_do() -> Test {
    let site = Site::up()?;
    site.lab.iptables(K8S_NODE1.name, DROP)?;
    let outcome = site.trace(&["--why"])?;
    for words in ["verdict: dropped on k8s-node1", "--dport 8080 -j DROP", "to do: "] {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("--why prints all"), "{}", outcome.stdout);
    Ok(())
}

#[test]
fn what_works_has_no_cause() -> Test {
    let outcome = Site::up()?.trace(&["-o", "json"])?;
    let lines =
        outcome.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let flows: Vec<_> = lines.iter().filter(|line| line["type"] == "flow").collect();
    assert!(!flows.is_empty(), "{}", outcome.stdout);
    for flow in flows {
        assert_eq!(flow["verdict"]["outcome"], "delivered", "{flow}");
        assert!(flow["verdict"]["cause"].is_null(), "{flow}");
    }
    Ok(())
}

#[test]
fn without_evidence_the_packets_alone_speak() -> Test {
    let site = Site::up()?;
    site.lab.iptables(K8S_NODE1.name, DROP)?;
    let outcome = site.trace(&["--no-evidence"])?;
    assert!(outcome.stdout.contains("verdict: "), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("--dport 8080"), "{}", outcome.stdout);
    Ok(())
}
