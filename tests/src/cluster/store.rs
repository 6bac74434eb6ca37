//! Objects with versions, and the history that watches are told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::resource::Resource;

/// Which object.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Key {
    pub(super) resource: &'static Resource,
    /// Empty for what has none.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What became of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    /// Absent when it was removed.
    pub(super) after: Option<Arc<Value>>,
    /// With the version of the change, whichever there is.
    pub(super) object: Arc<Value>,
}

/// All objects.
pub(super) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// The newest version whose change is forgotten.
    compacted: u64,
    uids: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
}

impl Store {
    pub(super) fn new() -> Self {
        let state = State { version: 1, compacted: 1, ..State::default() };
        Self { state: Mutex::new(state), changed: watch::Sender::new(1) }
    }

    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.lock().version
    }

    /// Wakes whoever waits for changes.
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.lock().objects.get(key).cloned()
    }

    /// Objects of a kind, of one namespace or of all, in the order of their names, and the version of the list.
    pub(super) fn list(&self, resource: &Resource, namespace: Option<&str>) -> (u64, Vec<Arc<Value>>) {
        let state = self.lock();
        let matching = state.objects.iter().filter(|(key, _)| is_of(key, resource, namespace));
        (state.version, matching.map(|(_, value)| Arc::clone(value)).collect())
    }

    /// A new object, completed by what the server adds; nothing where there is one of that name.
    pub(super) fn create(&self, key: &Key, value: Value) -> Option<Arc<Value>> {
        let mut state = self.lock();
        if state.objects.contains_key(key) {
            return None;
        }
        let value = state.complete(key, value);
        let made = state.change(key, Some(value));
        self.changed.send_replace(state.version);
        Some(made)
    }

    /// Changes an object; nothing where it is not there. What changes nothing makes no version.
    pub(super) fn update(&self, key: &Key, change: impl FnOnce(&mut Value)) -> Option<Arc<Value>> {
        let mut state = self.lock();
        let before = Arc::clone(state.objects.get(key)?);
        let mut value = Value::clone(&before);
        change(&mut value);
        if value == *before {
            return Some(before);
        }
        let made = state.change(key, Some(value));
        self.changed.send_replace(state.version);
        Some(made)
    }

    pub(super) fn remove(&self, key: &Key) -> Option<Arc<Value>> {
        let mut state = self.lock();
        state.objects.get(key)?;
        let gone = state.change(key, None);
        self.changed.send_replace(state.version);
        Some(gone)
    }

    /// Changes behind a version; nothing where they are forgotten. With the version up to which they are complete.
    pub(super) fn since(
        &self,
        version: u64,
        resource: &Resource,
        namespace: Option<&str>,
    ) -> Result<(u64, Vec<Change>), u64> {
        let state = self.lock();
        if version < state.compacted {
            return Err(state.compacted);
        }
        let of_it = |change: &&Change| change.version > version && is_of(&change.key, resource, namespace);
        Ok((state.version, state.history.iter().filter(of_it).cloned().collect()))
    }

    /// Forgets the history, as etcd does after five minutes.
    pub(super) fn compact(&self) {
        let mut state = self.lock();
        state.compacted = state.version;
        state.history.clear();
        self.changed.send_replace(state.version);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn complete(&mut self, key: &Key, mut value: Value) -> Value {
        self.uids += 1;
        value["kind"] = json!(key.resource.kind);
        value["apiVersion"] = json!(key.resource.api_version());
        let metadata = &mut value["metadata"];
        metadata["name"] = json!(key.name);
        if key.resource.is_namespaced {
            metadata["namespace"] = json!(key.namespace);
        }
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("00000000-0000-4000-8000-{:012x}", self.uids));
        }
        if metadata["creationTimestamp"].is_null() {
            metadata["creationTimestamp"] = json!(now());
        }
        value
    }

    fn change(&mut self, key: &Key, after: Option<Value>) -> Arc<Value> {
        self.version += 1;
        let before = self.objects.get(key).cloned();
        let is_removed = after.is_none();
        let mut object = after.or_else(|| before.as_deref().cloned()).unwrap_or_default();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        let after = (!is_removed).then(|| Arc::clone(&object));
        match &after {
            Some(object) => drop(self.objects.insert(key.clone(), Arc::clone(object))),
            None => drop(self.objects.remove(key)),
        }
        let change = Change { version: self.version, key: key.clone(), before, after, object };
        let object = Arc::clone(&change.object);
        self.history.push(change);
        object
    }
}

fn is_of(key: &Key, resource: &Resource, namespace: Option<&str>) -> bool {
    key.resource == resource && namespace.is_none_or(|namespace| key.namespace == namespace)
}

/// The time, as objects have it: without fractions of a second.
pub(super) fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}
