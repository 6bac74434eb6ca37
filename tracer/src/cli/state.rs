//! `kflow state`: the cluster's state as a file, for use without the cluster.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use thiserror::Error;

use super::cluster::ClusterArgs;
use crate::cluster::state::{Directory, StateReadError, Wants};
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};

/// Write who has which address in a cluster, for `--state`
///
/// The JSON holds names and addresses of nodes, pods, services and endpoints, which workload made a pod, services' ports and
/// traffic policies, and which endpoints are ready: no labels, annotations, images or environment. Without -n or -A it is
/// about all namespaces that may be read.
#[derive(Args, Debug)]
pub struct StateArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    /// All namespaces; fails if they may not be read
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// File to write; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

/// Why there is no state file.
#[derive(Debug, Error)]
pub enum StateCommandError {
    /// No client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster did not tell.
    #[error(transparent)]
    Read(#[from] StateReadError),
    /// The file.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl ExitStatus for StateCommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(error) => error.exit(),
            Self::Read(error) => error.exit(),
            Self::Write { .. } => Exit::Failed,
        }
    }
}

/// Runs the command.
pub fn run(args: &StateArgs) -> Result<Exit, StateCommandError> {
    let cluster = Cluster::connect(&args.cluster)?;
    let wants = Wants {
        namespaces: namespaces(args, &cluster)?,
        workloads: true,
        only_namespaces: args.cluster.namespace.is_some(),
    };
    let directory = Directory::list(&cluster, wants)?;
    for note in directory.notes() {
        say!("kflow: {note}");
    }
    match write(&args.output, &directory.state().to_json()) {
        // Who reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Complete),
        Err(source) => Err(StateCommandError::Write { path: args.output.clone(), source }),
        Ok(()) if args.all_namespaces && !directory.notes().is_empty() => Ok(Exit::Incomplete),
        Ok(()) => Ok(Exit::Complete),
    }
}

fn namespaces(args: &StateArgs, cluster: &Cluster) -> Result<BTreeSet<String>, StateReadError> {
    match &args.cluster.namespace {
        Some(namespace) => Ok(BTreeSet::from([namespace.clone()])),
        None if args.all_namespaces => Ok(BTreeSet::new()),
        None => Directory::namespaces(cluster),
    }
}

fn write(path: &Path, json: &serde_json::Value) -> io::Result<()> {
    let to: Box<dyn Write> =
        if path.as_os_str() == "-" { Box::new(io::stdout().lock()) } else { Box::new(File::create(path)?) };
    let mut to = BufWriter::new(to);
    serde_json::to_writer_pretty(&mut to, json)?;
    to.write_all(b"\n")?;
    to.flush()
}
