//! Flags of `kflow trace`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tracer_core::capture::SNAP_WHOLE;
use tracer_core::units::SnapLength;

/// Bytes kept of each packet where a trace captures itself: all headers, tunnels included.
const SNAP: SnapLength = SnapLength(192);
/// How long a packet may take where clocks are compared by arrival.
const WINDOW: Duration = Duration::from_secs(1);
/// The same where clocks are as the files have them: two nodes may differ by many seconds.
const WINDOW_OF_FILES: Duration = Duration::from_secs(30);
/// Flows that are printed of all there are in files.
const MAX_FLOWS: usize = 20;

/// Follow packets between two ends over all nodes.
///
/// SRC and DST are POD, NAMESPACE/POD, pod/NAME, svc/NAME[:PORT], node/NAME, IP or IP:PORT. Names come from the
/// cluster state (--state). With -r, packets come from files instead of this machine's interfaces, and without SRC
/// every flow in them is followed, those that lost most first.
#[derive(Args, Clone, Debug)]
pub struct TraceArgs {
    /// One end
    #[arg(value_name = "SRC", required_unless_present = "read")]
    pub source: Option<String>,
    /// The other end; every flow of SRC without it
    #[arg(value_name = "DST")]
    pub destination: Option<String>,
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
    /// Bytes kept of each packet, 0 keeps all [default: 192; with -r all that the files hold]
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

    /// Bytes kept of each packet; 0 on the command line keeps all, as with tcpdump.
    pub fn snap(&self) -> SnapLength {
        let default = if self.read.is_empty() { SNAP } else { SNAP_WHOLE };
        match self.snapshot_length {
            None => default,
            Some(0) => SNAP_WHOLE,
            Some(length) => SnapLength(length),
        }
    }

    /// How long a packet may be on its way.
    pub fn window(&self) -> Duration {
        let default = if self.read.is_empty() { WINDOW } else { WINDOW_OF_FILES };
        self.window.map_or(default, Duration::from_millis)
    }

    /// How many flows are printed as text; absent for all.
    pub fn max_flows(&self) -> Option<usize> {
        let default = (!self.read.is_empty() && self.source.is_none()).then_some(MAX_FLOWS);
        self.max_flows.or(default).filter(|count| *count > 0)
    }
}
