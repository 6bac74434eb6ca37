//! `kflow install` and `kflow uninstall`.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Args, ValueEnum};
use thiserror::Error;

use crate::capture::policy::ceiling;
use crate::cli::cluster::{AgentArgs, ClusterArgs};
use crate::cluster::fleet::Needs;
use crate::cluster::install::{self, InstallError, Manifest};
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};

/// Place the agent on every node, so that it is ready when a trace begins.
///
/// This is a convenience: without it, kflow makes agents when it needs them and removes them at the end. The agents do
/// nothing until somebody who may run commands in their namespace starts a capture in them.
#[derive(Args, Clone, Debug)]
pub struct InstallArgs {
    #[command(flatten)]
    access: ClusterArgs,
    #[command(flatten)]
    agents: AgentArgs,
    /// Let the agents enter the network namespaces of pods: adds the capability `SYS_ADMIN` and the host's /run/netns
    #[arg(long, help_heading = "Agents")]
    pod_side: bool,
    /// The most that captures in these agents keep of a packet: bytes, or `headers`, which has no payload at all
    #[arg(long, value_name = "BYTES|headers", help_heading = "Agents", value_parser = max_snap)]
    max_snap: Option<String>,
    /// Print what would be applied, and change nothing
    #[arg(long, value_name = "client", num_args = 0..=1, default_missing_value = "client", require_equals = true)]
    dry_run: Option<DryRun>,
    /// How --dry-run prints it
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "yaml")]
    output: Format,
    /// Seconds to wait for the agents to run; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
}

/// Take away what `kflow install` placed.
#[derive(Args, Clone, Debug)]
pub struct UninstallArgs {
    #[command(flatten)]
    access: ClusterArgs,
    /// Namespace of the agents
    #[arg(long, value_name = "NAMESPACE", default_value = "kflow")]
    agent_namespace: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DryRun {
    Client,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

/// Why these commands failed.
#[derive(Debug, Error)]
pub enum InstallCommandError {
    /// No cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The cluster refused, or a flag makes no sense.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// Standard output.
    #[error("cannot write the manifest")]
    Write(#[source] io::Error),
}

impl ExitStatus for InstallCommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(error) => error.exit(),
            Self::Install(error) => error.exit(),
            Self::Write(_) => Exit::Failed,
        }
    }
}

fn max_snap(text: &str) -> Result<String, String> {
    ceiling(text)
        .map(|_| text.to_owned())
        .map_err(|_| "expected a number of bytes above 0, or `headers`".to_owned())
}

/// `kflow install`.
pub fn install(args: &InstallArgs) -> Result<Exit, InstallCommandError> {
    let manifest = Manifest::new(&args.agents, Needs { pod_side: args.pod_side }, args.max_snap.clone())?;
    if args.dry_run.is_some() {
        let text = match args.output {
            Format::Yaml => manifest.yaml()?,
            Format::Json => manifest.json()? + "\n",
        };
        return print(&text);
    }
    let cluster = Cluster::connect(&args.access)?;
    let client = cluster.client();
    cluster.wait(install::apply(&client, &manifest))?;
    if args.timeout > 0 {
        let patience = Duration::from_secs(args.timeout);
        let space = &args.agents.agent_namespace;
        let tell = |ready, wanted| say!("{ready} of {wanted} agents run");
        cluster.wait(install::until_ready(&client, space, patience, tell))?;
    }
    Ok(Exit::Complete)
}

/// `kflow uninstall`.
pub fn uninstall(args: &UninstallArgs) -> Result<Exit, InstallCommandError> {
    let cluster = Cluster::connect(&args.access)?;
    let removed = cluster.wait(install::remove(&cluster.client(), &args.agent_namespace))?;
    if removed.is_empty() {
        say!("nothing is installed in the namespace {}", args.agent_namespace);
    }
    for what in removed {
        say!("removed the {what}");
    }
    Ok(Exit::Complete)
}

/// A reader that has seen enough is no failure.
fn print(text: &str) -> Result<Exit, InstallCommandError> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(InstallCommandError::Write(error)),
        _ => Ok(Exit::Complete),
    }
}
