//! What changes in a cluster, as it does.

mod follow;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time;
use tracer_core::resolve::ClusterState;

use super::connect::Cluster;
use super::state::{Asker, Store};

/// How long changes are gathered before they are told.
const GATHER: Duration = Duration::from_millis(100);
/// How long a watch may be broken before a person is told.
const TOLERANCE: Duration = Duration::from_secs(5);

/// The cluster's state whenever it changes; only the newest one is kept. Dropping it ends the watches.
pub struct Updates {
    receiver: watch::Receiver<Arc<ClusterState>>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
    // Last, so that the threads live until the tasks are gone.
    cluster: Cluster,
}

impl Updates {
    pub(super) fn start(cluster: &Cluster, store: Store) -> Self {
        let places = store.places();
        let (sender, receiver) = watch::channel(Arc::new(store.state()));
        let shared = Arc::new(Shared::new(store));
        let asker = Asker::new(cluster);
        let mut tasks = JoinSet::new();
        for (index, place, version) in places {
            let follower =
                follow::Follower { asker: asker.clone(), index, place, shared: Arc::clone(&shared) };
            tasks.spawn_on(follower.run(version), cluster.runtime());
        }
        tasks.spawn_on(publish(Arc::clone(&shared), sender), cluster.runtime());
        Self { receiver, shared, _tasks: tasks, cluster: cluster.clone() }
    }

    /// The next state, if something changes in time. Not to be called from inside of a future.
    pub fn next(&mut self, patience: Duration) -> Option<Arc<ClusterState>> {
        let cluster = self.cluster.clone();
        cluster.wait(async { time::timeout(patience, self.changed()).await }).ok().flatten()
    }

    /// The next state; absent if there will be none.
    pub async fn changed(&mut self) -> Option<Arc<ClusterState>> {
        self.receiver.changed().await.ok()?;
        Some(Arc::clone(&self.receiver.borrow_and_update()))
    }

    /// What is broken for some seconds now, for a person: changes may go unnoticed. Absent when all is well (again).
    pub fn trouble(&self) -> Option<String> {
        let troubles = self.shared.troubles();
        let (since, why) = troubles.values().min_by_key(|(since, _)| *since)?;
        (since.elapsed() >= TOLERANCE).then(|| format!("changes in the cluster are not seen: {why}"))
    }
}

/// What the watches and the one who tells share.
struct Shared {
    store: Mutex<Store>,
    changed: Notify,
    troubles: Mutex<BTreeMap<usize, (Instant, String)>>,
}

impl Shared {
    fn new(store: Store) -> Self {
        Self { store: Mutex::new(store), changed: Notify::new(), troubles: Mutex::default() }
    }

    /// Changes the store, and has it told if the change says that it was one.
    fn change(&self, change: impl FnOnce(&mut Store) -> bool) {
        if change(&mut unpoisoned(&self.store)) {
            self.changed.notify_one();
        }
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<usize, (Instant, String)>> {
        unpoisoned(&self.troubles)
    }
}

/// Nothing that holds these locks leaves them half changed.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn publish(shared: Arc<Shared>, sender: watch::Sender<Arc<ClusterState>>) {
    loop {
        shared.changed.notified().await;
        time::sleep(GATHER).await;
        let state = unpoisoned(&shared.store).state();
        if sender.send(Arc::new(state)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
