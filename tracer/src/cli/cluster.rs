//! Flags of every command that asks a cluster: kubectl's letters with kubectl's meaning.

use std::path::PathBuf;

use clap::Args;

/// Which cluster, and which namespace of it.
#[derive(Args, Clone, Debug, Default)]
pub struct ClusterArgs {
    /// Kubeconfig file [default: those of KUBECONFIG, else ~/.kube/config, else the pod that kflow runs in]
    #[arg(long, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Namespace of names that have none [default: the context's]
    #[arg(short = 'n', long, value_name = "NAMESPACE", help_heading = "Cluster")]
    pub namespace: Option<String>,
}

/// How agents come onto the nodes.
#[derive(Args, Clone, Debug)]
pub struct AgentArgs {
    /// Namespace of kflow's own pods; it must allow host networking (Pod Security: privileged)
    #[arg(long, value_name = "NAMESPACE", default_value = "kflow", help_heading = "Agents")]
    pub agent_namespace: String,
    /// Image of the agents
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_IMAGE, env = "KFLOW_IMAGE", help_heading = "Agents")]
    pub image: String,
    /// Secret that the image is pulled with, in the agents' namespace (repeatable)
    #[arg(long, value_name = "NAME", help_heading = "Agents")]
    pub image_pull_secret: Vec<String>,
    /// Only nodes with this label (repeatable)
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Agents")]
    pub node_selector: Vec<String>,
    /// Taint that agents tolerate, besides all of effect `NoSchedule` (repeatable)
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT]", help_heading = "Agents")]
    pub toleration: Vec<String>,
    /// CPU that an agent may use, as Kubernetes writes it
    #[arg(long, value_name = "QUANTITY", help_heading = "Agents")]
    pub agent_cpu: Option<String>,
    /// Memory that an agent may use, as Kubernetes writes it
    #[arg(long, value_name = "QUANTITY", help_heading = "Agents")]
    pub agent_memory: Option<String>,
    /// Million bytes per second that all agents together may send through the API server; k, m and g are KiB, MiB and GiB
    #[arg(long, value_name = "SIZE", default_value = "10", help_heading = "Agents", value_parser = |text: &str| crate::sink::file_size(text))]
    pub max_rate: u64,
}

/// The image of this very version.
pub const DEFAULT_IMAGE: &str = concat!("kflow:", env!("CARGO_PKG_VERSION"));
