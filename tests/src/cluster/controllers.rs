//! What the controller manager does: endpoints of services, pods of daemon sets, the end of namespaces.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    Shared, kubelet, objects,
    resource::{DAEMON_SETS, ENDPOINTS, NAMESPACES, PODS, RESOURCES, Resource, SERVICES, SLICES},
    store::Key,
};

/// Does what is to be done now, and again whenever something changes.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut changed = shared.store.subscribe();
    loop {
        reconcile(&shared);
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// Once over everything. What is already as it should be changes nothing.
pub(super) fn reconcile(shared: &Arc<Shared>) {
    for service in shared.store.list(&SERVICES, None).1 {
        if service["spec"]["selector"].is_object() {
            endpoints(shared, &service);
        }
    }
    daemon_sets(shared);
    for namespace in shared.store.list(&NAMESPACES, None).1 {
        if namespace["status"]["phase"] == "Terminating" {
            empty(shared, word(&namespace["metadata"]["name"]));
        }
    }
}

fn endpoints(shared: &Arc<Shared>, service: &Value) {
    let (name, namespace) = (word(&service["metadata"]["name"]), word(&service["metadata"]["namespace"]));
    let pods = shared.store.list(&PODS, Some(namespace)).1;
    let selected =
        pods.iter().filter(|pod| is_selected(&service["spec"]["selector"], pod) && has_address(pod));
    let ready: Vec<&Value> = selected.map(AsRef::as_ref).filter(|pod| is_ready(pod)).collect();
    let ports = ports(service, &ready);
    let slice = Key { resource: &SLICES, namespace: namespace.into(), name: format!("{name}-lab") };
    ensure(shared, &slice, |object| {
        object["metadata"]["labels"] = json!({
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "kubernetes.io/service-name": name,
        });
        object["metadata"]["ownerReferences"] = json!([owner("v1", "Service", service)]);
        object["addressType"] = json!("IPv4");
        object["endpoints"] = ready.iter().map(|pod| endpoint(pod)).collect();
        object["ports"] = ports.clone();
    });
    let old = Key { resource: &ENDPOINTS, namespace: namespace.into(), name: name.into() };
    ensure(shared, &old, |object| {
        object["metadata"]["labels"] = json!({ "endpoints.kubernetes.io/managed-by": "endpoint-controller" });
        object["subsets"] = match ready.as_slice() {
            [] => json!([]),
            ready => {
                json!([{ "addresses": ready.iter().map(|pod| address(pod)).collect::<Vec<_>>(), "ports": ports }])
            }
        };
    });
}

/// Makes an object what it should be, whether it is there or not.
fn ensure(shared: &Shared, key: &Key, shape: impl Fn(&mut Value)) {
    if shared.store.update(key, &shape).is_none() {
        let mut object = json!({ "metadata": {} });
        shape(&mut object);
        shared.store.create(key, object);
    }
}

fn owner(version: &str, kind: &str, object: &Value) -> Value {
    json!({
        "apiVersion": version, "kind": kind, "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

fn endpoint(pod: &Value) -> Value {
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": { "ready": true, "serving": true, "terminating": false },
        "targetRef": target(pod),
        "nodeName": pod["spec"]["nodeName"],
    })
}

fn address(pod: &Value) -> Value {
    json!({ "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": target(pod) })
}

fn target(pod: &Value) -> Value {
    let metadata = &pod["metadata"];
    json!({ "kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"] })
}

/// The service's ports as the pods have them.
fn ports(service: &Value, pods: &[&Value]) -> Value {
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let port = |port: &Value| {
        let number = match &port["targetPort"] {
            Value::String(name) => named_port(pods, name).unwrap_or_else(|| port["port"].clone()),
            Value::Null => port["port"].clone(),
            number => number.clone(),
        };
        json!({ "name": word(&port["name"]), "port": number, "protocol": port["protocol"] })
    };
    ports.iter().map(port).collect()
}

fn named_port(pods: &[&Value], name: &str) -> Option<Value> {
    let ports = pods.first()?["spec"]["containers"][0]["ports"].as_array()?;
    ports.iter().find(|port| port["name"] == name).map(|port| port["containerPort"].clone())
}

fn is_selected(selector: &Value, pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    selector.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
}

fn has_address(pod: &Value) -> bool {
    pod["status"]["podIP"].is_string() && pod["metadata"]["deletionTimestamp"].is_null()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
    ready.map_or(pod["status"]["phase"] == "Running", |condition| condition["status"] == "True")
}

fn daemon_sets(shared: &Arc<Shared>) {
    let sets = shared.store.list(&DAEMON_SETS, None).1;
    let uids: BTreeSet<&str> = sets.iter().map(|set| word(&set["metadata"]["uid"])).collect();
    for set in &sets {
        let namespace = word(&set["metadata"]["namespace"]);
        for node in shared.node_names() {
            let name = format!("{}-{node}", word(&set["metadata"]["name"]));
            let key = Key { resource: &PODS, namespace: namespace.into(), name };
            if shared.store.get(&key).is_none() {
                // What admission refuses is an event that nobody reads here.
                let _ = objects::insert(shared, &key, daemon_pod(set, &key, &node), false);
            }
        }
        count(shared, set);
    }
    for pod in shared.store.list(&PODS, None).1 {
        let owner = &pod["metadata"]["ownerReferences"][0];
        let is_orphan = owner["kind"] == "DaemonSet" && !uids.contains(word(&owner["uid"]));
        if is_orphan && pod["metadata"]["deletionTimestamp"].is_null() {
            kubelet::delete(shared, &key_of(&PODS, &pod), None);
        }
    }
}

fn daemon_pod(set: &Value, key: &Key, node: &str) -> Value {
    let mut pod = set["spec"]["template"].clone();
    pod["metadata"]["name"] = json!(key.name);
    pod["metadata"]["namespace"] = json!(key.namespace);
    pod["metadata"]["ownerReferences"] = json!([owner("apps/v1", "DaemonSet", set)]);
    let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
        json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
    pod
}

fn count(shared: &Shared, set: &Value) {
    let uid = &set["metadata"]["uid"];
    let pods = shared.store.list(&PODS, None).1;
    let own = pods.iter().filter(|pod| pod["metadata"]["ownerReferences"][0]["uid"] == *uid);
    let own: Vec<&Arc<Value>> = own.collect();
    let ready = own.iter().filter(|pod| has_address(pod) && is_ready(pod)).count();
    shared.store.update(&key_of(&DAEMON_SETS, set), |object| {
        object["status"] = json!({
            "currentNumberScheduled": own.len(), "numberMisscheduled": 0,
            "desiredNumberScheduled": shared.config.nodes.len(), "numberReady": ready,
            "numberAvailable": ready, "updatedNumberScheduled": own.len(),
        });
    });
}

/// Deletes what is in a namespace, and then the namespace.
fn empty(shared: &Arc<Shared>, namespace: &str) {
    let mut is_empty = true;
    for resource in RESOURCES.into_iter().filter(|resource| resource.is_namespaced) {
        for object in shared.store.list(resource, Some(namespace)).1 {
            is_empty = false;
            let key = key_of(resource, &object);
            if *resource != PODS {
                shared.store.remove(&key);
            } else if object["metadata"]["deletionTimestamp"].is_null() {
                kubelet::delete(shared, &key, None);
            }
        }
    }
    if is_empty {
        shared.store.remove(&Key { resource: &NAMESPACES, namespace: String::new(), name: namespace.into() });
    }
}

fn key_of(resource: &'static Resource, object: &Value) -> Key {
    let word = |key: &str| word(&object["metadata"][key]).to_owned();
    Key { resource, namespace: word("namespace"), name: word("name") }
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
