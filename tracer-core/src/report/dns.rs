//! Questions to name servers of one flow, and their answers.

use std::fmt;

use serde::Serialize;

use crate::packet::dns::Question;
use crate::timeline::{Answer, Lookup, Lookups};
use crate::units::Timestamp;

/// All lookups of one flow.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct DnsReport {
    /// What was asked, in the order in which it was asked.
    pub lookups: Vec<DnsLookup>,
    /// Messages about further questions, which are not kept.
    pub further: u64,
}

/// One question, and what became of it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct DnsLookup {
    /// What is asked; absent where no message told it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub question: Option<DnsQuestion>,
    /// When it was asked first, in nanoseconds since the epoch; absent where the query was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_ns: Option<Timestamp>,
    /// Queries: more than one where it was asked again.
    pub queries: u64,
    /// Responses.
    pub responses: u64,
    /// The first answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<DnsAnswer>,
}

/// A question.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct DnsQuestion {
    /// The name, without the dot at its end.
    pub name: String,
    /// Whether the name goes on behind what was captured.
    pub is_cut: bool,
    /// Type of the records asked for (`A`, `AAAA`, `TYPE12345`); absent where it was not captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_type: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct DnsAnswer {
    /// How it went (`NOERROR`, `NXDOMAIN`, `SERVFAIL`).
    pub code: String,
    /// Records in the answer section.
    pub records: u16,
    /// Whether it was too long for a datagram.
    pub is_truncated: bool,
    /// Nanoseconds from the first query to the answer where the query was seen first; absent where the answer did not come
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<u64>,
    /// Nanoseconds from the latest query to the answer where the query was seen last: what is beyond took them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_ns: Option<u64>,
}

impl DnsReport {
    pub(super) fn of(lookups: &Lookups) -> Self {
        Self { lookups: lookups.kept().iter().map(DnsLookup::of).collect(), further: lookups.overflow }
    }
}

impl DnsLookup {
    fn of(lookup: &Lookup) -> Self {
        Self {
            question: lookup.question.as_ref().map(DnsQuestion::of),
            asked_ns: lookup.asked,
            queries: lookup.queries,
            responses: lookup.responses,
            answer: lookup.answer.as_ref().map(DnsAnswer::of),
        }
    }
}

impl DnsQuestion {
    pub(crate) fn of(question: &Question) -> Self {
        Self {
            name: question.name.clone(),
            is_cut: question.is_cut,
            record_type: question.kind.map(|kind| kind.to_string()),
        }
    }
}

impl DnsAnswer {
    pub(crate) fn of(answer: &Answer) -> Self {
        Self {
            code: answer.code.to_string(),
            records: answer.records,
            is_truncated: answer.is_truncated,
            latency_ns: answer.latency,
            server_ns: answer.server,
        }
    }
}

/// `A? svc.default.svc.cluster.local`.
impl fmt::Display for DnsQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = &self.record_type {
            write!(f, "{kind}? ")?;
        }
        write!(f, "{}{}", self.name, if self.is_cut { "…" } else { "" })
    }
}

/// `NXDOMAIN`, `NOERROR with 2 records`.
impl fmt::Display for DnsAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match (self.code.as_str(), self.records) {
            ("NOERROR", 1) => f.write_str(" with 1 record")?,
            ("NOERROR", records) => write!(f, " with {records} records")?,
            _ => {}
        }
        if self.is_truncated { f.write_str(", truncated") } else { Ok(()) }
    }
}
