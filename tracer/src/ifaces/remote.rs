//! The interfaces of a node of a cluster, by an agent. If kflow is killed meanwhile, the janitor removes the agent.

use std::io::Read;
use std::thread;

use tracer_core::ifaces::Survey;
use tracer_core::resolve::ClusterState;

use super::IfacesError;
use crate::cli::ifaces::IfacesArgs;
use crate::cluster::Cluster;
use crate::cluster::access::{Permission, preflight};
use crate::cluster::fleet::{Fleet, FleetPlan, Needs, Order, Task};
use crate::cluster::remote::RemoteCapture;
use crate::cluster::state::{Directory, Wants};

/// Bytes of the answer at most: an interface with all that is told of it takes about one thousand.
const LARGEST: u64 = 64 << 20;

/// Has an agent look around on a node.
pub(super) fn survey(args: &IfacesArgs, node: &str) -> Result<Survey, IfacesError> {
    let cluster = Cluster::connect(&args.cluster)?;
    let agents = Permission::agents(&args.agents.agent_namespace);
    let namespaces = args.cluster.namespace.iter().cloned().collect();
    let wants = Wants { namespaces, ..Wants::default() };
    let directory = Directory::list_for_agents(&cluster, &wants, &agents)?;
    for note in directory.notes() {
        say!("kflow: {note}");
    }
    let state = directory.state();
    is_known(&state, node)?;
    preflight(&cluster, &agents)?;
    let plan = FleetPlan {
        access: args.cluster.clone(),
        agents: args.agents.clone(),
        needs: Needs { pod_side: args.pod_side },
        duration: None,
    };
    let fleet = Fleet::start(&cluster, &plan)?;
    for note in fleet.notes() {
        say!("kflow: {note}");
    }
    let answer = ask(&fleet, node);
    for failure in fleet.remove() {
        say!("kflow: {failure}");
    }
    let mut survey = answer?;
    node.clone_into(&mut survey.node);
    survey.name(&state);
    Ok(survey)
}

/// Who may not list nodes may still know the node's name.
fn is_known(state: &ClusterState, node: &str) -> Result<(), IfacesError> {
    let known: Vec<String> = state.node_names().map(str::to_owned).collect();
    if known.is_empty() || known.iter().any(|name| name == node) {
        return Ok(());
    }
    Err(IfacesError::NoSuchNode { name: node.to_owned(), known })
}

fn ask(fleet: &Fleet, node: &str) -> Result<Survey, IfacesError> {
    let order = Order { node: node.to_owned(), task: Task::Interfaces, arguments: Vec::new() };
    // Dropped, the control would end it.
    let RemoteCapture { stdout, mut stderr, control: _control, end } = fleet.capture(order);
    let words = thread::spawn(move || {
        let mut words = Vec::new();
        // What it says on standard error is in the survey as well.
        let _ = stderr.read_to_end(&mut words);
    });
    let mut text = Vec::new();
    let read = stdout.take(LARGEST).read_to_end(&mut text);
    let failed = |reason: String| IfacesError::Agent { node: node.to_owned(), reason };
    // Of the agent's words the last are the reason, where it failed.
    let _ = words.join();
    if let Some(reason) = end.blocking_recv().unwrap_or_default().reason {
        return Err(failed(reason));
    }
    read.map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| failed(format!("unreadable answer: {error}")))
}
