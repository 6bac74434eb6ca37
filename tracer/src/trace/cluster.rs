//! A trace on a cluster: whom it is about now, and which nodes have to be watched for it.

use std::collections::HashSet;
use std::net::IpAddr;

use thiserror::Error;
use tracer_core::resolve::{ClusterState, Names, Owner, PodPlace, ResolveError, Scope};

use super::ends::Ends;
use super::plan::{Place, Side, TracePlan};
use crate::cli::trace::TraceArgs;
use crate::cluster::access::{AccessError, Permission, preflight};
use crate::cluster::fleet::FleetError;
use crate::cluster::state::{Directory, StateReadError, Wants};
use crate::cluster::watch::Updates;
use crate::cluster::{Cluster, ConnectError};
use crate::error::{Exit, ExitStatus};

/// Why a cluster cannot be traced.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There is no way to it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It does not tell its state.
    #[error(transparent)]
    State(#[from] StateReadError),
    /// It does not allow what is needed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Agents cannot be had.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// An end cannot be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No end is on a node.
    #[error("no node is concerned: neither end is in the cluster")]
    NoNode,
}

impl ExitStatus for ClusterError {
    fn exit(&self) -> Exit {
        match self {
            Self::Connect(error) => error.exit(),
            Self::State(error) => error.exit(),
            Self::Access(error) => error.exit(),
            Self::Fleet(error) => error.exit(),
            Self::Resolve(error) if error.is_usage() => Exit::Usage,
            Self::Resolve(_) | Self::NoNode => Exit::Failed,
        }
    }
}

/// A cluster that is asked.
pub(super) struct OnCluster {
    pub(super) cluster: Cluster,
    /// Taken by whoever follows them.
    updates: Option<Updates>,
    ends: Ends,
}

impl OnCluster {
    /// Lists what is needed to understand the ends, and checks that agents may be placed.
    pub(super) fn ask(
        cluster: Cluster,
        mut ends: Ends,
        args: &TraceArgs,
    ) -> Result<(Self, ClusterState, Scope), ClusterError> {
        let namespaces = ends.namespaces().into_iter().collect();
        let wants = Wants { namespaces, workloads: ends.have_workloads(), ..Wants::default() };
        let agents = Permission::agents(&args.agents.agent_namespace);
        let directory = Directory::list_for_agents(&cluster, &wants, &agents)?;
        for note in directory.notes() {
            say!("kflow: {note}");
        }
        let state = directory.state();
        let scope = ends.resolve(&state)?;
        if !args.dry_run {
            preflight(&cluster, &agents)?;
        }
        let updates = (!args.dry_run).then(|| directory.watch(&cluster));
        Ok((Self { cluster, updates, ends }, state, scope))
    }
}

/// One place for each node concerned, and with `--pod-side` for each pod.
pub(super) fn places(scope: &Scope, state: &ClusterState, pod_side: bool) -> Vec<Place> {
    let nodes = scope.nodes(state);
    let node_side = nodes.iter().map(|node| Place { node: node.clone(), pod: None, side: Side::Agent(None) });
    let inside = pods(scope).filter(|_| pod_side).filter_map(|pod| {
        let address = pod.addresses.first().copied();
        let node = pod.node.clone()?;
        address.map(|address| Place { node, pod: Some(pod.name.clone()), side: Side::Agent(Some(address)) })
    });
    node_side.chain(inside).collect()
}

/// The pods of a scope that have a network namespace of their own.
pub(super) fn pods(scope: &Scope) -> impl Iterator<Item = &PodPlace> {
    let ends = std::iter::once(&scope.source).chain(&scope.destination);
    ends.flat_map(|end| &end.pods).filter(|pod| !pod.is_host_network)
}

/// What changed in the cluster.
pub(super) struct Change {
    pub(super) scope: Scope,
    pub(super) names: Names,
    pub(super) state: ClusterState,
    /// Places that were not watched before.
    pub(super) places: Vec<Place>,
    /// Pods that joined, for a person.
    pub(super) joined: Vec<String>,
}

/// Follows a cluster's state as it changes.
pub(super) struct Following(Option<Followed>);

struct Followed {
    updates: Updates,
    ends: Ends,
    scope: Scope,
    names: Names,
    pod_side: bool,
    known: Vec<Place>,
}

impl Following {
    /// Follows the cluster from the state on that a plan was made of; nothing where there is none.
    pub(super) fn of(plan: &mut TracePlan) -> Self {
        let (scope, names, known) = (plan.scope.clone(), plan.names.clone(), plan.places.clone());
        let pod_side = plan.args.pod_side;
        let updates = plan.cluster.as_mut().and_then(|on| Some((on.updates.take()?, &on.ends)));
        Self(updates.map(|(updates, ends)| Followed {
            updates,
            ends: ends.clone(),
            scope,
            names,
            pod_side,
            known,
        }))
    }

    /// Waits for a change that concerns the trace. Never comes back where there is no cluster, or it can be watched no
    /// more: the trace goes on with what it knows.
    pub(super) async fn next(&mut self) -> Change {
        if let Some(followed) = &mut self.0 {
            while let Some(state) = followed.updates.changed().await {
                if let Some(change) = followed.change(&state) {
                    return change;
                }
            }
        }
        std::future::pending().await
    }
}

impl Followed {
    /// What a new state changes. Whoever was in the scope once stays in it: packets of a pod that is gone may still be on
    /// their way, and its flows are in the report. A name that is gone may come back.
    fn change(&mut self, state: &ClusterState) -> Option<Change> {
        let mut scope = self.scope.clone();
        if let Ok(newer) = self.ends.resolve(state) {
            scope.absorb(newer);
        }
        let mut names = self.names.clone();
        names.absorb(Names::of(state));
        scope.forget(&strangers(&scope, &names));
        if scope == self.scope && names == self.names {
            return None;
        }
        let before: HashSet<&PodPlace> = pods(&self.scope).collect();
        let joined = pods(&scope).filter(|pod| !before.contains(pod)).map(describe).collect();
        let new = places(&scope, state, self.pod_side);
        let new: Vec<Place> = new.into_iter().filter(|place| !self.known.contains(place)).collect();
        self.known.extend(new.iter().cloned());
        (self.scope, self.names) = (scope.clone(), names.clone());
        Some(Change { scope, names, state: state.clone(), places: new, joined })
    }
}

/// Addresses of pods that are gone and that others have by now: their packets are none of the trace.
fn strangers(scope: &Scope, names: &Names) -> HashSet<IpAddr> {
    let own: HashSet<&str> = pods(scope).map(|pod| pod.name.as_str()).collect();
    let is_strange = |address: &IpAddr| {
        let mut owners = names.owners(*address).peekable();
        let is_own =
            |owner: &Owner| !matches!(owner, Owner::Pod { name, .. } if !own.contains(name.as_str()));
        owners.peek().is_some() && !owners.any(is_own)
    };
    pods(scope).flat_map(|pod| pod.addresses.iter().copied()).filter(is_strange).collect()
}

fn describe(pod: &PodPlace) -> String {
    let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
    let node = pod.node.as_deref().map(|node| format!(" on {node}")).unwrap_or_default();
    format!("{} ({}){node}", pod.name, addresses.join(", "))
}

#[cfg(test)]
mod tests {
    use tracer_core::resolve::Party;

    use super::*;

    fn state(pods: &[(&str, &str)]) -> ClusterState {
        let items = pods.iter().map(|(name, address)| {
            serde_json::json!({"kind": "Pod", "metadata": {"name": name, "namespace": "default"},
                "spec": {"nodeName": "node1"}, "status": {"phase": "Running", "podIP": address}})
        });
        ClusterState::from_items(items).unwrap()
    }

    fn after(pods: &[(&str, &str)]) -> Vec<String> {
        let mut scope = Scope {
            source: Party::resolve("web", "default", &state(&[("web", "10.0.0.1")])).unwrap(),
            destination: None,
        };
        let state = state(pods);
        if let Ok(source) = Party::resolve("web", "default", &state) {
            scope.absorb(Scope { source, destination: None });
        }
        scope.forget(&strangers(&scope, &Names::of(&state)));
        scope.seeds().iter().map(|seed| seed.address.to_string()).collect()
    }

    #[test]
    fn a_pod_that_moved_has_both_addresses_until_another_has_its_old_one() {
        assert_eq!(after(&[("web", "10.0.0.2")]), ["10.0.0.1", "10.0.0.2"]);
        assert_eq!(after(&[("web", "10.0.0.2"), ("other", "10.0.0.1")]), ["10.0.0.2"]);
        assert_eq!(after(&[]), ["10.0.0.1"], "its last packets may still be on their way");
        assert_eq!(after(&[("other", "10.0.0.1")]), [""; 0]);
    }
}
