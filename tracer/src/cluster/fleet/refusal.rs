//! What the API server refuses, in words that say what to do.

use kube::Error;
use kube::core::Status;
use kube::runtime::watcher;

/// Label that says what a namespace lets pods do.
pub(in crate::cluster) const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Whether it is this HTTP status.
pub(in crate::cluster) fn is(error: &Error, code: u16) -> bool {
    status(error).is_some_and(|status| status.code == code)
}

/// Whether the namespace is on its way out.
pub(super) fn is_terminating(error: &Error) -> bool {
    status(error).is_some_and(|status| {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
            || status.message.contains("because it is being terminated")
    })
}

/// Whether a namespace is missing, rather than what should be in it.
pub(super) fn is_namespace_missing(error: &Error) -> bool {
    status(error).is_some_and(|status| {
        status.code == 404 && status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
    })
}

fn status(error: &Error) -> Option<&Status> {
    match error {
        Error::Api(status) => Some(status),
        _ => None,
    }
}

/// Why a pod was not taken in.
pub(super) fn of_pod(error: &Error, namespace: &str) -> String {
    let Some(status) = status(error) else {
        return format!("the API server cannot be asked for a pod: {}", words(error));
    };
    let message = status.message.trim();
    if message.contains("violates PodSecurity") {
        return format!(
            "the namespace {namespace} forbids host networking (Pod Security): kubectl label namespace {namespace} \
             {ENFORCE}=privileged --overwrite, or choose another one with --agent-namespace ({message})"
        );
    }
    if message.contains("exceeded quota") {
        return format!(
            "the quota of the namespace {namespace} leaves no room for the agent's pod: {message}"
        );
    }
    if message.contains("admission webhook") {
        return format!("a policy of the cluster refuses the agent's pod: {message}");
    }
    if status.code == 403 {
        return format!("pods may not be made in the namespace {namespace}: {message}");
    }
    format!("the API server refuses the agent's pod: {message}")
}

/// Why a command was not started in a pod.
pub(in crate::cluster) fn of_exec(error: &Error, namespace: &str) -> String {
    let Some(status) = status(error) else {
        return format!("no stream to the agent can be opened: {}", words(error));
    };
    let message = status.message.trim();
    match status.code {
        403 => format!(
            "commands may not be run in the namespace {namespace} (pods/exec: get and create): {message}"
        ),
        404 => "the agent's pod is gone".to_owned(),
        _ if message.contains("container not found") => {
            "the agent's container does not run any more".to_owned()
        }
        // `error dialing backend`: the API server's way to the kubelet.
        500..=599 => format!("the API server cannot reach the node's kubelet: {message}"),
        _ => format!("the API server refuses to run a command in the agent: {message}"),
    }
}

/// Why pods cannot be watched.
pub(super) fn of_watch(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => words(error),
        watcher::Error::WatchError(status) => status.message.trim().to_owned(),
        error @ watcher::Error::NoResourceVersion => error.to_string(),
    }
}

/// An error for a person, without the type names that kube writes.
pub(in crate::cluster) fn words(error: &Error) -> String {
    match error {
        Error::Api(status) => status.message.trim().to_owned(),
        error => crate::error::chain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> Error {
        Error::Api(Box::new(Status { code, message: message.to_owned(), ..Status::success() }))
    }

    #[test]
    fn pod_security_says_which_label_is_missing() {
        let error = refused(
            403,
            r#"pods "kflow-agent-a-1" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)"#,
        );
        let words = of_pod(&error, "locked");
        assert!(
            words.contains("kubectl label namespace locked pod-security.kubernetes.io/enforce=privileged"),
            "{words}"
        );
    }

    #[test]
    fn each_refusal_has_its_words() {
        let table = [
            (
                403,
                "pods \"a\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
                "quota",
            ),
            (400, "admission webhook \"w.example\" denied the request: no", "a policy of the cluster"),
            (403, "pods is forbidden: User \"eve\" cannot create resource \"pods\"", "pods may not be made"),
            (422, "Pod \"a\" is invalid: spec.x: wrong", "the API server refuses"),
        ];
        for (code, message, words) in table {
            assert!(of_pod(&refused(code, message), "kflow").contains(words), "{message}");
        }
        assert!(of_exec(&refused(403, "forbidden"), "kflow").contains("pods/exec"));
        assert!(of_exec(&refused(500, "error dialing backend: timeout"), "kflow").contains("kubelet"));
    }

    #[test]
    fn a_namespace_that_goes_is_told_from_one_that_forbids() {
        let going = "pods \"a\" is forbidden: unable to create new content in namespace kflow because it is being terminated";
        assert!(is_terminating(&refused(403, going)));
        assert!(!is_terminating(&refused(403, "pods is forbidden")));
    }
}
