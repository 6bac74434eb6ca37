//! `kflow capture`.

mod agent;
pub(super) mod habits;
mod host;
mod output;
mod targets;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args};
use thiserror::Error;
use tracer_core::capture::SNAP_WHOLE;
use tracer_core::resolve::ClusterState;
use tracer_core::units::{Direction, SnapLength};

use self::agent::{LeadArgs, OrNone};
use self::host::{HostSpec, address_set};
use self::output::{OutputArgs, OutputError};
use self::targets::{TargetArgs, TargetArgsError, Where};
use crate::capture::interfaces_list::{ListError, list};
use crate::capture::remote::{RemoteFailure, RemotePlan};
use crate::capture::{
    self, CaptureFailure, Expression, FilterError, Keep, Limits, OfflineError, OfflinePlan, Plan, Product,
    Selection, SelectionError, Shape, Verbosity,
};
use crate::error::{Exit, ExitStatus};
use crate::kernel::attach::AttachMode;
use crate::kernel::confine::{self, Confinement};
use crate::kernel::drops::DropScope;
use crate::kernel::filter::AddressSetError;
use crate::kernel::netns::{NetnsError, NetnsRef};
use crate::sink::file_size;
use crate::trace::{StateFileError, read_state};

/// What bridges a stall of the disk of some ten milliseconds at full rate.
pub(crate) const BUFFER_KIB: u32 = 16_384;

/// Capture packets of the interfaces of this machine, of pods and nodes of a cluster, or of a file.
///
/// Without -w prints a line for each packet, as `tcpdump -n` does. The filter is an expression of pcap-filter(7), which
/// runs in the kernel: `kflow capture -i any -- tcp port 80`. Ends on Ctrl-C, when the reader of its output goes away, or
/// at a limit. With a TARGET, -l or -A it captures on a cluster: `kflow capture deploy/web -- tcp port 80`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub struct Arguments {
    #[command(flatten)]
    targets: TargetArgs,
    /// Interface, or a pattern of names (`cali*`); `any` is all but loopback. May be repeated. [default: any; on a cluster
    /// the host interfaces of the pods]
    #[arg(short, long = "interface", value_name = "IFACE")]
    interface: Vec<String>,
    /// Filter expression (pcap-filter); or everything after `--`.
    #[arg(short, long, value_name = "EXPR", conflicts_with = "words", allow_hyphen_values = true)]
    filter: Option<String>,
    /// Filter expression
    #[arg(last = true, value_name = "EXPR")]
    words: Vec<String>,
    /// The filter is for the innermost packet of tunnels.
    #[arg(long)]
    inner: bool,
    /// Network namespace to enter: a path, the id of a process in it, or an address that it has.
    #[arg(long, value_name = "PATH|PID|address:IP")]
    netns: Option<NetnsRef>,
    /// Name of this node in the capture.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Name of the pod that the network namespace belongs to.
    #[arg(long, value_name = "NAME")]
    pod: Option<String>,
    /// Only packets from or to this address, also inside tunnels and ICMP errors. May be repeated.
    #[arg(long, value_name = "ADDR[:PORT[/PROTO]]")]
    host: Vec<OrNone<HostSpec>>,
    /// Like --host, but not as the carrier of a tunnel: for the addresses of nodes. May be repeated.
    #[arg(long, value_name = "ADDR[:PORT[/PROTO]]")]
    inner_host: Vec<OrNone<HostSpec>>,
    /// Only packets that the interface receives, or sends.
    #[arg(short = 'Q', long, value_name = "in|out|inout", default_value = "inout")]
    direction: Way,
    /// Bytes kept of each packet; 0 keeps all, `headers` all headers up to layer 4 [default: 0, on a cluster 128].
    #[arg(short, long = "snapshot-length", value_name = "BYTES|headers")]
    snap: Option<KeepSpec>,
    /// Read packets from a file, pcap or pcapng, instead of interfaces; `-` is standard input.
    #[arg(
        short,
        long,
        value_name = "FILE|-",
        conflicts_with_all = [
            "interface", "netns", "node", "pod", "host", "inner_host", "duration", "vxlan_port", "buffer", "attach",
            "debug_bpf", "heartbeat", "output_rate", "program", "way_of", "link_of"
        ]
    )]
    read: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    /// Write super-packets as the segments that go over the wire.
    #[arg(long)]
    segment: bool,
    /// Leave packets of interfaces without link layer as they are (RAW); such files tcpdump does not read.
    #[arg(long)]
    true_link_types: bool,
    /// Size of the buffer between kernel and kflow: a power of two is made of it, at most 1 GiB [default: 16384, on a cluster
    /// 8192 on each node].
    #[arg(short = 'B', long = "buffer-size", value_name = "KIB", value_parser = buffer_size())]
    buffer: Option<u32>,
    /// List the interfaces, and end.
    #[arg(short = 'D', long)]
    list_interfaces: bool,
    /// Cluster state for the names in the list: the JSON of `kubectl get nodes,pods,services,endpointslices -A -o json`.
    #[arg(long, value_name = "FILE", requires = "list_interfaces")]
    state: Option<PathBuf>,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// End after so many packets.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_packets: Option<u64>,
    /// End before the output is larger, over all files: as -C.
    #[arg(long, value_name = "SIZE", value_parser = |text: &str| file_size(text))]
    max_size: Option<u64>,
    /// Tell more: of packets that are printed, and of each interface at the end.
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
    /// UDP port that carries VXLAN, besides 4789 and 8472.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    vxlan_port: Option<u16>,
    /// Also packets that the kernel drops, under the interface `kfree_skb`, with function and reason as their comment: those
    /// in this network namespace, or in those `joined` to it by veth pairs as well, as pods' are.
    #[arg(
        long,
        value_name = "own|joined",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "own",
        conflicts_with_all = [
            "read", "true_link_types", "targets", "selector", "all_namespaces", "list_interfaces"
        ]
    )]
    drops: Option<Which>,
    /// How programs are attached: auto, tcx or clsact.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    attach: AttachMode,
    /// What is given up once the programs are attached: `full` leaves two capabilities and the system calls of watching,
    /// `log` notes others in the kernel's log instead of refusing them, `off` gives up nothing.
    #[arg(long, value_name = "MODE", default_value = "full", env = confine::VARIABLE)]
    confine: Confinement,
    /// Print what the eBPF programs log.
    #[arg(long)]
    debug_bpf: bool,
    /// End when standard input ends.
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
    /// Print nothing but errors.
    #[arg(long, hide = true)]
    quiet: bool,
    #[command(flatten)]
    lead: LeadArgs,
}

/// Captures, reads or lists as the arguments say.
pub fn run(arguments: Arguments) -> Result<Exit, CaptureCommandError> {
    if arguments.list_interfaces {
        return print_interfaces(arguments.netns.as_ref(), arguments.state.as_deref());
    }
    let is_quiet = arguments.quiet;
    if arguments.targets.is_cluster() {
        arguments.targets.check()?;
        let plan = arguments.remote_plan()?;
        return Ok(arguments.targets.run(&plan, arguments.snap.is_some())?);
    }
    arguments.targets.check_local()?;
    if arguments.read.is_some() {
        let summary = capture::run_offline(&arguments.offline_plan()?)?;
        if !is_quiet {
            say!("{summary}");
        }
        return Ok(summary.exit());
    }
    let summary = capture::run(arguments.plan()?)?;
    if !is_quiet {
        say!("{summary}");
    }
    Ok(summary.exit())
}

fn print_interfaces(netns: Option<&NetnsRef>, state: Option<&Path>) -> Result<Exit, CaptureCommandError> {
    let state: Option<ClusterState> = state.map(read_state).transpose()?;
    if let Some(netns) = netns {
        netns.enter()?;
    }
    list(state.as_ref(), &mut io::stdout().lock())?;
    Ok(Exit::Complete)
}

impl Arguments {
    fn plan(self) -> Result<Plan, CaptureCommandError> {
        let expression = self.expression();
        let compile = |text: String| Expression::compile(&text, self.inner);
        Ok(Plan {
            selection: Selection::parse(&self.interface)?,
            addresses: address_set(&self.host, &self.inner_host)?,
            expression: match self.lead.expression(self.inner)? {
                Some(compiled) => Some(compiled),
                None => expression.map(compile).transpose()?,
            },
            pods: self.lead.pods(),
            lead: self.lead.lead(),
            claim: self.lead.claim(),
            max_rate: self.lead.output_rate(),
            direction: self.direction.0,
            shape: self.shape(),
            product: self.product()?,
            packet_buffered: self.output.is_packet_buffered(),
            user: self.output.user(),
            limits: self.limits(),
            verbosity: self.verbosity(),
            netns: self.netns,
            node: self.node.unwrap_or_else(host_name),
            pod: self.pod,
            ring_kib: self.buffer.unwrap_or(BUFFER_KIB),
            vxlan_port: self.vxlan_port,
            drops: self.drops.map(|which| which.0),
            attach: self.attach,
            confinement: self.confine,
            debug: self.debug_bpf,
        })
    }

    fn remote_plan(&self) -> Result<RemotePlan, CaptureCommandError> {
        let Where { targets, own_traffic, dry_run } = self.targets.location();
        let compile = |text: String| Expression::compile(&text, self.inner);
        // A pattern that cannot be read is told here, not by every node.
        Selection::parse(&self.interface)?;
        let shape = self.shape();
        Ok(RemotePlan {
            targets,
            interfaces: self.interface.clone(),
            expression: self.expression().map(compile).transpose()?,
            direction: self.direction.0,
            shape,
            snap: match shape.keep {
                Keep::Headers => "headers".to_owned(),
                Keep::Bytes(snap) => snap.0.to_string(),
            },
            product: self.product()?,
            packet_buffered: self.output.is_packet_buffered(),
            user: self.output.user(),
            ring_kib: self.buffer.unwrap_or(targets::BUFFER_KIB),
            limits: self.limits(),
            vxlan_port: self.vxlan_port,
            attach: match self.attach {
                AttachMode::Auto => None,
                AttachMode::Tcx => Some("tcx"),
                AttachMode::Clsact => Some("clsact"),
            },
            debug: self.debug_bpf,
            own_traffic,
            dry_run,
            verbosity: self.verbosity(),
        })
    }

    fn offline_plan(self) -> Result<OfflinePlan, CaptureCommandError> {
        Ok(OfflinePlan {
            expression: self.expression(),
            innermost: self.inner,
            direction: self.direction.0,
            shape: self.shape(),
            product: self.product()?,
            user: self.output.user(),
            limits: self.limits(),
            path: self.read.unwrap_or_default(),
        })
    }

    fn product(&self) -> Result<Product, OutputError> {
        let product = self.output.product(self.verbose > 0, self.lead.is_compressed())?;
        match (&product, self.max_size) {
            (Product::Lines(_), Some(_)) => Err(OutputError::NothingToMeasure),
            _ => Ok(product),
        }
    }

    fn expression(&self) -> Option<String> {
        let words = (!self.words.is_empty()).then(|| self.words.join(" "));
        self.filter.clone().or(words).filter(|text| !text.trim().is_empty())
    }

    fn shape(&self) -> Shape {
        let default = if self.targets.is_cluster() { SnapLength(targets::SNAP) } else { SNAP_WHOLE };
        let keep = self.snap.map_or(Keep::Bytes(default), |snap| snap.0);
        Shape { keep, segment: self.segment, true_link_types: self.true_link_types }
    }

    fn limits(&self) -> Limits {
        Limits {
            duration: self.duration,
            packets: self.max_packets,
            bytes: self.max_size,
            stdin: self.until_stdin_closes,
        }
    }

    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        }
    }
}

/// Why `kflow capture` failed.
#[derive(Debug, Error)]
pub enum CaptureCommandError {
    /// The capture itself.
    #[error(transparent)]
    Capture(#[from] CaptureFailure),
    /// The file that is read.
    #[error(transparent)]
    Offline(#[from] OfflineError),
    /// Flags of the output that do not go together.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The filter expression.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// A pattern of interface names that is none.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// Too many addresses or ports.
    #[error(transparent)]
    Addresses(#[from] AddressSetError),
    /// The cluster state for the list.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// The network namespace of the list.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The list of interfaces.
    #[error(transparent)]
    List(#[from] ListError),
    /// A capture on a cluster.
    #[error(transparent)]
    Remote(#[from] RemoteFailure),
    /// Flags of a cluster without one.
    #[error(transparent)]
    Target(#[from] TargetArgsError),
}

impl ExitStatus for CaptureCommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Capture(error) => error.exit(),
            Self::Offline(error) => error.exit(),
            Self::Filter(error) => error.exit(),
            Self::Netns(error) => error.exit(),
            Self::List(error) => error.exit(),
            Self::State(error) => error.exit(),
            Self::Remote(error) => error.exit(),
            Self::Target(error) => error.exit(),
            Self::Output(_) | Self::Selection(_) | Self::Addresses(_) => Exit::Usage,
        }
    }
}

/// `in`, `out` or `inout`, relative to the interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Way(Option<Direction>);

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "in" => Ok(Self(Some(Direction::Ingress))),
            "out" => Ok(Self(Some(Direction::Egress))),
            "inout" => Ok(Self(None)),
            _ => Err("expected in, out or inout".to_owned()),
        }
    }
}

/// `own` or `joined`: network namespaces in which drops are seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Which(DropScope);

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "own" => Ok(Self(DropScope::Own)),
            "joined" => Ok(Self(DropScope::Joined)),
            _ => Err("expected own or joined".to_owned()),
        }
    }
}

/// Bytes, 0 for all, or `headers`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct KeepSpec(Keep);

impl FromStr for KeepSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "headers" {
            return Ok(Self(Keep::Headers));
        }
        let bytes: u32 = text.parse().map_err(|_| "expected a number of bytes, or `headers`".to_owned())?;
        let snap = if bytes == 0 { SNAP_WHOLE } else { SnapLength(bytes.min(SNAP_WHOLE.0)) };
        Ok(Self(Keep::Bytes(snap)))
    }
}

fn buffer_size() -> clap::builder::RangedI64ValueParser<u32> {
    const GIB_IN_KIB: i64 = 1 << 20;
    clap::value_parser!(u32).range(1..=GIB_IN_KIB)
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let refused = || "expected a number of seconds above 0".to_owned();
    let seconds: f64 = text.parse().map_err(|_| refused())?;
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero()).ok_or_else(refused)
}

pub(crate) fn host_name() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| "localhost".to_owned(), |name| name.nodename().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept() {
        let bytes = |bytes| Ok(KeepSpec(Keep::Bytes(SnapLength(bytes))));
        assert_eq!("0".parse(), bytes(262_144));
        assert_eq!("96".parse(), bytes(96));
        assert_eq!("999999".parse(), bytes(262_144));
        assert_eq!("headers".parse(), Ok(KeepSpec(Keep::Headers)));
        assert!("header".parse::<KeepSpec>().is_err() && "-1".parse::<KeepSpec>().is_err());
    }

    #[test]
    fn durations() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["0", "-1", "nan", "1e30", "soon"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
