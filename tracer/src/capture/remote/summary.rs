//! How a capture on a cluster ended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use tracer_core::capture::Statistics;

use super::node::Capture;
use super::output::Stream;
use crate::capture::{End, Failure};
use crate::error::Exit;

/// What a capture on a cluster did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RemoteSummary {
    /// Why it ended.
    pub end: End,
    /// Of each node.
    pub nodes: BTreeMap<String, NodeSummary>,
    /// Packets that came too late to be put in order.
    pub late: u64,
    /// Why the output is not whole.
    pub failure: Option<Failure>,
    /// Whether to tell of each interface.
    pub is_verbose: bool,
}

/// What a node did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeSummary {
    /// Whether it captured at any time.
    pub has_begun: bool,
    /// Of all its interfaces.
    pub total: Statistics,
    /// Of each of them.
    pub interfaces: Vec<(String, Statistics)>,
    /// What went wrong with it.
    pub faults: Vec<String>,
}

impl NodeSummary {
    pub(super) fn add(&mut self, stream: &Stream, capture: &Capture) {
        self.has_begun |= stream.has_begun;
        for (seen, statistics) in stream.counted() {
            self.total = sum(self.total, statistics);
            let peer = seen.peer.as_ref().map_or_else(String::new, |peer| format!("({peer})"));
            self.interfaces.push((format!("{}{peer}", seen.interface.name), statistics));
        }
        self.faults.extend(capture.fault.clone());
    }
}

fn sum(one: Statistics, other: Statistics) -> Statistics {
    Statistics {
        seen: one.seen + other.seen,
        matched: one.matched + other.matched,
        lost: one.lost + other.lost,
        written: one.written + other.written,
    }
}

impl RemoteSummary {
    /// Over all nodes.
    pub fn total(&self) -> Statistics {
        self.nodes.values().fold(Statistics::default(), |total, node| sum(total, node.total))
    }

    /// The exit code: a closed output is in order; lost packets, a node that is missing or no packet at all are not
    /// complete; without any node the environment cannot do it.
    pub fn exit(&self) -> Exit {
        let total = self.total();
        let is_missing = self.nodes.values().any(|node| !node.faults.is_empty());
        if self.end == End::OutputClosed {
            Exit::Complete
        } else if let Some(failure) = &self.failure {
            failure.exit
        } else if is_missing && self.nodes.values().all(|node| !node.has_begun) {
            Exit::Environment
        } else if total.lost > 0 || total.written == 0 || is_missing {
            Exit::Incomplete
        } else {
            Exit::Complete
        }
    }

    /// What passed, where nothing matched.
    fn explain(&self, f: &mut fmt::Formatter<'_>, total: Statistics) -> fmt::Result {
        let begun = || self.nodes.iter().filter(|(_, node)| node.has_begun);
        if begun().next().is_none() {
            return Ok(());
        }
        let where_ = |(name, node): (&String, &NodeSummary)| {
            let names: BTreeSet<&str> = node.interfaces.iter().map(|(name, _)| name.as_str()).collect();
            match names.len() {
                0 => format!("{name} (no interface to capture on)"),
                _ => format!("{name} ({})", Vec::from_iter(names).join(", ")),
            }
        };
        let places = begun().map(where_).collect::<Vec<_>>().join(", ");
        match total.seen {
            0 => write!(f, "\nno packet at all passed {places}"),
            seen => write!(f, "\n{} passed {places}, and none of them matched the filter", packets(seen)),
        }
    }
}

impl fmt::Display for RemoteSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let mut captured = total.written;
        if let Some(failure) = &self.failure {
            writeln!(f, "kflow: {}", failure.reason)?;
            captured = captured.min(failure.in_output);
        }
        for (name, node) in self.nodes.iter().filter(|(_, node)| node.has_begun) {
            writeln!(f, "{name}: {}", Line(node.total))?;
            for (interface, statistics) in node.interfaces.iter().filter(|_| self.is_verbose) {
                writeln!(f, "  {interface}: {}, {} passed", Line(*statistics), statistics.seen)?;
            }
        }
        writeln!(f, "{} captured", packets(captured))?;
        writeln!(f, "{} received by filter", packets(total.matched))?;
        write!(f, "{} dropped by kernel", packets(total.lost))?;
        if captured < total.written {
            write!(f, "\n{} received and not in the output", packets(total.written - captured))?;
        }
        if self.late > 0 {
            write!(f, "\n{} came too late from a node to be put in order", packets(self.late))?;
        }
        for (name, node) in &self.nodes {
            let state = if node.has_begun { "not complete" } else { "missing" };
            for fault in &node.faults {
                write!(f, "\n{name} is {state}: {fault}")?;
            }
        }
        if total.matched == 0 { self.explain(f, total) } else { Ok(()) }
    }
}

/// tcpdump's three numbers on one line.
struct Line(Statistics);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statistics { matched, lost, written, .. } = self.0;
        write!(f, "{} captured, {matched} received by filter, {lost} dropped by kernel", packets(written))
    }
}

/// As tcpdump counts them: `1 packet`, `2 packets`.
fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Statistics = Statistics { seen: 9, matched: 5, lost: 0, written: 5 };

    fn node(total: Statistics, fault: Option<&str>) -> NodeSummary {
        NodeSummary {
            has_begun: true,
            total,
            interfaces: vec![("cali1(demo/a)".to_owned(), total)],
            faults: fault.map(str::to_owned).into_iter().collect(),
        }
    }

    fn missing(fault: &str) -> NodeSummary {
        NodeSummary { faults: vec![fault.to_owned()], ..NodeSummary::default() }
    }

    fn summary(nodes: Vec<NodeSummary>) -> RemoteSummary {
        let nodes = nodes.into_iter().zip(1..).map(|(node, number)| (format!("kn{number}"), node)).collect();
        RemoteSummary { end: End::Signal, nodes, late: 0, failure: None, is_verbose: false }
    }

    #[test]
    fn three_numbers_of_each_node_and_in_all() {
        let one = Statistics { seen: 2, matched: 1, lost: 1, written: 1 };
        let text = summary(vec![node(FULL, None), node(one, None)]).to_string();
        assert_eq!(
            text,
            "kn1: 5 packets captured, 5 received by filter, 0 dropped by kernel\n\
             kn2: 1 packet captured, 1 received by filter, 1 dropped by kernel\n\
             6 packets captured\n6 packets received by filter\n1 packet dropped by kernel"
        );
        let verbose = RemoteSummary { is_verbose: true, ..summary(vec![node(FULL, None)]) };
        assert!(verbose.to_string().contains(
            "\n  cali1(demo/a): 5 packets captured, 5 received by filter, 0 dropped by kernel, 9 passed\n"
        ));
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = summary(vec![node(FULL, Some("the connection broke")), missing("no image")]).to_string();
        assert!(
            text.ends_with("\nkn1 is not complete: the connection broke\nkn2 is missing: no image"),
            "{text}"
        );
    }

    #[test]
    fn silence_is_explained() {
        let none = Statistics { seen: 9, ..Statistics::default() };
        let text = summary(vec![node(none, None), missing("no image")]).to_string();
        assert!(
            text.ends_with("\n9 packets passed kn1 (cali1(demo/a)), and none of them matched the filter"),
            "{text}"
        );
        let text = summary(vec![node(Statistics::default(), None)]).to_string();
        assert!(text.ends_with("\nno packet at all passed kn1 (cali1(demo/a))"), "{text}");
    }

    #[test]
    fn exit_codes() {
        let none = Statistics::default();
        let lost = Statistics { lost: 1, ..FULL };
        let table = [
            (vec![node(FULL, None), node(none, None)], Exit::Complete),
            (vec![node(none, None)], Exit::Incomplete),
            (vec![node(lost, None)], Exit::Incomplete),
            (vec![node(FULL, Some("cut"))], Exit::Incomplete),
            (vec![node(FULL, None), missing("no image")], Exit::Incomplete),
            (vec![missing("no image")], Exit::Environment),
        ];
        for (nodes, exit) in table {
            assert_eq!(summary(nodes.clone()).exit(), exit, "{nodes:?}");
        }
        let closed = RemoteSummary { end: End::OutputClosed, ..summary(vec![node(lost, None)]) };
        assert_eq!(closed.exit(), Exit::Complete);
    }
}
