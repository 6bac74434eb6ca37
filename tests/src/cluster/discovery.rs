//! What the server tells of itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    config::Slices,
    resource::{DISCOVERY, DISCOVERY_BETA, RESOURCES, Resource, group_version},
};

/// The answer to `/version`, `/api`, `/apis` and the lists of resources; absent for every other path.
pub(super) fn answer(path: &str, slices: Slices) -> Option<Value> {
    let words: Vec<&str> = path.trim_matches('/').split('/').collect();
    match words.as_slice() {
        ["version"] => Some(version()),
        ["api"] => Some(json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "192.0.2.1:6443" }],
        })),
        ["apis"] => {
            let groups: BTreeSet<&str> = served(slices).map(|(each, _)| each.group).collect();
            let groups = groups.into_iter().filter(|group| !group.is_empty());
            let groups: Vec<Value> = groups.map(|name| group(name, slices)).collect();
            Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
        }
        ["api", "v1"] => resources("", "v1", slices),
        ["apis", name] if served(slices).any(|(each, _)| each.group == *name) => {
            let mut found = group(name, slices);
            found["kind"] = json!("APIGroup");
            found["apiVersion"] = json!("v1");
            Some(found)
        }
        ["apis", group, version] => resources(group, version, slices),
        _ => None,
    }
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35", "gitVersion": "v1.36.2",
        "gitCommit": "$Format:%H$", "gitTreeState": "clean", "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.26.3", "compiler": "gc", "platform": "linux/amd64",
    })
}

/// Kinds, each with the version that it is served in.
fn served(slices: Slices) -> impl Iterator<Item = (&'static Resource, &'static str)> {
    RESOURCES.into_iter().filter_map(move |each| match (each.group, slices) {
        (DISCOVERY, Slices::None) => None,
        (DISCOVERY, Slices::V1beta1) => Some((each, DISCOVERY_BETA)),
        _ => Some((each, each.version)),
    })
}

fn group(name: &str, slices: Slices) -> Value {
    let version = served(slices).find(|(each, _)| each.group == name).map_or("v1", |(_, version)| version);
    let version = json!({ "groupVersion": group_version(name, version), "version": version });
    json!({ "name": name, "versions": [version], "preferredVersion": version })
}

fn resources(group: &str, version: &str, slices: Slices) -> Option<Value> {
    let of_it = served(slices).filter(|(each, served)| each.group == group && *served == version);
    let list: Vec<Value> = of_it.map(|(each, _)| resource(each)).collect();
    (!list.is_empty()).then(|| {
        let group_version = group_version(group, version);
        json!({ "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list })
    })
}

fn resource(each: &Resource) -> Value {
    json!({
        "name": each.plural,
        "singularName": each.kind.to_lowercase(),
        "namespaced": each.is_namespaced,
        "kind": each.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        "storageVersionHash": "",
    })
}
