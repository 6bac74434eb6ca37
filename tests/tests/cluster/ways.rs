//! Where packets go, as a trace on the cluster tells it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use serde_json::json;
use tests::{
    lab::topology::{
        K8S_MASTER, K8S_NODE1, K8S_NODE2, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP, SVC_NODEPORT,
    },
    traffic::HttpServer,
};

use crate::support::{DEST, Failure, POD_TO_POD, SERVICE, Site, Test, assert_delivered};

/// From one node to the other, through the tunnel.
const ACROSS: [&str; 6] = [
    "k8s-node2:calib8c6d5407e3",
    "k8s-node2:tunl0",
    "k8s-node2:eth0",
    "k8s-node1:eth0",
    "k8s-node1:tunl0",
    "k8s-node1:calia5814ebbae9",
];

#[test]
fn pod_to_pod_on_two_nodes() -> Test {
    let site = Site::up()?;
    check(&site, &POD_TO_POD, DEST, &ACROSS)?;
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn cluster_ip() -> Test {
    let site = Site::up()?;
    check(&site, &["-o", "json", "pod/pod-src", "svc/svc-clusterip"], SERVICE, &ACROSS)
}

#[test]
fn labels_on_one_side() -> Test {
    let site = Site::up()?;
    check(&site, &["-o", "json", "-l", "app=pod-src", "svc/svc-clusterip:8080"], SERVICE, &ACROSS)
}

#[test]
fn deployment_to_service() -> Test {
    let site = Site::up()?;
    // The pod belongs to a replica set, and that to a deployment.
    let owner = |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("{kind}-{name}"), "controller": true }]);
    let set = |kind: &str, name: &str, owners: serde_json::Value| {
        json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": { "name": name, "namespace": "default", "uid": format!("{kind}-{name}"), "ownerReferences": owners },
            "spec": { "selector": { "matchLabels": { "app": "pod-src" } } },
        })
    };
    site.double.set(&set("Deployment", "web", json!([])))?;
    site.double.set(&set("ReplicaSet", "web-5f7d8", owner("Deployment", "web")))?;
    let pods = site.double.objects("Pod");
    let mut pod = pods.into_iter().find(|pod| pod["metadata"]["name"] == "pod-src").unwrap();
    pod["metadata"]["ownerReferences"] = owner("ReplicaSet", "web-5f7d8");
    site.double.set(&pod)?;
    check(&site, &["-o", "json", "deploy/web", "svc/svc-clusterip"], SERVICE, &ACROSS)
}

#[test]
fn node_port() -> Test {
    let site = Site::up()?;
    let port = SVC_NODEPORT.node_port.unwrap_or_default();
    let node = format!("{}:{port}", K8S_NODE2.address);
    let kflow = site.trace(["-o", "json", "node/k8s-master", &node])?;
    site.get_from(K8S_MASTER.name, (K8S_NODE2.address, port))?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = outcome.told()?;
    let places = assert_delivered(&told.flows[0]);
    let expected = [
        "k8s-master:eth0",
        "k8s-node2:eth0",
        "k8s-node2:tunl0",
        "k8s-node2:eth0",
        "k8s-node1:eth0",
        "k8s-node1:tunl0",
        "k8s-node1:calia5814ebbae9",
    ];
    assert_eq!(places, expected, "{:#}", told.flows[0]);
    Ok(())
}

#[test]
fn pod_to_pod_on_one_node() -> Test {
    let site = Site::up()?;
    let address = Ipv4Addr::new(10, 244, 111, 90);
    let near = site.lab.add_pod("near", K8S_NODE2.name, address, "calinear")?;
    let _server = HttpServer::start(near.namespace(), POD_PORT)?;
    site.double.set(&near.object(&json!({ "app": "near" })))?;
    let places = ["k8s-node2:calib8c6d5407e3", "k8s-node2:calinear"];
    check(&site, &["-o", "json", "pod-src", "near"], (address, POD_PORT), &places)?;
    let nodes: BTreeSet<String> = agents_ever(&site);
    assert_eq!(
        nodes,
        BTreeSet::from([K8S_NODE2.name.to_owned()]),
        "an agent on a node that is not concerned"
    );
    Ok(())
}

#[test]
fn cluster_ip_with_three_endpoints() -> Test {
    let site = Site::up()?;
    let places = [("far", K8S_NODE1.name, [131, 20]), ("near", K8S_NODE2.name, [111, 90])];
    let mut guests = Vec::new();
    for (name, node, [third, fourth]) in places {
        let guest =
            site.lab.add_pod(name, node, Ipv4Addr::new(10, 244, third, fourth), &format!("cali{name}"))?;
        let server = HttpServer::start(guest.namespace(), POD_PORT)?;
        site.double.set(&guest.object(&json!({ "app": POD_DEST.name })))?;
        guests.push((server, guest));
    }
    let endpoints = [POD_DEST.address, Ipv4Addr::new(10, 244, 131, 20), Ipv4Addr::new(10, 244, 111, 90)];
    site.lab.balance(SVC_CLUSTERIP.cluster_ip, &endpoints)?;
    let kflow = site.trace(["-o", "json", POD_SRC.name, "svc/svc-clusterip"])?;
    for _ in endpoints {
        site.get(SERVICE)?;
    }
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = outcome.told()?;
    let ends: BTreeMap<String, usize> = told.flows.iter().fold(BTreeMap::new(), |mut ends, flow| {
        *ends.entry(assert_delivered(flow).last().cloned().unwrap_or_default()).or_default() += 1;
        ends
    });
    let expected = ["k8s-node1:calia5814ebbae9", "k8s-node1:califar", "k8s-node2:calinear"];
    assert_eq!(ends, expected.map(|place| (place.to_owned(), 1)).into(), "{:#?}", told.flows);
    Ok(())
}

/// Traces one request of pod-src, and asserts its way there.
fn check(site: &Site, words: &[&str], to: (Ipv4Addr, u16), places: &[&str]) -> Result<(), Failure> {
    let kflow = site.trace(words.iter().copied())?;
    site.get(to)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told = outcome.told()?;
    assert_eq!(told.summary["complete"], true, "{:#}", told.summary);
    assert_eq!(told.flows.len(), 1, "{:#?}", told.flows);
    assert_eq!(assert_delivered(&told.flows[0]), places, "{:#}", told.flows[0]);
    Ok(())
}

/// Nodes that an agent was ever called on, by what was asked of the server.
fn agents_ever(site: &Site) -> BTreeSet<String> {
    let execs = site.double.requests().into_iter().filter(|entry| entry.path.ends_with("/exec"));
    let node = |command: Vec<String>| {
        let flag = command.iter().position(|word| word == "--node")?;
        command.get(flag + 1).cloned()
    };
    execs.filter_map(|entry| node(entry.command())).collect()
}
