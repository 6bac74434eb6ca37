//! Which pods belong to a deployment, a daemon set and so on.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::object::{Kind, OwnerName, Pod, Workload};
use super::state::ClusterState;

/// The label by which the pods of a deployment's replica sets differ.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Letters of the hashes in names (apimachinery `util/rand`): no vowels, nothing that looks alike.
const HASH_LETTERS: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Longest hash of a template: 32 bits in decimal digits, each one letter.
const LONGEST_HASH: usize = 10;

impl ClusterState {
    /// The pods of a workload; absent if there is no such workload. In this order:
    ///
    /// 1. Those that its selector selects, if the state has the workload with its selector.
    /// 2. Those that it made, by what pods and replica sets say about who made them; the deployment of a replica set
    ///    that the state has not is told by the replica set's name.
    pub(super) fn pods_of(&self, kind: Kind, namespace: &str, name: &str) -> Option<Vec<&Arc<Pod>>> {
        let object = self.workload(kind, namespace, name);
        let there = self.pods.iter().filter(|pod| pod.namespace == namespace);
        if let Some(selector) = object.and_then(|workload| workload.selector.as_ref()) {
            return Some(there.filter(|pod| selector.matches(&pod.labels)).collect());
        }
        let wanted = OwnerName { kind: kind.name().to_owned(), name: name.to_owned() };
        let pods: Vec<_> = there.filter(|pod| self.makers(pod).contains(&wanted)).collect();
        (object.is_some() || !pods.is_empty()).then_some(pods)
    }

    /// Names of all workloads of a kind, with their namespaces: those of the state and those that pods tell.
    pub(super) fn workload_names(&self, kind: Kind) -> impl Iterator<Item = String> {
        let known = self.workloads.iter().filter(|workload| workload.kind == kind);
        let mut names: BTreeSet<String> = known.map(|workload| workload.full_name()).collect();
        for pod in &self.pods {
            let makers = self.makers(pod);
            let own = makers.iter().filter(|maker| maker.kind == kind.name());
            names.extend(own.map(|maker| format!("{}/{}", pod.namespace, maker.name)));
        }
        names.into_iter()
    }

    fn workload(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Workload>> {
        self.workloads
            .iter()
            .find(|each| each.kind == kind && each.namespace == namespace && each.name == name)
    }

    /// Who made a pod, and who made that one.
    fn makers(&self, pod: &Pod) -> Vec<OwnerName> {
        let Some(first) = &pod.owner else { return vec![] };
        let second = match first.kind.as_str() {
            "ReplicaSet" => self.second(pod, first, Kind::ReplicaSet, Kind::Deployment, template_hash),
            "Job" => self.second(pod, first, Kind::Job, Kind::CronJob, |_, end| is_time(end)),
            _ => None,
        };
        std::iter::once(first.clone()).chain(second).collect()
    }

    /// Who made the maker: as the state tells, else by the maker's name, `NAME-END`.
    fn second(
        &self,
        pod: &Pod,
        first: &OwnerName,
        kind: Kind,
        second: Kind,
        is_end: impl Fn(&Pod, &str) -> bool,
    ) -> Option<OwnerName> {
        if let Some(known) = self.workload(kind, &pod.namespace, &first.name) {
            return known.owner.clone();
        }
        let (name, end) = first.name.rsplit_once('-')?;
        is_end(pod, end).then(|| OwnerName { kind: second.name().to_owned(), name: name.to_owned() })
    }
}

/// Whether a replica set's name ends as a deployment makes it, which its pods' labels tell where there are any.
fn template_hash(pod: &Pod, end: &str) -> bool {
    match pod.labels.get(TEMPLATE_HASH) {
        Some(hash) => hash == end,
        None if !pod.labels.is_empty() => false,
        None => {
            (1..=LONGEST_HASH).contains(&end.len()) && end.chars().all(|letter| HASH_LETTERS.contains(letter))
        }
    }
}

/// A cron job names its jobs by the minute that they are of, since 1970.
fn is_time(end: &str) -> bool {
    end.len() >= 8 && end.bytes().all(|digit| digit.is_ascii_digit())
}
