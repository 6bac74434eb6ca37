//! `kflow explain`: what a node does with packets to a service, a pod or an address.

mod local;
mod remote;
mod witness;

use std::collections::HashSet;
use std::io::{self, Write as _};

use thiserror::Error;
use tracer_core::evidence::Snapshot;
use tracer_core::explain::{Client, Explanation, Question, explain};
use tracer_core::resolve::{ClusterState, ResolveError, Subject};

use crate::cli::explain::{ExplainArgs, Format};
use crate::cluster::access::AccessError;
use crate::cluster::fleet::FleetError;
use crate::cluster::state::StateReadError;
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};
use crate::trace::plan::StateFileError;
pub use witness::WitnessError;

/// Why nothing can be explained.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The cluster state.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// A word cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A word is a name, and nothing tells its address.
    #[error(
        "{word:?} is a name, and no cluster tells its address: name one by --kubeconfig, or its state by --state"
    )]
    NoState {
        /// As typed.
        word: String,
        /// Where a cluster was looked for.
        source: Option<ConnectError>,
    },
    /// There is no way to the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster does not tell its state.
    #[error(transparent)]
    Cluster(#[from] StateReadError),
    /// The cluster does not allow what is needed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Agents cannot be had.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// `--node` or `--pod` has not the form NAME=netns:PATH.
    #[error("--{flag} {value:?} is not NAME=netns:PATH")]
    Place {
        /// `node` or `pod`.
        flag: &'static str,
        /// As typed.
        value: String,
    },
    /// A node that the state does not know.
    #[error("no such node: {name} (the cluster has {})", known.join(", "))]
    UnknownNode {
        /// As typed.
        name: String,
        /// Names of all nodes.
        known: Vec<String>,
    },
    /// Several nodes were named, and one is asked.
    #[error("several nodes are named: --node takes one on a cluster")]
    ManyNodes,
    /// No node is concerned.
    #[error("{0} is on no node that is known: name one by --node")]
    NoNode(String),
    /// A node's rules could not be had.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// Standard output.
    #[error("cannot write the explanation")]
    Write(#[source] io::Error),
}

impl ExitStatus for ExplainError {
    fn exit(&self) -> Exit {
        match self {
            Self::State(error) => error.exit(),
            Self::Resolve(error) if error.is_usage() => Exit::Usage,
            Self::Place { .. } | Self::ManyNodes | Self::NoState { source: None, .. } => Exit::Usage,
            Self::NoState { source: Some(error), .. } | Self::Connect(error) => error.exit(),
            Self::Cluster(error) => error.exit(),
            Self::Access(error) => error.exit(),
            Self::Fleet(error) => error.exit(),
            Self::Witness(error) => error.exit(),
            Self::Resolve(_) | Self::UnknownNode { .. } | Self::NoNode(_) | Self::Write(_) => Exit::Failed,
        }
    }
}

/// All that is known about the question.
struct Knowledge {
    state: ClusterState,
    subject: Subject,
    client: Option<Client>,
    /// The node that is explained first.
    nodes: Vec<Snapshot>,
    pods: Vec<Snapshot>,
}

/// Explains.
pub fn run(args: &ExplainArgs) -> Result<Exit, ExplainError> {
    let knowledge = gather(args)?;
    let question = Question {
        subject: &knowledge.subject,
        label: &args.what,
        client: knowledge.client.as_ref(),
        state: &knowledge.state,
        nodes: &knowledge.nodes,
        pods: &knowledge.pods,
    };
    let Some(explanation) = explain(&question) else { return Err(ExplainError::NoNode(args.what.clone())) };
    match print(args.output, &explanation) {
        // Who reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Complete),
        Err(error) => Err(ExplainError::Write(error)),
        Ok(()) if explanation.missing.is_empty() => Ok(Exit::Complete),
        Ok(()) => Ok(Exit::Incomplete),
    }
}

fn gather(args: &ExplainArgs) -> Result<Knowledge, ExplainError> {
    if args.is_local() {
        return local::gather(args, None);
    }
    match Cluster::connect(&args.cluster) {
        Ok(cluster) => remote::gather(args, &cluster),
        // Addresses need no cluster.
        Err(source @ ConnectError::NoConfig) => local::gather(args, Some(source)),
        Err(error) => Err(error.into()),
    }
}

fn print(format: Format, explanation: &Explanation) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => explanation.write_text(&mut out)?,
        Format::Json => {
            serde_json::to_writer(&mut out, explanation)?;
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}

/// What is asked about and who sends, by the words that were typed.
fn resolve(
    args: &ExplainArgs,
    namespace: &str,
    state: &ClusterState,
) -> Result<(Subject, Option<Client>), ResolveError> {
    let subject = Subject::of(&args.what, namespace, state)?;
    let client = args.from.as_deref().map(|word| Client::of(word, namespace, state)).transpose()?;
    Ok((subject, client))
}

/// Names of the nodes that tell most, the most telling first. What carries a service is decided on the client's node; a
/// pod's and an address' own node knows most of them.
fn telling(subject: &Subject, client: Option<&Client>, state: &ClusterState) -> Vec<String> {
    let home = client.and_then(|client| client.node.clone());
    let mut nodes = subject.nodes(state);
    match subject {
        Subject::Service { .. } => nodes.splice(0..0, home).for_each(drop),
        Subject::Pod(_) | Subject::Node(_) | Subject::Address(..) => nodes.extend(home),
    }
    let mut seen = HashSet::new();
    nodes.retain(|node| seen.insert(node.clone()));
    nodes
}
