//! Causes in netfilter's rules: drops, refusals, network policies.
//!
//! A rule is named where the walk of the rules ends at it. Whether that is proved is told in this order:
//!
//! 1. The kernel says that netfilter dropped the packets: proof.
//! 2. The kernel says that something else did: the rule is not it.
//! 3. The rule counted packets meanwhile: strong.
//! 4. The kernel tells of its drops, and says nothing of these; or the rule counts, and did not: the rule is not it.
//! 5. Otherwise strong if every packet of this kind has to end there, else a hint.

use std::fmt::Write as _;

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule as Judge};
use super::passage::{End, Passage};
use super::verdict::{Cause, Fact, Outcome, Source};
use super::words;
use crate::evidence::{Action, Ending, Evidence, Firewall, Hook, Rule, Step, is_policy_chain};

pub(super) const RULES: &[Judge] = &[rules, unnamed];

/// Reasons and functions that say that netfilter dropped a packet (`net/netfilter/core.c`).
const REASONS: [&str; 1] = ["NETFILTER_DROP"];
const FUNCTIONS: [&str; 5] =
    ["nf_hook_slow", "nf_hook_slow_list", "nft_do_chain", "ipt_do_table", "ip6t_do_table"];

/// Chains of kube-proxy in which a service is refused because of its endpoints, and not by a firewall.
const SERVICE_CHAINS: [&str; 4] = ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-EXT-"];

/// Whether the kernel says that netfilter dropped the packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Told {
    Netfilter,
    Other,
    Nothing,
}

impl Told {
    pub(super) fn of(failure: &Failure<'_>) -> Self {
        let is_netfilter = failure.has_reason(&REASONS) || failure.has_function(&FUNCTIONS);
        let is_unexplained = failure.drops.iter().all(|drop| {
            let is_vague = matches!(drop.reason.as_deref(), None | Some("NOT_SPECIFIED"));
            is_vague && drop.function.is_none()
        });
        match (is_netfilter, is_unexplained) {
            (true, _) => Self::Netfilter,
            (false, true) => Self::Nothing,
            (false, false) => Self::Other,
        }
    }
}

fn rules(case: &Case<'_>) -> Vec<Finding> {
    let arrival = case.arrival();
    let failures = case.failures.iter().filter(|failure| failure.is_within()).chain(&arrival);
    failures.filter_map(|failure| named(case, failure)).collect()
}

/// The rule that the packets of a failure end at.
fn named(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    if Told::of(failure) == Told::Other {
        return None;
    }
    Passage::of(case, failure).iter().find_map(|passage| {
        let ends = passage.ends();
        let founded = ends.iter().filter_map(|end| Some((rank(failure, passage.evidence, end)?, end)));
        let (rank, end) = founded.rev().max_by_key(|(rank, _)| *rank)?;
        Some(finding(case, failure, passage, end, rank))
    })
}

/// How well founded it is that packets ended there; absent where they did not.
pub(super) fn rank(failure: &Failure<'_>, evidence: &Evidence, end: &End) -> Option<Rank> {
    let step = end.walk.steps.last()?;
    let counted = counted(evidence, step);
    match (Told::of(failure), counted) {
        (Told::Other, _) | (Told::Nothing, Some(0)) => None,
        (Told::Netfilter, _) => Some(Rank::Proof),
        (Told::Nothing, Some(1..)) => Some(Rank::Strong),
        (Told::Nothing, None) => {
            let tells_drops = evidence.last().missing.iter().all(|missing| missing.what != "drops");
            let is_certain = end.walk.probability > 0.999 && end.walk.doubts.is_empty();
            match (tells_drops && failure.is_silent(), is_certain) {
                (true, _) => None,
                (false, true) => Some(Rank::Strong),
                (false, false) => Some(Rank::Hint),
            }
        }
    }
}

/// Packets that a rule counted between the snapshots; absent where it does not count.
pub(super) fn counted(evidence: &Evidence, step: &Step) -> Option<u64> {
    let after = evidence.after.as_ref()?;
    step.packets?;
    let index = step.index?;
    let all = Firewall::counted(&evidence.before.firewall, &after.firewall);
    let is_it = |counted: &&crate::evidence::Counted<'_>| {
        (&counted.table, counted.chain, counted.index) == (&step.table, step.chain.as_str(), index)
    };
    Some(all.iter().find(is_it).map_or(0, |counted| counted.packets))
}

pub(super) fn hook_name(hook: Hook) -> &'static str {
    match hook {
        Hook::Prerouting => "PREROUTING",
        Hook::Input => "INPUT",
        Hook::Forward => "FORWARD",
        Hook::Output => "OUTPUT",
        Hook::Postrouting => "POSTROUTING",
        Hook::Ingress => "ingress",
        Hook::Egress => "egress",
    }
}

/// The rule in words: its text, its table, what it counted.
pub(super) fn rule_text(evidence: &Evidence, step: &Step) -> String {
    let what = match step.index {
        Some(_) => format!("rule `{}`", step.text),
        None => format!("the policy of chain {} (`{}`)", step.chain, step.text),
    };
    match counted(evidence, step) {
        Some(packets @ 1..) => format!("{what} (table {}, counted {packets})", step.table),
        _ => format!("{what} (table {})", step.table),
    }
}

fn finding(case: &Case<'_>, failure: &Failure<'_>, passage: &Passage<'_>, end: &End, rank: Rank) -> Finding {
    let snapshot = passage.snapshot();
    let steps = &end.walk.steps;
    let last = &steps[steps.len() - 1];
    let is_refusal = matches!(end.walk.ending, Ending::Rejected(_));
    let policies = policies(&snapshot.firewall, last);
    let named = match (&policies, is_refusal) {
        (Some(_), _) => Cause::NetworkPolicy,
        (None, true) => Cause::FirewallReject,
        (None, false) => Cause::FirewallDrop,
    };
    let outcome = if is_refusal { Outcome::Refused } else { Outcome::Dropped };
    let verb = if is_refusal { "refused" } else { "dropped" };
    let actor = words::actor(&failure.spot);
    let subject = subject(case, failure, passage);
    let rule = rule_text(passage.evidence, last);
    let by = match &policies {
        Some(all) if !all.is_empty() => format!("network policy {}: {rule}", all.join(", ")),
        _ => rule,
    };
    let summary = format!("{actor} {verb} {subject} in {}: {by}", hook_name(end.hook));
    // Whether endpoints are the reason is for the rules of services to say.
    let rank = if is_service_chain(last) { Rank::Hint } else { rank };
    let mut finding = Finding::of(failure, named, rank, outcome, summary);
    for step in steps.iter().rev().take(6) {
        finding = finding.fact(Fact::of(Source::Rules, snapshot, step_text(step)));
    }
    finding.remedy(remedy(last, policies.as_deref(), &actor))
}

/// What ended, in words; that it was the encapsulation.
fn subject(case: &Case<'_>, failure: &Failure<'_>, passage: &Passage<'_>) -> String {
    let subject = case.subject(failure);
    match failure.tunnels.first().filter(|_| passage.is_outer) {
        Some(tunnel) => format!("{subject} in {} from {}", tunnel.kind, tunnel.source),
        None => subject,
    }
}

fn step_text(step: &Step) -> String {
    let mut text = format!("{} {}: {}", step.table, step.chain, step.text);
    if let Some(comment) = step.comment.as_ref().filter(|comment| !step.text.contains(comment.as_str())) {
        let _ = write!(text, " /* {comment} */");
    }
    text
}

/// The rule of a step; absent for a policy.
fn rule_of<'a>(firewall: &'a Firewall, step: &Step) -> Option<&'a Rule> {
    let is_it = |table: &&crate::evidence::Table| {
        step.table.split_once(' ') == Some((table.family.as_str(), table.name.as_str()))
    };
    let tables = firewall.tables.iter().filter(is_it);
    let chain = tables.flat_map(|table| &table.chains).find(|chain| chain.name == step.chain)?;
    chain.rules.get(step.index?)
}

/// The network policies that a rule was made from, if it was made from any; their names may not be known.
fn policies(firewall: &Firewall, step: &Step) -> Option<Vec<String>> {
    let own = rule_of(firewall, step).and_then(Rule::policy);
    if let Some(own) = own {
        return Some(vec![own]);
    }
    is_policy_chain(&step.chain).then(|| firewall.policies(&step.table, &step.chain))
}

fn is_service_chain(step: &Step) -> bool {
    SERVICE_CHAINS.iter().any(|chain| step.chain.starts_with(chain)) || step.table.ends_with(" kube-proxy")
}

fn remedy(step: &Step, policies: Option<&[String]>, actor: &str) -> String {
    match policies {
        Some([]) => "let a network policy of the pod allow this traffic".to_owned(),
        Some(names) => {
            format!("let network policy {} allow this traffic, or add one that does", names.join(" or "))
        }
        None => format!(
            "on {actor} let this traffic pass before that rule, or remove it from chain {} of table {}",
            step.chain, step.table
        ),
    }
}

/// Netfilter dropped packets, and by the rules that were read none of them has to: those that counted meanwhile.
fn unnamed(case: &Case<'_>) -> Vec<Finding> {
    let failures = case.failures.iter().filter(|failure| Told::of(failure) == Told::Netfilter);
    failures.filter_map(|failure| unnamed_one(case, failure)).collect()
}

fn unnamed_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let passages = Passage::of(case, failure);
    if passages.iter().any(|passage| !passage.ends().is_empty() || !passage.ends_if_invalid().is_empty()) {
        return None;
    }
    let subject = case.subject(failure);
    let actor = words::actor(&failure.spot);
    let summary = format!("{actor} dropped {subject} by a rule of netfilter");
    let finding = Finding::of(failure, Cause::FirewallDrop, Rank::Hint, Outcome::Dropped, summary.clone());
    let look = format!("look for the rule on {actor}: `nft list ruleset`, `iptables-save -c`");
    let Some(evidence) = case.evidence_of(failure) else { return Some(finding.remedy(look)) };
    let risen = risen_drops(evidence);
    let Some((step, refuses)) = risen.first() else { return Some(finding.remedy(look)) };
    let enough =
        risen.len() == 1 && counted(evidence, step).is_some_and(|packets| packets >= failure.packets);
    let mut finding = finding;
    if enough {
        finding.rank = Rank::Strong;
        finding.cause = match (policies(&evidence.last().firewall, step), refuses) {
            (Some(_), _) => Cause::NetworkPolicy,
            (None, true) => Cause::FirewallReject,
            (None, false) => Cause::FirewallDrop,
        };
        finding.summary = format!("{summary}: {}", rule_text(evidence, step));
    }
    for (step, _) in risen.iter().take(4) {
        let text = format!("counted meanwhile: {}", step_text(step));
        finding = finding.fact(Fact::of(Source::Rules, evidence.last(), text));
    }
    Some(finding.remedy(format!("check the rules of {actor} that counted")))
}

/// Rules that drop or refuse and that counted between the snapshots.
fn risen_drops(evidence: &Evidence) -> Vec<(Step, bool)> {
    let Some(after) = &evidence.after else { return Vec::new() };
    let mut risen = Vec::new();
    for counted in Firewall::counted(&evidence.before.firewall, &after.firewall) {
        let mut step = Step {
            table: counted.table.clone(),
            chain: counted.chain.to_owned(),
            index: Some(counted.index),
            text: String::new(),
            comment: None,
            packets: None,
            probability: 1.0,
        };
        let Some(rule) = rule_of(&after.firewall, &step) else { continue };
        let refuses = rule.actions.iter().any(|action| matches!(action, Action::Reject { .. }));
        if refuses || rule.actions.contains(&Action::Drop) {
            step.text.clone_from(&rule.text);
            step.comment.clone_from(&rule.comment);
            step.packets = rule.packets;
            risen.push((step, refuses));
        }
    }
    risen
}
