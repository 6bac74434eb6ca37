//! Who has which address, as the cluster itself tells.

mod list;
mod notes;
mod path;
mod store;

use std::borrow::Borrow;
use std::collections::BTreeSet;

use futures_util::future;
use thiserror::Error;
use tracer_core::resolve::{ClusterState, Kind};

use super::access::{AccessError, Permission, lack, preflight};
use super::connect::{Cluster, RequestError};
use crate::error::{Exit, ExitStatus};

pub use super::watch::Updates;
pub(super) use list::{Asker, Version};
pub(super) use path::Place;
pub(super) use store::Store;

/// Kinds that every look-up needs.
const KINDS: [Kind; 4] = [Kind::Node, Kind::Pod, Kind::Service, Kind::EndpointSlice];
/// Kinds that tell whose pods are whose.
const WORKLOADS: [Kind; 6] =
    [Kind::Deployment, Kind::DaemonSet, Kind::StatefulSet, Kind::ReplicaSet, Kind::Job, Kind::CronJob];

/// Why the cluster's state cannot be had.
#[derive(Debug, Error)]
pub enum StateReadError {
    /// One of the lists failed.
    #[error("cannot list {resource}")]
    List {
        /// What was to be listed.
        resource: &'static str,
        /// Why.
        source: RequestError,
    },
    /// Pods may not be listed, neither in all namespaces nor in those concerned.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The same, though the cluster says that they may.
    #[error("the cluster does not allow to list pods, and says that it does")]
    Refused,
}

impl ExitStatus for StateReadError {
    fn exit(&self) -> Exit {
        match self {
            Self::List { source, .. } => source.exit(),
            Self::Access(error) => error.exit(),
            Self::Refused => Exit::Environment,
        }
    }
}

/// What is to be known of a cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Wants {
    /// Namespaces that matter, where not all of them may be read.
    pub namespaces: BTreeSet<String>,
    /// Whether deployments and the like matter as well.
    pub workloads: bool,
    /// Whether no other namespaces are asked for.
    pub only_namespaces: bool,
}

impl Wants {
    fn kinds(&self) -> impl Iterator<Item = Kind> {
        let workloads = WORKLOADS.into_iter().filter(|_| self.workloads);
        KINDS.into_iter().chain(workloads)
    }
}

/// The cluster's objects as they were when they were listed, and from where a watch goes on.
pub struct Directory {
    store: Store,
    notes: Vec<String>,
}

impl Directory {
    /// Lists what is wanted: of the whole cluster where that is allowed, else of the namespaces that matter.
    pub fn list(cluster: &Cluster, wants: impl Borrow<Wants>) -> Result<Self, StateReadError> {
        let mut wants = wants.borrow().clone();
        wants.namespaces.retain(|name| path::is_namespace(name));
        cluster.wait(Self::list_all(cluster, &wants))
    }

    /// [`Directory::list`] for a command that needs `agents` as well: where lists are refused, all that is missing is told
    /// at once.
    pub fn list_for_agents(
        cluster: &Cluster,
        wants: impl Borrow<Wants>,
        agents: &[Permission],
    ) -> Result<Self, StateReadError> {
        match Self::list(cluster, wants) {
            Err(StateReadError::Access(AccessError::Lack(lack))) => {
                preflight(cluster, &[lack.needed.as_slice(), agents].concat())?;
                Err(StateReadError::Access(lack.into()))
            }
            listed => listed,
        }
    }

    async fn list_all(cluster: &Cluster, wants: &Wants) -> Result<Self, StateReadError> {
        let asker = Asker::new(cluster);
        let kinds: Vec<Kind> = wants.kinds().collect();
        let lists = future::try_join_all(kinds.iter().map(|kind| list_kind(&asker, *kind, wants))).await?;
        if lists.iter().any(|list| list.kind == Kind::Pod && list.is_refused()) {
            let lack = lack(&asker, &needed(wants)).await.map_err(AccessError::from)?;
            return Err(lack.map_or(StateReadError::Refused, |lack| AccessError::from(lack).into()));
        }
        let notes = notes::notes(&lists, wants);
        let mut store = Store::default();
        for (place, listed) in lists.into_iter().flat_map(|list| list.places) {
            store.add(place, listed);
        }
        Ok(Self { store, notes })
    }

    /// Names of the namespaces, or only of the usual one where they may not be listed.
    pub fn namespaces(cluster: &Cluster) -> Result<BTreeSet<String>, StateReadError> {
        let usual = || BTreeSet::from([cluster.namespace().to_owned()]);
        let asker = Asker::new(cluster);
        match cluster.wait(asker.names("/api/v1/namespaces")) {
            Ok(names) => Ok(names),
            Err(RequestError::Forbidden { .. }) => Ok(usual()),
            Err(source) => Err(StateReadError::List { resource: "namespaces", source }),
        }
    }

    /// The state.
    pub fn state(&self) -> ClusterState {
        self.store.state()
    }

    /// What could not be read, for a person.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Goes on from here: what changes is told as it does, without a second list.
    pub fn watch(self, cluster: &Cluster) -> Updates {
        Updates::start(cluster, self.store)
    }
}

/// What became of one kind.
struct KindList {
    kind: Kind,
    /// Places that were listed.
    places: Vec<(Place, list::Listed)>,
    /// Namespaces in which it may not be listed.
    refused: BTreeSet<String>,
    /// Whether it may not be listed in all namespaces at once.
    is_narrow: bool,
}

impl KindList {
    /// Whether it may not be listed anywhere.
    fn is_refused(&self) -> bool {
        self.places.is_empty() && !self.refused.is_empty()
    }
}

/// In this order: all namespaces at once, each of those that matter. A version of the API that the cluster does not
/// serve is followed by the next older one.
async fn list_kind(asker: &Asker, kind: Kind, wants: &Wants) -> Result<KindList, StateReadError> {
    let failed = |source| StateReadError::List { resource: kind.resource(), source };
    let mut result = KindList { kind, places: vec![], refused: BTreeSet::new(), is_narrow: false };
    if !(wants.only_namespaces && kind.is_namespaced()) {
        match asker.list_newest(kind, None).await {
            Ok(found) => {
                result.places.extend(found);
                return Ok(result);
            }
            Err(RequestError::Forbidden { .. }) => result.is_narrow = true,
            Err(error) => return Err(failed(error)),
        }
    }
    if kind.is_namespaced() {
        let namespaces: Vec<&String> = wants.namespaces.iter().collect();
        for some in namespaces.chunks(list::AT_ONCE) {
            let lists = some.iter().map(|namespace| asker.list_newest(kind, Some(namespace)));
            for (namespace, list) in some.iter().zip(future::join_all(lists).await) {
                match list {
                    Ok(found) => result.places.extend(found),
                    Err(RequestError::Forbidden { .. }) => {
                        result.refused.insert((*namespace).clone());
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        if wants.namespaces.is_empty() {
            result.refused.insert(String::new());
        }
    }
    Ok(result)
}

/// The permissions without which nothing can be found.
fn needed(wants: &Wants) -> Vec<Permission> {
    if wants.namespaces.is_empty() {
        return Permission::lists(None);
    }
    wants.namespaces.iter().flat_map(|name| Permission::lists(Some(name))).collect()
}

#[cfg(test)]
pub(in crate::cluster) mod tests;
