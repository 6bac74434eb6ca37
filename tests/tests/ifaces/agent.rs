//! `kflow ifaces node/NAME`: by an agent, and what an agent sees.

use std::path::PathBuf;

use serde_json::Value;
use tests::cluster::{ApiDouble, DoubleConfig};
use tests::kflow::Outcome;
use tests::lab::topology::{K8S_NODE1, POD_DEST};
use tests::{Lab, LabConfig};

use crate::scene::{ifaces, word};

struct Site {
    // Agents have to end before the namespaces that they are in go.
    double: ApiDouble,
    lab: Lab,
}

impl Site {
    fn up() -> Self {
        let lab = Lab::up(&LabConfig::default()).unwrap();
        let double = ApiDouble::on(&lab, DoubleConfig::default()).unwrap();
        let site = Self { double, lab };
        site.double.kubeconfig(&site.kubeconfig()).unwrap();
        site
    }

    fn kubeconfig(&self) -> PathBuf {
        self.lab.directory().join("kubeconfig")
    }

    fn ifaces(&self, words: &[&str]) -> Outcome {
        let path = self.kubeconfig();
        ifaces(&[&["--kubeconfig", path.to_str().unwrap()], words].concat())
    }
}

fn interface<'a>(survey: &'a Value, name: &str) -> &'a Value {
    let rooms = survey["namespaces"].as_array().unwrap().iter();
    let mut all = rooms.flat_map(|room| room["interfaces"].as_array().unwrap());
    all.find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {survey:#}"))
}

#[test]
fn node_of_a_cluster() {
    let site = Site::up();
    let outcome = site.ifaces(&[&format!("node/{}", K8S_NODE1.name), "-o", "json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let survey: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(survey["node"], K8S_NODE1.name);
    let cali = interface(&survey, POD_DEST.interface);
    assert_eq!(cali["pods"], serde_json::json!([format!("default/{}", POD_DEST.name)]));
    assert_eq!(cali["is_peer_elsewhere"], true);
    assert_eq!(interface(&survey, "eth0")["addresses"][0]["address"], K8S_NODE1.address.to_string());
    assert_eq!(survey["missing"], serde_json::json!([]), "{}", outcome.stderr);
    let pods = site.double.objects("Pod");
    let left: Vec<_> =
        pods.iter().filter(|pod| word(&pod["metadata"]["name"]).starts_with("kflow-agent")).collect();
    assert!(left.iter().all(|pod| !pod["metadata"]["deletionTimestamp"].is_null()), "{left:#?}");
}

#[test]
fn inside_of_pods() {
    let site = Site::up();
    let outcome = site.ifaces(&[&format!("node/{}", K8S_NODE1.name), "--pod-side", "-o", "json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let survey: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let rooms = survey["namespaces"].as_array().unwrap();
    assert_eq!(rooms[0]["is_own"], true);
    let name = site.lab.pod(POD_DEST.name).name();
    let pod = rooms.iter().find(|room| room["names"] == serde_json::json!([name])).unwrap();
    assert_eq!(pod["pods"], serde_json::json!([format!("default/{}", POD_DEST.name)]));
    let eth0 = pod["interfaces"].as_array().unwrap().iter().find(|one| one["name"] == "eth0").unwrap();
    assert_eq!(eth0["addresses"][0]["address"], POD_DEST.address.to_string());
    assert_eq!(eth0["peer_name"], POD_DEST.interface);
}

#[test]
fn table_of_a_node() {
    let site = Site::up();
    let outcome = site.ifaces(&["--node", K8S_NODE1.name]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let line = outcome.stdout.lines().find(|line| line.contains(POD_DEST.interface)).unwrap();
    assert!(line.contains(POD_DEST.name) && line.contains(&format!("to {}", POD_DEST.address)), "{line}");
}

#[test]
fn node_that_is_not_there() {
    let site = Site::up();
    let outcome = site.ifaces(&["node/nowhere"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let said = "kflow: the cluster has no node nowhere: there are k8s-master, k8s-node1, k8s-node2";
    assert_eq!(outcome.stderr.trim_end(), said);
    assert!(
        site.double.objects("Pod").iter().all(|pod| pod["metadata"]["namespace"] != "kflow"),
        "no agent was needed"
    );
}

#[test]
fn this_machine_with_the_names_of_a_cluster() {
    let site = Site::up();
    let path = site.lab.node(K8S_NODE1.name).path().to_owned();
    let outcome = site.ifaces(&["--netns", path.to_str().unwrap(), "-o", "json"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let survey: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let pods = serde_json::json!([format!("default/{}", POD_DEST.name)]);
    assert_eq!(interface(&survey, POD_DEST.interface)["pods"], pods);
}
