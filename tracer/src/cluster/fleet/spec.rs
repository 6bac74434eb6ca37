//! What agents are made of, as the flags want it: parsed once, so that no node fails for a typing error.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LocalObjectReference, ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use thiserror::Error;

use super::Needs;
use crate::cli::cluster::AgentArgs;

/// A flag that makes no sense.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SpecError {
    /// `--toleration`.
    #[error(
        "`{0}` is no toleration: write KEY, KEY:EFFECT, KEY=VALUE or KEY=VALUE:EFFECT, where the effect is NoSchedule, PreferNoSchedule or NoExecute"
    )]
    Toleration(String),
    /// `--node-selector`.
    #[error("`{0}` is no label of a node: write KEY=VALUE")]
    NodeSelector(String),
    /// `--agent-cpu` and `--agent-memory`.
    #[error("`{0}` is no quantity as Kubernetes writes it, such as 500m, 1, 64Mi or 1Gi")]
    Quantity(String),
}

/// What agents are made of.
#[derive(Clone, Debug)]
pub(in crate::cluster) struct AgentSpec {
    pub(super) namespace: String,
    pub(super) image: String,
    pub(super) pull_secrets: Option<Vec<LocalObjectReference>>,
    pub(super) node_selector: Option<BTreeMap<String, String>>,
    pub(super) tolerations: Vec<Toleration>,
    pub(super) resources: ResourceRequirements,
    pub(super) needs: Needs,
    /// The most that captures in it may keep of a packet, as the agent is told it.
    pub(super) max_snap: Option<String>,
}

impl AgentSpec {
    /// Of the flags.
    pub(in crate::cluster) fn parse(args: &AgentArgs, needs: Needs) -> Result<Self, SpecError> {
        let secrets: Vec<_> =
            args.image_pull_secret.iter().map(|name| LocalObjectReference { name: name.clone() }).collect();
        let selector =
            args.node_selector.iter().map(|text| label(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut tolerations = usual();
        for text in &args.toleration {
            tolerations.push(toleration(text)?);
        }
        Ok(Self {
            namespace: args.agent_namespace.clone(),
            image: args.image.clone(),
            pull_secrets: (!secrets.is_empty()).then_some(secrets),
            node_selector: (!selector.is_empty()).then_some(selector),
            tolerations,
            resources: resources(args)?,
            needs,
            max_snap: None,
        })
    }

    /// With a ceiling for what captures may keep of a packet.
    pub(in crate::cluster) fn with_max_snap(self, max_snap: Option<String>) -> Self {
        Self { max_snap, ..self }
    }

    /// Namespace of the agents.
    pub(in crate::cluster) fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// Taints that are always tolerated: packets get lost on nodes that take no new work, too.
fn usual() -> Vec<Toleration> {
    let exists = |key: Option<&str>, effect: &str| Toleration {
        key: key.map(str::to_owned),
        operator: Some("Exists".to_owned()),
        effect: Some(effect.to_owned()),
        ..Toleration::default()
    };
    vec![
        exists(None, "NoSchedule"),
        exists(Some("node.kubernetes.io/not-ready"), "NoExecute"),
        exists(Some("node.kubernetes.io/unreachable"), "NoExecute"),
    ]
}

fn toleration(text: &str) -> Result<Toleration, SpecError> {
    let refused = || SpecError::Toleration(text.to_owned());
    let (taint, effect) = match text.split_once(':') {
        Some((taint, effect)) => (taint, Some(effect)),
        None => (text, None),
    };
    let (key, value) = match taint.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (taint, None),
    };
    let is_effect =
        effect.is_none_or(|effect| ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect));
    if key.is_empty() || !is_effect {
        return Err(refused());
    }
    Ok(Toleration {
        key: Some(key.to_owned()),
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.to_owned()),
        value: value.map(str::to_owned),
        effect: effect.map(str::to_owned),
        ..Toleration::default()
    })
}

fn label(text: &str) -> Result<(String, String), SpecError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(SpecError::NodeSelector(text.to_owned())),
    }
}

/// A little is asked for, so that a full node can still be looked into. A limit that is given counts as what is asked
/// for as well.
fn resources(args: &AgentArgs) -> Result<ResourceRequirements, SpecError> {
    let mut resources = ResourceRequirements::default();
    for (name, limit, request) in [("cpu", &args.agent_cpu, "10m"), ("memory", &args.agent_memory, "32Mi")] {
        let (map, text) = match limit {
            Some(text) if is_quantity(text) => (&mut resources.limits, text.as_str()),
            Some(text) => return Err(SpecError::Quantity(text.clone())),
            None => (&mut resources.requests, request),
        };
        map.get_or_insert_default().insert(name.to_owned(), Quantity(text.to_owned()));
    }
    Ok(resources)
}

/// A decimal number and a suffix (`k8s.io/apimachinery/pkg/api/resource/quantity.go`).
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 14] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti"];
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let is_number =
        digits.starts_with(|letter: char| letter.is_ascii_digit()) && digits.parse::<f64>().is_ok();
    is_number && SUFFIXES.contains(&&text[digits.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_as_taints_are_written() {
        let table = [
            ("gpu", ("gpu", "Exists", None, None)),
            ("gpu:NoExecute", ("gpu", "Exists", None, Some("NoExecute"))),
            ("a.b/c=d", ("a.b/c", "Equal", Some("d"), None)),
            ("a.b/c=d:NoSchedule", ("a.b/c", "Equal", Some("d"), Some("NoSchedule"))),
            ("empty=", ("empty", "Equal", Some(""), None)),
        ];
        for (text, (key, operator, value, effect)) in table {
            let toleration = toleration(text).unwrap();
            assert_eq!(toleration.key.as_deref(), Some(key), "{text}");
            assert_eq!(toleration.operator.as_deref(), Some(operator), "{text}");
            assert_eq!(toleration.value.as_deref(), value, "{text}");
            assert_eq!(toleration.effect.as_deref(), effect, "{text}");
        }
        for text in ["", "=a", ":NoExecute", "a:Never", "a=b:"] {
            assert_eq!(toleration(text), Err(SpecError::Toleration(text.to_owned())));
        }
    }

    #[test]
    fn quantities() {
        for text in ["1", "500m", "0.5", "64Mi", "1Gi", "128M", "2k"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "m", "1 Gi", "64MB", "-1", "1Gib", "lots", ".5x"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
