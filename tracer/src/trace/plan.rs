//! Flags as typed to a plan that cannot be wrong.

mod local;
mod state_file;
mod wanted;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracer_core::resolve::{ClusterState, Names, ResolveError, Scope, SelectorError};

use super::cluster::{ClusterError, OnCluster, places};
use super::ends::Ends;
use crate::cli::trace::{Format, TraceArgs};
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};
pub(crate) use local::named_netns;
pub use state_file::{StateFileError, read_state};
pub(super) use wanted::{Wanted, buffer_kib};

/// Namespaces that are watched without a word about it.
const MANY: usize = 16;
/// Bytes kept of each packet on a cluster with IPv6: what tells packets apart lies beyond 128 behind VXLAN.
const SNAP_OF_IPV6: u32 = 192;

/// Why the flags make no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The cluster state.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// An end cannot be resolved without a cluster's state.
    #[error(
        "{0:?} is a name, and no cluster state tells its address: add --state FILE (the JSON of `kflow state`, or of `kubectl get nodes,pods,services,endpointslices -A -o json`)"
    )]
    NoState(String),
    /// An end is a name, and there is no cluster.
    #[error(
        "{word:?} is a name, and no cluster tells its address: name one by --kubeconfig, or its state by --state"
    )]
    NoCluster {
        /// As typed.
        word: String,
        /// Where a cluster was looked for.
        source: ConnectError,
    },
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An end cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A label selector that is none.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// `--node` or `--pod` has not the form NAME=netns:PATH.
    #[error("--{flag} {value:?} is not NAME=netns:PATH")]
    Place {
        /// `node` or `pod`.
        flag: &'static str,
        /// As typed.
        value: String,
    },
    /// A node that the cluster's state does not know.
    #[error("no such node: {name} (the cluster state has {})", known.join(", "))]
    UnknownNode {
        /// As typed.
        name: String,
        /// Names of all nodes.
        known: Vec<String>,
    },
    /// A pod whose node is not known.
    #[error("no such pod: {0} (the cluster state does not tell its node)")]
    UnknownPod(String),
    /// A node was named twice.
    #[error("--node {0} is given twice")]
    Twice(String),
    /// A file where an end should be.
    #[error("{0:?} is a file and no end to trace: each file needs a -r of its own")]
    FileAsEnd(String),
    /// Neither an end nor a file.
    #[error("name an end to trace: SRC [DST]")]
    NoEnd,
    /// Flags for a cluster, and others for this machine.
    #[error("{0} is for a cluster, and --node, --pod, --state and --local leave the cluster alone")]
    OnlyOnCluster(&'static str),
    /// The pcapng has two places to go to.
    #[error("-o pcapng writes to standard output and -w {} to a file: leave one of them out", .0.display())]
    TwoRecordings(PathBuf),
}

impl ExitStatus for PlanError {
    fn exit(&self) -> Exit {
        match self {
            Self::Place { .. }
            | Self::Twice(_)
            | Self::FileAsEnd(_)
            | Self::NoEnd
            | Self::TwoRecordings(_)
            | Self::OnlyOnCluster(_)
            | Self::NoState(_)
            | Self::Selector(_) => Exit::Usage,
            Self::Resolve(error) if error.is_usage() => Exit::Usage,
            Self::NoCluster { source, .. } => source.exit(),
            Self::Cluster(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}

/// What a trace does.
pub struct TracePlan {
    /// The two ends.
    pub scope: Scope,
    /// Names of addresses.
    pub names: Names,
    /// The cluster as it was; empty where none is known.
    pub(super) state: ClusterState,
    /// One capture for each.
    pub places: Vec<Place>,
    /// The cluster that is asked; absent where captures are children of this process.
    pub(super) cluster: Option<OnCluster>,
    /// The flags that need no second look.
    pub args: TraceArgs,
}

/// A network namespace to watch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Node that it is on.
    pub node: String,
    /// The pod that it belongs to, as `namespace/name`; absent for the node's own.
    pub pod: Option<String>,
    /// Where it is.
    pub side: Side,
}

/// Where a network namespace is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Side {
    /// The one that kflow runs in.
    Own,
    /// At a path of this machine.
    Path(PathBuf),
    /// On a node of the cluster: the one with this address, or the node's own.
    Agent(Option<IpAddr>),
}

impl Place {
    /// How it is named in messages.
    pub fn label(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.node)
    }
}

impl TracePlan {
    /// Resolves every name: by the cluster, or where flags or the lack of one say so, by a state file.
    pub fn of(mut args: TraceArgs) -> Result<Self, PlanError> {
        check_recording(&args)?;
        if args.is_local() {
            return Self::local(args);
        }
        match Cluster::connect(&args.cluster) {
            Ok(cluster) => Self::on_cluster(args, cluster),
            Err(source @ ConnectError::NoConfig) => {
                let ends = Ends::of(&args, args.namespace())?.ok_or(PlanError::NoEnd)?;
                if let Some(word) = ends.first_name() {
                    return Err(PlanError::NoCluster { word: word.to_owned(), source });
                }
                args.local = true;
                Self::local(args)
            }
            Err(error) => Err(ClusterError::from(error).into()),
        }
    }

    fn local(args: TraceArgs) -> Result<Self, PlanError> {
        check_local(&args)?;
        let state = state(&args)?;
        let scope = scope(&args, &state)?.ok_or(PlanError::NoEnd)?;
        let names = Names::of(&state);
        Ok(Self { places: local::places(&args, &state)?, names, state, scope, cluster: None, args })
    }

    fn on_cluster(mut args: TraceArgs, cluster: Cluster) -> Result<Self, PlanError> {
        let ends = Ends::of(&args, cluster.namespace())?.ok_or(PlanError::NoEnd)?;
        let is_address = ends.are_addresses();
        let (cluster, state, scope) = OnCluster::ask(cluster, ends, &args)?;
        let places = places(&scope, &state, args.pod_side);
        if places.is_empty() && is_address {
            say!("kflow: neither end is in the cluster: watching this machine's interfaces instead");
            args.local = true;
            return Self::local(args);
        }
        if places.is_empty() {
            return Err(ClusterError::NoNode.into());
        }
        if scope.destination.is_none() {
            let nodes: Vec<&str> = places.iter().map(|place| place.node.as_str()).collect();
            say!("kflow: without DST only the nodes of SRC are watched: {}", nodes.join(", "));
        }
        if places.len() > MANY {
            say!(
                "kflow: {} namespaces are watched; where any node may take packets in, NODE-ADDRESS:PORT instead of a service names one",
                places.len()
            );
        }
        if has_ipv6(&scope) {
            args.snapshot_length = args.snapshot_length.or(Some(SNAP_OF_IPV6));
        }
        Ok(Self { scope, names: Names::of(&state), state, places, cluster: Some(cluster), args })
    }

    /// Nodes that one of the ends is on and that no capture watches.
    pub fn unwatched(&self) -> Vec<&str> {
        unwatched(&self.scope, |node| {
            self.places.iter().any(|place| place.pod.is_none() && place.node == node)
        })
    }
}

/// Whether packets of a scope may have IPv6 headers, which are longer.
fn has_ipv6(scope: &Scope) -> bool {
    scope.seeds().iter().any(|seed| seed.address.is_ipv6())
}

/// Nodes that an end is on and that are not watched.
pub(super) fn unwatched(scope: &Scope, is_watched: impl Fn(&str) -> bool) -> Vec<&str> {
    let ends = std::iter::once(&scope.source).chain(&scope.destination);
    let nodes = ends.flat_map(|end| &end.nodes).map(String::as_str);
    let mut unwatched: Vec<&str> = nodes.filter(|node| !is_watched(node)).collect();
    unwatched.sort_unstable();
    unwatched.dedup();
    unwatched
}

/// The two ends by their names, without a cluster; absent where none was asked for.
pub(super) fn scope(args: &TraceArgs, state: &ClusterState) -> Result<Option<Scope>, PlanError> {
    let Some(mut ends) = Ends::of(args, args.namespace())? else { return Ok(None) };
    if let Some(file) = file_as_end(args) {
        return Err(PlanError::FileAsEnd(file.to_owned()));
    }
    let name = ends.first_name().map(str::to_owned);
    let scope = ends.resolve(state).map_err(|error| match error {
        ResolveError::NotFound { .. } if args.state.is_none() => PlanError::NoState(name.unwrap_or_default()),
        error => PlanError::Resolve(error),
    })?;
    Ok(Some(scope))
}

/// A word that is a file, where files are read: its `-r` was forgotten.
fn file_as_end(args: &TraceArgs) -> Option<&str> {
    let mut words = args.source.iter().chain(&args.destination).map(String::as_str);
    words.find(|word| args.is_offline() && Path::new(word).is_file())
}

/// Fails where a flag that is for agents came along with flags for this machine.
fn check_local(args: &TraceArgs) -> Result<(), PlanError> {
    let flags = [
        (args.pod_side, "--pod-side"),
        (args.dry_run, "--dry-run"),
        (args.cluster.context.is_some(), "--context"),
        (args.cluster.kubeconfig.is_some(), "--kubeconfig"),
    ];
    match flags.iter().find(|(is_given, _)| *is_given) {
        Some((_, flag)) => Err(PlanError::OnlyOnCluster(flag)),
        None => Ok(()),
    }
}

/// Fails where the pcapng was sent to two places.
pub(super) fn check_recording(args: &TraceArgs) -> Result<(), PlanError> {
    match &args.write {
        Some(file) if args.output == Format::Pcapng && file.as_os_str() != "-" => {
            Err(PlanError::TwoRecordings(file.clone()))
        }
        _ => Ok(()),
    }
}

pub(super) fn state(args: &TraceArgs) -> Result<ClusterState, PlanError> {
    let Some(path) = &args.state else { return Ok(ClusterState::default()) };
    Ok(read_state(path)?)
}
