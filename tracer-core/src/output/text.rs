//! Text for people: an event a line while the trace runs, then a timeline per flow.

mod flow;
mod happened;
mod incidents;
mod lookups;
mod units;
mod verdict;

use std::io::{self, Write};

use crate::clock::Latency;
use crate::diagnose::Outcome;
use crate::loss::{InterfaceLoss, LossReport};
use crate::report::{FlowReport, MissingEvidence, NamedEndpoint, OtherFlow, Report};
use crate::resolve::short;
use crate::timeline::Change;
use crate::trace::Event;
use units::{clock_time, duration};

/// Whether text may be coloured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Colour {
    /// Plain text.
    #[default]
    Never,
    /// ANSI colours.
    Always,
}

impl Colour {
    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::Never => text.to_owned(),
            Self::Always => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }

    fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn alarm(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Style {
    /// Whether it may be coloured.
    pub colour: Colour,
    /// Whether all that speaks for a verdict is written.
    pub why: bool,
}

impl From<Colour> for Style {
    fn from(colour: Colour) -> Self {
        Self { colour, why: false }
    }
}

/// Writes an event as one line.
pub fn event(writer: &mut impl Write, event: &Event, colour: Colour) -> io::Result<()> {
    let what = happened::words(&event.kind, colour);
    writeln!(
        writer,
        "{}  flow {}  {}  {} -> {}  {what}",
        clock_time(event.time_ns),
        event.flow,
        event.protocol,
        endpoint(&event.source),
        endpoint(&event.destination),
    )
}

/// Writes a report.
pub fn report(writer: &mut impl Write, report: &Report, style: impl Into<Style>) -> io::Result<()> {
    let style = style.into();
    let colour = style.colour;
    for flow in &report.flows {
        flow::flow(writer, flow, colour)?;
        if let Some(verdict) = &flow.verdict {
            verdict::verdict(writer, verdict, style)?;
        }
        writeln!(writer)?;
    }
    if report.flows.is_empty() {
        nothing(writer, report)?;
    }
    for step in &report.clock_steps {
        let [a, b] = &step.nodes;
        let times = if step.times == 1 { "once".to_owned() } else { format!("{} times", step.times) };
        writeln!(
            writer,
            "the clock of {} or {} was set while packets went over, {times}: latencies between them begin anew there",
            super::printable(a),
            super::printable(b),
        )?;
    }
    let is_known = |flow: &FlowReport| {
        flow.verdict.as_ref().is_none_or(|v| v.outcome == Outcome::Delivered || v.cause.is_some())
    };
    if style.why || !report.flows.iter().all(is_known) {
        report.missing_evidence.iter().try_for_each(|missing| unread(writer, missing))?;
    }
    loss(writer, &report.loss, colour)
}

/// Evidence that could not be had.
fn unread(writer: &mut impl Write, missing: &MissingEvidence) -> io::Result<()> {
    let places: Vec<String> = missing.places.iter().map(|place| super::printable(short(place))).collect();
    let (what, why) = (super::printable(&missing.what), super::printable(&missing.why));
    writeln!(writer, "not known on {}: {what}: {why}", places.join(", "))
}

/// What was seen when no flow was between the two ends.
fn nothing(writer: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(writer, "no packet of what was asked for was seen")?;
    for interface in &report.loss.interfaces {
        writeln!(
            writer,
            "  watched {}: {} passed, {} had an address of one of the ends",
            flow::place(&interface.node, interface.pod.as_ref(), &interface.interface),
            packets(interface.seen),
            interface.matched,
        )?;
    }
    if report.others > 0 {
        writeln!(writer, "flows with an address of one of the ends that are not meant: {}", report.others)?;
        report.nearest.iter().try_for_each(|other| nearest(writer, other))?;
    }
    Ok(())
}

fn nearest(writer: &mut impl Write, other: &OtherFlow) -> io::Result<()> {
    let (source, destination) = (endpoint(&other.source), endpoint(&other.destination));
    writeln!(writer, "  {}  {source} -> {destination}  {}", other.protocol, packets(other.packets))
}

/// Writes what was not seen; one line when nothing was missed.
fn loss(writer: &mut impl Write, loss: &LossReport, colour: Colour) -> io::Result<()> {
    if loss.is_complete() {
        let sum =
            |count: fn(&InterfaceLoss) -> u64| loss.interfaces.iter().map(count).fold(0, u64::saturating_add);
        let (seen, matched) = (sum(|interface| interface.seen), sum(|interface| interface.matched));
        return writeln!(
            writer,
            "nothing missed: {} interfaces watched, {} seen, {matched} recorded, {}",
            loss.interfaces.len(),
            packets(seen),
            if loss.interfaces.iter().all(|interface| interface.lost.is_some()) {
                "0 lost by the recorders"
            } else {
                "as far as captures of other tools tell"
            },
        );
    }
    writeln!(writer, "{}", colour.alarm("this trace is incomplete:"))?;
    for interface in loss.interfaces.iter().filter(|interface| interface.lost.is_some_and(|lost| lost > 0)) {
        let place = flow::place(&interface.node, interface.pod.as_ref(), &interface.interface);
        writeln!(
            writer,
            "  {place}: the ring buffer was full for {}",
            packets(interface.lost.unwrap_or_default())
        )?;
    }
    let causes = [
        (loss.undecodable, "could not be decoded"),
        (loss.unidentified, "could not be recognised: too little of them was captured, raise -s"),
        (loss.ambiguous, "had a translation that could be told in more than one way"),
        (loss.evicted, "were given up because memory ran out"),
        (loss.overflow, "were left out because a table was full"),
    ];
    for (count, cause) in causes.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(writer, "  {} {cause}", packets(count))?;
    }
    loss.broken_streams.iter().try_for_each(|stream| {
        let (node, reason) = (super::printable(&stream.node), super::printable(&stream.reason));
        writeln!(writer, "  capture ended early: {node}: {reason}")
    })
}

/// A change between two hops in words.
pub(super) fn change(change: &Change) -> String {
    match change {
        Change::Dnat { from, to } => format!("DNAT {from} => {to}"),
        Change::Snat { from, to } => format!("SNAT {from} => {to}"),
        Change::UnDnat { from, to } => format!("reverse of DNAT {from} => {to}"),
        Change::UnSnat { from, to } => format!("reverse of SNAT {from} => {to}"),
        Change::Encapsulated(tunnel) => format!("encapsulated in {tunnel}"),
        Change::Decapsulated(tunnel) => format!("decapsulated from {tunnel}"),
    }
}

/// Name and address of an end.
fn endpoint(named: &NamedEndpoint) -> String {
    match &named.name {
        Some(name) => format!("{} ({})", super::printable(name), named.endpoint),
        None => named.endpoint.to_string(),
    }
}

fn packets(count: u64) -> String {
    if count == 1 { "1 packet".to_owned() } else { format!("{count} packets") }
}

fn latency(latency: Latency) -> String {
    match latency {
        Latency::Exact(value) => duration(value),
        Latency::Within(value, bound) => format!("{} ± {}", duration(value), duration(bound)),
        Latency::Below(value) => format!("< {}", duration(value)),
    }
}
