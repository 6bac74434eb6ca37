//! `pods/exec` over a websocket, in the protocols `v5.channel.k8s.io` and `v4.channel.k8s.io`.

mod session;

use std::sync::Arc;

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{
        CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        UPGRADE,
    },
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use self::session::{Order, Session};
use super::{
    Shared,
    access::User,
    answer::{Answer, Refusal, text},
    config::Fate,
    server::Target,
};

const V5: &str = "v5.channel.k8s.io";
const V4: &str = "v4.channel.k8s.io";

/// Refuses, or upgrades the connection and begins.
pub(super) fn answer(
    mut request: Request<Incoming>,
    shared: &Arc<Shared>,
    user: &User,
    target: &Target,
) -> Result<Answer, Refusal> {
    target.authorize("get", user)?;
    if target.authorize("create", user).is_err() {
        // The second check, which came with 1.35, has no words.
        return Err(Refusal::forbidden(target.resource, &target.name, ""));
    }
    let order = match order(shared, target)? {
        Ok(order) => order,
        Err(refused) => return Ok(refused),
    };
    let Some((accept, protocol)) = agreed(request.headers(), shared.config.only_v4) else {
        return Ok(forbidden());
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let cut = shared.cut.subscribe();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        Session::new(order, protocol == V5, cut).run(&shared, socket).await;
    });
    Ok(switching(&accept, protocol))
}

/// What is to be run and where, or why nothing can be.
fn order(shared: &Arc<Shared>, target: &Target) -> Result<Result<Order, Answer>, Refusal> {
    let key = target.key();
    let pod = shared.store.get(&key).ok_or_else(|| Refusal::not_found(target.resource, &target.name))?;
    let first = &pod["spec"]["containers"][0]["name"];
    let container = target.query.get("container").or(first.as_str()).unwrap_or_default().to_owned();
    if !has_container(&pod, &container) {
        return Err(Refusal::bad(format!("container {container} is not valid for pod {}", key.name)));
    }
    let Some(node) = pod["spec"]["nodeName"].as_str() else {
        return Err(Refusal::bad(format!("pod {} does not have a host assigned", key.name)));
    };
    let words: Vec<String> = target.query.all("command").map(str::to_owned).collect();
    if words.is_empty() {
        return Err(Refusal::bad("you must specify at least 1 command for the container"));
    }
    let node = shared.node(node).unwrap_or_default();
    if matches!(node.fate, Fate::ExecForbidden) {
        let why = "exec operation is not allowed because the pod's node refuses it";
        return Err(Refusal::forbidden(target.resource, &target.name, why));
    }
    let Some(init) = shared.lives.init(&key) else {
        return Ok(Err(text(500, format!("container not found ({container:?})"))));
    };
    let has_stdin = target.query.is_true("stdin");
    Ok(Ok(Order { node, init, words, has_stdin }))
}

fn has_container(pod: &Value, name: &str) -> bool {
    let containers = pod["spec"]["containers"].as_array();
    containers.is_some_and(|list| list.iter().any(|each| each["name"] == name))
}

/// The answer to the client's key, and the newest protocol that both know.
fn agreed(headers: &HeaderMap, only_v4: bool) -> Option<(String, &'static str)> {
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let is_offered = |protocol: &&str| offered.split(',').any(|word| word.trim() == *protocol);
    let known: &[&'static str] = if only_v4 { &[V4] } else { &[V5, V4] };
    let protocol = known.iter().copied().find(is_offered)?;
    Some((derive_accept_key(key.as_bytes()), protocol))
}

fn forbidden() -> Answer {
    let mut answer = text(403, "");
    answer.headers_mut().clear();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn switching(accept: &str, protocol: &'static str) -> Answer {
    let mut answer = Response::new(http_body_util::combinators::BoxBody::default());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}
