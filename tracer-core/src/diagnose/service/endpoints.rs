//! Services without anybody behind them, and rules that lead to nobody.

use super::address::{placed_as, translations};
use super::led::led_to;
use super::{Aim, Entry, rule_fact, rules, tracked};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::verdict::{Cause, Fact, Source};
use crate::evidence::{Action, Match, Rule as FirewallRule, SetElement, SetValue, Snapshot};
use crate::flow::Endpoint;
use crate::resolve::{Front, Readiness, short};

/// A service that has nobody to send to:
///
/// 1. Packets enter a service, nothing translated them, and nobody answered.
/// 2. By the cluster's state none of its endpoints is to get packets: there are none, or none is ready.
/// 3. Or there are, the traffic policy is `Local`, and none is on the node that the packets came to.
///
/// A rule that says so is proof; without one it is the state's word.
pub(super) fn unserved(case: &Case<'_>) -> Vec<Finding> {
    let aim = Aim::of(case);
    if aim.target.is_some() || case.is_answered() || aim.entries.is_empty() {
        return Vec::new();
    }
    // Where rules lead somewhere all the same, they are to blame.
    if !led_to(case, aim.front).is_empty() {
        return Vec::new();
    }
    let Some((entry, lack)) = aim.entries.iter().find_map(|entry| Some((entry, lack(case, &aim, entry)?)))
    else {
        return Vec::new();
    };
    let (reason, why, remedy) = words(entry, &lack);
    let refusing = refusing_rules(case, &aim, entry);
    let rank = if refusing.is_empty() { Rank::Strong } else { Rank::Proof };
    let mut finding = placed_as(case, reason, rank, format!("service {} {why}", entry.name()))
        .fact(Fact::general(Source::Cluster, format!("service {} {why}", entry.name())))
        .remedy(remedy);
    for fact in refusing {
        finding = finding.fact(fact);
    }
    vec![finding]
}

/// What a service lacks.
enum Lack {
    Endpoints,
    Ready(Vec<String>),
    Local(String),
}

fn lack(case: &Case<'_>, aim: &Aim, entry: &Entry) -> Option<Lack> {
    let port = entry.port();
    let used = port.used();
    if used.is_empty() {
        let unready: Vec<String> = port
            .endpoints
            .iter()
            .filter(|each| each.readiness == Readiness::NotReady)
            .map(|each| {
                each.pod.as_deref().map_or_else(|| each.address.to_string(), |pod| short(pod).to_owned())
            })
            .collect();
        return Some(if unready.is_empty() { Lack::Endpoints } else { Lack::Ready(unready) });
    }
    let node = match entry.door {
        Front::ClusterIp if entry.service.is_local_inside => case.flow.forward.hops.first()?.node.as_str(),
        Front::NodePort if entry.service.is_local_outside => {
            case.grounds.state?.node_of_address(aim.front.address)?
        }
        // Whichever node took it in.
        Front::External if entry.service.is_local_outside => case
            .worst()
            .and_then(|worst| worst.spot.node.as_deref())
            .or_else(|| case.flow.forward.hops.last().map(|hop| hop.node.as_str()))?,
        _ => return None,
    };
    let is_here = used.iter().any(|each| each.node.as_deref() == Some(node));
    (!is_here).then(|| Lack::Local(node.to_owned()))
}

fn words(entry: &Entry, lack: &Lack) -> (Cause, String, String) {
    let service = short(&entry.service.name);
    match lack {
        Lack::Endpoints => {
            let selector = entry.service.selector.as_ref();
            let chosen = selector.map(|selector| format!(" (selector {selector})")).unwrap_or_default();
            let why = format!("has no endpoints{chosen}");
            let remedy = match selector {
                Some(selector) => format!(
                    "start pods with the labels {selector} in the namespace of service {service}, or correct its selector"
                ),
                None => {
                    format!("give service {service} endpoints: it has no selector that would choose pods")
                }
            };
            (Cause::NoEndpoints, why, remedy)
        }
        Lack::Ready(pods) => {
            let named = pods.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            let why = format!("has {} endpoints, and none is ready: {named}", pods.len());
            let remedy = format!(
                "see why the readiness probe of {named} fails (`kubectl describe pod`), or correct the probe"
            );
            (Cause::EndpointNotReady, why, remedy)
        }
        Lack::Local(node) => {
            let policy = match entry.door {
                Front::ClusterIp => "internalTrafficPolicy",
                Front::External | Front::NodePort => "externalTrafficPolicy",
            };
            let why = format!("has {policy}: Local and no endpoint on {node}");
            let remedy = format!(
                "send to a node that has an endpoint of it, run one on {node}, or set {policy}: Cluster on service {service}"
            );
            (Cause::LocalPolicyWithoutEndpoint, why, remedy)
        }
    }
}

/// Rules that refuse or drop what is for a service without endpoints: by their comment, or by address and port.
fn refusing_rules(case: &Case<'_>, aim: &Aim, entry: &Entry) -> Vec<Fact> {
    let mut facts = Vec::new();
    for snapshot in case.snapshots() {
        let found = rules(snapshot).find(|(_, _, rule)| {
            rule.actions.iter().any(is_refusing) && (names(rule, entry) || is_for(rule, aim))
        });
        facts.extend(found.map(|(table, chain, rule)| rule_fact(snapshot, table, chain, rule)));
        facts.extend(refusing_element(case, snapshot, aim));
        if facts.len() > 1 {
            break;
        }
    }
    facts
}

/// kube-proxy's comment: `default/web:http has no endpoints`, `default/web has no local endpoints`.
fn names(rule: &FirewallRule, entry: &Entry) -> bool {
    let Some(comment) = rule.comment.as_deref() else { return false };
    let name = entry.service.name.as_str();
    let is_name = comment.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', ':']));
    is_name && comment.contains("no ") && comment.contains("endpoints")
}

fn is_for(rule: &FirewallRule, aim: &Aim) -> bool {
    let is_address = |condition: &Match| {
        matches!(condition, Match::Destination { networks, is_negated: false }
            if networks.iter().any(|network| network.address == aim.front.address && network.length >= 32))
    };
    let is_port = |condition: &Match| {
        matches!(condition, Match::DestinationPort { ports, is_negated: false }
            if ports.iter().any(|range| range.first == aim.front.port.0 && range.last == aim.front.port.0))
    };
    rule.matches.iter().any(is_address) && rule.matches.iter().any(is_port)
}

/// Whether an action ends packets; kube-proxy's nftables mode has chains for it.
fn is_refusing(action: &Action) -> bool {
    match action {
        Action::Drop | Action::Reject { .. } => true,
        Action::Goto { chain } | Action::Jump { chain } => chain == "reject-chain" || chain == "drop-chain",
        _ => false,
    }
}

/// The element of a map by which kube-proxy's nftables mode refuses what is for a service without endpoints
/// (`no-endpoint-services`, `no-endpoint-nodeports`).
fn refusing_element(case: &Case<'_>, snapshot: &Snapshot, aim: &Aim) -> Option<Fact> {
    let is_of = |value: &SetValue| match value {
        SetValue::Addresses { first, last } => (*first..=*last).contains(&aim.front.address),
        SetValue::Numbers { first, last } => (*first..=*last).contains(&u64::from(aim.front.port.0)),
        SetValue::Protocol { protocol } => *protocol == case.flow.protocol,
        SetValue::Name { .. } | SetValue::Any | SetValue::Other { .. } => false,
    };
    let maps = snapshot.firewall.tables.iter().flat_map(|table| {
        let maps = table.sets.iter().filter(|set| set.is_map);
        maps.map(move |map| (table, map))
    });
    let (table, map, element) = maps.into_iter().find_map(|(table, map)| {
        let is_it = |element: &&SetElement| {
            element.verdict.as_ref().is_some_and(is_refusing)
                && element.key.len() > 1
                && element.key.iter().all(is_of)
        };
        map.elements.iter().find(is_it).map(|element| (table, map, element))
    })?;
    let comment = element.comment.as_deref().map(|comment| format!(" ({comment})")).unwrap_or_default();
    let text =
        format!("table {}, map {}: what is for {} is refused{comment}", table.name, map.name, aim.front);
    Some(Fact::of(Source::Rules, snapshot, text))
}

/// Rules that lead to somebody who is no endpoint:
///
/// 1. Packets enter a service and were translated to an end that is in none of its slices; or ended before it could be seen
///    to what, and the node's rules lead to such an end.
/// 2. Nobody answered, or what is there now refused.
///
/// The rule that does it, or a connection that was made when it did, is proof.
pub(super) fn stale(case: &Case<'_>) -> Vec<Finding> {
    let mut aim = Aim::of(case);
    if aim.entries.is_empty() || case.is_answered() {
        return Vec::new();
    }
    let is_known =
        |end: &Endpoint| aim.entries.iter().any(|entry| entry.service.has_endpoint(end.address, end.port.0));
    let led = aim.target.map_or_else(|| led_to(case, aim.front), |target| vec![target]);
    aim.target = led.into_iter().find(|end| !is_known(end));
    let (Some(target), Some(entry)) = (aim.target, aim.entry()) else { return Vec::new() };
    let mut facts = translations(case, &aim);
    let is_tracked = |entry: &&crate::evidence::ConntrackEntry| {
        (entry.reply.source, entry.reply.source_port) == (target.address, target.port.0)
    };
    let has_rule = !facts.is_empty();
    if let Some(entry) = tracked(case).find(is_tracked).filter(|_| !has_rule) {
        facts.push(Fact::general(
            Source::Conntrack,
            format!(
                "a connection {}:{} is still translated to {target}",
                entry.original.destination, entry.original.destination_port
            ),
        ));
    }
    let rank = if facts.is_empty() { Rank::Strong } else { Rank::Proof };
    let (service, state) = (short(&entry.service.name), case.grounds.state);
    let now = state.map(|state| state.pods_at(target.address)).unwrap_or_default();
    let owner = match now.first() {
        Some(pod) => format!("that address is now pod {}'s", short(&pod.name)),
        None => "no pod has that address".to_owned(),
    };
    let by = if has_rule || facts.is_empty() { "a rule" } else { "a tracked connection" };
    let summary = format!(
        "{by} still sends service {} to {target}, which is no endpoint of it any more: {owner}",
        entry.name()
    );
    let listed: Vec<String> = entry.port().endpoints.iter().map(|each| each.address.to_string()).collect();
    let listed = if listed.is_empty() { "no endpoints".to_owned() } else { listed.join(", ") };
    let remedy = if has_rule {
        "see why kube-proxy on this node does not follow the endpoints (its log; restart it)".to_owned()
    } else {
        format!("remove the connections to the old endpoint: `conntrack -D -r {}`", target.address)
    };
    let mut finding = placed_as(case, Cause::StaleEndpoint, rank, summary)
        .fact(Fact::general(Source::Cluster, format!("the endpoints of service {service} are {listed}")))
        .remedy(remedy);
    for fact in facts {
        finding = finding.fact(fact);
    }
    vec![finding]
}
