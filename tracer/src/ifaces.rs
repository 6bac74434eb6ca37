//! `kflow ifaces`: every interface of this machine, or of a node of a cluster, with whom it belongs to.

mod collect;
mod local;
mod processes;
mod remote;

use std::io::{self, Write};

use thiserror::Error;
use tracer_core::ifaces::{Survey, table};

use crate::cli::ifaces::{Format, IfacesArgs};
use crate::cluster::ConnectError;
use crate::cluster::access::AccessError;
use crate::cluster::fleet::FleetError;
use crate::cluster::state::StateReadError;
use crate::error::{Exit, ExitStatus};
use crate::kernel::netns::NetnsError;
use crate::trace::StateFileError;

/// Why the interfaces cannot be told.
#[derive(Debug, Error)]
pub enum IfacesError {
    /// The word is no node.
    #[error("{0:?} is no node: expected node/NAME")]
    NotANode(String),
    /// The cluster has no such node.
    #[error("the cluster has no node {name}{}", tell(known))]
    NoSuchNode {
        /// As typed.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The state file.
    #[error(transparent)]
    StateFile(#[from] StateFileError),
    /// There is no way to the cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster does not tell its state.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// The cluster does not allow what is needed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Agents cannot be had.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The agent did not tell.
    #[error("{node}: {reason}")]
    Agent {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// Standard output.
    #[error("cannot write the interfaces")]
    Write(#[source] io::Error),
}

fn tell(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!(": there are {}", known.join(", ")) }
}

impl ExitStatus for IfacesError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotANode(_) => Exit::Usage,
            Self::Netns(error) => error.exit(),
            Self::StateFile(error) => error.exit(),
            Self::Connect(error) => error.exit(),
            Self::State(error) => error.exit(),
            Self::Access(error) => error.exit(),
            Self::Fleet(error) => error.exit(),
            Self::Agent { .. } => Exit::Environment,
            Self::NoSuchNode { .. } | Self::Write(_) => Exit::Failed,
        }
    }
}

/// Prints the interfaces. What could not be read makes the result incomplete; what cannot be seen from an agent does not.
pub fn run(args: &IfacesArgs) -> Result<Exit, IfacesError> {
    let survey = match args.node_name()? {
        Some(node) => remote::survey(args, &node)?,
        None => local::survey(args)?,
    };
    for what in survey.unseen.iter().chain(&survey.missing) {
        say!("kflow: {}: {}", what.what, what.why);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&survey, args.output, &mut out).and_then(|()| out.flush()) {
        // Who reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(IfacesError::Write(error)),
        _ if survey.missing.is_empty() => Ok(Exit::Complete),
        _ => Ok(Exit::Incomplete),
    }
}

fn write(survey: &Survey, format: Format, out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Text => table(survey, out),
        Format::Json => {
            serde_json::to_writer(&mut *out, survey)?;
            writeln!(out)
        }
    }
}
