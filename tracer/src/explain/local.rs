//! Rules and routes of this machine's network namespaces.

use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;

use tracer_core::evidence::Snapshot;
use tracer_core::explain::{Client, ClientKind};
use tracer_core::resolve::{ClusterState, PodFacts, ResolveError, Subject};

use super::witness::{self, Place, WitnessError};
use super::{ExplainError, Knowledge, resolve, telling};
use crate::cli::explain::ExplainArgs;
use crate::cluster::ConnectError;
use crate::kernel::netns::NetnsRef;
use crate::trace::plan::{named_netns, read_state};

/// Pods whose namespaces are looked for, at most.
const MAX_PODS: usize = 16;

/// Asks the namespaces that the flags name; `no_cluster` says why no cluster is asked, where none was to be had.
pub(super) fn gather(
    args: &ExplainArgs,
    no_cluster: Option<ConnectError>,
) -> Result<Knowledge, ExplainError> {
    let state = args.state.as_deref().map(read_state).transpose()?.unwrap_or_default();
    let (subject, client) = resolve(args, args.namespace(), &state).map_err(|error| match error {
        ResolveError::NotFound { .. } if args.state.is_none() => {
            ExplainError::NoState { word: args.what.clone(), source: no_cluster }
        }
        error => error.into(),
    })?;
    let mut places = nodes(args, &state)?;
    sort(args, &mut places, &telling(&subject, client.as_ref(), &state));
    let mut nodes = Vec::new();
    for snapshot in witness::ask(&places) {
        nodes.push(identified(args, snapshot?, &state));
    }
    let pods = pods(args, &subject, client.as_ref(), &state, &nodes, &places)?;
    Ok(Knowledge { state, subject, client, nodes, pods })
}

/// The nodes that were named; this machine where none was.
fn nodes(args: &ExplainArgs, state: &ClusterState) -> Result<Vec<Place>, ExplainError> {
    let mut places: Vec<Place> = Vec::new();
    let mut plain = None;
    for value in &args.nodes {
        if !value.contains('=') {
            plain = Some(value.clone());
            continue;
        }
        let (name, path) = name_and_path("node", value)?;
        places.push(Place { node: name.to_owned(), pod: None, netns: Some(path.display().to_string()) });
    }
    let known: Vec<String> = state.node_names().map(str::to_owned).collect();
    let named = places.iter().map(|place| &place.node).chain(&plain);
    if let Some(name) = named.into_iter().find(|name| !known.is_empty() && !known.contains(name)) {
        return Err(ExplainError::UnknownNode { name: name.clone(), known });
    }
    if places.is_empty() {
        let node = plain.unwrap_or_else(crate::cli::capture::host_name);
        places.push(Place { node, pod: None, netns: args.netns.as_ref().map(ToString::to_string) });
    }
    Ok(places)
}

/// The one that was named without a path first, then those that tell most.
fn sort(args: &ExplainArgs, places: &mut [Place], telling: &[String]) {
    let plain = args.nodes.iter().find(|value| !value.contains('='));
    let rank = |place: &Place| {
        if plain == Some(&place.node) {
            return 0;
        }
        telling.iter().position(|node| *node == place.node).map_or(usize::MAX, |rank| rank + 1)
    };
    places.sort_by_key(rank);
}

/// A machine's name need not be its node's: its addresses tell, where no flag does.
fn identified(args: &ExplainArgs, mut snapshot: Snapshot, state: &ClusterState) -> Snapshot {
    if args.nodes.is_empty() && state.node(&snapshot.node).is_none() {
        let own = snapshot.links.iter().flat_map(|link| &link.addresses);
        let is_own = |name: &&str| {
            let node = state.node(name);
            node.is_some_and(|node| own.clone().any(|each| node.addresses.contains(&each.address)))
        };
        if let Some(name) = state.node_names().find(is_own) {
            snapshot.node = name.to_owned();
        }
    }
    snapshot
}

/// The namespaces of the pods concerned: those that were named, and those that are found by their addresses.
fn pods(
    args: &ExplainArgs,
    subject: &Subject,
    client: Option<&Client>,
    state: &ClusterState,
    nodes: &[Snapshot],
    places: &[Place],
) -> Result<Vec<Snapshot>, ExplainError> {
    let mut named: Vec<Place> = Vec::new();
    for value in &args.pods {
        let (name, path) = name_and_path("pod", value)?;
        let full = if name.contains('/') { name.to_owned() } else { format!("{}/{name}", args.namespace()) };
        let node = state.node_of_pod(&full).unwrap_or(&nodes[0].node).to_owned();
        named.push(Place { node, pod: Some(full), netns: Some(path.display().to_string()) });
    }
    let mut found: Vec<Place> = Vec::new();
    for pod in concerned(subject, client, state) {
        let is_named = named.iter().any(|place| place.pod.as_ref() == Some(&pod.name));
        let home = nodes.iter().position(|node| pod.node.as_ref() == Some(&node.node));
        if let (false, Some(home), true) = (is_named, home, found.len() < MAX_PODS) {
            found.extend(look_for(&pod, &places[home]));
        }
    }
    let mut snapshots = Vec::new();
    for snapshot in witness::ask(&named) {
        snapshots.push(snapshot?);
    }
    // Nobody asked for these: one that cannot be entered is one that is not told of.
    snapshots.extend(witness::ask(&found).into_iter().filter_map(told));
    Ok(snapshots)
}

fn told(asked: Result<Snapshot, WitnessError>) -> Option<Snapshot> {
    asked.inspect_err(|error| say!("kflow: {}", crate::error::chain(error))).ok()
}

/// Pods whose own rules and sockets are part of the story.
fn concerned(subject: &Subject, client: Option<&Client>, state: &ClusterState) -> Vec<PodFacts> {
    let mut names: Vec<String> = match subject {
        Subject::Service { facts, ports } => {
            let own = ports.iter().filter_map(|port| facts.ports.get(*port));
            own.flat_map(|port| &port.endpoints).filter_map(|each| each.pod.clone()).collect()
        }
        Subject::Pod(pod) => vec![pod.name.clone()],
        Subject::Address(address, _) => state.pods_at(*address).into_iter().map(|pod| pod.name).collect(),
        Subject::Node(_) => vec![],
    };
    names.extend(client.filter(|client| client.kind == ClientKind::Pod).map(|client| client.name.clone()));
    names.sort();
    names.dedup();
    let all = names.iter().filter_map(|name| state.pod(name));
    all.filter(|pod| !pod.is_host_network && !pod.addresses.is_empty()).collect()
}

/// The namespace that has a pod's address, as seen from the pod's node: of several the node's neighbour is meant.
fn look_for(pod: &PodFacts, home: &Place) -> Option<Place> {
    let address: IpAddr = *pod.addresses.first()?;
    let netns: Option<NetnsRef> = home.netns.as_ref().map(|netns| netns.parse()).transpose().ok()?;
    let look = || {
        if let Some(netns) = netns {
            netns.enter().ok()?;
        }
        NetnsRef::Address(address).path().ok()
    };
    let path = thread::scope(|scope| scope.spawn(look).join()).ok().flatten()?;
    Some(Place {
        node: home.node.clone(),
        pod: Some(pod.name.clone()),
        netns: Some(path.display().to_string()),
    })
}

fn name_and_path<'a>(flag: &'static str, value: &'a str) -> Result<(&'a str, PathBuf), ExplainError> {
    named_netns(value).ok_or_else(|| ExplainError::Place { flag, value: value.to_owned() })
}
