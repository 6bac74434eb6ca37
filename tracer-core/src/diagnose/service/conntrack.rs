//! Tables of connections: full, or with two packets that made the same connection at once.

use crate::diagnose::case::Case;
use crate::diagnose::failure::Failure;
use crate::diagnose::finding::{Finding, Rank};
use crate::diagnose::verdict::{Cause, Fact, Outcome, Source};
use crate::diagnose::words;
use crate::evidence::{Evidence, Snapshot};

/// The reason that netfilter gives for what `nf_conntrack_in` and `nf_conntrack_confirm` refuse.
const NETFILTER: &[&str] = &["NETFILTER_DROP"];
/// Functions that free it, by whichever reason: kernels before 5.17 tell none, and of what comes back from a queue none is
/// told (`nfnetlink_queue.c`).
const FUNCTIONS: &[&str] = &["nf_hook_slow", "nf_reinject", "nfqnl_reinject"];
/// Of how many hundredths on a table counts as full: entries go while it is read.
const NEARLY: u64 = 95;

/// Packets ended in a namespace whose table of connections is full:
///
/// 1. The kernel says that netfilter dropped them, or does not say why.
/// 2. More packets were dropped for want of an entry than for a clash meanwhile: proof where the table has at least 95
///    hundredths of its size, else strong.
/// 3. Where it could be asked only once (to read a full table takes long) and had not one entry left: proof with the
///    kernel's word, else strong.
pub(super) fn full(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (failure, evidence) in candidates(case) {
        let rise = evidence.conntrack_rise(|cpu| cpu.drop);
        let clashes = evidence.conntrack_rise(|cpu| cpu.insert_failed);
        let fill = [Some(&evidence.before), evidence.after.as_ref()].into_iter().flatten().map(fill).max();
        let fill = fill.unwrap_or(Fill::Room);
        let rank = match (evidence.after.is_some(), fill) {
            (true, Fill::Room) if rise > clashes => Rank::Strong,
            (true, _) if rise > clashes => Rank::Proof,
            (false, Fill::Full) if is_by_netfilter(failure) => Rank::Proof,
            (false, Fill::Full) => Rank::Strong,
            _ => continue,
        };
        let snapshot = evidence.last();
        let who = words::actor(&failure.spot);
        let size = size(snapshot);
        let summary = format!(
            "{who} dropped {}: its table of connections is full{}",
            case.subject(failure),
            size.as_ref().map(|size| format!(" ({size})")).unwrap_or_default()
        );
        let mut finding = Finding::of(failure, Cause::ConntrackFull, rank, Outcome::Dropped, summary).remedy(format!(
            "raise net.netfilter.nf_conntrack_max on {}, or find who opens so many connections (`conntrack -L`)",
            snapshot.node
        ));
        if rise > 0 {
            let text = format!("{} dropped because no entry could be made", words::count(rise, "packet"));
            finding = finding.fact(Fact::of(Source::Conntrack, snapshot, text));
        }
        if let Some(size) = size {
            finding =
                finding.fact(Fact::of(Source::Conntrack, snapshot, format!("nf_conntrack_count is {size}")));
        }
        findings.push(finding);
    }
    findings
}

/// Packets ended in a namespace where two packets made the same connection at once:
///
/// 1. The kernel says that netfilter dropped them: proof; or does not say why: strong.
/// 2. An entry could not be inserted meanwhile, and no more packets ended than there were such.
/// 3. Others of the flow, or of the same moment, passed: one of two is dropped, not all.
pub(super) fn clash(case: &Case<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (failure, evidence) in candidates(case) {
        let clashes = evidence.conntrack_rise(|cpu| cpu.insert_failed);
        if clashes == 0 || failure.packets > clashes {
            continue;
        }
        let rank = if is_by_netfilter(failure) { Rank::Proof } else { Rank::Strong };
        let snapshot = evidence.last();
        let who = words::actor(&failure.spot);
        let summary = format!(
            "{who} dropped {}: another packet had made the same connection at the same moment",
            case.subject(failure)
        );
        let text = format!("{} could not be inserted (insert_failed)", words::count(clashes, "connection"));
        let finding = Finding::of(failure, Cause::ConntrackClash, rank, Outcome::Dropped, summary)
            .fact(Fact::of(Source::Conntrack, snapshot, text))
            .remedy(
                "send the two from sockets of their own (`options single-request-reopen` in resolv.conf), use a name \
                 server on the node (NodeLocal DNSCache), or draw source ports at random (`--random-fully`)",
            );
        findings.push(finding);
    }
    findings
}

/// Packets that ended within a namespace that was asked, for a reason that netfilter may have had.
fn candidates<'c, 'a>(case: &'c Case<'a>) -> impl Iterator<Item = (&'c Failure<'a>, &'a Evidence)> {
    let may_be = |failure: &&Failure<'_>| failure.is_silent() || is_by_netfilter(failure);
    let within = case.failures.iter().filter(|failure| failure.is_within()).filter(may_be);
    within.filter_map(|failure| Some((failure, case.evidence_of(failure)?)))
}

fn is_by_netfilter(failure: &Failure<'_>) -> bool {
    failure.has_reason(NETFILTER) || failure.has_function(FUNCTIONS)
}

/// How full a table is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fill {
    Room,
    Nearly,
    Full,
}

fn fill(snapshot: &Snapshot) -> Fill {
    match (snapshot.conntrack.count, snapshot.conntrack.max) {
        (Some(count), Some(max)) if max > 0 && count >= max => Fill::Full,
        (Some(count), Some(max)) if max > 0 && count.saturating_mul(100) >= max.saturating_mul(NEARLY) => {
            Fill::Nearly
        }
        _ => Fill::Room,
    }
}

/// `262144 of 262144`; absent where it could not be read.
fn size(snapshot: &Snapshot) -> Option<String> {
    Some(format!("{} of {}", snapshot.conntrack.count?, snapshot.conntrack.max?))
}
