//! Answers over HTTP: objects, lists, and the `Status` of what is refused.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::{Map, Value, json};

use super::resource::Resource;

pub(super) type Body = BoxBody<Bytes, Infallible>;
pub(super) type Answer = Response<Body>;

/// What the server refuses, as its `Status` says it.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    pub(super) code: u16,
    /// Absent where the server has no word for it.
    pub(super) reason: Option<&'static str>,
    pub(super) message: String,
    pub(super) details: Option<Value>,
    /// Where an expired list can be taken up again.
    pub(super) resume: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason: Some(reason), message: message.into(), ..Self::default() }
    }

    /// What the server does not serve at all.
    pub(super) fn no_such_resource() -> Self {
        let refusal = Self::new(404, "NotFound", "the server could not find the requested resource");
        Self { details: Some(json!({})), ..refusal }
    }

    /// An object that is not there.
    pub(super) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self { details: Some(details(resource, name)), ..Self::new(404, "NotFound", message) }
    }

    /// An object that is there already.
    pub(super) fn exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self { details: Some(details(resource, name)), ..Self::new(409, "AlreadyExists", message) }
    }

    /// What admission or authorization refuses, with the reason behind the colon.
    pub(super) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let object = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let message = format!("{}{object} is forbidden: {why}", resource.qualified());
        Self { details: Some(details(resource, name)), ..Self::new(403, "Forbidden", message) }
    }

    /// A request that cannot be understood.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The `Status` object.
    pub(super) fn status(&self) -> Value {
        let mut metadata = json!({});
        if let Some(resume) = &self.resume {
            metadata["continue"] = json!(resume);
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata,
            "status": "Failure", "message": self.message,
        });
        if let Some(reason) = self.reason {
            status["reason"] = json!(reason);
        }
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status["code"] = json!(self.code);
        status
    }

    pub(super) fn answer(&self) -> Answer {
        let mut answer = object(self.code, &self.status());
        if self.code == 504 {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

/// Name, group and kind, those that there are.
fn details(resource: &Resource, name: &str) -> Value {
    let words = [("name", name), ("group", resource.group), ("kind", resource.plural)];
    let told = words.into_iter().filter(|(_, word)| !word.is_empty());
    Value::Object(told.map(|(key, word)| (key.to_owned(), json!(word))).collect::<Map<_, _>>())
}

/// An object as JSON.
pub(super) fn object(code: u16, value: &Value) -> Answer {
    let mut answer = whole(code, format!("{value}\n"));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// Text, as the kubelet answers what it cannot do.
pub(super) fn text(code: u16, words: impl Into<String>) -> Answer {
    let mut answer = whole(code, words.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn whole(code: u16, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
}
