//! Lists, a page at a time, and watches.

use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, StreamBody};
use hyper::{
    Response,
    body::{Bytes, Frame},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Shared,
    answer::{Answer, Refusal, object},
    resource::{DISCOVERY, DISCOVERY_BETA, group_version},
    select::Selection,
    server::Target,
    store::Change,
};

/// The rest of a list that came in pages.
#[derive(Clone)]
pub(super) struct Rest {
    version: u64,
    items: Vec<Arc<Value>>,
}

pub(super) fn list(shared: &Arc<Shared>, target: &Target) -> Result<Answer, Refusal> {
    let selection = Selection::of(&target.query)?;
    let rest = if let Some(token) = target.query.get("continue") {
        continued(shared, token)?
    } else {
        too_new(shared, target)?;
        let (version, items) = shared.store.list(target.resource, target.namespace.as_deref());
        Rest { version, items: items.into_iter().filter(|each| selection.takes(each)).collect() }
    };
    let limit = target.query.get("limit").and_then(|word| word.parse().ok()).filter(|limit| *limit > 0);
    let (page, left) = rest.items.split_at(limit.unwrap_or(usize::MAX).min(rest.items.len()));
    let more = (!left.is_empty()).then(|| {
        let token = shared.keep(Rest { version: rest.version, items: left.to_vec() });
        (token, left.len())
    });
    Ok(object(200, &collection(target, rest.version, page, more)))
}

/// A list that nobody can answer yet.
fn too_new(shared: &Shared, target: &Target) -> Result<(), Refusal> {
    let wanted = target.query.get("resourceVersion").and_then(|word| word.parse().ok());
    let current = shared.store.version();
    if wanted.is_none_or(|wanted: u64| wanted <= current) {
        return Ok(());
    }
    let wanted = wanted.unwrap_or_default();
    let message = format!("Timeout: Too large resource version: {wanted}, current: {current}");
    let details = json!({
        "causes": [{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }],
        "retryAfterSeconds": 1,
    });
    Err(Refusal { details: Some(details), ..Refusal::new(504, "Timeout", message) })
}

fn continued(shared: &Shared, token: &str) -> Result<Rest, Refusal> {
    let bad = || Refusal::bad("invalid continue token: continue key is not valid");
    let rest = shared.rest(token).ok_or_else(bad)?;
    if !shared.config.expires_lists || token.ends_with(INCONSISTENT) {
        return Ok(rest);
    }
    let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
    let resume = shared.keep(rest) + INCONSISTENT;
    Err(Refusal { resume: Some(resume), ..Refusal::new(410, "Expired", message) })
}

/// What tokens end with that no longer promise a consistent list.
pub(super) const INCONSISTENT: &str = "-inconsistent";

/// A list object.
pub(super) fn collection(
    target: &Target,
    version: u64,
    items: &[Arc<Value>],
    more: Option<(String, usize)>,
) -> Value {
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let Some((token, left)) = more {
        metadata["continue"] = json!(token);
        metadata["remainingItemCount"] = json!(left);
    }
    let kind = format!("{}List", target.resource.kind);
    json!({
        "kind": kind,
        "apiVersion": group_version(target.resource.group, &target.version),
        "metadata": metadata,
        "items": items.iter().map(|item| bare(served(item, target))).collect::<Vec<_>>(),
    })
}

/// Items of a list do not say what they are.
fn bare(mut item: Value) -> Value {
    if let Some(object) = item.as_object_mut() {
        object.remove("kind");
        object.remove("apiVersion");
    }
    item
}

/// An object in the version that was asked for.
pub(super) fn served(value: &Value, target: &Target) -> Value {
    let mut value = value.clone();
    if target.resource.group == DISCOVERY && target.version == DISCOVERY_BETA {
        value["apiVersion"] = json!(group_version(DISCOVERY, DISCOVERY_BETA));
        for endpoint in value["endpoints"].as_array_mut().into_iter().flatten() {
            let node = endpoint.as_object_mut().and_then(|fields| fields.remove("nodeName"));
            endpoint["topology"] = json!({ "kubernetes.io/hostname": node });
        }
    }
    value
}

/// Events from a version on, for as long as the client listens.
pub(super) fn watch(shared: &Arc<Shared>, target: &Target) -> Result<Answer, Refusal> {
    let selection = Selection::of(&target.query)?;
    let from = target.query.get("resourceVersion").unwrap_or("0");
    let from = from.parse().map_err(|_| Refusal {
        reason: None,
        ..Refusal::new(
            500,
            "",
            format!("resourceVersion: Invalid value: {from:?}: strconv.ParseUint: parsing {from:?}: invalid syntax"),
        )
    })?;
    let (sender, receiver) = mpsc::channel(16);
    let watcher = Watcher { shared: Arc::clone(shared), target: target.clone(), selection, sender, from };
    tokio::spawn(watcher.run());
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line: Bytes = receiver.recv().await?;
        Some((Ok(Frame::data(line)), receiver))
    });
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(lines)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(answer)
}

struct Watcher {
    shared: Arc<Shared>,
    target: Target,
    selection: Selection,
    sender: mpsc::Sender<Bytes>,
    /// Everything up to this version is told.
    from: u64,
}

impl Watcher {
    async fn run(mut self) {
        let query = &self.target.query;
        let seconds = query.get("timeoutSeconds").and_then(|word| word.parse().ok());
        let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(3600));
        let has_bookmarks = query.is_true("allowWatchBookmarks");
        let mut changed = self.shared.store.subscribe();
        if (self.from == 0 || query.is_true("sendInitialEvents")) && !self.begin().await {
            return;
        }
        let mut told = Instant::now();
        loop {
            if !self.tell_changes().await {
                return;
            }
            let bookmark = told + self.shared.config.bookmarks;
            tokio::select! {
                is_alive = awaited(&mut changed) => if !is_alive { return },
                () = self.sender.closed() => return,
                () = sleep_until(end) => return,
                () = sleep_until(bookmark), if has_bookmarks => {
                    told = Instant::now();
                    if !self.bookmark(false).await {
                        return;
                    }
                }
            }
        }
    }

    /// Everything that is there, as if it came just now. Whether anybody still listens.
    async fn begin(&mut self) -> bool {
        let (version, items) = self.shared.store.list(self.target.resource, self.target.namespace.as_deref());
        for item in items.iter().filter(|item| self.selection.takes(item)) {
            if !self.event("ADDED", &served(item, &self.target)).await {
                return false;
            }
        }
        self.from = version;
        !self.target.query.is_true("sendInitialEvents") || self.bookmark(true).await
    }

    async fn tell_changes(&mut self) -> bool {
        let namespace = self.target.namespace.as_deref();
        match self.shared.store.since(self.from, self.target.resource, namespace) {
            Ok((version, changes)) => {
                for change in &changes {
                    if let Some(kind) = self.kind(change)
                        && !self.event(kind, &served(&change.object, &self.target)).await
                    {
                        return false;
                    }
                }
                self.from = self.from.max(version);
                true
            }
            Err(compacted) => {
                let message = format!("too old resource version: {} ({compacted})", self.from);
                let status = Refusal::new(410, "Expired", message).status();
                self.event("ERROR", &status).await;
                false
            }
        }
    }

    /// What a change is to somebody who sees only what is selected.
    fn kind(&self, change: &Change) -> Option<&'static str> {
        let takes =
            |object: &Option<Arc<Value>>| object.as_ref().is_some_and(|each| self.selection.takes(each));
        match (takes(&change.before), takes(&change.after)) {
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
            (false, false) => None,
        }
    }

    async fn bookmark(&self, is_first: bool) -> bool {
        let version = self.from.to_string();
        let mut metadata = json!({ "resourceVersion": version });
        if is_first {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let kind = self.target.resource.kind;
        let api_version = group_version(self.target.resource.group, &self.target.version);
        let mut object = json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata });
        // What is empty is told all the same, where the kind's Go structure says so.
        if kind == "Pod" {
            object["spec"] = json!({ "containers": null });
            object["status"] = json!({});
        }
        self.event("BOOKMARK", &object).await
    }

    async fn event(&self, kind: &str, object: &Value) -> bool {
        let line = json!({ "type": kind, "object": object });
        self.sender.send(Bytes::from(format!("{line}\n"))).await.is_ok()
    }
}

async fn awaited(changed: &mut watch::Receiver<u64>) -> bool {
    changed.changed().await.is_ok()
}
