//! What is wanted of agents, and why none can be had.

use std::time::Duration;

use thiserror::Error;

use super::{LISTING, NamespaceError, SpecError};
use crate::cli::cluster::{AgentArgs, ClusterArgs};
use crate::error::{Exit, ExitStatus};

/// Why agents cannot be had at all. What befalls one node is told by the end of its captures.
#[derive(Debug, Error)]
pub enum FleetError {
    /// A flag makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// There is no namespace for them.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// They cannot be watched.
    #[error("cannot watch the agents' pods in the namespace {namespace}: {message}")]
    Watch {
        /// Namespace of the agents.
        namespace: String,
        /// Why.
        message: String,
    },
    /// Nothing is heard.
    #[error("the API server has not listed the pods of the namespace {0} within {n} s", n = LISTING.as_secs())]
    Slow(String),
}

impl ExitStatus for FleetError {
    fn exit(&self) -> Exit {
        match self {
            Self::Spec(_) => Exit::Usage,
            Self::Namespace(_) | Self::Watch { .. } | Self::Slow(_) => Exit::Environment,
        }
    }
}

/// What an agent is to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Task {
    /// `kflow capture`.
    #[default]
    Capture,
    /// `kflow evidence`.
    Evidence,
    /// `kflow ifaces`.
    Interfaces,
}

/// Something that is wanted on a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Order {
    /// Name of the node object.
    pub node: String,
    /// What is to be done.
    pub task: Task,
    /// Arguments of the command on the node, those aside that the fleet adds itself and, where it is missing, `--node`.
    pub arguments: Vec<String>,
}

impl Task {
    /// The command and the flags that make it one of an agent.
    pub(super) fn words(self, rate: u64) -> Vec<String> {
        const LED: [&str; 5] = ["--until-stdin-closes", "--heartbeat", "10", "--compress", "zstd"];
        let rate = rate.to_string();
        let words: Vec<&str> = match self {
            Self::Capture => {
                [&["capture", "--quiet"], &LED[..], &["--output-rate", &rate, "-w", "-"]].concat()
            }
            Self::Evidence => [&["evidence"], &LED[..]].concat(),
            Self::Interfaces => vec!["ifaces", "--here", "-o", "json"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether the node's name is told by `--node`.
    pub(super) fn takes_node(self) -> bool {
        !matches!(self, Self::Interfaces)
    }
}

/// What agents have to be able to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// Enter the network namespaces of pods (`--pod-side`).
    pub pod_side: bool,
}

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct FleetPlan {
    /// The cluster, as the flags name it: the janitor connects by itself.
    pub access: ClusterArgs,
    /// The agents, as the flags want them.
    pub agents: AgentArgs,
    /// What they have to be able to do.
    pub needs: Needs,
    /// How long the run lasts; absent where somebody ends it.
    pub duration: Option<Duration>,
}
