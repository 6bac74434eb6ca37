//! From flags, files and environment to a client.

mod explain;
mod kubeconfig;

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::cli::cluster::ClusterArgs;
use crate::error::{Exit, ExitStatus};

pub use explain::{RequestError, Server};

/// Threads that drive connections: one decrypts while the other one is at work elsewhere.
const THREADS: usize = 2;

/// How long a connection may take to come about: name, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// By this variable a pod knows that it is one.
const IN_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The threads that drive connections.
    #[error("cannot start the threads that talk to the cluster")]
    Runtime(#[source] io::Error),
    /// No kubeconfig, and this is no pod.
    #[error(
        "no cluster is configured: neither KUBECONFIG, ~/.kube/config nor a pod's service account tells one"
    )]
    NoConfig,
    /// A kubeconfig cannot be read.
    #[error("cannot read the kubeconfig {}{}", path.display(), if *by_variable { " (KUBECONFIG names it)" } else { "" })]
    Read {
        /// The file.
        path: PathBuf,
        /// Whether the environment names it.
        by_variable: bool,
        /// Why.
        source: io::Error,
    },
    /// A kubeconfig is none, or cannot be used.
    #[error("cannot use the kubeconfig {files}")]
    Config {
        /// The file, or several.
        files: String,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// Neither the kubeconfig nor the command line names a context.
    #[error(
        "the kubeconfig {files} has no current context: name one with --context ({})",
        kubeconfig::list(known)
    )]
    NoCurrentContext {
        /// The file, or several.
        files: String,
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// There is no such context.
    #[error("no such context: {name} ({})", kubeconfig::list(known))]
    NoContext {
        /// As typed, or as the kubeconfig has it.
        name: String,
        /// The contexts that there are.
        known: Vec<String>,
    },
    /// A context names a cluster that the kubeconfig does not have.
    #[error("the context {context} is of the cluster {cluster}, which the kubeconfig {files} does not have")]
    NoCluster {
        /// The context.
        context: String,
        /// The cluster.
        cluster: String,
        /// The file, or several.
        files: String,
    },
    /// The service account of the pod that kflow runs in.
    #[error("cannot use this pod's service account")]
    InPod(#[source] Box<InClusterError>),
    /// The client cannot be made of it.
    #[error(transparent)]
    Client(#[from] RequestError),
}

impl ExitStatus for ConnectError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoContext { .. } | Self::NoCurrentContext { .. } => Exit::Usage,
            _ => Exit::Environment,
        }
    }
}

/// A cluster, by one context of a kubeconfig or from inside one of its pods.
#[derive(Clone)]
pub struct Cluster {
    runtime: Arc<Runtime>,
    client: Client,
    namespace: String,
    server: Server,
}

impl Cluster {
    /// Reads the configuration and runs the plugin that it may name for credentials; nothing is sent yet.
    pub fn connect(args: &ClusterArgs) -> Result<Self, ConnectError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("kflow-cluster")
            .enable_all()
            .build()
            .map_err(ConnectError::Runtime)?;
        let mut config = runtime.block_on(config(args))?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = Server::of(&config);
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config).map_err(|error| server.explain(error))?
        };
        Ok(Self { runtime: Arc::new(runtime), client, namespace, server })
    }

    /// The client, for futures that run on [`Cluster::runtime`].
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Namespace of names that have none.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The server that is asked, which knows what its errors mean; for futures, which must not hold the cluster itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// What an error of the client means to a person.
    pub fn explain(&self, error: kube::Error) -> RequestError {
        self.server.explain(error)
    }

    /// Where futures of this cluster are spawned.
    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Waits for a future. Not to be called from inside of one.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// In this order: `--kubeconfig`, `KUBECONFIG`, `~/.kube/config`, the pod that kflow runs in. What is there has to be
/// usable: the next one would be another cluster than was meant.
async fn config(args: &ClusterArgs) -> Result<Config, ConnectError> {
    let Some((file, files)) = kubeconfig::read(args.kubeconfig.as_deref())? else {
        return in_pod(args.context.as_deref());
    };
    kubeconfig::check(&file, &files, args.context.as_deref())?;
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(file, &options)
        .await
        .map_err(|source| ConnectError::Config { files, source: Box::new(source) })
}

fn in_pod(context: Option<&str>) -> Result<Config, ConnectError> {
    match context {
        Some(name) => Err(ConnectError::NoContext { name: name.to_owned(), known: vec![] }),
        None if std::env::var_os(IN_A_POD).is_none() => Err(ConnectError::NoConfig),
        None => Config::incluster().map_err(|source| ConnectError::InPod(Box::new(source))),
    }
}
