//! Where in the API the objects of a kind are.

use tracer_core::resolve::Kind;

/// A list of the API: one kind, in one namespace or in all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::cluster) struct Place {
    pub(in crate::cluster) kind: Kind,
    version: &'static str,
    namespace: Option<String>,
}

impl Place {
    pub(super) fn new(kind: Kind, version: &'static str, namespace: Option<&str>) -> Self {
        Self { kind, version, namespace: namespace.map(str::to_owned) }
    }

    /// The path of its URL.
    pub(in crate::cluster) fn path(&self) -> String {
        let group = self.kind.group();
        let root = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        let namespace = self.namespace.as_ref().map(|name| format!("/namespaces/{name}")).unwrap_or_default();
        format!("{root}/{}{namespace}/{}", self.version, self.kind.resource())
    }
}

/// The places of a kind, the newest version of the API first.
pub(super) fn places(kind: Kind, namespace: Option<&str>) -> Vec<Place> {
    match kind {
        // v1 since Kubernetes 1.21, v1beta1 since 1.17; before there were only Endpoints.
        Kind::EndpointSlice => vec![
            Place::new(kind, "v1", namespace),
            Place::new(kind, "v1beta1", namespace),
            Place::new(Kind::Endpoints, "v1", namespace),
        ],
        Kind::CronJob => vec![Place::new(kind, "v1", namespace), Place::new(kind, "v1beta1", namespace)],
        kind => vec![Place::new(kind, "v1", namespace)],
    }
}

/// Whether a name can be one of a namespace (RFC 1123 label), and so a part of a path.
pub(super) fn is_namespace(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-')
}
