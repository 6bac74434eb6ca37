//! One watch, from the version of its list on, for as long as it is wanted.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, TryStreamExt as _};
use kube::api::{WatchEvent, WatchParams};
use kube::core::Request;
use tokio::time;
use tracer_core::resolve::Item;

use super::super::connect::RequestError;
use super::super::state::{Asker, Place, Version};
use super::Shared;

/// Seconds after which the cluster ends a watch, so that it is begun anew (its own bound is at least 300).
const LIFE: u32 = 290;
/// How long a watch may be silent: a connection that is gone without a word is noticed by that. Bookmarks come every
/// minute or so where nothing else does.
const SILENCE: Duration = Duration::from_mins(2);
/// How long the answer to a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause after a failure, doubled each time.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

pub(super) struct Follower {
    pub(super) asker: Asker,
    pub(super) index: usize,
    pub(super) place: Place,
    pub(super) shared: Arc<Shared>,
}

/// How a watch ended.
enum End {
    /// It had its time, or its connection was silent.
    Over,
    /// The cluster no longer knows the version from which it should go on.
    Expired,
    Failed(RequestError),
}

impl Follower {
    pub(super) async fn run(self, mut version: Version) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let begin = Instant::now();
            let end = match version.as_str() {
                // Without a version the watch would tell all objects once more, but not those that went.
                "" => End::Expired,
                _ => self.watch(&mut version).await,
            };
            let end = match end {
                End::Expired => self.list_again(&mut version).await,
                end => end,
            };
            if let End::Failed(error) = end {
                self.is_troubled(&error);
            }
            // One that had its time goes on at once; one that cannot even begin must not be asked for all the time.
            pause =
                if begin.elapsed() > LONGEST_PAUSE { SHORTEST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            time::sleep(pause).await;
        }
    }

    async fn watch(&self, version: &mut Version) -> End {
        let params = WatchParams::default().timeout(LIFE);
        let request = match Request::new(self.place.path()).watch(&params, version) {
            Ok(request) => request,
            Err(error) => return self.failed(kube::Error::BuildRequest(error)),
        };
        let events = match time::timeout(PATIENCE, self.asker.client.request_events::<Item>(request)).await {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return self.failed(error),
            Err(_) => return End::Failed(self.asker.server.silent(PATIENCE.as_secs())),
        };
        self.is_well();
        self.events(events, version).await
    }

    async fn events(
        &self,
        events: impl Stream<Item = Result<WatchEvent<Item>, kube::Error>>,
        version: &mut Version,
    ) -> End {
        let mut events = pin!(events);
        loop {
            match time::timeout(SILENCE, events.try_next()).await {
                Ok(Ok(Some(WatchEvent::Error(status)))) => return self.failed(kube::Error::Api(status)),
                Ok(Ok(Some(event))) => self.take(event, version),
                Ok(Ok(None)) | Err(_) => return End::Over,
                Ok(Err(error)) => return self.failed(error),
            }
        }
    }

    fn take(&self, event: WatchEvent<Item>, version: &mut Version) {
        match event {
            WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                go_on(version, item.resource_version());
                self.shared.change(|store| store.put(self.index, item));
            }
            WatchEvent::Deleted(item) => {
                go_on(version, item.resource_version());
                self.shared.change(|store| store.remove(self.index, &item));
            }
            WatchEvent::Bookmark(bookmark) => go_on(version, Some(&bookmark.metadata.resource_version)),
            WatchEvent::Error(_) => {}
        }
    }

    async fn list_again(&self, version: &mut Version) -> End {
        match self.asker.list(&self.place).await {
            Ok(listed) => {
                self.is_well();
                listed.version.clone_into(version);
                self.shared.change(|store| {
                    store.replace(self.index, listed);
                    true
                });
                End::Over
            }
            Err(error) => End::Failed(error),
        }
    }

    fn failed(&self, error: kube::Error) -> End {
        match error {
            kube::Error::Api(status) if status.code == 410 => End::Expired,
            error => End::Failed(self.asker.server.explain(error)),
        }
    }

    fn is_well(&self) {
        self.shared.troubles().remove(&self.index);
    }

    fn is_troubled(&self, error: &RequestError) {
        let mut troubles = self.shared.troubles();
        let since = troubles.get(&self.index).map_or_else(Instant::now, |(since, _)| *since);
        let why = format!("{}: {}", self.place.kind.resource(), crate::error::chain(error));
        troubles.insert(self.index, (since, why));
    }
}

fn go_on(version: &mut Version, newer: Option<&str>) {
    if let Some(newer) = newer.filter(|newer| !newer.is_empty()) {
        newer.clone_into(version);
    }
}
