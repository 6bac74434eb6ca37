//! What a rule found out about a flow.

use super::case::Case;
use super::failure::Failure;
use super::verdict::{Cause, Fact, Outcome, Source, Spot};

/// Looks at a flow for causes of one kind; what it does not find is nothing.
pub(super) type Rule = fn(&Case<'_>) -> Vec<Finding>;

/// How well a finding is founded, the best last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// It fits, and nothing that was read explains it better.
    Hint,
    /// Something besides the effect speaks for it, and nothing against it.
    Strong,
    /// The kernel says that it did it, and what it did it by is there.
    Proof,
}

/// A cause that a rule found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Why.
    pub(super) cause: Cause,
    /// How well that is founded.
    pub(super) rank: Rank,
    /// What became of the flow by it.
    pub(super) outcome: Outcome,
    /// Where; absent where it cannot be told.
    pub(super) at: Option<Spot>,
    /// Where the failure was that it explains; absent where it explains none.
    pub(super) subject: Option<Spot>,
    /// Packets of the flow that it explains.
    pub(super) packets: u64,
    /// One sentence.
    pub(super) summary: String,
    /// What speaks for it, most telling first.
    pub(super) facts: Vec<Fact>,
    /// What to do.
    pub(super) remedy: Option<String>,
}

impl Finding {
    /// A finding of one sentence, without place or evidence as yet.
    pub(super) fn new(cause: Cause, rank: Rank, outcome: Outcome, summary: impl Into<String>) -> Self {
        Self {
            cause,
            rank,
            outcome,
            at: None,
            subject: None,
            packets: 0,
            summary: summary.into(),
            facts: Vec::new(),
            remedy: None,
        }
    }

    /// About one failure: its place, its packets, and what the kernel and the packets say of it as the last evidence.
    pub(super) fn of(
        failure: &Failure<'_>,
        cause: Cause,
        rank: Rank,
        outcome: Outcome,
        summary: impl Into<String>,
    ) -> Self {
        let mut finding = Self::new(cause, rank, outcome, summary).at(failure.spot.clone());
        finding.subject = Some(failure.spot.clone());
        finding.packets = failure.packets;
        finding.facts = failure.facts();
        finding
    }

    /// Sets the place, where it is another one than that of the failure.
    pub(super) fn at(mut self, spot: Spot) -> Self {
        self.at = Some(spot);
        self
    }

    /// Sets how many packets of the flow it explains: the finding that explains more wins among equal ranks.
    pub(super) fn packets(mut self, packets: u64) -> Self {
        self.packets = packets;
        self
    }

    /// Adds evidence, before what [`Self::of`] had put in and after what was added before.
    pub(super) fn fact(mut self, fact: Fact) -> Self {
        let own = |fact: &Fact| !matches!(fact.source, Source::Packets | Source::Drops);
        let end = self.facts.iter().rposition(own).map_or(0, |last| last + 1);
        if own(&fact) {
            self.facts.insert(end, fact);
        } else {
            self.facts.push(fact);
        }
        self
    }

    /// Says what to do.
    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Fact {
    /// A line of evidence of a namespace.
    pub(super) fn of(source: Source, snapshot: &crate::evidence::Snapshot, text: impl Into<String>) -> Self {
        Self { source, node: Some(snapshot.node.clone()), pod: snapshot.pod.clone(), text: text.into() }
    }

    /// A line of evidence of the cluster's state, or of the packets as a whole.
    pub(super) fn general(source: Source, text: impl Into<String>) -> Self {
        Self { source, node: None, pod: None, text: text.into() }
    }
}
