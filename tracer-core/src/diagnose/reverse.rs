//! Packets that came in by another interface than their source is reached by (`rp_filter`, RFC 3704), and answers that go
//! around whoever tracks the connection.

use super::case::Case;
use super::failure::Failure;
use super::finding::{Finding, Rank, Rule};
use super::firewall::{Told, hook_name, rank as rule_rank, rule_text};
use super::passage::{Passage, route};
use super::routing::route_text;
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::evidence::{ConntrackEntry, Lookup, RouteAnswer};
use crate::flow::FlowKey;
use crate::report::Hop;
use crate::timeline::{Change, Orientation};

pub(super) const RULES: &[Rule] = &[reverse_path, invalid, around_translation];

/// `fib_validate_source` in `net/ipv4/fib_frontend.c`.
const REASON: &str = "IP_RPFILTER";
const COUNTER: &str = "TcpExtIPReversePathFilter";

fn reverse_path(case: &Case<'_>) -> Vec<Finding> {
    let arrival = case.arrival();
    let failures = case.failures.iter().filter(|failure| failure.is_within()).chain(&arrival);
    failures.filter_map(|failure| reverse_path_one(case, failure)).collect()
}

fn reverse_path_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let is_told = failure.has_reason(&[REASON]);
    if !is_told && Told::of(failure) != Told::Nothing {
        return None;
    }
    let actor = words::actor(&failure.spot);
    let subject = case.subject(failure);
    for passage in Passage::of(case, failure) {
        let Some(input) = passage.input else { continue };
        let Some((text, fact)) = fault(&passage, input, passage.key) else { continue };
        let rise = passage.evidence.rise(COUNTER);
        if !is_told && rise == 0 {
            continue;
        }
        let rank = if is_told { Rank::Proof } else { Rank::Strong };
        let summary = format!("{actor} dropped {subject} that came in by {input}: {text}");
        let mut finding = Finding::of(failure, Cause::ReversePathFilter, rank, Outcome::Dropped, summary);
        let mode = passage.snapshot().rp_filter(input).unwrap_or_default();
        let setting = format!("rp_filter of {input} is {mode}");
        finding = finding.fact(Fact::of(Source::Sysctl, passage.snapshot(), setting));
        finding = finding.fact(Fact::of(Source::Routes, passage.snapshot(), fact));
        if rise > 0 {
            let text = format!("{COUNTER} rose by {rise}");
            finding = finding.fact(Fact::of(Source::Counters, passage.snapshot(), text));
        }
        return Some(finding.remedy(remedy(&actor, input)));
    }
    is_told.then(|| {
        let input = failure.input.unwrap_or("the interface that they came in by");
        let source = failure.tuple.source.address;
        let summary =
            format!("{actor} dropped {subject}: their source {source} is not reached by {input} (rp_filter)");
        Finding::of(failure, Cause::ReversePathFilter, Rank::Proof, Outcome::Dropped, summary)
            .remedy(remedy(&actor, input))
    })
}

fn remedy(actor: &str, input: &str) -> String {
    format!(
        "on {actor} give the source a route by {input}, or set net.ipv4.conf.all.rp_filter and \
         net.ipv4.conf.{input}.rp_filter to 2 or 0"
    )
}

/// Why the filter of an interface drops what has this source, and the route that says so.
fn fault(passage: &Passage<'_>, input: &str, key: FlowKey) -> Option<(String, String)> {
    let source = key.source.address;
    if source.is_ipv6() {
        return None;
    }
    let snapshot = passage.snapshot();
    let mode = snapshot.rp_filter(input)?;
    let lookup = Lookup { destination: source, source: Some(key.destination.address), mark: 0, input: None };
    match (mode, route(snapshot, lookup)) {
        (1, RouteAnswer::Route(route)) => {
            let link = snapshot.link(route.link?)?;
            (link.name != input).then(|| {
                let text = format!("its route back to {source} goes by {} (rp_filter is strict)", link.name);
                (text, format!("route back {}", route_text(route, snapshot)))
            })
        }
        (1 | 2, RouteAnswer::None) => {
            Some((format!("it has no route back to {source} (rp_filter)"), format!("no route to {source}")))
        }
        _ => None,
    }
}

/// Packets dropped because they belong to no connection that the node knows, by these rules in this order:
///
/// 1. The other direction does not pass the node: it cannot know the connection.
/// 2. They are such that may open a connection, or belong to one without states: only a checksum that is wrong makes
///    connection tracking call them invalid (`nf_conntrack_checksum`).
/// 3. Otherwise the rule is all that can be told.
fn invalid(case: &Case<'_>) -> Vec<Finding> {
    case.failures.iter().filter_map(|failure| invalid_one(case, failure)).collect()
}

fn invalid_one(case: &Case<'_>, failure: &Failure<'_>) -> Option<Finding> {
    let node = failure.spot.node.as_deref()?;
    let other = match failure.direction {
        Orientation::Forward => Orientation::Reply,
        Orientation::Reply => Orientation::Forward,
    };
    let passes = |hop: &Hop| hop.node == node && hop.pod == failure.spot.pod;
    let others = &case.lane(other).hops;
    let is_one_sided = !others.is_empty() && !others.iter().any(passes);
    if Told::of(failure) == Told::Other {
        return None;
    }
    let passage = Passage::of(case, failure).pop()?;
    let is_untracked = is_one_sided && failure.direction == Orientation::Reply;
    if !is_untracked && !passage.ends().is_empty() {
        return None;
    }
    let ends = passage.ends_if_invalid();
    let (end, rank) = ends.iter().find_map(|end| Some((end, rule_rank(failure, passage.evidence, end)?)))?;
    let step = end.walk.steps.last()?;
    let actor = words::actor(&failure.spot);
    let (named, why, remedy) = if is_one_sided {
        let remedy = format!("route both directions by {actor}, or neither");
        (Cause::AsymmetricReturn, "as of no connection, because the other direction does not pass it", remedy)
    } else if is_stateless(case, failure) {
        let remedy = "look for the device that changes them: a broken link or network card, checksum offload of a \
                      tunnel (`ethtool -K DEVICE tx off` to try)";
        (Cause::BadChecksum, "as invalid though they fit: their checksum is wrong", remedy.to_owned())
    } else {
        let remedy = format!(
            "find out why connection tracking of {actor} calls them invalid (`conntrack -S`, nf_conntrack_log_invalid)"
        );
        (Cause::FirewallDrop, "as invalid", remedy)
    };
    let summary = format!(
        "{actor} dropped {} in {} {why}: {}",
        case.subject(failure),
        hook_name(end.hook),
        rule_text(passage.evidence, step)
    );
    let fact = format!("rule {} {}: {}", step.table, step.chain, step.text);
    let mut finding = Finding::of(failure, named, rank, Outcome::Dropped, summary).fact(Fact::of(
        Source::Rules,
        passage.snapshot(),
        fact,
    ));
    let invalid = passage.evidence.conntrack_rise(|cpu| cpu.invalid);
    if invalid > 0 {
        let text = format!("connection tracking called {invalid} packets invalid");
        finding = finding.fact(Fact::of(Source::Conntrack, passage.snapshot(), text));
    }
    Some(finding.remedy(remedy))
}

/// Whether no state of their connection can make these packets invalid: they open it, or it has none.
fn is_stateless(case: &Case<'_>, failure: &Failure<'_>) -> bool {
    match (&case.flow.tcp, failure.direction) {
        (Some(tcp), Orientation::Forward) => tcp.opened && !tcp.answered,
        // What answers a SYN is the first of its direction.
        (Some(tcp), Orientation::Reply) => tcp.opened && case.is_stuck(Orientation::Reply),
        (None, _) => true,
    }
}

/// Answers that do not come by the node that had changed the request's destination: nobody changes it back.
fn around_translation(case: &Case<'_>) -> Vec<Finding> {
    around_translation_of(case).into_iter().collect()
}

fn around_translation_of(case: &Case<'_>) -> Option<Finding> {
    let flow = case.flow;
    let is_dnat = |hop: &&Hop| hop.changes.iter().any(|change| matches!(change, Change::Dnat { .. }));
    let at = flow.forward.hops.iter().find(is_dnat)?;
    let reply = &flow.reply.hops;
    let is_undone = |hop: &Hop| hop.changes.iter().any(|change| matches!(change, Change::UnDnat { .. }));
    let comes_by = reply.iter().any(|hop| hop.node == at.node && hop.pod == at.pod);
    let works = flow.tcp.as_ref().is_some_and(|tcp| tcp.fin.len() == 2 && tcp.reset.is_none());
    if reply.is_empty() || reply.iter().any(is_undone) || comes_by || works {
        return None;
    }
    let left = reply.iter().rev().find(|hop| hop.pod.is_none()).or(reply.last())?;
    let sent = &flow.destination.endpoint;
    let summary = format!(
        "answers come from {} instead of {sent}: they do not pass {}, which had changed the destination, and leave {} by {}",
        left.source.endpoint, at.node, left.node, left.interface
    );
    let spot = Spot {
        node: Some(left.node.clone()),
        pod: left.pod.clone(),
        after: Some(left.place()),
        before: None,
    };
    let mut finding = Finding::new(Cause::AsymmetricReturn, Rank::Strong, Outcome::OneWay, summary)
        .at(spot)
        .packets(flow.reply.packets);
    if let Some(entry) = unanswered_entry(case, at) {
        let snapshot = case.evidence(&at.node, at.pod.as_deref())?.last();
        let text = format!(
            "the connection to {}:{} has seen no answer",
            entry.original.destination, entry.original.destination_port
        );
        finding = finding.fact(Fact::of(Source::Conntrack, snapshot, text));
    }
    let seen = Fact {
        source: Source::Packets,
        node: Some(left.node.clone()),
        pod: left.pod.clone(),
        text: format!("answers from {} at {} {}", left.source.endpoint, left.node, left.interface),
    };
    Some(finding.fact(seen).remedy(format!(
        "let {} masquerade such connections (kube-proxy's masquerade marks, externalTrafficPolicy), or route answers back by it",
        at.node
    )))
}

fn unanswered_entry<'a>(case: &Case<'a>, at: &Hop) -> Option<&'a ConntrackEntry> {
    let entries = &case.evidence(&at.node, at.pod.as_deref())?.last().conntrack.entries;
    let sent = case.flow.destination.endpoint;
    entries.iter().find(|entry| {
        let original = &entry.original;
        (original.destination, original.destination_port) == (sent.address, sent.port.0)
            && original.source == case.flow.source.endpoint.address
            && !entry.is_answered
    })
}
