//! Flags of `kflow trace`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Follow packets between two ends over all nodes.
///
/// SRC and DST are POD, NAMESPACE/POD, pod/NAME, svc/NAME[:PORT], node/NAME, IP or IP:PORT. Names come from the
/// cluster state (--state).
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// One end
    #[arg(value_name = "SRC")]
    pub source: String,
    /// The other end; every flow of SRC without it
    #[arg(value_name = "DST")]
    pub destination: Option<String>,
    /// Namespace of names that have none
    #[arg(short = 'n', long, value_name = "NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Cluster state: the JSON of `kubectl get nodes,pods,services,endpointslices -A -o json`
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// A node and its network namespace; without any, this machine is the only node
    #[arg(long = "node", value_name = "NAME=netns:PATH")]
    pub nodes: Vec<String>,
    /// Watch inside a pod's network namespace as well
    #[arg(long = "pod", value_name = "[NS/]POD=netns:PATH")]
    pub pods: Vec<String>,
    /// Interface or pattern to watch on every node (repeatable); all but loopback without
    #[arg(short = 'i', long = "interface", value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Write all hops as one pcapng; `-` is standard output, text then goes to standard error
    #[arg(short = 'w', long = "write", value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Bytes kept of each packet; 0 keeps all
    #[arg(short = 's', long, value_name = "BYTES", default_value_t = 128)]
    pub snapshot_length: u32,
    /// Ring buffer per namespace, in KiB
    #[arg(short = 'B', long, value_name = "KIB")]
    pub buffer_size: Option<u32>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::capture::seconds)]
    pub duration: Option<Duration>,
    /// How long a packet may take from its first hop to its last, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    pub window: u64,
    /// UDP port that carries VXLAN, besides 4789 and 8472
    #[arg(long, value_name = "PORT")]
    pub vxlan_port: Option<u16>,
    /// How programs are attached
    #[arg(long, value_name = "HOW", hide = true)]
    pub attach: Option<String>,
    /// Print what the eBPF programs log
    #[arg(long)]
    pub debug_bpf: bool,
}

/// Output formats of `kflow trace`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// JSON Lines: one object a line
    Json,
}
