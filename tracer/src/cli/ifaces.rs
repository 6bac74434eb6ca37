//! `kflow ifaces`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::cluster::{AgentArgs, ClusterArgs};
use crate::ifaces::IfacesError;
use crate::kernel::netns::NetnsRef;

/// List every interface with its pod, network namespace, processes, containers, addresses and programs
///
/// Of this machine: all network namespaces that have a name or a process. Of a node of the cluster: what an agent on it
/// can see. Pods are found by addresses, links and control groups; names come from the cluster, or from --state.
#[derive(Args, Clone, Debug)]
pub struct IfacesArgs {
    /// Node of the cluster, as node/NAME [default: this machine]
    #[arg(value_name = "NODE")]
    pub place: Option<String>,
    /// The same, by its name alone
    #[arg(long, value_name = "NAME", conflicts_with = "place")]
    pub node: Option<String>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Only this network namespace of this machine and those that its links lead into: a file as below /run/netns, a
    /// process id, or address:ADDR of one of its interfaces
    #[arg(long, value_name = "NETNS", conflicts_with_all = ["place", "node"])]
    pub netns: Option<NetnsRef>,
    /// Cluster state from a file: the JSON of `kflow state`, or of `kubectl get nodes,pods,services,endpointslices -A -o json`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["place", "node"])]
    pub state: Option<PathBuf>,
    /// Leave the cluster alone: no names of pods but those of --state
    #[arg(long, conflicts_with_all = ["place", "node"])]
    pub local: bool,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How an agent comes onto the node.
    #[command(flatten)]
    pub agents: AgentArgs,
    /// Look into the network namespaces of the node's pods as well
    ///
    /// The agent then needs the capability `SYS_ADMIN` and the node's /run/netns, read-only.
    #[arg(long, help_heading = "Agents")]
    pub pod_side: bool,
    /// As an agent does: this network namespace and what can be seen from it.
    #[arg(long, hide = true, conflicts_with_all = ["place", "node", "netns", "state"])]
    pub here: bool,
    /// Who the cluster takes the user for, for the agent's log.
    #[arg(long, value_name = "NAME", hide = true, requires = "here")]
    pub for_user: Option<String>,
}

/// Output formats of `kflow ifaces`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people: a line for each interface
    Text,
    /// One JSON object
    Json,
}

impl IfacesArgs {
    /// The node that is meant; absent for this machine.
    pub fn node_name(&self) -> Result<Option<String>, IfacesError> {
        match (&self.node, &self.place) {
            (Some(name), _) => Ok(Some(name.clone())),
            (None, None) => Ok(None),
            (None, Some(word)) => node(word).map(Some).ok_or_else(|| IfacesError::NotANode(word.clone())),
        }
    }
}

/// `node/NAME` in kubectl's words.
fn node(word: &str) -> Option<String> {
    let (kind, name) = word.split_once('/')?;
    let is_node = ["node", "nodes", "no"].contains(&kind.to_ascii_lowercase().as_str());
    (is_node && !name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_in_kubectls_words() {
        for word in ["node/n1", "nodes/n1", "no/n1", "Node/n1"] {
            assert_eq!(node(word).as_deref(), Some("n1"), "{word}");
        }
        for word in ["n1", "pod/n1", "node/", "node/a/b", "/n1"] {
            assert_eq!(node(word), None, "{word}");
        }
    }
}
