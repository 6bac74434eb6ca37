//! `kflow ifaces` on the nodes of the lab: every pod's interface, however the pods are joined.

use serde_json::Value;
use tests::lab::topology::{NODES, PODS};
use tests::{Lab, LabConfig, Overlay};

use crate::scene::{ifaces, word};

fn survey(lab: &Lab, of: &str) -> Value {
    let (path, state) = (lab.of(of).path().to_owned(), lab.state_path());
    let outcome =
        ifaces(&["--netns", path.to_str().unwrap(), "--state", state.to_str().unwrap(), "-o", "json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Namespace, interface and pods of all interfaces that pods have.
fn of_pods(survey: &Value) -> Vec<(String, String, String)> {
    let rooms = survey["namespaces"].as_array().unwrap().iter();
    let all = rooms.flat_map(|room| {
        room["interfaces"].as_array().unwrap().iter().map(move |one| {
            let pods: Vec<_> = one["pods"].as_array().unwrap().iter().map(word).collect();
            (word(&room["names"][0]), word(&one["name"]), pods.join(","))
        })
    });
    let mut all: Vec<_> = all.filter(|(_, interface, pods)| interface != "lo" && !pods.is_empty()).collect();
    all.sort();
    all
}

#[test]
fn pods_of_every_node() {
    for overlay in [Overlay::Ipip, Overlay::Vxlan, Overlay::None] {
        let lab = Lab::up(&LabConfig { overlay, ..LabConfig::default() }).unwrap();
        for node in NODES {
            let name = |of: &str| lab.of(of).name().to_owned();
            let pods = PODS.iter().filter(|pod| pod.node == node.name);
            let mut expected: Vec<_> = pods
                .flat_map(|pod| {
                    let full = format!("default/{}", pod.name);
                    [
                        (name(node.name), pod.interface.to_owned(), full.clone()),
                        (name(pod.name), "eth0".to_owned(), full),
                    ]
                })
                .collect();
            expected.sort();
            assert_eq!(of_pods(&survey(&lab, node.name)), expected, "{} with {overlay:?}", node.name);
        }
    }
}

#[test]
fn table_finds_a_pod_by_its_name() {
    let lab = Lab::up(&LabConfig::default()).unwrap();
    let pod = &PODS[0];
    let (path, state) = (lab.node(pod.node).path().to_owned(), lab.state_path());
    let outcome = ifaces(&["--netns", path.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    let lines: Vec<&str> = outcome.stdout.lines().filter(|line| line.contains(pod.name)).collect();
    // Its end on the node, and its own interfaces.
    assert_eq!(lines.len(), 3, "{}", outcome.stdout);
    let address = pod.address.to_string();
    assert!(lines[0].contains(pod.interface) && lines[0].contains(&format!("to {address}")), "{}", lines[0]);
    assert!(lines.iter().any(|line| line.contains("eth0") && line.contains(&format!("{address}/32"))));
}
