//! Verdicts and what speaks for them.

use std::io::{self, Write};

use super::Style;
use super::happened::place;
use crate::diagnose::{Fact, Outcome, Source, Spot, Verdict};
use crate::output::printable;
use crate::resolve::short;

/// Lines of evidence that are printed where nobody asks for all.
const TOLD: usize = 3;

/// Writes a verdict below the timeline of its flow.
pub(super) fn verdict(writer: &mut impl Write, verdict: &Verdict, style: Style) -> io::Result<()> {
    let spot = verdict.at.as_ref().map(|spot| format!(" {}", at(spot))).unwrap_or_default();
    let head = format!("{}{spot}", outcome(verdict.outcome));
    let head = match verdict.outcome {
        Outcome::Delivered | Outcome::Unknown => head,
        _ => style.colour.alarm(&head),
    };
    writeln!(writer, "  verdict: {head}")?;
    if !verdict.summary.is_empty() {
        writeln!(writer, "    {}", printable(&verdict.summary))?;
    }
    let told = if style.why { verdict.evidence.len() } else { TOLD };
    for fact in verdict.evidence.iter().take(told) {
        writeln!(writer, "    {}", line(fact))?;
    }
    match verdict.evidence.len().saturating_sub(told) {
        0 => {}
        more => writeln!(writer, "    ({more} more: --why prints all)")?,
    }
    match &verdict.remedy {
        Some(remedy) => writeln!(writer, "    to do: {}", printable(remedy)),
        None => Ok(()),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Refused => "refused",
        Outcome::Dropped => "dropped",
        Outcome::BlackHoled => "black-holed",
        Outcome::OneWay => "one-way",
        Outcome::Slow => "slow",
        Outcome::Unknown => "unknown",
    }
}

fn at(spot: &Spot) -> String {
    match (&spot.node, &spot.pod, &spot.after, &spot.before) {
        (Some(node), Some(pod), ..) => format!("in {} on {}", printable(short(pod)), printable(node)),
        (Some(node), None, ..) => format!("on {}", printable(node)),
        (None, _, Some(after), Some(before)) => format!("between {} and {}", place(after), place(before)),
        (None, _, Some(after), None) => format!("after {}", place(after)),
        (None, _, None, Some(before)) => format!("before {}", place(before)),
        (None, _, None, None) => String::new(),
    }
}

fn line(fact: &Fact) -> String {
    let source = match fact.source {
        Source::Packets => "packets",
        Source::Drops => "kernel drops",
        Source::Rules => "rules",
        Source::Conntrack => "conntrack",
        Source::Routes => "routes",
        Source::Links => "links",
        Source::Sysctl => "sysctl",
        Source::Sockets => "sockets",
        Source::Counters => "counters",
        Source::Cluster => "cluster",
    };
    let place = match (&fact.node, &fact.pod) {
        (_, Some(pod)) => format!("{}: ", printable(short(pod))),
        (Some(node), None) => format!("{}: ", printable(node)),
        (None, None) => String::new(),
    };
    format!("{source:<12} {place}{}", printable(&fact.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text::Colour;
    use crate::trace::PlaceName;

    fn told(verdict: &Verdict, why: bool) -> String {
        let mut text = Vec::new();
        super::verdict(&mut text, verdict, Style { colour: Colour::Never, why }).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn fact(number: usize) -> Fact {
        Fact {
            source: Source::Rules,
            node: Some("node1".to_owned()),
            pod: None,
            text: format!("rule {number}\x1b[2J"),
        }
    }

    fn dropped() -> Verdict {
        Verdict {
            outcome: Outcome::Dropped,
            at: Some(Spot { node: Some("node1".to_owned()), pod: None, after: None, before: None }),
            cause: None,
            summary: "node1 dropped it".to_owned(),
            evidence: (1..=5).map(fact).collect(),
            remedy: Some("remove the rule".to_owned()),
        }
    }

    #[test]
    fn some_evidence_is_told_and_all_where_it_is_asked_for() {
        let short = told(&dropped(), false);
        assert!(short.starts_with("  verdict: dropped on node1\n    node1 dropped it\n"), "{short}");
        assert!(short.contains("rules        node1: rule 3") && !short.contains("rule 4"), "{short}");
        assert!(short.contains("(2 more: --why prints all)"), "{short}");
        assert!(short.ends_with("    to do: remove the rule\n"), "{short}");
        assert!(!short.contains('\x1b'), "{short}");
        let all = told(&dropped(), true);
        assert!(all.contains("rule 5") && !all.contains("more:"), "{all}");
    }

    #[test]
    fn places_are_told_as_far_as_they_are_known() {
        let hop = |node: &str| PlaceName {
            node: node.to_owned(),
            pod: None,
            interface: "eth0".to_owned(),
            direction: None,
        };
        let table = [
            (Some(hop("a")), Some(hop("b")), "between a eth0 and b eth0"),
            (Some(hop("a")), None, "after a eth0"),
            (None, Some(hop("b")), "before b eth0"),
            (None, None, ""),
        ];
        for (after, before, expected) in table {
            assert_eq!(at(&Spot { node: None, pod: None, after, before }), expected);
        }
    }
}
