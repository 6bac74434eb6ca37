//! From findings to the verdict.

use super::case::Case;
use super::failure::{Certainty, Failure};
use super::finding::Finding;
use super::verdict::{Fact, Outcome, Spot, Verdict};
use super::words;
use crate::flow::Protocol;
use crate::timeline::Orientation;

/// Lines of evidence at most.
const MAX_FACTS: usize = 16;

/// The verdict that the best finding makes, or the outcome alone.
pub(super) fn verdict(case: &Case<'_>, findings: Vec<Finding>) -> Verdict {
    let mut findings = findings;
    let best = (0..findings.len()).rev().max_by_key(|index| weight(case, &findings[*index]));
    let Some(best) = best.map(|index| findings.remove(index)) else { return without_cause(case) };
    let mut evidence = best.facts;
    let is_related = |other: &Finding| {
        other.at.is_none()
            || other.at == best.at
            || (other.subject.is_some() && other.subject == best.subject)
    };
    for other in findings.into_iter().filter(is_related) {
        for fact in other.facts {
            if !evidence.contains(&fact) {
                evidence.push(fact);
            }
        }
    }
    evidence.truncate(MAX_FACTS);
    Verdict {
        outcome: best.outcome,
        at: best.at,
        cause: Some(best.cause),
        summary: best.summary,
        evidence,
        remedy: best.remedy,
    }
}

/// The better founded wins; among these what stops a direction altogether; among these what explains more packets.
fn weight(case: &Case<'_>, finding: &Finding) -> (super::finding::Rank, bool, u64) {
    let worst = case.worst();
    let is_of_worst = worst.is_some_and(|worst| finding.subject.as_ref() == Some(&worst.spot));
    (finding.rank, is_of_worst, finding.packets)
}

fn without_cause(case: &Case<'_>) -> Verdict {
    let (outcome, at, summary) = outcome(case);
    let evidence: Vec<Fact> = case.worst().map(Failure::facts).unwrap_or_default();
    Verdict { outcome, at, cause: None, summary, evidence, remedy: None }
}

fn outcome(case: &Case<'_>) -> (Outcome, Option<Spot>, String) {
    if let Some(refused) = refused(case) {
        return refused;
    }
    if let Some(worst) = case.worst() {
        return failed(case, worst);
    }
    let (forward, reply) = (&case.flow.forward, &case.flow.reply);
    let expects_answer = case.flow.protocol == Protocol::TCP || case.flow.protocol.is_icmp();
    if expects_answer && !case.is_answered() && forward.delivered > 0 && reply.packets == 0 {
        let at = forward.hops.last().map(|hop| Spot {
            node: Some(hop.node.clone()),
            pod: hop.pod.clone(),
            after: Some(hop.place()),
            before: None,
        });
        let to = words::end(&case.flow.destination);
        return (Outcome::OneWay, at, format!("packets arrive at {to}, and nothing comes back"));
    }
    let is_seen = forward.delivered > 0 || case.is_answered() || reply.delivered > 0;
    if is_seen {
        (Outcome::Delivered, None, "everything arrived, as far as it was seen".to_owned())
    } else {
        (Outcome::Unknown, None, "it cannot be told where the packets ended".to_owned())
    }
}

fn refused(case: &Case<'_>) -> Option<(Outcome, Option<Spot>, String)> {
    let to = words::end(&case.flow.destination);
    if let Some(tcp) = &case.flow.tcp
        && tcp.reset == Some(Orientation::Reply)
        && !tcp.answered
    {
        let from = tcp.reset_from.as_ref();
        let at = from.map(|place| Spot {
            node: Some(place.node.clone()),
            pod: place.pod.clone(),
            after: Some(place.clone()),
            before: None,
        });
        let by = from.map_or_else(String::new, |place| format!(", first seen at {}", words::place(place)));
        return Some((Outcome::Refused, at, format!("the connection to {to} was refused by a RST{by}")));
    }
    let error = case.flow.icmp_errors.iter().find(|error| error.quotes == Orientation::Forward)?;
    (!case.is_answered()).then(|| {
        let at = Spot {
            node: Some(error.seen_at.node.clone()),
            pod: error.seen_at.pod.clone(),
            after: Some(error.seen_at.clone()),
            before: None,
        };
        let text = format!("{} says of packets to {to}: {}", words::end(&error.sender), error.meaning);
        (Outcome::Refused, Some(at), text)
    })
}

fn failed(case: &Case<'_>, worst: &Failure<'_>) -> (Outcome, Option<Spot>, String) {
    let subject = case.subject(worst);
    let is_partial = !case.is_stuck(worst.direction);
    let outcome = match worst.certainty {
        Certainty::Dropped => Outcome::Dropped,
        _ if is_partial => Outcome::Slow,
        _ if worst.direction == Orientation::Reply => Outcome::OneWay,
        Certainty::Stopped => Outcome::BlackHoled,
        Certainty::Vanished => Outcome::Unknown,
    };
    let place = match (&worst.spot.node, worst.after) {
        (Some(_), _) => format!("in {}", words::actor(&worst.spot)),
        (None, Some(after)) => format!("after {}", words::place(&after.place())),
        (None, None) => "at a place that is not known".to_owned(),
    };
    let summary = match worst.certainty {
        Certainty::Dropped => format!("{} dropped {subject}", words::actor(&worst.spot)),
        Certainty::Stopped => format!("{subject} vanished {place}"),
        Certainty::Vanished => format!("{subject} were last seen {place}, and nothing came back"),
    };
    (outcome, Some(worst.spot.clone()), summary)
}
