//! Flags of `kflow explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::cluster::{AgentArgs, ClusterArgs};
use crate::kernel::netns::NetnsRef;

/// Explain what a node does with packets to a service, a pod or an address, and what is wrong with it.
///
/// WHAT is svc/NAME, svc/NAME:PORT, POD, pod/NAME, node/NAME (NAMESPACE/ in front), IP or IP:PORT[/PROTOCOL]. The node's
/// rules and routes are followed as a packet would: NAT, routing, tunnel, and put beside the endpoints that the cluster
/// tells. Nothing is sent. On a cluster an agent on the node tells its rules; with --state, --netns or --local they are
/// those of this machine.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// What to explain
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Who sends: POD, pod/NAME, node/NAME or IP [default: a pod of the node, else the node itself]
    #[arg(long, value_name = "WHO")]
    pub from: Option<String>,
    /// The node whose rules are explained [default: of a service the one of --from, else of a ready endpoint; of a pod its
    /// own]; NAME=netns:PATH for a network namespace of this machine (repeatable)
    #[arg(long = "node", value_name = "NAME[=netns:PATH]")]
    pub nodes: Vec<String>,
    /// A pod's network namespace on this machine, to tell who listens there (repeatable) [default: found by its address]
    #[arg(long = "pod", value_name = "[NS/]POD=netns:PATH")]
    pub pods: Vec<String>,
    /// The node's network namespace on this machine: a file, a process id, or address:ADDR
    #[arg(long, value_name = "NETNS")]
    pub netns: Option<NetnsRef>,
    /// Explain this machine's rules, and leave the cluster alone
    #[arg(long)]
    pub local: bool,
    /// Cluster state from a file: the JSON of `kflow state`, or of `kubectl get nodes,pods,services,endpointslices -A -o json`
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How agents come onto its nodes.
    #[command(flatten)]
    pub agents: AgentArgs,
}

/// Output formats of `kflow explain`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

impl ExplainArgs {
    /// Whether rules are read on this machine, by the flags alone.
    pub fn is_local(&self) -> bool {
        let has_path = |value: &String| value.contains("=netns:");
        self.local
            || self.state.is_some()
            || self.netns.is_some()
            || self.nodes.iter().any(has_path)
            || !self.pods.is_empty()
    }

    /// Namespace of names that have none, where no cluster tells one.
    pub fn namespace(&self) -> &str {
        self.cluster.namespace.as_deref().unwrap_or("default")
    }
}
