//! One watch on the agents' pods, and whoever waits for one of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt as _};
use tokio::sync::{oneshot, watch};

use super::pod::SELECTOR;

/// What is known of a pod.
#[derive(Clone, Debug, Default)]
pub(super) enum Seen {
    /// It has not been seen.
    #[default]
    Not,
    /// As it was last seen.
    As(Arc<Pod>),
    /// It was there, and is gone.
    Gone,
}

/// The agents' pods by their names.
#[derive(Default)]
pub(super) struct Board {
    pods: Mutex<HashMap<String, watch::Sender<Seen>>>,
}

impl Board {
    /// What is known of a pod, and will be.
    pub(super) fn follow(&self, name: &str) -> watch::Receiver<Seen> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.entry(name.to_owned()).or_default().subscribe()
    }

    /// All pods that are there.
    pub(super) fn pods(&self) -> Vec<Arc<Pod>> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let there = pods.values().filter_map(|seen| match &*seen.borrow() {
            Seen::As(pod) => Some(Arc::clone(pod)),
            Seen::Not | Seen::Gone => None,
        });
        there.collect()
    }

    fn put(&self, pod: Pod) {
        self.set(&pod.name_any(), Seen::As(Arc::new(pod)));
    }

    fn set(&self, name: &str, seen: Seen) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.entry(name.to_owned()).or_default().send_replace(seen);
    }

    /// A list is complete: whatever was there and is not on it is gone.
    fn keep(&self, listed: &HashSet<String>) {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, seen) in pods.iter().filter(|(name, _)| !listed.contains(*name)) {
            let was_there = matches!(&*seen.borrow(), Seen::As(_));
            if was_there {
                log::debug!("pod {name} is gone");
                seen.send_replace(Seen::Gone);
            }
        }
    }

    /// Watches the pods for ever. The first list, or why there is none, is told.
    pub(super) async fn watch(&self, api: Api<Pod>, listed: oneshot::Sender<Result<(), watcher::Error>>) {
        let mut listed = Some(listed);
        let mut names = HashSet::new();
        let mut events = watcher(api, watcher::Config::default().labels(SELECTOR)).default_backoff().boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => names.clear(),
                Ok(Event::InitApply(pod)) => {
                    names.insert(pod.name_any());
                    self.put(pod);
                }
                Ok(Event::InitDone) => {
                    self.keep(&names);
                    if let Some(listed) = listed.take() {
                        // Whoever started this may have given up.
                        let _ = listed.send(Ok(()));
                    }
                }
                Ok(Event::Apply(pod)) => self.put(pod),
                Ok(Event::Delete(pod)) => self.set(&pod.name_any(), Seen::Gone),
                // It goes on by itself. The first time it may be a lack of permission.
                Err(error) => match listed.take() {
                    Some(listed) => {
                        let _ = listed.send(Err(error));
                    }
                    None => log::debug!("watch on the agents' pods: {error}"),
                },
            }
        }
    }
}
