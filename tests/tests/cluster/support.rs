//! What the tests have in common.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::linux::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    Kflow, Lab, LabConfig,
    cluster::{ApiDouble, DoubleConfig, Fate, NodeConfig, User},
    kflow::{self, KflowError, Outcome},
    lab::topology::{NODES, POD_DEST, POD_PORT, POD_SRC, SVC_CLUSTERIP},
    traffic::{HttpGet, HttpReply, HttpServer},
};

pub(crate) type Failure = Box<dyn std::error::Error>;
pub(crate) type Test = Result<(), Failure>;

pub(crate) const DEST: (Ipv4Addr, u16) = (POD_DEST.address, POD_PORT);
pub(crate) const SERVICE: (Ipv4Addr, u16) = (SVC_CLUSTERIP.cluster_ip, POD_PORT);
pub(crate) const POD_TO_POD: [&str; 4] = ["-o", "json", POD_SRC.name, POD_DEST.name];
/// How long something may take that a machine with much to do does late.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// A lab with a web server in pod-dest, and an API server in front of it.
pub(crate) struct Site {
    // Agents have to end before the namespaces that they are in go.
    pub(crate) double: ApiDouble,
    _server: HttpServer,
    pub(crate) lab: Lab,
}

impl Site {
    pub(crate) fn up() -> Result<Self, Failure> {
        Self::with(DoubleConfig::default())
    }

    pub(crate) fn with(config: DoubleConfig) -> Result<Self, Failure> {
        let lab = Lab::up(&LabConfig::default())?;
        let server = HttpServer::start(lab.pod(POD_DEST.name), POD_PORT)?;
        let double = ApiDouble::on(&lab, config)?;
        double.kubeconfig(&lab.directory().join("kubeconfig"))?;
        Ok(Self { double, _server: server, lab })
    }

    /// A cluster where this becomes of pods on the node of pod-dest.
    pub(crate) fn with_fate(fate: Fate) -> Result<Self, Failure> {
        let nodes = [(POD_DEST.node.to_owned(), NodeConfig { fate, ..NodeConfig::default() })];
        Self::with(DoubleConfig { nodes: nodes.into(), ..DoubleConfig::default() })
    }

    pub(crate) fn with_users(users: Vec<User>) -> Result<Self, Failure> {
        Self::with(DoubleConfig { users, ..DoubleConfig::default() })
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.lab.directory().join("kubeconfig")
    }

    /// A subcommand of kflow, with the kubeconfig and these words.
    pub(crate) fn words<'a>(&self, command: &str, words: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
        let head = [command.into(), "--kubeconfig".into(), self.kubeconfig().into_os_string()];
        head.into_iter().chain(words.into_iter().map(OsString::from)).collect()
    }

    /// Starts a trace and waits until it says that it traces.
    pub(crate) fn trace<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<Kflow, KflowError> {
        Kflow::tracing(&kflow::program(), self.words("trace", words))
    }

    /// Runs a subcommand to its end.
    pub(crate) fn run<'a>(
        &self,
        command: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Outcome, KflowError> {
        Kflow::run(&kflow::program(), self.words(command, words))
    }

    /// A request of pod-src that is answered.
    pub(crate) fn get(&self, to: (Ipv4Addr, u16)) -> Result<HttpReply, Failure> {
        self.get_from(POD_SRC.name, to)
    }

    /// A request of a pod or node that is answered.
    pub(crate) fn get_from(&self, from: &str, to: (Ipv4Addr, u16)) -> Result<HttpReply, Failure> {
        let reply = HttpGet::new(SocketAddr::from(to)).send(self.lab.of(from))?;
        assert_eq!(reply.status, 200, "{to:?}");
        Ok(reply)
    }

    /// Names of the agents' pods and the nodes that they are on.
    pub(crate) fn agents(&self) -> Vec<(String, String)> {
        let pods = self.double.objects("Pod").into_iter();
        let own = pods.filter(|pod| pod["metadata"]["namespace"] == "kflow");
        own.map(|pod| (word(&pod["metadata"]["name"]).into(), word(&pod["spec"]["nodeName"]).into()))
            .collect()
    }

    /// Asserts that soon neither a pod nor a program of kflow is there.
    pub(crate) fn assert_nothing_left(&self) {
        eventually("pods and programs of kflow are gone", || {
            self.agents().is_empty() && self.double.processes().is_empty() && self.programs().is_empty()
        });
        eventually("the namespace that kflow made is gone", || {
            let namespaces = self.double.objects("Namespace");
            namespaces.iter().all(|each| each["metadata"]["name"] != "kflow")
        });
    }

    /// Command lines of processes in the namespaces of the lab's nodes.
    fn programs(&self) -> Vec<String> {
        let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.st_dev(), file.st_ino()));
        let nodes: Vec<_> =
            NODES.iter().filter_map(|node| identity(self.lab.node(node.name).path())).collect();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let inside = processes.filter(|process| {
            identity(&process.path().join("ns/net")).is_some_and(|netns| nodes.contains(&netns))
        });
        let lines = inside.filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
        lines.filter(|line| line.contains("kflow")).collect()
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, is_so: impl FnMut() -> bool) {
    within(BOUND, what, is_so);
}

/// As [`eventually`], with a bound of its own.
pub(crate) fn within(bound: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + bound;
    while !is_so() {
        assert!(Instant::now() < end, "not within {bound:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a JSON array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `NODE:INTERFACE` of every hop of a direction.
pub(crate) fn places(lane: &Value) -> Vec<String> {
    let hops = list(&lane["hops"]).iter();
    hops.map(|hop| format!("{}:{}", word(&hop["node"]), word(&hop["interface"]))).collect()
}

/// Asserts that all packets of a flow arrived, both ways, and returns the way there.
pub(crate) fn assert_delivered(flow: &Value) -> Vec<String> {
    for lane in [&flow["forward"], &flow["reply"]] {
        assert!(lane["packets"].as_u64() > Some(0), "{flow:#}");
        assert_eq!(lane["delivered"], lane["packets"], "{flow:#}");
    }
    places(&flow["forward"])
}
