//! A double of a Kubernetes API server, with what is behind one: for kflow's requests it answers what a real one was
//! recorded to answer (`recorded/`), and the programs of its pods run in the namespaces of the lab.
//!
//! It listens on the loopback interface and speaks plain HTTP/1.1; who asks is told by a bearer token.

mod access;
mod admission;
mod answer;
mod config;
mod container;
mod controllers;
mod discovery;
mod exec;
mod kubelet;
mod list;
mod log;
mod objects;
mod play;
mod pod_status;
mod resource;
mod select;
mod server;
mod store;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use thiserror::Error;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};

pub use access::{Rule, User};
pub use config::{DoubleConfig, Fate, NodeConfig, Slices};
pub use log::Entry;
pub use play::Play;

use kubelet::Lives;
use list::Rest;
use log::Log;
use resource::{NAMESPACES, NODES, PODS, Resource};
use store::{Key, Store};

use crate::{Lab, lab};

/// How long the threads of a double may take to end.
const PATIENCE: Duration = Duration::from_secs(1);
/// Threads that answer.
const THREADS: usize = 2;

/// Why there is no double, or not what was asked of it.
#[derive(Debug, Error)]
pub enum DoubleError {
    /// Its threads or its socket.
    #[error("cannot start the double of an API server")]
    Start(#[source] io::Error),
    /// The kubeconfig could not be written.
    #[error("cannot write {}", path.display())]
    Kubeconfig {
        /// Its file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// An object without a kind that the double serves, or without a name.
    #[error("the double has no place for {0}")]
    Object(String),
}

/// A cluster that is up; it goes with this value, and with it the programs of its pods.
pub struct ApiDouble {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Absent only while it ends.
    runtime: Option<Runtime>,
}

/// What all connections share.
struct Shared {
    config: DoubleConfig,
    store: Store,
    log: Log,
    lives: Lives,
    fates: Mutex<BTreeMap<String, Fate>>,
    users: Mutex<Vec<User>>,
    rests: Mutex<HashMap<String, Rest>>,
    tokens: AtomicU64,
    /// Counts how often all connections were cut.
    cut: watch::Sender<u64>,
    deaf: AtomicBool,
}

impl ApiDouble {
    /// Starts a cluster.
    pub fn start(config: DoubleConfig) -> Result<Self, DoubleError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("api-double")
            .enable_all()
            .build()
            .map_err(DoubleError::Start)?;
        let shared = Arc::new(Shared::new(config));
        for object in &shared.config.objects {
            shared.seed(object)?;
        }
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).map_err(DoubleError::Start)?;
        let address = listener.local_addr().map_err(DoubleError::Start)?;
        runtime.block_on(async { controllers::reconcile(&shared) });
        runtime.spawn(server::serve(listener, Arc::clone(&shared)));
        runtime.spawn(controllers::run(Arc::clone(&shared)));
        Ok(Self { shared, address, runtime: Some(runtime) })
    }

    /// A cluster on the nodes of a lab, with the objects that the lab describes.
    pub fn on(lab: &Lab, mut config: DoubleConfig) -> Result<Self, DoubleError> {
        for name in lab::topology::NODES.map(|node| node.name) {
            let node = config.nodes.entry(name.to_owned()).or_default();
            node.netns.get_or_insert_with(|| lab.node(name).path().to_owned());
        }
        let items = lab.state()["items"].as_array().cloned().unwrap_or_default();
        config.objects.splice(0..0, items);
        Self::start(config)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a kubeconfig with a context for each user, named as the user; the first is the current one.
    pub fn kubeconfig(&self, path: &Path) -> Result<(), DoubleError> {
        let users = self.shared.users().clone();
        let list = |one: fn(&User) -> Value| users.iter().map(one).collect::<Vec<_>>();
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "double", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": list(|user| json!({ "name": user.name, "user": { "token": user.token() } })),
            "contexts": list(|user| json!({ "name": user.name, "context": { "cluster": "double", "user": user.name } })),
            "current-context": users.first().map(|user| user.name.as_str()).unwrap_or_default(),
        });
        // JSON is YAML.
        fs::write(path, format!("{config:#}\n"))
            .map_err(|source| DoubleError::Kubeconfig { path: path.to_owned(), source })
    }

    /// Everything that was asked until now.
    pub fn requests(&self) -> Vec<Entry> {
        self.shared.log.entries()
    }

    /// The objects of a kind (`Pod`), of all namespaces.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let resource = Resource::of_kind(kind);
        let found = resource.map(|resource| self.shared.store.list(resource, None).1).unwrap_or_default();
        found.iter().map(|object| Value::clone(object)).collect()
    }

    /// Adds an object, or changes the one of its name to it.
    pub fn set(&self, object: &Value) -> Result<(), DoubleError> {
        self.shared.seed(object)
    }

    /// Removes an object without further ado; whether it was there.
    pub fn remove(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let Some(resource) = Resource::of_kind(kind) else { return false };
        let key = Key { resource, namespace: namespace.to_owned(), name: name.to_owned() };
        if *resource != PODS {
            return self.shared.store.remove(&key).is_some();
        }
        kubelet::delete(&self.shared, &key, Some(0)).is_some()
    }

    /// Changes what becomes of pods on a node from now on.
    pub fn set_fate(&self, node: &str, fate: Fate) {
        self.shared.fates().insert(node.to_owned(), fate);
    }

    /// Changes what a user may do.
    pub fn set_rules(&self, user: &str, rules: &[Rule]) {
        for each in self.shared.users().iter_mut().filter(|each| each.name == user) {
            each.rules = rules.to_vec();
        }
    }

    /// Breaks every connection that there is.
    pub fn cut_connections(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// Whether new connections are closed as soon as they come.
    pub fn set_deaf(&self, is_deaf: bool) {
        self.shared.deaf.store(is_deaf, Ordering::Release);
    }

    /// Forgets the history, so that watches from before have to list anew.
    pub fn compact(&self) {
        self.shared.store.compact();
    }

    /// The first processes of all containers that run, those of deleted pods included.
    pub fn processes(&self) -> Vec<i32> {
        self.shared.lives.all()
    }
}

impl Drop for ApiDouble {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // With the tasks their programs are killed.
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

impl Shared {
    fn new(config: DoubleConfig) -> Self {
        let fates = config.nodes.iter().map(|(name, node)| (name.clone(), node.fate.clone())).collect();
        Self {
            store: Store::new(),
            log: Log::default(),
            lives: Lives::default(),
            fates: Mutex::new(fates),
            users: Mutex::new(config.users.clone()),
            rests: Mutex::default(),
            tokens: AtomicU64::new(0),
            cut: watch::Sender::new(0),
            deaf: AtomicBool::new(false),
            config,
        }
    }

    /// An object that is as it is, without admission and without a kubelet.
    fn seed(&self, object: &Value) -> Result<(), DoubleError> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = word(&object["metadata"]["name"]);
        let resource = Resource::of_kind(&word(&object["kind"])).filter(|_| !name.is_empty());
        let resource = resource.ok_or_else(|| DoubleError::Object(object.to_string()))?;
        let namespace = word(&object["metadata"]["namespace"]);
        if resource.is_namespaced {
            let namespace = Key { resource: &NAMESPACES, namespace: String::new(), name: namespace.clone() };
            let labels = json!({ "kubernetes.io/metadata.name": namespace.name });
            let object = json!({ "metadata": { "labels": labels }, "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" } });
            self.store.create(&namespace, object);
        }
        let key = Key { resource, namespace, name };
        if self.store.create(&key, object.clone()).is_none() {
            self.store.update(&key, |before| {
                let metadata = before["metadata"].clone();
                *before = object.clone();
                for field in ["uid", "creationTimestamp", "resourceVersion"] {
                    before["metadata"][field] = metadata[field].clone();
                }
            });
        }
        Ok(())
    }

    fn user(&self, token: &str) -> Option<User> {
        if token.is_empty() {
            return self.config.anonymous.clone();
        }
        self.users().iter().find(|user| user.token() == token).cloned()
    }

    fn users(&self) -> MutexGuard<'_, Vec<User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fates(&self) -> MutexGuard<'_, BTreeMap<String, Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node as a place for pods: one that is an object, or was configured.
    fn node(&self, name: &str) -> Option<NodeConfig> {
        let configured = self.config.nodes.get(name).cloned();
        let key = Key { resource: &NODES, namespace: String::new(), name: name.to_owned() };
        let node = configured.or_else(|| self.store.get(&key).map(|_| NodeConfig::default()))?;
        let fate = self.fates().get(name).cloned().unwrap_or_default();
        Some(NodeConfig { fate, ..node })
    }

    fn node_names(&self) -> Vec<String> {
        let nodes = self.store.list(&NODES, None).1;
        nodes.iter().filter_map(|node| node["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    /// Keeps the rest of a list; its token.
    fn keep(&self, rest: Rest) -> String {
        let token = format!("page-{}", self.tokens.fetch_add(1, Ordering::Relaxed));
        let mut rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.insert(token.clone(), rest);
        token
    }

    fn rest(&self, token: &str) -> Option<Rest> {
        let rests = self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        rests.get(token.trim_end_matches(list::INCONSISTENT)).cloned()
    }
}
