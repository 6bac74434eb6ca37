//! Words that name an object.

use super::super::error::ResolveError;
use super::super::object::Kind;

/// A name of an object as it was typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::resolve) enum Word<'a> {
    Pod { namespace: &'a str, name: &'a str },
    Service { namespace: &'a str, name: &'a str, port: Option<&'a str> },
    Node { name: &'a str },
    Workload { kind: Kind, namespace: &'a str, name: &'a str },
}

impl<'a> Word<'a> {
    /// Reads a word, `namespace` where it names none.
    pub(in crate::resolve) fn of(word: &'a str, namespace: &'a str) -> Result<Self, ResolveError> {
        let syntax = || ResolveError::Syntax(word.to_owned());
        let parts: Vec<&str> = word.split('/').collect();
        if parts.iter().any(|part| part.is_empty()) {
            return Err(syntax());
        }
        let (namespace, kind, name) = match parts[..] {
            [name] => (namespace, Kind::Pod, name),
            [first, name] => match kind(first) {
                Some(kind) => (namespace, kind, name),
                None => (first, Kind::Pod, name),
            },
            [namespace, middle, name] => match kind(middle) {
                // Nodes are in no namespace.
                Some(Kind::Node) | None => return Err(syntax()),
                Some(kind) => (namespace, kind, name),
            },
            _ => return Err(syntax()),
        };
        let (name, port) = name.split_once(':').map_or((name, None), |(name, port)| (name, Some(port)));
        if name.is_empty() || port.is_some_and(str::is_empty) || namespace.contains(':') {
            return Err(syntax());
        }
        if port.is_some() && kind != Kind::Service {
            return Err(ResolveError::NeedlessPort { word: word.to_owned(), kind: kind.word() });
        }
        Ok(match kind {
            Kind::Service => Self::Service { namespace, name, port },
            Kind::Node => Self::Node { name },
            Kind::Pod => Self::Pod { namespace, name },
            kind => Self::Workload { kind, namespace, name },
        })
    }
}

/// The type that a word names, in kubectl's short and long forms and as `kubectl get -o name` prints it.
fn kind(word: &str) -> Option<Kind> {
    let word = word.to_ascii_lowercase();
    Some(match word.split('.').next().unwrap_or_default() {
        "pod" | "pods" | "po" => Kind::Pod,
        "svc" | "service" | "services" => Kind::Service,
        "node" | "nodes" | "no" => Kind::Node,
        "deploy" | "deployment" | "deployments" => Kind::Deployment,
        "ds" | "daemonset" | "daemonsets" => Kind::DaemonSet,
        "sts" | "statefulset" | "statefulsets" => Kind::StatefulSet,
        "rs" | "replicaset" | "replicasets" => Kind::ReplicaSet,
        "job" | "jobs" => Kind::Job,
        "cj" | "cronjob" | "cronjobs" => Kind::CronJob,
        _ => return None,
    })
}
