//! What the user means, as pods and nodes of a cluster's present state.

use std::collections::BTreeSet;

use thiserror::Error;
use tracer_core::resolve::{ClusterState, Party, ResolveError, Selector};

use super::place::{Place, Places};
use crate::cluster::state::Wants;

/// Words before a slash of which no workload has to be asked.
const PLAIN: [&str; 9] = ["pod", "pods", "po", "svc", "service", "services", "node", "nodes", "no"];

/// Pods and nodes as they are typed.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// Pods, nodes, services, workloads, addresses.
    pub words: Vec<String>,
    /// Pods by their labels.
    pub selector: Option<Selector>,
    /// All pods, or those of all namespaces that the selector chooses.
    pub all: bool,
    /// The namespace that was asked for.
    pub namespace: Option<String>,
}

/// Why targets are none.
#[derive(Debug, Error)]
pub enum TargetError {
    /// A name that does not exist, or has no pod.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// An address outside.
    #[error(
        "{0} is neither a pod's address nor a node's: name the pods or nodes that see its packets, and write `-- host \
         {0}`"
    )]
    Outside(String),
    /// There is no pod.
    #[error("there is no pod to capture{}", .0.as_ref().map_or_else(String::new, |why| format!(": {why}")))]
    Nothing(Option<String>),
}

/// What is captured where.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) places: Places,
    /// For a person.
    pub(super) notes: Vec<String>,
}

impl Targets {
    /// Whether there is any: otherwise it is this machine that is captured on.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty() && self.selector.is_none() && !self.all
    }

    /// What has to be asked of the cluster.
    pub(super) fn wants(&self, namespace: &str) -> Wants {
        let named = self.words.iter().filter_map(|word| Party::namespace_of(word));
        let namespaces = named.chain([namespace]).map(str::to_owned).collect();
        let is_plain = |word: &String| match word.split('/').collect::<Vec<_>>()[..] {
            [first, _] => PLAIN.contains(&first) || Party::namespace_of(word).is_some(),
            [_, kind, _] => PLAIN.contains(&kind),
            _ => true,
        };
        let workloads = !self.words.iter().all(is_plain);
        Wants { namespaces, workloads, ..Wants::default() }
    }

    /// What they are now. Fails where one of them is not there.
    pub(super) fn places(&self, namespace: &str, state: &ClusterState) -> Result<Chosen, TargetError> {
        let mut chosen = Chosen::default();
        for word in &self.words {
            chosen.add_word(word, &Party::resolve(word, namespace, state)?, state)?;
        }
        if let Some(party) = self.selected(namespace, state).transpose()? {
            chosen.notes.extend(party.notes.iter().cloned());
            chosen.add_pods(&party, self.selector.is_some());
        }
        if chosen.places.is_empty() {
            return Err(TargetError::Nothing(chosen.notes.pop()));
        }
        Ok(chosen)
    }

    /// What they are now; those that are not there for the moment are left out.
    pub(super) fn present(&self, namespace: &str, state: &ClusterState) -> Places {
        let mut chosen = Chosen::default();
        for word in &self.words {
            if let Ok(party) = Party::resolve(word, namespace, state) {
                // It was in order at the begin.
                let _ = chosen.add_word(word, &party, state);
            }
        }
        if let Some(Ok(party)) = self.selected(namespace, state) {
            chosen.add_pods(&party, self.selector.is_some());
        }
        chosen.places
    }

    /// The pods of `-l` and `-A`.
    fn selected(&self, namespace: &str, state: &ClusterState) -> Option<Result<Party, ResolveError>> {
        let everything = Selector::default();
        let (selector, namespace) = match (&self.selector, self.all) {
            (None, false) => return None,
            (selector, true) => (selector.as_ref().unwrap_or(&everything), self.namespace.as_deref()),
            (Some(selector), false) => (selector, Some(namespace)),
        };
        Some(Party::select(selector, namespace, state))
    }
}

impl Chosen {
    fn add_word(&mut self, word: &str, party: &Party, state: &ClusterState) -> Result<(), TargetError> {
        self.notes.extend(party.notes.iter().cloned());
        if !party.pods.is_empty() {
            if word.rsplit('/').next().is_some_and(|name| word.contains("svc/") && name.contains(':')) {
                self.notes
                    .push(format!("{word}: all packets of its pods; write `-- port N` for some of them"));
            }
            self.add_pods(party, true);
            return Ok(());
        }
        let mut nodes: BTreeSet<String> = party.nodes.iter().cloned().collect();
        nodes.extend(
            party.seeds.iter().filter_map(|seed| state.node_of_address(seed.address)).map(str::to_owned),
        );
        if nodes.is_empty() {
            return Err(TargetError::Outside(word.to_owned()));
        }
        for node in nodes {
            self.places.entry(node).or_default().is_whole = true;
        }
        Ok(())
    }

    /// Adds pods. Those on their node's network have no interface of their own: they are captured only where they are
    /// meant by name.
    fn add_pods(&mut self, party: &Party, with_host_network: bool) {
        let mut left_out = 0;
        for pod in &party.pods {
            let Some(node) = pod.node.as_ref().filter(|_| !pod.addresses.is_empty()) else {
                self.notes.push(format!("{} has no address yet: it joins when it runs", pod.name));
                continue;
            };
            if pod.is_host_network && !with_host_network {
                left_out += 1;
                continue;
            }
            let place: &mut Place = self.places.entry(node.clone()).or_default();
            let pods = if pod.is_host_network { &mut place.host_pods } else { &mut place.pods };
            pods.insert(pod.name.clone(), pod.addresses.clone());
        }
        if left_out > 0 {
            self.notes.push(format!(
                "{left_out} pod{} on the network of the nodes left out: node/NAME has their packets",
                if left_out == 1 { " is" } else { "s are" }
            ));
        }
    }
}
