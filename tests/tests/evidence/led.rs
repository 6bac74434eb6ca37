//! A witness tells twice, and never outlives who called it.

use std::io::Write as _;

use tests::{
    Lab, LabConfig, kflow,
    lab::topology::{K8S_NODE1, POD_DEST},
};

use crate::support::{DROP, Test, Witness};

#[test]
fn it_tells_before_and_after() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let node = lab.node(K8S_NODE1.name);
    let mut witness = Witness::of(node.path(), &["--node", "n1"])?;
    let before = witness.snapshot()?.ok_or("no snapshot")?;
    lab.iptables(K8S_NODE1.name, DROP)?;
    witness.stdin = None;
    let after = witness.snapshot()?.ok_or("no second snapshot")?;
    assert!(witness.snapshot()?.is_none());
    assert_eq!(witness.wait()?, Some(0));
    for snapshot in [&before, &after] {
        assert_eq!(snapshot["node"], "n1");
        let links = snapshot["links"].as_array().ok_or("no links")?;
        assert!(links.iter().any(|link| link["name"] == POD_DEST.interface), "{links:?}");
    }
    let has_rule = |snapshot: &serde_json::Value| snapshot["firewall"].to_string().contains("8080 -j DROP");
    assert!(!has_rule(&before) && has_rule(&after), "{}", after["firewall"]);
    Ok(())
}

#[test]
fn the_last_line_stands_for_the_end_of_input() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let mut witness = Witness::of(lab.node(K8S_NODE1.name).path(), &[])?;
    assert!(witness.snapshot()?.is_some());
    let mut stdin = witness.stdin.take().ok_or("no pipe")?;
    stdin.write_all(b"--host 10.0.0.1\n\nend\n")?;
    assert!(witness.snapshot()?.is_some());
    assert_eq!(witness.wait()?, Some(0));
    Ok(())
}

#[test]
fn nobody_there_is_the_end_without_a_second_snapshot() -> Test {
    let lab = Lab::up(&LabConfig::default())?;
    let mut witness = Witness::of(lab.node(K8S_NODE1.name).path(), &["--heartbeat", "1"])?;
    assert!(witness.snapshot()?.is_some());
    assert!(witness.snapshot()?.is_none());
    assert_eq!(witness.wait()?, Some(0));
    Ok(())
}

#[test]
fn a_namespace_that_is_not_there_is_named() -> Test {
    let ended = tests::Kflow::run(&kflow::program(), ["evidence", "--netns", "/run/netns/no-such"])?;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("there is no network namespace /run/netns/no-such"), "{}", ended.stderr);
    Ok(())
}
