//! A second process that removes the agents of a run which was killed: pods outlive who made them.
//!
//! It hears on its standard input what there is to remove. When that ends, which comes with the process at the other
//! end, and the last word was not that all is done, it connects to the cluster by itself.

use std::io::{self, BufRead as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use nix::unistd::setsid;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::connect::{Cluster, ConnectError};
use super::fleet::pod::RUN;
use super::fleet::{delete_pods, namespace};
use crate::cli::cluster::ClusterArgs;
use crate::error::{Exit, ExitStatus};

/// Name of the hidden command that the second process runs.
pub const COMMAND: &str = "remove-agents-when-closed";

/// The line that says that there is nothing left to do.
const DONE: &str = "done";
/// How long it looks for pods: what the first process asked for last may not have been made when it was killed.
const LINGER: Duration = Duration::from_secs(5);
/// How long it tries where something does not work.
const PATIENCE: Duration = Duration::from_secs(50);
/// How long it waits between two looks.
const TURN: Duration = Duration::from_secs(1);

/// Why agents were not removed.
#[derive(Debug, Error)]
pub enum JanitorError {
    /// No client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Pods are left.
    #[error("agents are left: {0}")]
    Left(String),
}

impl ExitStatus for JanitorError {
    fn exit(&self) -> Exit {
        Exit::Environment
    }
}

/// The second process.
pub(super) struct Janitor(Child);

impl Janitor {
    /// Starts it. It leaves this process's session, so that neither Ctrl-C nor the end of the terminal reaches it.
    pub(super) fn start(access: &ClusterArgs, namespace: &str, run: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(COMMAND);
        if let Some(path) = &access.kubeconfig {
            command.arg("--kubeconfig").arg(path);
        }
        if let Some(context) = &access.context {
            command.arg("--context").arg(context);
        }
        command.arg("--agent-namespace").arg(namespace).arg(run);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self)
    }

    /// There may be this pod from now on.
    pub(super) fn watch_over(&mut self, pod: &str) {
        self.tell(pod);
    }

    /// There is nothing left to remove.
    pub(super) fn all_is_done(&mut self) {
        self.tell(DONE);
    }

    fn tell(&mut self, line: &str) {
        if let Some(stdin) = &mut self.0.stdin
            && let Err(error) = writeln!(stdin, "{line}")
        {
            // The agents' idle time is what is left.
            log::warn!("the process that removes agents is gone: {error}");
            self.0.stdin = None;
        }
    }
}

impl Drop for Janitor {
    /// It hears the end, and goes on by itself if there is something to do.
    fn drop(&mut self) {
        self.0.stdin = None;
    }
}

/// What the second process is told at its start.
#[derive(clap::Args, Clone, Debug)]
pub struct JanitorArgs {
    #[command(flatten)]
    access: ClusterArgs,
    /// Namespace of the agents
    #[arg(long)]
    agent_namespace: String,
    /// The run
    run: String,
}

/// Waits for the end of standard input, and removes what the process at the other end has left behind.
pub fn remove_when_closed(args: &JanitorArgs) -> Result<Exit, JanitorError> {
    stand_apart();
    let Some(pods) = until_closed(&mut io::stdin().lock()) else { return Ok(Exit::Complete) };
    let cluster = Cluster::connect(&args.access)?;
    cluster.wait(remove(&cluster.client(), &args.agent_namespace, &args.run, pods)).map(|()| Exit::Complete)
}

/// What ends the first process's terminal, session or group is not to end this one as well.
fn stand_apart() {
    // Refused only to the leader of a group, who has none of them.
    let _ = setsid();
}

/// The pods that were named; none where the last word was that all is done.
fn until_closed(input: &mut impl io::BufRead) -> Option<Vec<String>> {
    let mut pods = Vec::new();
    for line in input.lines() {
        // An error is an end as well.
        let Ok(line) = line else { break };
        if line == DONE {
            return None;
        }
        pods.push(line);
    }
    Some(pods)
}

/// Removes the pods of a run until none is left.
async fn remove(client: &Client, space: &str, run: &str, pods: Vec<String>) -> Result<(), JanitorError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), space);
    let started = Instant::now();
    let mut left = pods;
    loop {
        let mut failures = delete_pods(&api, left, &DeleteParams::default()).await;
        left = match api.list(&ListParams::default().labels(&format!("{RUN}={run}"))).await {
            Ok(list) => list.items.iter().filter(|pod| is_there(pod)).map(ResourceExt::name_any).collect(),
            Err(error) => {
                failures.push(error.to_string());
                Vec::new()
            }
        };
        let is_empty = failures.is_empty() && left.is_empty();
        if is_empty && started.elapsed() > LINGER {
            break;
        }
        if started.elapsed() > PATIENCE {
            return Err(JanitorError::Left(failures.into_iter().chain(left).collect::<Vec<_>>().join(", ")));
        }
        sleep(TURN).await;
    }
    let released = namespace::release(client, space, run).await;
    released.map_err(|error| JanitorError::Left(format!("the namespace {space}: {error}")))
}

/// Whether nobody has asked for its removal yet.
fn is_there(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_is_removed_unless_all_is_done() {
        assert_eq!(until_closed(&mut &b"a\nb\n"[..]), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(until_closed(&mut &b""[..]), Some(Vec::new()));
        assert_eq!(until_closed(&mut &b"a\ndone\n"[..]), None);
        assert_eq!(until_closed(&mut &b"a\nb\xff\n"[..]), Some(vec!["a".to_owned()]));
    }
}
