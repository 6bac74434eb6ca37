//! What happened to the packets of a flow, and why: a [`Verdict`] from what was seen and from the evidence of the nodes.
//!
//! Each flow is a [`Case`](case::Case): its report, its failures (places where packets ended, by stops and by the kernels'
//! own records of drops) and the evidence. Rules look at it and make findings, each with a rank:
//!
//! 1. proof: the kernel says that it did it, and what it did it by is there;
//! 2. strong: something besides the effect speaks for it, and nothing against it;
//! 3. hint: it fits, and nothing that was read explains it better.
//!
//! The best finding is the verdict, what others say of the same place stays as evidence. A cause is named only where
//! something besides its effect speaks for it; else the outcome stands alone. A flow without failures has no cause.

mod afterthought;
mod case;
mod choose;
mod delta;
mod dns;
mod duplicates;
mod failure;
mod finding;
mod firewall;
mod kernel;
mod links;
mod looping;
mod mtu;
mod neighbours;
mod nexthop;
mod passage;
mod reverse;
mod routing;
mod service;
mod tcp;
mod tunnels;
mod verdict;
mod wire;
mod words;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use verdict::{Cause, Fact, Outcome, Source, Spot, Verdict};

use case::Case;
use finding::Rule;

use crate::evidence::Evidence;
use crate::report::Report;
use crate::resolve::{ClusterState, Names};

/// What a verdict is made from, besides the report.
#[derive(Clone, Copy, Debug)]
pub struct Grounds<'a> {
    /// Of every network namespace that could be asked; empty for captures in files.
    pub evidence: &'a [Evidence],
    /// Who has which address.
    pub names: &'a Names,
    /// The cluster, where one is known.
    pub state: Option<&'a ClusterState>,
}

/// Every set of rules; among findings that are equally good that of the earlier rule counts.
const RULES: &[&[Rule]] = &[
    dns::RULES,
    service::RULES,
    tcp::RULES,
    links::RULES,
    looping::RULES,
    tunnels::RULES,
    neighbours::RULES,
    duplicates::RULES,
    firewall::RULES,
    reverse::RULES,
    routing::RULES,
    mtu::RULES,
    wire::RULES,
    kernel::RULES,
];

/// Gives every flow of a report its verdict.
pub fn judge(report: &mut Report, grounds: Grounds<'_>) {
    let verdicts: Vec<Verdict> = report.flows.iter().map(|flow| verdict(flow, report, grounds)).collect();
    for (flow, verdict) in report.flows.iter_mut().zip(verdicts) {
        flow.verdict = Some(verdict);
    }
}

fn verdict(flow: &crate::report::FlowReport, report: &Report, grounds: Grounds<'_>) -> Verdict {
    let case = Case::of(flow, report, grounds);
    let findings = RULES.iter().copied().flatten().flat_map(|rule| rule(&case)).collect();
    choose::verdict(&case, findings)
}
