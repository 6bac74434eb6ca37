//! Questions to name servers and their answers, a line each.

use std::io::{self, Write};

use super::Colour;
use super::units::duration;
use crate::output::printable;
use crate::report::{DnsLookup, DnsReport};

/// Lookups of one flow that are printed at most.
const TOLD: usize = 16;

/// Writes what was asked and what came of it.
pub(super) fn lookups(writer: &mut impl Write, dns: &DnsReport, colour: Colour) -> io::Result<()> {
    for lookup in dns.lookups.iter().take(TOLD) {
        writeln!(writer, "  {}", line(lookup, colour))?;
    }
    match dns.lookups.len().saturating_sub(TOLD) as u64 + dns.further {
        0 => Ok(()),
        1 => writeln!(writer, "  1 more question"),
        more => writeln!(writer, "  {more} more questions: -o json tells those that are kept"),
    }
}

fn line(lookup: &DnsLookup, colour: Colour) -> String {
    let question = lookup.question.as_ref().map(|question| printable(&question.to_string()));
    let question = question.unwrap_or_else(|| "an unseen question".to_owned());
    let times = if lookup.queries > 1 { format!(", asked {} times", lookup.queries) } else { String::new() };
    let Some(answer) = &lookup.answer else {
        return colour.alarm(&format!("DNS {question}: no answer{times}"));
    };
    let latency = answer.latency_ns.map(|latency| format!(" after {}", duration(latency)));
    let server = answer.server_ns.map(|server| format!(" ({} of it beyond the last hop)", duration(server)));
    let text = format!(
        "DNS {question}: {}{}{}{times}",
        printable(&answer.to_string()),
        latency.unwrap_or_default(),
        server.unwrap_or_default()
    );
    if answer.code == "NOERROR" { text } else { colour.alarm(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DnsAnswer, DnsQuestion};

    fn lookup(answer: Option<DnsAnswer>, queries: u64) -> DnsLookup {
        let question =
            DnsQuestion { name: "a.svc".to_owned(), is_cut: false, record_type: Some("A".to_owned()) };
        DnsLookup { question: Some(question), queries, answer, ..DnsLookup::default() }
    }

    #[test]
    fn each_lookup_is_a_line() {
        let answer = DnsAnswer {
            code: "NXDOMAIN".to_owned(),
            latency_ns: Some(2_000_000),
            server_ns: Some(1_500_000),
            ..DnsAnswer::default()
        };
        let table = [
            (
                lookup(Some(answer), 1),
                "DNS A? a.svc: NXDOMAIN after 2.00 ms (1.50 ms of it beyond the last hop)",
            ),
            (lookup(None, 3), "DNS A? a.svc: no answer, asked 3 times"),
            (DnsLookup::default(), "DNS an unseen question: no answer"),
        ];
        for (lookup, expected) in table {
            assert_eq!(line(&lookup, Colour::Never), expected);
        }
    }

    #[test]
    fn a_name_cannot_drive_a_terminal() {
        let mut evil = lookup(None, 1);
        evil.question.as_mut().unwrap().name = "\x1b[2J".to_owned();
        assert!(!line(&evil, Colour::Never).contains('\x1b'));
    }
}
