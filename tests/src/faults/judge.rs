//! Whether what kflow says is what was injected.

use serde_json::Value;

use super::{
    site::Site,
    variant::{Place, Transport, Variant},
};
use crate::kflow::{Outcome, Told};

/// What kflow said of a variant.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Whether the place is right.
    pub place: bool,
    /// Whether the cause is right.
    pub cause: bool,
    /// What it said.
    pub said: String,
}

impl Judged {
    /// Where kflow was not asked.
    pub(super) fn untold() -> Self {
        Self { place: true, cause: true, said: String::new() }
    }
}

/// Right is a flow with a right cause at a right place, while no flow has a wrong one.
pub(super) fn judge(variant: &Variant, site: &Site, told: &Told, outcome: &Outcome) -> Judged {
    let flows: Vec<&Value> =
        told.flows.iter().filter(|flow| is_meant(variant, flow) && site.is_own(flow)).collect();
    let verdicts: Vec<&Value> =
        flows.iter().map(|flow| &flow["verdict"]).filter(|each| !each["cause"].is_null()).collect();
    let is_right = |verdict: &&&Value| {
        verdict["cause"].as_str().is_some_and(|cause| variant.expected.causes.contains(&cause))
    };
    let right: Vec<&&Value> = verdicts.iter().filter(is_right).collect();
    let cause = !right.is_empty() && right.len() == verdicts.len();
    let place = right.iter().any(|verdict| is_at(variant, &verdict["at"]));
    let said = words(&flows, told, outcome);
    Judged { place, cause, said }
}

/// A flow of the variant's protocol.
fn is_meant(variant: &Variant, flow: &Value) -> bool {
    let protocol = flow["protocol"].as_str().unwrap_or_default();
    match variant.scene.transport {
        Transport::Tcp => protocol == "TCP",
        Transport::Udp => protocol == "UDP",
        Transport::Icmp => protocol.starts_with("ICMP"),
    }
}

fn is_at(variant: &Variant, at: &Value) -> bool {
    variant.expected.places.iter().any(|place| match place {
        Place::Node(node) => at["node"] == *node && at["pod"].is_null(),
        Place::Pod(pod) => {
            let node = if *pod == "pod-src" { "k8s-node2" } else { "k8s-node1" };
            let is_pod = at["pod"].as_str().is_some_and(|name| name.ends_with(pod));
            // Who does not look into pods may see no more than the node.
            is_pod || !variant.scene.inside && at["pod"].is_null() && at["node"] == node
        }
        Place::Between(after, before) => {
            let beyond = &at["before"]["node"];
            at["node"].is_null() && at["after"]["node"] == *after && (beyond.is_null() || beyond == before)
        }
    })
}

fn words(flows: &[&Value], told: &Told, outcome: &Outcome) -> String {
    if flows.is_empty() {
        let last = outcome.stderr.lines().last().unwrap_or_default();
        return format!("no flow (of {} in all); {last}", told.flows.len());
    }
    let verdict = |flow: &&Value| {
        let verdict = &flow["verdict"];
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let at = &verdict["at"];
        format!(
            "{} {} at {}/{} after {} before {}: {}",
            word(&verdict["outcome"]),
            word(&verdict["cause"]),
            word(&at["node"]),
            word(&at["pod"]),
            word(&at["after"]["node"]),
            word(&at["before"]["node"]),
            word(&verdict["summary"])
        )
    };
    let mut said: Vec<String> = flows.iter().map(verdict).collect();
    said.dedup();
    said.truncate(4);
    said.join(" | ")
}
