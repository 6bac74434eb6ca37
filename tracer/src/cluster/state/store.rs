//! The objects that are known, by the list that they came with.

use std::collections::BTreeMap;

use tracer_core::resolve::{ClusterState, Item, Object};

use super::list::{Listed, Version};
use super::path::Place;

/// Objects by name, for each list.
#[derive(Debug, Default)]
pub(in crate::cluster) struct Store {
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    place: Place,
    version: Version,
    objects: BTreeMap<String, Vec<Object>>,
}

impl Store {
    pub(super) fn add(&mut self, place: Place, listed: Listed) {
        self.lists.push(List { place, version: listed.version, objects: listed.objects });
    }

    /// Every list: its number, its place and the version that it is of.
    pub(in crate::cluster) fn places(&self) -> Vec<(usize, Place, Version)> {
        let each = |(index, list): (usize, &List)| (index, list.place.clone(), list.version.clone());
        self.lists.iter().enumerate().map(each).collect()
    }

    /// A list was read again.
    pub(in crate::cluster) fn replace(&mut self, index: usize, listed: Listed) {
        if let Some(list) = self.lists.get_mut(index) {
            list.objects = listed.objects;
        }
    }

    /// An object came or changed. Whether that changes anything that is known of it.
    pub(in crate::cluster) fn put(&mut self, index: usize, item: Item) -> bool {
        let Some(list) = self.lists.get_mut(index) else { return false };
        let name = item.name();
        let objects = item.into_objects(list.place.kind);
        if list.objects.get(&name) == Some(&objects) {
            return false;
        }
        list.objects.insert(name, objects);
        true
    }

    /// An object went. Whether it was known.
    pub(in crate::cluster) fn remove(&mut self, index: usize, item: &Item) -> bool {
        self.lists.get_mut(index).is_some_and(|list| list.objects.remove(&item.name()).is_some())
    }

    pub(in crate::cluster) fn state(&self) -> ClusterState {
        let all = self.lists.iter().flat_map(|list| list.objects.values().flatten());
        ClusterState::from_objects(all.cloned())
    }
}
