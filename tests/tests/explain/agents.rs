//! On a cluster: rules and routes told by agents on the nodes.

use std::{
    ffi::OsString,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use tests::{
    Kflow, Lab, LabConfig,
    cluster::{ApiDouble, DoubleConfig, Fate, NodeConfig},
    kflow::{self, Outcome},
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST},
};

use super::support::{Test, Told, endpoint};

/// How long something may take that a machine with much to do does late.
const BOUND: Duration = Duration::from_secs(20);

/// A lab with an API server in front of it. Agents have to end before the namespaces that they are in go.
struct Cluster {
    double: ApiDouble,
    lab: Lab,
}

impl Cluster {
    fn up(config: DoubleConfig) -> Result<Self, Box<dyn std::error::Error>> {
        let lab = Lab::up(&LabConfig::default())?;
        let double = ApiDouble::on(&lab, config)?;
        let cluster = Self { double, lab };
        cluster.double.kubeconfig(&cluster.kubeconfig())?;
        Ok(cluster)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.lab.directory().join("kubeconfig")
    }

    fn run(&self, words: &[&str]) -> Result<Outcome, Box<dyn std::error::Error>> {
        let head = ["explain".into(), "--kubeconfig".into(), self.kubeconfig().into_os_string()];
        let args: Vec<OsString> = head.into_iter().chain(words.iter().map(OsString::from)).collect();
        Ok(Kflow::run(&kflow::program(), args)?)
    }

    fn assert_nothing_left(&self) {
        let is_left = || {
            let pods = self.double.objects("Pod");
            pods.iter().any(|pod| pod["metadata"]["namespace"] == "kflow")
                || !self.double.processes().is_empty()
        };
        let end = Instant::now() + BOUND;
        while is_left() {
            assert!(Instant::now() < end, "agents are left");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn agents_tell_the_rules_of_the_nodes_on_the_way() -> Test {
    let cluster = Cluster::up(DoubleConfig::default())?;
    let outcome = cluster.run(&["svc/svc-clusterip", "--from", "pod-src", "-o", "json"])?;
    assert_eq!(outcome.code, Some(0), "{}\n{}", outcome.stderr, outcome.stdout);
    let told = Told(serde_json::from_str(&outcome.stdout)?);
    assert_eq!(told.0["node"], K8S_NODE2.name);
    assert_eq!(told.problems(), [""; 0], "{:#}", told.0["problems"]);
    let [course] = told.courses("cluster-ip") else { panic!("{:#}", told.0) };
    assert_eq!(endpoint(&course["packet"]["destination"]), "10.244.131.5:8080");
    assert_eq!(course["node"], K8S_NODE1.name, "it is followed to the other node");
    assert_eq!(
        (&course["end"], &course["link"]),
        (&"handed".into(), &POD_DEST.interface.into()),
        "{course:#}"
    );
    cluster.assert_nothing_left();
    Ok(())
}

#[test]
fn one_agent_is_enough_without_a_sender() -> Test {
    let cluster = Cluster::up(DoubleConfig::default())?;
    let outcome = cluster.run(&["svc/svc-nodeport"])?;
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    for part in
        ["as k8s-node1 carries it: services by iptables", "NodePort 172.18.0.2:31080 from somebody outside"]
    {
        assert!(outcome.stdout.contains(part), "{part:?} is not in\n{}", outcome.stdout);
    }
    cluster.assert_nothing_left();
    Ok(())
}

#[test]
fn node_without_an_agent_is_told_with_the_reason() -> Test {
    let fate = NodeConfig { fate: Fate::ImageNever, ..NodeConfig::default() };
    let nodes = [(POD_DEST.node.to_owned(), fate)];
    let cluster = Cluster::up(DoubleConfig { nodes: nodes.into(), ..DoubleConfig::default() })?;
    let outcome = cluster.run(&["pod/pod-dest"])?;
    assert_eq!(outcome.code, Some(4), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no rules and routes of k8s-node1: "), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "");
    let outcome = cluster.run(&["svc/svc-clusterip", "--node", "k8s-node9"])?;
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no such node: k8s-node9"), "{}", outcome.stderr);
    cluster.assert_nothing_left();
    Ok(())
}
