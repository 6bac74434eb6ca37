//! Why a word names no end of a trace.

use thiserror::Error;

/// Why a word names no end of a trace.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ResolveError {
    /// No object of that kind and name.
    #[error("no such {kind}: {name}{}", suggestion(near))]
    NotFound {
        /// `pod`, `service`, `node`, `deployment` and so on.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Names that look alike.
        near: Vec<String>,
    },
    /// The word has none of the forms that are understood.
    #[error(
        "cannot trace {0:?}: write POD, NAMESPACE/POD, TYPE/NAME or NAMESPACE/TYPE/NAME with a TYPE of pod, svc, deploy, ds, sts, rs, job, cronjob or node, svc/NAME:PORT, IP or IP:PORT"
    )]
    Syntax(String),
    /// The word names nothing that can be explained.
    #[error(
        "cannot explain {0:?}: write svc/NAME, svc/NAME:PORT, POD, pod/NAME, node/NAME (each with NAMESPACE/ in front), IP or IP:PORT[/PROTOCOL]"
    )]
    Unexplained(String),
    /// The word names nothing that sends packets.
    #[error("{0} sends no packets: a sender is POD, pod/NAME, node/NAME or IP")]
    NoClient(String),
    /// A port where the kind has none.
    #[error(
        "cannot trace {word:?}: a {kind} is named without a port (ports belong to svc/NAME:PORT and IP:PORT)"
    )]
    NeedlessPort {
        /// As typed.
        word: String,
        /// `pod`, `node` and so on.
        kind: &'static str,
    },
    /// The object has no address yet.
    #[error("{kind} {name} has no address: is it running?{}", why.as_deref().map(in_parentheses).unwrap_or_default())]
    NoAddress {
        /// `pod` or `node`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What its status tells about it.
        why: Option<String>,
    },
    /// The pod has run to its end.
    #[error("pod {name} has ended ({how}): it has no address any more")]
    Ended {
        /// Namespace and name.
        name: String,
        /// `Succeeded` or `Failed`, and why.
        how: String,
    },
    /// No pod of a workload runs.
    #[error("{kind} {name} has no running pod{}", why.as_deref().map(in_parentheses).unwrap_or_default())]
    NoPods {
        /// `deployment` and so on.
        kind: &'static str,
        /// Namespace and name.
        name: String,
        /// What the pods' states tell about it.
        why: Option<String>,
    },
    /// No pod is selected.
    #[error("no pod {whose} has the labels {selector}{}", in_words(has))]
    NothingSelected {
        /// `of the namespace x` or `of any namespace`.
        whose: String,
        /// As typed.
        selector: String,
        /// Values of these labels that pods have.
        has: Vec<String>,
    },
    /// Labels are wanted of a state that has none.
    #[error("the cluster state tells no labels (`kflow state` leaves them out): name pods or what made them")]
    NoLabels,
    /// Pods are selected, but none of them runs.
    #[error("no pod with the labels {selector} runs{}", why.as_deref().map(in_parentheses).unwrap_or_default())]
    NothingRuns {
        /// As typed.
        selector: String,
        /// What the pods' states tell about it.
        why: Option<String>,
    },
    /// The service has neither an address of its own nor endpoints.
    #[error("service {service} has no address: {why}")]
    NoEndpoints {
        /// Namespace and name.
        service: String,
        /// Why.
        why: String,
    },
    /// The service stands for a host name.
    #[error("service {service} is another name of the host {host}: trace that one")]
    Alias {
        /// Namespace and name.
        service: String,
        /// The host's name.
        host: String,
    },
    /// The service has no such port.
    #[error("service {service} has no port {port:?}; it has {has}")]
    NoPort {
        /// Namespace and name.
        service: String,
        /// Number or name as typed.
        port: String,
        /// The ports that it has.
        has: String,
    },
    /// A host name without any address.
    #[error("host {0} has no address")]
    NoHost(String),
}

impl ResolveError {
    /// Whether the word itself is at fault, whatever the cluster has.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Syntax(_) | Self::Unexplained(_) | Self::NoClient(_) | Self::NeedlessPort { .. })
    }
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(" (did you mean {}?)", near.join(", ")),
    }
}

fn in_parentheses(why: &str) -> String {
    format!(" ({why})")
}

fn in_words(has: &[String]) -> String {
    match has {
        [] => String::new(),
        has => format!(" (there are {})", has.join(", ")),
    }
}
