//! Ends that are pods: one, those of a workload, or those with some labels.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::super::error::ResolveError;
use super::super::near::near;
use super::super::object::{Kind, Pod, Service, SlicePort};
use super::super::selector::Selector;
use super::super::state::ClusterState;
use super::{Party, PodPlace, Seed, SeedKind};

/// Values of a label that an error shows, at most.
const MAX_VALUES: usize = 8;

impl Party {
    /// The pods with some labels, in one namespace or in all.
    pub fn select(
        selector: &Selector,
        namespace: Option<&str>,
        state: &ClusterState,
    ) -> Result<Self, ResolveError> {
        let is_there = |pod: &&Arc<Pod>| namespace.is_none_or(|namespace| pod.namespace == namespace);
        let there = || state.pods.iter().filter(is_there);
        let pods: Vec<_> = there().filter(|pod| selector.matches(&pod.labels)).collect();
        if pods.is_empty() {
            if !state.pods.is_empty() && state.pods.iter().all(|pod| pod.labels.is_empty()) {
                return Err(ResolveError::NoLabels);
            }
            return Err(ResolveError::NothingSelected {
                whose: namespace
                    .map_or_else(|| "of any namespace".to_owned(), |n| format!("of the namespace {n}")),
                selector: selector.to_string(),
                has: values(selector, there),
            });
        }
        let nothing = |why| ResolveError::NothingRuns { selector: selector.to_string(), why };
        let mut party =
            Self::running(&pods, &format!("with the labels {selector}"), state).map_err(nothing)?;
        party.label = format!("-l {selector}");
        Ok(party)
    }

    /// One pod; `usual` is the namespace of words that name none.
    pub(super) fn pod(
        namespace: &str,
        name: &str,
        usual: &str,
        state: &ClusterState,
    ) -> Result<Self, ResolveError> {
        let full = format!("{namespace}/{name}");
        let Some(pod) = state.pods.iter().find(|pod| pod.is(namespace, name)) else {
            let near = namesakes(namespace, name, usual, state);
            return Err(ResolveError::NotFound { kind: "pod", name: full, near });
        };
        if let Some(phase) = pod.phase.clone().filter(|_| pod.has_ended()) {
            let how = pod.trouble.clone().unwrap_or(phase);
            return Err(ResolveError::Ended { name: full, how });
        }
        if pod.addresses.is_empty() {
            return Err(ResolveError::NoAddress { kind: "pod", name: full, why: pod.trouble.clone() });
        }
        Ok(Self::of_pods(&[pod], state, |_| true))
    }

    /// The pods of a deployment, a daemon set and so on.
    pub(super) fn workload(
        kind: Kind,
        namespace: &str,
        name: &str,
        state: &ClusterState,
    ) -> Result<Self, ResolveError> {
        let full = format!("{namespace}/{name}");
        let Some(pods) = state.pods_of(kind, namespace, name) else {
            let near = near(&full, state.workload_names(kind));
            return Err(ResolveError::NotFound { kind: kind.word(), name: full, near });
        };
        let nothing = |why| ResolveError::NoPods { kind: kind.word(), name: full.clone(), why };
        Self::running(&pods, &format!("of {} {full}", kind.word()), state).map_err(nothing)
    }

    /// Those of some pods that have an address; where none has, why.
    fn running(pods: &[&Arc<Pod>], whose: &str, state: &ClusterState) -> Result<Self, Option<String>> {
        let live = || pods.iter().filter(|pod| !pod.has_ended());
        let (with, without): (Vec<&Arc<Pod>>, Vec<_>) = live().partition(|pod| !pod.addresses.is_empty());
        let why = without.iter().find_map(|pod| pod.trouble.clone());
        if with.is_empty() {
            let has_ended = !pods.is_empty() && live().next().is_none();
            return Err(if has_ended { Some("all of them have ended".to_owned()) } else { why });
        }
        let mut party = Self::of_pods(&with, state, |_| true);
        if !without.is_empty() {
            let (count, all) = (without.len(), with.len() + without.len());
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            party.notes.push(format!("{count} of {all} pods {whose} have no address yet{why}"));
        }
        Ok(party)
    }

    /// Some pods and the services that lead to them by ports that are wanted.
    pub(super) fn of_pods(
        pods: &[&Arc<Pod>],
        state: &ClusterState,
        wants: impl Fn(&SlicePort) -> bool,
    ) -> Self {
        let seeds = pods.iter().flat_map(|pod| {
            let kind = if pod.is_host_network { SeedKind::Node } else { SeedKind::Own };
            pod.addresses.iter().map(move |address| Seed { address: *address, port: None, kind })
        });
        let party = Self {
            seeds: seeds.collect(),
            fronts: state.fronts_to(pods, wants),
            nodes: pods.iter().filter_map(|pod| pod.node.clone()).collect(),
            pods: pods.iter().map(|pod| place(pod)).collect(),
            ..Self::default()
        };
        party.sort_nodes()
    }
}

pub(super) fn place(pod: &Pod) -> PodPlace {
    PodPlace {
        name: pod.full_name(),
        node: pod.node.clone(),
        addresses: pod.addresses.clone(),
        is_host_network: pod.is_host_network,
    }
}

impl ClusterState {
    /// Addresses of the services one of whose endpoints is one of some pods.
    fn fronts_to(&self, pods: &[&Arc<Pod>], wants: impl Fn(&SlicePort) -> bool) -> Vec<Seed> {
        let addresses: HashSet<&IpAddr> = pods.iter().flat_map(|pod| &pod.addresses).collect();
        let slices =
            self.slices.iter().filter(|slice| slice.addresses().any(|each| addresses.contains(each)));
        let mut leads: HashSet<(&str, &str, Option<&str>)> = HashSet::new();
        for slice in slices {
            let Some(service) = slice.service.as_deref() else { continue };
            let ports = slice.ports.iter().filter(|port| wants(port));
            leads.extend(ports.map(|port| (slice.namespace.as_str(), service, port.name.as_deref())));
        }
        let fronts = |service: &Arc<Service>| {
            let (namespace, name) = (service.namespace.as_str(), service.name.as_str());
            self.fronts_of(service, |port| leads.contains(&(namespace, name, port)))
        };
        self.services.iter().flat_map(fronts).collect()
    }
}

/// What a word without a type may have meant: other types of that very name, pods with a name like it.
fn namesakes(namespace: &str, name: &str, usual: &str, state: &ClusterState) -> Vec<String> {
    let own = format!("{namespace}/{name}");
    let prefix = if namespace == usual { String::new() } else { format!("{namespace}/") };
    let is_service =
        state.services.iter().any(|service| service.namespace == namespace && service.name == name);
    let mut all: Vec<String> = is_service.then(|| format!("{prefix}svc/{name}")).into_iter().collect();
    for (kind, word) in [(Kind::Deployment, "deploy"), (Kind::DaemonSet, "ds"), (Kind::StatefulSet, "sts")] {
        if state.workload_names(kind).any(|each| each == own) {
            all.push(format!("{prefix}{word}/{name}"));
        }
    }
    if state.node_names().any(|node| node == name) {
        all.push(format!("node/{name}"));
    }
    all.extend(near(&own, state.pods.iter().map(|pod| pod.full_name())));
    all
}

/// What pods have instead of the values that a selector wants.
fn values<'a, I>(selector: &Selector, pods: impl Fn() -> I) -> Vec<String>
where
    I: Iterator<Item = &'a Arc<Pod>>,
{
    let of_key = |key: &str| -> BTreeSet<String> {
        pods().filter_map(|pod| Some(format!("{key}={}", pod.labels.get(key)?))).collect()
    };
    selector.wanted_keys().flat_map(of_key).take(MAX_VALUES).collect()
}
