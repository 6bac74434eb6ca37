//! Names that do not exist, name servers that do not answer, and such that take their time.

mod search;

use search::{Asked, search_domain};

use super::case::Case;
use super::finding::{Finding, Rank, Rule};
use super::service::{Aim, Far, refusal, refusal_fact};
use super::verdict::{Cause, Fact, Outcome, Source, Spot};
use super::words;
use crate::report::{DnsAnswer, DnsLookup};

/// Rules about lookups; before those about ports, because what is refused here is a question.
pub(super) const RULES: &[Rule] = &[unreachable, no_name, slow];

/// From which time on an answer is late, in nanoseconds: a server in a cluster takes milliseconds, and a resolver asks again
/// after 5 s.
const LATE: u64 = 500_000_000;
/// After which time a question is taken for unanswered, in nanoseconds.
const PATIENCE: u64 = LATE;
/// Lookups named at most.
const MAX_NAMED: usize = 4;

/// Questions that nobody answers:
///
/// 1. No response to them was seen at all.
/// 2. They were asked again, or refused, or the trace went on for longer than an answer may take.
/// 3. The far end refuses them: proof. They arrived and nothing came back: strong. They ended on their way: a hint, because
///    what ended them is the cause, where it can be told.
fn unreachable(case: &Case<'_>) -> Vec<Finding> {
    let open: Vec<&DnsLookup> =
        lookups(case).filter(|lookup| lookup.responses == 0 && lookup.queries > 0).collect();
    let is_answered = lookups(case).any(|lookup| lookup.responses > 0);
    let refused = refusal(case);
    let is_final = |lookup: &&DnsLookup| lookup.queries > 1 || refused.is_some() || went_on(case, lookup);
    if is_answered || !open.iter().any(is_final) {
        return Vec::new();
    }
    let aim = Aim::of(case);
    let end = aim.end();
    let far = Far::of(case, end.address);
    let who = far.name(end.address);
    let forward = &case.flow.forward;
    let has_arrived = forward.delivered > 0;
    let (rank, how) = match (refused, has_arrived) {
        (Some(error), _) if error.sender.endpoint.address == end.address => (Rank::Proof, "refuses them"),
        (_, true) => (Rank::Strong, "gets them, and does not answer"),
        (_, false) => (Rank::Hint, "does not get them"),
    };
    let asked = words::count(open.iter().map(|lookup| lookup.queries).sum(), "question");
    let summary = format!("{asked} to name server {end} not answered ({}): {who} {how}", named(&open));
    let outcome = match (refused, case.worst()) {
        (Some(_), _) => Outcome::Refused,
        (None, Some(worst)) if !worst.drops.is_empty() => Outcome::Dropped,
        (None, _) if has_arrived => Outcome::OneWay,
        (None, _) => Outcome::BlackHoled,
    };
    let mut finding = match case.worst() {
        Some(worst) => Finding::of(worst, Cause::DnsUnreachable, rank, outcome, summary),
        None => placed(Finding::new(Cause::DnsUnreachable, rank, outcome, summary), server(case, &far)),
    };
    finding.packets = finding.packets.max(forward.packets);
    if let Some(error) = refused {
        finding = finding.fact(refusal_fact(error));
    }
    if has_arrived && refused.is_none() {
        let text = format!("{} arrived at {who}, none came back", words::count(forward.delivered, "packet"));
        finding = finding.fact(Fact::general(Source::Packets, text));
    }
    let remedy = format!(
        "see whether a name server runs at {end} (`kubectl -n kube-system get pods`) and answers {who}'s clients"
    );
    vec![finding.remedy(remedy)]
}

/// Names that do not exist: those of the search list, which nobody meant, told from others.
fn no_name(case: &Case<'_>) -> Vec<Finding> {
    let lookups: Vec<&DnsLookup> = lookups(case).filter(|lookup| code(lookup) == Some("NXDOMAIN")).collect();
    let Some(first) = lookups.first() else { return Vec::new() };
    let asked = Asked::by_the_client_of(case);
    let aim = Aim::of(case);
    let far = Far::of(case, aim.end().address);
    let at = server(case, &far);
    let fact = |lookup: &&DnsLookup| Fact::general(Source::Packets, line(lookup));
    let searched = lookups.iter().find_map(|lookup| {
        let name = &lookup.question.as_ref()?.name;
        Some((name.as_str(), search_domain(case, &asked, name)?))
    });
    let finding = if let Some((name, domain)) = searched {
        let meant = name.strip_suffix(domain.as_str()).map_or(name, |meant| meant.trim_end_matches('.'));
        let found = asked.resolved(meant);
        let outcome = if found { Outcome::Slow } else { Outcome::Refused };
        let number = words::count(asked.of(meant), "question");
        let end = if found { "before the name was found" } else { "and none of the names exists" };
        let summary = format!(
            "{name} does not exist: the resolver put the search domain {domain} behind {meant}; {number} for it, {end}"
        );
        Finding::new(Cause::DnsSearch, Rank::Proof, outcome, summary).remedy(format!(
            "ask for `{meant}.` with a dot at its end, give services with their namespaces, or lower `ndots` in the pod's dnsConfig"
        ))
    } else {
        let name = first.question.as_ref().map_or("the name", |question| question.name.as_str());
        let summary = format!("{name} does not exist, says name server {}", aim.front);
        Finding::new(Cause::DnsNoName, Rank::Proof, Outcome::Refused, summary)
            .remedy(format!("correct the name, or make what {name} is to stand for"))
    };
    let finding = placed(finding, at).packets(lookups.len() as u64);
    vec![lookups.iter().take(MAX_NAMED).map(fact).fold(finding, Finding::fact)]
}

/// Answers that come late: what took the time is the server, or what it asks in turn.
fn slow(case: &Case<'_>) -> Vec<Finding> {
    let late: Vec<(&DnsLookup, u64)> = lookups(case)
        .filter_map(|lookup| {
            let answer = lookup.answer.as_ref()?;
            // Where the server's part is not known, all of it may be due to a question that was lost and asked again.
            let whole = || answer.latency_ns.filter(|_| lookup.queries == 1);
            let taken = answer.server_ns.or_else(whole)?;
            (taken >= LATE).then_some((lookup, taken))
        })
        .collect();
    let Some((_, longest)) = late.iter().max_by_key(|(_, taken)| *taken) else { return Vec::new() };
    let aim = Aim::of(case);
    let far = Far::of(case, aim.end().address);
    let who = far.name(aim.end().address);
    let questions: Vec<&DnsLookup> = late.iter().map(|(lookup, _)| *lookup).collect();
    let summary =
        format!("name server {who} took {} to answer ({})", milliseconds(*longest), named(&questions));
    let finding = Finding::new(Cause::DnsSlow, Rank::Strong, Outcome::Slow, summary)
        .packets(late.len() as u64)
        .remedy(format!("see what {who} waits for: its own upstream servers, or its processor's limit"));
    let fact = |lookup: &&DnsLookup| Fact::general(Source::Packets, line(lookup));
    vec![placed(questions.iter().take(MAX_NAMED).map(fact).fold(finding, Finding::fact), server(case, &far))]
}

fn lookups<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a DnsLookup> + use<'a> {
    case.flow.dns.iter().flat_map(|dns| &dns.lookups)
}

fn code(lookup: &DnsLookup) -> Option<&str> {
    lookup.answer.as_ref().map(|answer| answer.code.as_str())
}

/// Whether the trace went on long enough after a question for an answer to come.
fn went_on(case: &Case<'_>, lookup: &DnsLookup) -> bool {
    let ends = case.grounds.evidence.iter().filter_map(|evidence| evidence.after.as_ref());
    let end = ends.map(|after| after.taken_ns.0).max().unwrap_or_default();
    lookup.asked_ns.is_some_and(|asked| asked.0.saturating_add(PATIENCE) < end)
}

/// Where the server is: where answers come from, where questions arrive, or the owner of its address.
fn server(case: &Case<'_>, far: &Far<'_>) -> Option<Spot> {
    let (first, last) = (case.flow.reply.hops.first(), case.flow.forward.hops.last());
    let seen = first.or(last.filter(|_| case.flow.forward.delivered > 0));
    let mut spot = far.spot().or_else(|| {
        seen.map(|hop| Spot { node: Some(hop.node.clone()), pod: hop.pod.clone(), after: None, before: None })
    })?;
    spot.after = last.map(crate::report::Hop::place);
    Some(spot)
}

fn placed(finding: Finding, at: Option<Spot>) -> Finding {
    match at {
        Some(at) => finding.at(at),
        None => finding,
    }
}

/// `A? a.b, AAAA? a.b`.
fn named(lookups: &[&DnsLookup]) -> String {
    let questions = lookups.iter().filter_map(|lookup| lookup.question.as_ref());
    let named: Vec<String> = questions.take(MAX_NAMED).map(ToString::to_string).collect();
    if named.is_empty() { "what is not known".to_owned() } else { named.join(", ") }
}

/// `A? a.b: NXDOMAIN after 3 ms`.
fn line(lookup: &DnsLookup) -> String {
    let question = lookup.question.as_ref().map_or_else(|| "a question".to_owned(), ToString::to_string);
    let answer = match &lookup.answer {
        Some(answer) => format!("{answer}{}", after(answer)),
        None => "no answer".to_owned(),
    };
    let times = if lookup.queries > 1 { format!(" (asked {} times)", lookup.queries) } else { String::new() };
    format!("{question}{times}: {answer}")
}

fn after(answer: &DnsAnswer) -> String {
    let whole = answer.latency_ns.map(|taken| format!(" after {}", milliseconds(taken))).unwrap_or_default();
    let server = answer.server_ns.map(|taken| format!(", of which the server took {}", milliseconds(taken)));
    whole + &server.unwrap_or_default()
}

fn milliseconds(nanoseconds: u64) -> String {
    match nanoseconds / 1_000_000 {
        0 => format!("{} µs", nanoseconds / 1000),
        whole => format!("{whole} ms"),
    }
}

#[cfg(test)]
mod tests;
