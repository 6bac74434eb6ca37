//! Flags as typed to a plan that cannot be wrong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use tracer_core::resolve::{ClusterState, Names, Party, ResolveError, Scope, SeedKind};

use crate::cli::trace::{Format, TraceArgs};
use crate::error::{Exit, ExitStatus};

/// Why there is no cluster state.
#[derive(Debug, Error)]
pub enum StateFileError {
    /// The state file cannot be read.
    #[error("cannot read the cluster state {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The state file is no cluster state.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: tracer_core::resolve::StateError,
    },
}

impl ExitStatus for StateFileError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Why the flags make no plan.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The cluster state.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// An end cannot be resolved without a cluster's state.
    #[error(
        "{0:?} is a name, and no cluster state tells its address: add --state FILE (the JSON of `kubectl get nodes,pods,services,endpointslices -A -o json`)"
    )]
    NoState(String),
    /// An end cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
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
            | Self::NoState(_)
            | Self::Resolve(ResolveError::Syntax(_)) => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

/// What a trace does.
#[derive(Clone, Debug)]
pub struct TracePlan {
    /// The two ends.
    pub scope: Scope,
    /// Names of addresses.
    pub names: Names,
    /// One capture for each.
    pub places: Vec<Place>,
    /// What the kernel looks for, as arguments of `kflow capture`.
    pub filter: Vec<String>,
    /// The flags that need no second look.
    pub args: TraceArgs,
}

impl TracePlan {
    /// Nodes that one of the ends is on and that no capture watches.
    pub fn unwatched(&self) -> Vec<&str> {
        unwatched(&self.scope, |node| {
            self.places.iter().any(|place| place.pod.is_none() && place.node == node)
        })
    }
}

/// A network namespace to watch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Node that it is on.
    pub node: String,
    /// The pod that it belongs to, as `namespace/name`; absent for the node's own.
    pub pod: Option<String>,
    /// Where it is; absent for the one that kflow runs in.
    pub netns: Option<PathBuf>,
}

impl Place {
    /// How it is named in messages.
    pub fn label(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.node)
    }
}

impl TracePlan {
    /// Reads the cluster's state and resolves every name.
    pub fn of(args: TraceArgs) -> Result<Self, PlanError> {
        let state = state(&args)?;
        let scope = scope(&args, &state)?.ok_or(PlanError::NoEnd)?;
        check_recording(&args)?;
        Ok(Self {
            places: places(&args, &state)?,
            filter: filter(&scope),
            names: Names::of(&state),
            scope,
            args,
        })
    }
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

/// The two ends by their names; absent where none was asked for.
pub(super) fn scope(args: &TraceArgs, state: &ClusterState) -> Result<Option<Scope>, PlanError> {
    let party = |word: &str| {
        let has_state = args.state.is_some();
        Party::resolve(word, &args.namespace, state).map_err(|error| match error {
            _ if !args.read.is_empty() && Path::new(word).is_file() => PlanError::FileAsEnd(word.to_owned()),
            ResolveError::NotFound { .. } if !has_state => PlanError::NoState(word.to_owned()),
            error => PlanError::Resolve(error),
        })
    };
    let Some(source) = args.source.as_deref().map(party).transpose()? else { return Ok(None) };
    Ok(Some(Scope { source, destination: args.destination.as_deref().map(party).transpose()? }))
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

/// Reads a cluster state.
pub fn read_state(path: &Path) -> Result<ClusterState, StateFileError> {
    let json = fs::read(path).map_err(|source| StateFileError::Read { path: path.to_owned(), source })?;
    ClusterState::from_json(&json)
        .map_err(|source| StateFileError::Malformed { path: path.to_owned(), source })
}

fn places(args: &TraceArgs, state: &ClusterState) -> Result<Vec<Place>, PlanError> {
    let mut places: Vec<Place> = Vec::new();
    for value in &args.nodes {
        let (name, path) = name_and_path("node", value)?;
        let known: Vec<String> = state.node_names().map(str::to_owned).collect();
        if !known.is_empty() && !known.iter().any(|node| node == name) {
            return Err(PlanError::UnknownNode { name: name.to_owned(), known });
        }
        if places.iter().any(|place| place.node == name) {
            return Err(PlanError::Twice(name.to_owned()));
        }
        places.push(Place { node: name.to_owned(), pod: None, netns: Some(path) });
    }
    if places.is_empty() {
        places.push(Place { node: crate::cli::capture::host_name(), pod: None, netns: None });
    }
    for value in &args.pods {
        let (name, path) = name_and_path("pod", value)?;
        let full = if name.contains('/') { name.to_owned() } else { format!("{}/{name}", args.namespace) };
        let node = state.node_of_pod(&full).ok_or_else(|| PlanError::UnknownPod(full.clone()))?;
        places.push(Place { node: node.to_owned(), pod: Some(full), netns: Some(path) });
    }
    Ok(places)
}

fn name_and_path<'a>(flag: &'static str, value: &'a str) -> Result<(&'a str, PathBuf), PlanError> {
    let parts = value.split_once("=netns:").filter(|(name, path)| !name.is_empty() && !path.is_empty());
    let (name, path) = parts.ok_or_else(|| PlanError::Place { flag, value: value.to_owned() })?;
    Ok((name, PathBuf::from(path)))
}

/// The arguments of `kflow capture` that select the packets of a scope.
fn filter(scope: &Scope) -> Vec<String> {
    let flag = |seed: &tracer_core::resolve::Seed| match (seed.kind, seed.port) {
        (SeedKind::Node, None) => ["--inner-host".to_owned(), seed.address.to_string()],
        (_, None) => ["--host".to_owned(), seed.address.to_string()],
        (_, Some((protocol, port))) => {
            let protocol = protocol.to_string().to_lowercase();
            let socket = std::net::SocketAddr::new(seed.address, port);
            ["--host".to_owned(), format!("{socket}/{protocol}")]
        }
    };
    scope.seeds().iter().flat_map(flag).collect()
}
