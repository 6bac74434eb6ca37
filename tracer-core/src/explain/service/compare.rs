//! The endpoints that rules lead to beside those that the cluster tells.

use std::collections::BTreeMap;

use super::super::client::ClientKind;
use super::super::course::{Course, End};
use super::super::proxy::Proxy;
use super::super::world::{World, pod_label};
use super::super::{Findings, ProblemKind};
use super::{FrontStory, judge_courses, packets, whom};
use crate::flow::Endpoint;
use crate::resolve::{EndpointFacts, Front, Readiness, ServiceFacts, ServicePortFacts};

/// What to do where a node's rules are not what the cluster says.
const PROXY_REMEDY: &str = "see whether kube-proxy runs on the node, reaches the API server and what it logs; a restart writes its rules anew";

/// Puts what rules do with a front's packets beside what they should do, in this order:
///
/// 1. No endpoint is to get them: that is told already; or it is because of a traffic policy.
/// 2. They are not translated: the front has no rule.
/// 3. They are stopped on their way.
/// 4. They go to what is no endpoint, or none that is ready.
/// 5. An endpoint gets none of them.
pub(super) fn compare(
    world: &World<'_>,
    service: &ServiceFacts,
    port: &ServicePortFacts,
    front: &FrontStory,
    findings: &mut Findings,
) {
    let Some(protocol) = port.protocol else { return };
    if front.courses.is_empty() {
        let what = packets(front, protocol);
        return findings.note(format!("{what}: how they come to {} is not known", world.node.node));
    }
    let expected = expected(world, service, port, front);
    let reached = reached(front);
    strays(world, port, front, &reached, findings);
    if expected.is_empty() {
        return without(world, service, port, front, findings);
    }
    let untouched: Vec<&Course> = front.courses.iter().filter(|course| is_untouched(front, course)).collect();
    if let Some(first) = untouched.first() {
        untranslated(world, service, front, first, findings);
        return;
    }
    judge_courses(world, front, protocol, findings);
    let is_doubtful = front.courses.iter().any(Course::is_doubtful);
    for endpoint in expected {
        let Some(number) = endpoint.port else { continue };
        let to = Endpoint { address: endpoint.address, port: crate::flow::Port(number) };
        // Chains are cut where packets end, and rules of hints leave endpoints out on purpose.
        if reached.contains_key(&to) || endpoint.has_hints || reached.is_empty() {
            continue;
        }
        if is_doubtful {
            findings.note(format!("whether rules of {} lead to {to} cannot be told", world.node.node));
        } else {
            findings.problem(
                ProblemKind::EndpointWithoutRule,
                format!(
                    "no rule of {} leads from {} to {to} ({}), which is ready",
                    world.node.node,
                    front.to,
                    whom(endpoint)
                ),
                PROXY_REMEDY,
            );
        }
    }
}

/// The endpoints that packets of this client are to get to by this door.
fn expected<'a>(
    world: &World<'_>,
    service: &ServiceFacts,
    port: &'a ServicePortFacts,
    front: &FrontStory,
) -> Vec<&'a EndpointFacts> {
    let is_outside = front.client.kind == ClientKind::Outside;
    // A node's own clients of a door for the outside are let to all endpoints (`KUBE-EXT-*`, pkg/proxy/iptables).
    let is_local = match front.front {
        Front::ClusterIp => service.is_local_inside,
        Front::External | Front::NodePort => service.is_local_outside && is_outside,
    };
    let fits = |each: &&EndpointFacts| {
        let is_here = each.node.as_deref() == Some(&world.node.node);
        each.address.is_ipv4() == front.to.address.is_ipv4() && each.port.is_some() && (!is_local || is_here)
    };
    port.used().into_iter().filter(fits).collect()
}

/// What packets are translated to, with their shares.
fn reached(front: &FrontStory) -> BTreeMap<Endpoint, f64> {
    let mut reached = BTreeMap::new();
    for course in &front.courses {
        if let Some(to) = course.translated(front.to) {
            *reached.entry(to).or_default() += course.probability;
        }
    }
    reached
}

/// Whether nothing was done to a packet that a rule for services does: it is neither translated nor stopped by a rule.
fn is_untouched(front: &FrontStory, course: &Course) -> bool {
    let is_stopped = matches!(course.end, End::Dropped { .. } | End::Rejected { .. } | End::Unknown { .. });
    course.translated(front.to).is_none() && !is_stopped
}

/// No endpoint is to get packets: nothing is wrong with rules that stop them.
fn without(
    world: &World<'_>,
    service: &ServiceFacts,
    port: &ServicePortFacts,
    front: &FrontStory,
    findings: &mut Findings,
) {
    if port.used().is_empty() {
        return;
    }
    let fits = |each: &&EndpointFacts| each.address.is_ipv4() == front.to.address.is_ipv4();
    let others: Vec<String> =
        port.used().into_iter().filter(fits).filter_map(|each| each.node.clone()).collect();
    if others.is_empty() {
        return;
    }
    let (field, who) = match front.front {
        Front::ClusterIp => ("internalTrafficPolicy", "of this node and its pods"),
        Front::External | Front::NodePort => ("externalTrafficPolicy", "from outside"),
    };
    findings.problem(
        ProblemKind::LocalPolicyWithoutEndpoint,
        format!(
            "{}: {field} is Local and no ready endpoint is on {}: packets {who} to {} are dropped there (endpoints are on {})",
            pod_label(&service.name),
            world.node.node,
            front.to,
            others.join(", ")
        ),
        format!("send to a node that has an endpoint, run one on {}, or set {field} to Cluster", world.node.node),
    );
}

/// Packets keep the front's address: nothing carries this front.
fn untranslated(
    world: &World<'_>,
    service: &ServiceFacts,
    front: &FrontStory,
    course: &Course,
    findings: &mut Findings,
) {
    let node = &world.node.node;
    let proxy = Proxy::of(world.node);
    if proxy.is_absent() {
        return;
    }
    if proxy.modes.is_empty() {
        let why = if proxy.is_unknown {
            "rules could not be read".to_owned()
        } else {
            format!("programs of others may do it ({})", proxy.programs.join(", "))
        };
        return findings.note(format!("no rule of {node} is for {}: {why}", front.to));
    }
    if course.is_doubtful() || proxy.is_unknown {
        return findings.note(format!("whether a rule of {node} is for {} cannot be told", front.to));
    }
    findings.problem(
        ProblemKind::ServiceRulesMissing,
        format!(
            "no rule of {node} is for {} ({}), although {proxy} carries other services",
            front.to,
            pod_label(&service.name)
        ),
        PROXY_REMEDY,
    );
}

/// Rules lead to what is no endpoint, or none that is ready.
fn strays(
    world: &World<'_>,
    port: &ServicePortFacts,
    front: &FrontStory,
    reached: &BTreeMap<Endpoint, f64>,
    findings: &mut Findings,
) {
    let used = port.used();
    for (to, share) in reached {
        let is_it =
            |each: &EndpointFacts| each.address == to.address && each.port.is_none_or(|own| own == to.port.0);
        if used.iter().any(|each| is_it(each)) {
            continue;
        }
        let lead = format!(
            "rules of {} lead {:.1} % of new connections to {} on to {to}",
            world.node.node,
            share * 100.0,
            front.to
        );
        if let Some(endpoint) = port.endpoints.iter().find(|each| is_it(each)) {
            let how = if endpoint.readiness == Readiness::Terminating { "ending" } else { "not ready" };
            let text = format!("{lead} ({}), which is {how}", whom(endpoint));
            findings.problem(ProblemKind::UnreadyEndpointInRules, text, PROXY_REMEDY);
        } else {
            let nobody = || "nobody has that address".to_owned();
            let owner =
                world.label(to.address).map_or_else(nobody, |label| format!("that address is {label}'s"));
            let text = format!("{lead}, which is no endpoint of the service ({owner})");
            findings.problem(ProblemKind::StaleEndpoint, text, PROXY_REMEDY);
        }
    }
}
