//! The cluster, asked by `kubectl`: by another client than the one under test.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::step::output;

/// How often something is asked again that is not yet as it should be.
const PAUSE: Duration = Duration::from_millis(250);

/// A node that pods can run on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    /// Of the kernel's present run: the same as that of this machine if they have one kernel.
    boot: String,
}

/// A cluster with at least two such nodes.
pub(super) struct Cluster {
    kubectl: PathBuf,
    /// A file with one context, and everything that it needs in it.
    kubeconfig: PathBuf,
    directory: PathBuf,
    nodes: Vec<Node>,
    architecture: String,
    description: String,
}

impl Cluster {
    /// Asks what it is.
    pub(super) fn connect(
        kubectl: &Path,
        kubeconfig: Option<&Path>,
        context: Option<&str>,
        directory: &Path,
    ) -> Result<Self> {
        let mut view = Command::new(kubectl);
        view.args(["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
        view.args(kubeconfig.map(|path| format!("--kubeconfig={}", path.display())));
        view.args(context.map(|name| format!("--context={name}")));
        let text =
            output(&mut view).context("there is no cluster: set KUBECONFIG, or give --kubeconfig FILE")?;
        let mut cluster = Self {
            kubectl: kubectl.to_owned(),
            kubeconfig: secret(directory, "admin.kubeconfig", &text)?,
            directory: directory.to_owned(),
            nodes: Vec::new(),
            architecture: String::new(),
            description: String::new(),
        };
        cluster.ask()?;
        Ok(cluster)
    }

    fn ask(&mut self) -> Result<()> {
        let version = self.json(&["version"])?;
        let nodes = self.json(&["get", "nodes"])?;
        let ready: Vec<&Value> = items(&nodes).filter(|node| is_ready(node)).collect();
        ensure!(ready.len() >= 2, "{} nodes can run pods, and the stories need two", ready.len());
        let info = |node: &Value, key: &str| word(&node["status"]["nodeInfo"][key]);
        self.architecture = info(ready[0], "architecture");
        self.nodes = ready.iter().map(|node| Node::of(node, info(node, "bootID"))).collect::<Result<_>>()?;
        let of_node = |node: &&Value| {
            let (kubelet, runtime) = (info(node, "kubeletVersion"), info(node, "containerRuntimeVersion"));
            format!(
                "{}: kubelet {kubelet}, {runtime}, Linux {}",
                word(&node["metadata"]["name"]),
                info(node, "kernelVersion")
            )
        };
        self.description = format!(
            "API server {} with {} nodes ({})",
            word(&version["serverVersion"]["gitVersion"]),
            ready.len(),
            ready.iter().map(of_node).collect::<Vec<_>>().join("; ")
        );
        Ok(())
    }

    /// Versions and nodes, on one line.
    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// As Kubernetes names it.
    pub(super) fn architecture(&self) -> &str {
        &self.architecture
    }

    /// Those that are ready.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The file that gives every right on it.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A copy of that file with changes.
    pub(super) fn changed_kubeconfig(&self, name: &str, change: impl FnOnce(&mut Value)) -> Result<PathBuf> {
        let text = fs::read_to_string(&self.kubeconfig).context("cannot read the kubeconfig")?;
        let mut config = serde_json::from_str(&text).context("the kubeconfig is no JSON")?;
        change(&mut config);
        secret(&self.directory, name, &config.to_string())
    }

    /// `kubectl` with these words.
    pub(super) fn kubectl(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.arg(format!("--kubeconfig={}", self.kubeconfig.display())).args(words);
        command
    }

    /// What it prints.
    pub(super) fn text(&self, words: &[&str]) -> Result<String> {
        output(&mut self.kubectl(words))
    }

    /// What it prints, as JSON.
    pub(super) fn json(&self, words: &[&str]) -> Result<Value> {
        let text = output(self.kubectl(words).args(["-o", "json"]))?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}: no JSON", words.join(" ")))
    }

    /// Makes objects, or makes them be as they are written.
    pub(super) fn apply(&self, objects: &str) -> Result<()> {
        let mut command = self.kubectl(&["apply", "-f", "-"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("cannot run kubectl")?;
        child
            .stdin
            .take()
            .context("no pipe")?
            .write_all(objects.as_bytes())
            .context("kubectl does not read")?;
        ensure!(child.wait()?.success(), "kubectl apply failed");
        Ok(())
    }

    /// The same of a list.
    pub(super) fn apply_all(&self, objects: &[Value]) -> Result<()> {
        self.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string())
    }

    /// Runs a program in a pod, in the background.
    pub(super) fn exec(&self, namespace: &str, pod: &str, words: &[&str]) -> Result<Child> {
        let mut command = self.kubectl(&["exec", "-n", namespace, pod, "--"]);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("cannot run kubectl")
    }

    /// Waits until what is asked for is there; fails with what it last was.
    pub(super) fn wait<T>(
        &self,
        patience: Duration,
        what: &str,
        mut ask: impl FnMut(&Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(found) = ask(self)? {
                return Ok(found);
            }
            if start.elapsed() > patience {
                bail!("{what}: not within {} s", patience.as_secs());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Whether all nodes run on this machine's kernel, so that its programs can be looked at from here.
    pub(super) fn is_local(&self) -> bool {
        let own = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        self.nodes.iter().all(|node| node.boot == own.trim())
    }
}

impl Node {
    fn of(node: &Value, boot: String) -> Result<Self> {
        let addresses = node["status"]["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
        let internal = addresses.iter().find(|address| address["type"] == "InternalIP");
        let address = internal.map(|address| word(&address["address"])).context("a node has no address")?;
        Ok(Self { name: word(&node["metadata"]["name"]), address, boot })
    }
}

/// Whether pods can run there: it is ready, takes new pods, and has no taint that keeps them away.
fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_open = taints.iter().all(|taint| taint["effect"] == "PreferNoSchedule");
    is_ready && is_open && node["spec"]["unschedulable"] != true
}

/// The elements of a list as Kubernetes returns it.
pub(super) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// A string; empty where there is none.
pub(super) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A file that nobody else reads.
fn secret(directory: &Path, name: &str, text: &str) -> Result<PathBuf> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = directory.join(name);
    let cannot = || format!("cannot write {}", path.display());
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    Ok(path)
}
