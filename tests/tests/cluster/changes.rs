//! What changes while a trace runs.

use std::net::Ipv4Addr;

use serde_json::json;
use tests::{
    lab::topology::{K8S_NODE1, POD_DEST, POD_PORT},
    traffic::HttpServer,
};

use crate::support::{DEST, POD_TO_POD, Site, Test, assert_delivered, eventually, list};

#[test]
fn a_pod_that_comes_back_with_another_address_is_followed() -> Test {
    let site = Site::up()?;
    let (first, second) = (Ipv4Addr::new(10, 244, 131, 21), Ipv4Addr::new(10, 244, 131, 22));
    let labels = json!({ "app": "web" });
    let guest = site.lab.add_pod("web", K8S_NODE1.name, first, "caliweb1")?;
    let server = HttpServer::start(guest.namespace(), POD_PORT)?;
    site.double.set(&guest.object(&labels))?;
    let kflow = site.trace(["-o", "json", "pod-src", "web"])?;
    site.get((first, POD_PORT))?;
    drop(server);
    drop(guest);
    assert!(site.double.remove("Pod", "default", "web"));
    let guest = site.lab.add_pod("web", K8S_NODE1.name, second, "caliweb2")?;
    let _server = HttpServer::start(guest.namespace(), POD_PORT)?;
    site.double.set(&guest.object(&labels))?;
    // Until the filter knows the new address, requests go unseen; the first of them that is seen ends the story.
    let mut asked = 0;
    let words = || -> Vec<String> { site.double.requests().iter().map(|entry| entry.path.clone()).collect() };
    eventually("the new address is traced", || {
        asked += 1;
        site.get((second, POD_PORT)).is_ok() && asked > 20
    });
    assert!(words().iter().any(|path| path.ends_with("/exec")));
    let outcome = kflow.stop()?;
    let told = outcome.told()?;
    let last = told.flows.last().unwrap();
    assert!(told.flows.len() > 1, "{outcome:?}");
    assert_eq!(assert_delivered(last).last().map(String::as_str), Some("k8s-node1:caliweb2"), "{last:#}");
    Ok(())
}

#[test]
fn an_agent_that_is_killed_is_named_and_the_rest_goes_on() -> Test {
    let site = Site::up()?;
    let kflow = site.trace(POD_TO_POD)?;
    let (agent, node) = site.agents().into_iter().find(|(_, node)| node == POD_DEST.node).unwrap();
    assert!(site.double.remove("Pod", "kflow", &agent), "{agent} on {node}");
    eventually("the program of the killed agent is gone", || site.double.processes().len() == 1);
    site.get(DEST)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains(POD_DEST.node), "{}", outcome.stderr);
    let told = outcome.told()?;
    let seen = list(&told.flows[0]["forward"]["hops"]);
    assert!(seen.iter().all(|hop| hop["node"] == "k8s-node2") && !seen.is_empty(), "{:#}", told.flows[0]);
    assert_eq!(told.summary["complete"], false);
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn a_cut_connection_ends_what_went_through_it() -> Test {
    let site = Site::up()?;
    let kflow = site.trace(POD_TO_POD)?;
    site.get(DEST)?;
    site.double.cut_connections();
    // Both captures are gone with their connections, and so the trace ends by itself.
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    for node in ["k8s-node1", "k8s-node2"] {
        assert!(outcome.stderr.contains(node), "{node}: {}", outcome.stderr);
    }
    assert!(outcome.stderr.contains("connection"), "{}", outcome.stderr);
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn a_forgotten_history_does_not_end_the_watches() -> Test {
    let site = Site::up()?;
    let kflow = site.trace(POD_TO_POD)?;
    site.double.compact();
    site.get(DEST)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_delivered(&outcome.told()?.flows[0]);
    Ok(())
}
