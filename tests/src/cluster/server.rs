//! Connections, and from a request to what it is about.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Instant};

use http_body_util::BodyExt as _;
use hyper::{
    Method, Request,
    body::{Bytes, Incoming},
    header::AUTHORIZATION,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{
    Shared,
    access::{self, Action, User},
    answer::{Answer, Refusal, object},
    discovery, exec, list,
    log::Entry,
    objects,
    resource::{DISCOVERY, DISCOVERY_BETA, Resource},
    select::Query,
    store::{Key, now},
};
use crate::cluster::Slices;

/// Accepts connections for ever.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, peer)) = listener.accept().await {
        // Small answers one after the other.
        let _ = stream.set_nodelay(true);
        if shared.is_deaf() {
            continue;
        }
        tokio::spawn(converse(TokioIo::new(stream), peer, Arc::clone(&shared)));
    }
}

async fn converse(stream: TokioIo<tokio::net::TcpStream>, _peer: SocketAddr, shared: Arc<Shared>) {
    let mut cut = shared.cut.subscribe();
    cut.mark_unchanged();
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(logged(request, &shared).await) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(stream, service).with_upgrades();
    tokio::select! {
        // A client that goes away is the client's own business.
        _ = connection => {}
        _ = cut.changed() => {}
    }
}

async fn logged(request: Request<Incoming>, shared: &Arc<Shared>) -> Answer {
    let user = shared.user(bearer(&request));
    let entry = Entry {
        at: Instant::now(),
        user: user.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        status: 0,
    };
    let number = shared.log.begin(entry);
    let answered = match user {
        Some(user) => route(request, shared, &user).await,
        None => Err(Refusal::new(401, "Unauthorized", "Unauthorized")),
    };
    let answer = answered.unwrap_or_else(|refusal| refusal.answer());
    shared.log.end(number, answer.status().as_u16());
    answer
}

fn bearer(request: &Request<Incoming>) -> &str {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) resource: &'static Resource,
    /// As asked for: an older one is served in its own form.
    pub(super) version: String,
    pub(super) namespace: Option<String>,
    /// Empty for the whole list.
    pub(super) name: String,
    pub(super) subresource: String,
    pub(super) query: Query,
}

impl Target {
    /// Reads `/api/v1/...` and `/apis/GROUP/VERSION/...`.
    fn parse(path: &str, query: Query, slices: Slices) -> Option<Self> {
        let mut words = path.trim_matches('/').split('/');
        let group = match words.next()? {
            "api" => "",
            "apis" => words.next()?,
            _ => return None,
        };
        let version = words.next()?;
        let rest: Vec<&str> = words.collect();
        let (namespace, rest) = match rest.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let resource = Resource::find(group, rest.first()?)?;
        let served = match (group, slices) {
            (DISCOVERY, Slices::V1beta1) => DISCOVERY_BETA,
            (DISCOVERY, Slices::None) => return None,
            _ => resource.version,
        };
        let word = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
        let (name, subresource) = (word(1), word(2));
        (version == served && rest.len() <= 3).then_some(Self {
            resource,
            version: version.to_owned(),
            namespace,
            name,
            subresource,
            query,
        })
    }

    pub(super) fn key(&self) -> Key {
        let namespace = self.namespace.clone().unwrap_or_default();
        Key { resource: self.resource, namespace, name: self.name.clone() }
    }

    fn verb(&self, method: &Method) -> &'static str {
        let is_list = self.name.is_empty();
        match *method {
            Method::GET if is_list && self.query.is_true("watch") => "watch",
            Method::GET if is_list => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PATCH => "patch",
            Method::DELETE if is_list => "deletecollection",
            Method::DELETE => "delete",
            _ => "update",
        }
    }

    /// Refuses what the user may not do.
    pub(super) fn authorize(&self, verb: &str, user: &User) -> Result<(), Refusal> {
        let namespace = self.namespace.clone().unwrap_or_default();
        let action = Action::of(verb, self.resource, &self.subresource, &namespace);
        if user.may(&action) { Ok(()) } else { Err(action.refusal(user, self.resource, &self.name)) }
    }
}

async fn route(request: Request<Incoming>, shared: &Arc<Shared>, user: &User) -> Result<Answer, Refusal> {
    let path = request.uri().path().to_owned();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if let Some(found) = discovery::answer(&path, shared.config.slices) {
        return Ok(object(200, &found));
    }
    match path.as_str() {
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            let review = json_body(request).await?;
            return Ok(object(201, &access::access_review(user, review)));
        }
        "/apis/authentication.k8s.io/v1/selfsubjectreviews" => {
            return Ok(object(201, &access::subject_review(user, &now())));
        }
        _ => {}
    }
    let target = Target::parse(&path, query, shared.config.slices).ok_or_else(Refusal::no_such_resource)?;
    if target.subresource == "exec" {
        return exec::answer(request, shared, user, &target);
    }
    let verb = target.verb(request.method());
    target.authorize(verb, user)?;
    match verb {
        "watch" => list::watch(shared, &target),
        "list" => list::list(shared, &target),
        "get" => objects::get(shared, &target),
        "create" => objects::create(shared, &target, json_body(request).await?),
        "patch" => objects::patch(shared, user, &target, json_body(request).await?),
        "update" => objects::replace(shared, &target, json_body(request).await?),
        verb => {
            let options = body(request).await;
            let options: Value = serde_json::from_slice(&options).unwrap_or_default();
            if verb == "delete" {
                objects::delete(shared, &target, &options)
            } else {
                objects::delete_collection(shared, &target, &options)
            }
        }
    }
}

async fn json_body(request: Request<Incoming>) -> Result<Value, Refusal> {
    let bytes = body(request).await;
    serde_json::from_slice(&bytes).map_err(|error| {
        let text = String::from_utf8_lossy(&bytes);
        Refusal::bad(format!("couldn't get version/kind; json parse error: {error} ({text})"))
    })
}

async fn body(request: Request<Incoming>) -> Bytes {
    // A client that breaks off in the middle does not hear the answer either.
    request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}
