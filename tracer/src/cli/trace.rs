//! Flags of `kflow trace`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracer_core::capture::SNAP_WHOLE;
use tracer_core::units::SnapLength;

use super::cluster::{AgentArgs, ClusterArgs};

/// Bytes kept of each packet where a trace captures itself: all headers, tunnels included.
const SNAP: SnapLength = SnapLength(192);
/// The same where packets come back through the API server: headers in a tunnel, and the beginning of what they carry.
const SNAP_OF_CLUSTER: SnapLength = SnapLength(128);
/// How long a packet may take where clocks are compared by arrival.
const WINDOW: Duration = Duration::from_secs(1);
/// The same where clocks are as the files have them: two nodes may differ by many seconds.
const WINDOW_OF_FILES: Duration = Duration::from_secs(30);
/// Flows that are printed of all there are in files.
const MAX_FLOWS: usize = 20;

/// Follow packets between two ends over all nodes.
///
/// SRC and DST are POD, NAMESPACE/POD, TYPE/NAME or NAMESPACE/TYPE/NAME (pod, svc[:PORT], deploy, ds, sts, rs, job,
/// node), a label selector KEY=VALUE, IP, IP:PORT, or the name of a host outside. Agents come to the nodes concerned for
/// as long as the trace runs, in a namespace of their own. With --node or --local, this machine's namespaces are watched
/// instead, and names come from --state. With -r, packets come from files, and without SRC every flow in them is
/// followed, those that lost most first.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub struct TraceArgs {
    /// One end
    #[arg(value_name = "SRC", required_unless_present_any = ["read", "selector"])]
    pub source: Option<String>,
    /// The other end; every flow of SRC without it
    #[arg(value_name = "DST")]
    pub destination: Option<String>,
    /// Label selector of the pods that are SRC, as kubectl takes it; the first word is DST then
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "destination")]
    pub selector: Option<String>,
    /// Select pods by label in all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How agents come onto its nodes.
    #[command(flatten)]
    pub agents: AgentArgs,
    /// Watch inside the network namespaces of the pods concerned as well
    ///
    /// Agents then need the capability `SYS_ADMIN` and the node's /run/netns, read-only.
    #[arg(long, help_heading = "Agents", conflicts_with_all = ["read", "pods"])]
    pub pod_side: bool,
    /// Print what would be done: nodes, interfaces, filter, pods to create
    #[arg(long, help_heading = "Agents", conflicts_with = "read")]
    pub dry_run: bool,
    /// Watch this machine's interfaces, and leave the cluster alone
    #[arg(long, conflicts_with_all = ["pod_side", "dry_run"])]
    pub local: bool,
    /// Trace a pcap or pcapng file of any tool (repeatable); `-` is standard input
    ///
    /// NODE, IFACE and POD say where it was captured, as far as the file does not: NODE/IFACE=FILE,
    /// NODE/[NAMESPACE/]POD:IFACE=FILE for a capture inside a pod, or NODE=FILE for one of several interfaces. Without,
    /// the file's name tells: `NODE_IFACE.pcap`, `NODE-eth0.pcap`, `NODE/eth0.pcap` or `NODE.pcap`.
    #[arg(
        short = 'r',
        long = "read",
        value_name = "[NODE[/[POD:]IFACE]=]FILE",
        conflicts_with_all = ["nodes", "pods", "interfaces", "buffer_size", "duration", "attach", "debug_bpf"]
    )]
    pub read: Vec<OsString>,
    /// Cluster state from a file: the JSON of `kflow state`, or of `kubectl get nodes,pods,services,endpointslices -A -o json`
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// A node of this machine and its network namespace (repeatable); the cluster is not asked then
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
    /// Bytes kept of each packet, 0 keeps all [default: 128 on a cluster, 192 there with IPv6 and on this machine; with -r all that the files hold]
    #[arg(short = 's', long, value_name = "BYTES")]
    pub snapshot_length: Option<u32>,
    /// Flows to print as text, 0 prints all [default: all; 20 with -r and without SRC]
    #[arg(long, value_name = "N")]
    pub max_flows: Option<usize>,
    /// Ring buffer per namespace, in KiB
    #[arg(short = 'B', long, value_name = "KIB")]
    pub buffer_size: Option<u32>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = super::capture::seconds)]
    pub duration: Option<Duration>,
    /// How long a packet may take from its first hop to its last, in milliseconds [default: 1000; 30000 with -r, where
    /// it has to cover the difference of the nodes' clocks as well]
    #[arg(long, value_name = "MILLISECONDS")]
    pub window: Option<u64>,
    /// UDP port that carries VXLAN, besides 4789 and 8472
    #[arg(long, value_name = "PORT")]
    pub vxlan_port: Option<u16>,
    /// Print all that speaks for each verdict
    #[arg(long)]
    pub why: bool,
    /// Write packet headers, verdicts and the nodes' evidence as one .tar.gz archive, for a ticket
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Do not ask the kernels for rules, routes, connections and counters: verdicts are from packets alone
    #[arg(long, conflicts_with = "read")]
    pub no_evidence: bool,
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
    /// All hops as pcapng, the same as -w -; the text goes to standard error
    Pcapng,
}

impl TraceArgs {
    /// Where the pcapng of all hops goes; `-` is standard output.
    pub fn recording(&self) -> Option<&Path> {
        if self.output == Format::Pcapng { Some(Path::new("-")) } else { self.write.as_deref() }
    }

    /// Whether standard output carries the pcapng.
    pub fn is_stdout_taken(&self) -> bool {
        self.recording().is_some_and(|path| path.as_os_str() == "-")
    }

    /// Whether packets are captured here, by the flags alone: by children in network namespaces of this machine.
    pub fn is_local(&self) -> bool {
        self.local || self.state.is_some() || !self.nodes.is_empty() || !self.pods.is_empty()
    }

    /// Whether packets come from files.
    pub fn is_offline(&self) -> bool {
        !self.read.is_empty()
    }

    /// Namespace of names that have none, where no cluster tells one.
    pub fn namespace(&self) -> &str {
        self.cluster.namespace.as_deref().unwrap_or("default")
    }

    /// Bytes kept of each packet; 0 on the command line keeps all, as with tcpdump.
    pub fn snap(&self) -> SnapLength {
        let default = if self.is_offline() {
            SNAP_WHOLE
        } else if self.is_local() {
            SNAP
        } else {
            SNAP_OF_CLUSTER
        };
        match self.snapshot_length {
            None => default,
            Some(0) => SNAP_WHOLE,
            Some(length) => SnapLength(length),
        }
    }

    /// How long a packet may be on its way.
    pub fn window(&self) -> Duration {
        let default = if self.is_offline() { WINDOW_OF_FILES } else { WINDOW };
        self.window.map_or(default, Duration::from_millis)
    }

    /// How many flows are printed as text; absent for all.
    pub fn max_flows(&self) -> Option<usize> {
        let default =
            (self.is_offline() && self.source.is_none() && self.selector.is_none()).then_some(MAX_FLOWS);
        self.max_flows.or(default).filter(|count| *count > 0)
    }
}
