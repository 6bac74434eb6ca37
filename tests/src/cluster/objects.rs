//! Single objects: read, made, changed and deleted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Shared,
    access::User,
    admission,
    answer::{Answer, Refusal, object},
    config::Fate,
    kubelet,
    list::{collection, served},
    resource::{NAMESPACES, PODS},
    select::Selection,
    server::Target,
    store::{Key, now},
};

pub(super) fn get(shared: &Arc<Shared>, target: &Target) -> Result<Answer, Refusal> {
    let found =
        shared.store.get(&target.key()).ok_or_else(|| Refusal::not_found(target.resource, &target.name))?;
    if target.subresource == "log" {
        return Ok(super::answer::text(200, String::new()));
    }
    Ok(object(200, &served(&found, target)))
}

pub(super) fn create(shared: &Arc<Shared>, target: &Target, mut value: Value) -> Result<Answer, Refusal> {
    let mut key = target.key();
    let metadata = &value["metadata"];
    key.name = match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
        (Some(name), _) if !name.is_empty() => name.to_owned(),
        (_, Some(prefix)) => format!("{prefix}{:05x}", shared.store.version()),
        _ => return Err(Refusal::new(422, "Invalid", "resource name may not be empty")),
    };
    value["metadata"]["name"] = json!(key.name);
    value["metadata"]["namespace"] = json!(key.namespace);
    let is_trial = target.query.get("dryRun") == Some("All") || value["dryRun"][0] == "All";
    let made = insert(shared, &key, value, is_trial)?;
    Ok(object(201, &served(&made, target)))
}

/// Makes an object, with all that comes of it.
pub(super) fn insert(
    shared: &Arc<Shared>,
    key: &Key,
    mut value: Value,
    is_trial: bool,
) -> Result<Arc<Value>, Refusal> {
    if *key.resource == PODS {
        check_pod(shared, key, &value)?;
        default_pod(&mut value);
    }
    if *key.resource == NAMESPACES {
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("namespace");
        }
        value["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(key.name);
        value["spec"]["finalizers"] = json!(["kubernetes"]);
        value["status"] = json!({ "phase": "Active" });
    }
    if is_trial {
        return Ok(Arc::new(value));
    }
    let made = shared.store.create(key, value).ok_or_else(|| Refusal::exists(key.resource, &key.name))?;
    if *key.resource == PODS {
        kubelet::begin(shared, key);
    }
    Ok(made)
}

fn check_pod(shared: &Shared, key: &Key, pod: &Value) -> Result<(), Refusal> {
    let namespace = Key { resource: &NAMESPACES, namespace: String::new(), name: key.namespace.clone() };
    let node = kubelet::wanted_node(pod).and_then(|name| shared.node(name));
    let is_full = node.is_some_and(|node| matches!(node.fate, Fate::Quota));
    admission::admit(pod, shared.store.get(&namespace).as_deref(), is_full)?;
    admission::validate(pod)
}

/// What the server adds to a pod.
fn default_pod(pod: &mut Value) {
    pod["metadata"]["generation"] = json!(1);
    let spec = &mut pod["spec"];
    for (key, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("serviceAccountName", json!("default")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
        ("priority", json!(0)),
        ("preemptionPolicy", json!("PreemptLowerPriority")),
    ] {
        if spec[key].is_null() {
            spec[key] = value;
        }
    }
    pod["status"] = json!({ "phase": "Pending", "qosClass": "BestEffort" });
}

/// Merge patches, and server-side apply, which makes what is not there.
pub(super) fn patch(
    shared: &Arc<Shared>,
    user: &User,
    target: &Target,
    value: Value,
) -> Result<Answer, Refusal> {
    let key = target.key();
    let is_trial = target.query.get("dryRun") == Some("All");
    if let Some(before) = shared.store.get(&key) {
        if is_trial {
            let mut after = Value::clone(&before);
            merge(&mut after, value);
            return Ok(object(200, &served(&after, target)));
        }
        let changed = shared.store.update(&key, |object| merge(object, value));
        let changed = changed.ok_or_else(|| Refusal::not_found(target.resource, &target.name))?;
        return Ok(object(200, &served(&changed, target)));
    }
    // Only an applied object says what it is.
    if value["kind"].is_null() {
        return Err(Refusal::not_found(target.resource, &target.name));
    }
    if target.query.get("fieldManager").is_none() {
        return Err(no_manager());
    }
    let whole = Target { name: String::new(), ..target.clone() };
    whole.authorize("create", user)?;
    let made = insert(shared, &key, value, is_trial)?;
    Ok(object(201, &served(&made, target)))
}

fn no_manager() -> Refusal {
    let message =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    let details = json!({
        "group": "meta.k8s.io", "kind": "PatchOptions", "causes": [{
            "reason": "FieldValueRequired", "message": "Required value: is required for apply patch",
            "field": "fieldManager",
        }],
    });
    Refusal { details: Some(details), ..Refusal::new(422, "Invalid", message) }
}

/// RFC 7386.
fn merge(into: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *into = patch;
        return;
    };
    for (key, value) in fields {
        match (value, into.as_object_mut()) {
            (Value::Null, Some(object)) => drop(object.remove(&key)),
            (value, _) => merge(&mut into[key.as_str()], value),
        }
    }
}

pub(super) fn replace(shared: &Arc<Shared>, target: &Target, value: Value) -> Result<Answer, Refusal> {
    let changed = shared.store.update(&target.key(), |object| {
        let metadata = object["metadata"].clone();
        *object = value;
        for key in ["uid", "creationTimestamp", "resourceVersion"] {
            object["metadata"][key] = metadata[key].clone();
        }
    });
    let changed = changed.ok_or_else(|| Refusal::not_found(target.resource, &target.name))?;
    Ok(object(200, &served(&changed, target)))
}

pub(super) fn delete(shared: &Arc<Shared>, target: &Target, options: &Value) -> Result<Answer, Refusal> {
    let key = target.key();
    let found = shared.store.get(&key).ok_or_else(|| Refusal::not_found(target.resource, &target.name))?;
    let wanted = options["preconditions"]["uid"].as_str();
    if wanted.is_some_and(|uid| found["metadata"]["uid"] != uid) {
        let message = format!("the UID in the precondition ({wanted:?}) does not match the UID in record");
        return Err(Refusal::new(409, "Conflict", message));
    }
    if target.query.get("dryRun") == Some("All") || options["dryRun"][0] == "All" {
        return Ok(object(200, &served(&found, target)));
    }
    if *key.resource == PODS {
        let gone = kubelet::delete(shared, &key, grace(target, options)).unwrap_or(found);
        return Ok(object(200, &served(&gone, target)));
    }
    if *key.resource == NAMESPACES {
        return Ok(object(200, &delete_namespace(shared, &key)));
    }
    shared.store.remove(&key);
    let mut details =
        json!({ "name": key.name, "kind": key.resource.plural, "uid": found["metadata"]["uid"] });
    if !key.resource.group.is_empty() {
        details["group"] = json!(key.resource.group);
    }
    Ok(object(
        200,
        &json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details }),
    ))
}

pub(super) fn delete_collection(
    shared: &Arc<Shared>,
    target: &Target,
    options: &Value,
) -> Result<Answer, Refusal> {
    let selection = Selection::of(&target.query)?;
    let (version, objects) = shared.store.list(target.resource, target.namespace.as_deref());
    let wanted: Vec<Arc<Value>> = objects.into_iter().filter(|each| selection.takes(each)).collect();
    for each in &wanted {
        let key = key_of(target, each);
        if *key.resource == PODS {
            kubelet::delete(shared, &key, grace(target, options));
        } else {
            shared.store.remove(&key);
        }
    }
    Ok(object(200, &collection(target, version, &wanted, None)))
}

fn key_of(target: &Target, object: &Value) -> Key {
    let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    Key { resource: target.resource, namespace: word("namespace"), name: word("name") }
}

fn grace(target: &Target, options: &Value) -> Option<u64> {
    let typed = target.query.get("gracePeriodSeconds").and_then(|word| word.parse().ok());
    typed.or_else(|| options["gracePeriodSeconds"].as_u64())
}

/// Marks it; the namespace controller removes it when it is empty.
fn delete_namespace(shared: &Arc<Shared>, key: &Key) -> Value {
    let marked = shared.store.update(key, |object| {
        if object["metadata"]["deletionTimestamp"].is_null() {
            object["metadata"]["deletionTimestamp"] = json!(now());
        }
        object["status"]["phase"] = json!("Terminating");
    });
    marked.as_deref().cloned().unwrap_or_default()
}
