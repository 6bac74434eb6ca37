//! Rules and routes of a cluster's nodes, told by agents there.

use std::collections::BTreeSet;
use std::thread;

use tracer_core::evidence::Snapshot;
use tracer_core::resolve::{ClusterState, Party};

use super::witness::{self, WitnessError};
use super::{ExplainError, Knowledge, resolve, telling};
use crate::cli::explain::ExplainArgs;
use crate::cluster::Cluster;
use crate::cluster::access::{Permission, preflight};
use crate::cluster::fleet::{Fleet, FleetPlan, Needs, Order, Task};
use crate::cluster::remote::RemoteCapture;
use crate::cluster::state::{Directory, Wants};
use crate::error::Exit;

/// Nodes that are asked where the sender is named, so that its packets can be followed to the other end, at most.
const MAX_NODES: usize = 3;

/// Asks the cluster, and agents on the nodes that tell.
pub(super) fn gather(args: &ExplainArgs, cluster: &Cluster) -> Result<Knowledge, ExplainError> {
    let words = std::iter::once(args.what.as_str()).chain(args.from.as_deref());
    let usual = cluster.namespace();
    let namespaces: BTreeSet<String> =
        words.map(|word| Party::namespace_of(word).unwrap_or(usual).to_owned()).collect();
    let wants = Wants { namespaces, ..Wants::default() };
    let needed = Permission::agents(&args.agents.agent_namespace);
    let directory = Directory::list_for_agents(cluster, &wants, &needed)?;
    for note in directory.notes() {
        say!("kflow: {note}");
    }
    let state = directory.state();
    let (subject, client) = resolve(args, usual, &state)?;
    let nodes = nodes(args, &state, telling(&subject, client.as_ref(), &state))?;
    preflight(cluster, &needed)?;
    let nodes = ask(args, cluster, &nodes)?;
    Ok(Knowledge { state, subject, client, nodes, pods: vec![] })
}

/// The node that was named, else those that tell most: one, and with a sender those at the other end as well.
fn nodes(
    args: &ExplainArgs,
    state: &ClusterState,
    telling: Vec<String>,
) -> Result<Vec<String>, ExplainError> {
    let known: Vec<String> = state.node_names().map(str::to_owned).collect();
    let named = match &args.nodes[..] {
        [] => None,
        [name] if !known.contains(name) => {
            return Err(ExplainError::UnknownNode { name: name.clone(), known });
        }
        [name] => Some(name.clone()),
        _ => return Err(ExplainError::ManyNodes),
    };
    let mut nodes: Vec<String> = named.into_iter().collect();
    nodes.extend(telling.into_iter().filter(|node| !nodes.contains(node)).collect::<Vec<_>>());
    if nodes.is_empty() {
        // Of the outside, and of a service without endpoints, any node can tell.
        nodes.extend(known.into_iter().next());
    }
    nodes.truncate(if args.from.is_some() { MAX_NODES } else { 1 });
    if nodes.is_empty() { Err(ExplainError::NoNode(args.what.clone())) } else { Ok(nodes) }
}

/// What agents tell of their nodes, in order. The first has to; others need not.
fn ask(args: &ExplainArgs, cluster: &Cluster, nodes: &[String]) -> Result<Vec<Snapshot>, ExplainError> {
    let plan = FleetPlan {
        access: args.cluster.clone(),
        agents: args.agents.clone(),
        needs: Needs::default(),
        duration: None,
    };
    let fleet = Fleet::start(cluster, &plan)?;
    for note in fleet.notes() {
        say!("kflow: {note}");
    }
    let order = |node: &String| Order { node: node.clone(), task: Task::Evidence, arguments: vec![] };
    let asked: Vec<RemoteCapture> = nodes.iter().map(|node| fleet.capture(order(node))).collect();
    let told: Vec<_> = thread::scope(|scope| {
        let hear = |(node, remote): (&String, RemoteCapture)| {
            let node = node.clone();
            scope.spawn(move || hear(&node, remote))
        };
        let heard: Vec<_> = nodes.iter().zip(asked).map(hear).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
        };
        heard.into_iter().map(join).collect()
    });
    for left in fleet.remove() {
        say!("kflow: {left}");
    }
    let mut snapshots = Vec::new();
    for (index, told) in told.into_iter().enumerate() {
        match told {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) if index == 0 => return Err(error.into()),
            Err(error) => say!("kflow: {}", crate::error::chain(&error)),
        }
    }
    Ok(snapshots)
}

/// The first snapshot of an agent; nothing more is wanted of it then.
fn hear(node: &str, remote: RemoteCapture) -> Result<Snapshot, WitnessError> {
    let RemoteCapture { stdout, stderr, control, end } = remote;
    let words = thread::spawn(move || witness::words(stderr));
    let told = witness::read(node, stdout);
    control.kill();
    if let Some(snapshot) = told? {
        return Ok(snapshot);
    }
    let said = words.join().unwrap_or_default();
    let why = end.blocking_recv().unwrap_or_default().reason.unwrap_or(said);
    Err(WitnessError::Refused { place: node.to_owned(), why, exit: Exit::Environment })
}
