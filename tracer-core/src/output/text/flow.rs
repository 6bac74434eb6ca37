//! The timeline of one flow.

use std::io::{self, Write};

use super::happened::{icmp, place as name};
use super::incidents::incidents;
use super::lookups::lookups;
use super::units::{bytes, duration};
use super::{Colour, change, endpoint, latency, packets};
use crate::output::printable;
use crate::report::{FlowReport, Hop, LaneReport, Stop, TcpReport};
use crate::resolve::short;
use crate::timeline::Orientation;
use crate::units::Direction;

/// Where a hop is: the pod's or the node's namespace, and the interface.
pub(super) fn place(node: &str, pod: Option<&String>, interface: &str) -> String {
    let node = printable(node);
    match pod {
        Some(pod) => format!("{node} {}:{}", printable(short(pod)), printable(interface)),
        None => format!("{node} {}", printable(interface)),
    }
}

pub(super) fn flow(writer: &mut impl Write, flow: &FlowReport, colour: Colour) -> io::Result<()> {
    let (source, destination) = (endpoint(&flow.source), endpoint(&flow.destination));
    let title = format!("flow {}  {}  {source} -> {destination}", flow.flow, flow.protocol);
    writeln!(writer, "{}", colour.bold(&title))?;
    let happened = flow.tcp.as_ref().map(tcp).unwrap_or_default();
    writeln!(writer, "  {happened}{} there, {} back", amount(&flow.forward), amount(&flow.reply))?;
    for error in &flow.icmp_errors {
        let times = if error.packets == 1 { String::new() } else { format!(", {} times", error.packets) };
        writeln!(writer, "  {}", colour.alarm(&format!("{}{times}", icmp(error))))?;
    }
    if let Some(dns) = &flow.dns {
        lookups(writer, dns, colour)?;
    }
    lane(writer, &flow.forward, Orientation::Forward, colour)?;
    lane(writer, &flow.reply, Orientation::Reply, colour)
}

fn amount(lane: &LaneReport) -> String {
    format!("{} ({} payload)", packets(lane.packets), bytes(lane.payload_bytes))
}

/// What happened to a connection, as the beginning of a sentence.
fn tcp(tcp: &TcpReport) -> String {
    let opening = match (tcp.opened, tcp.answered) {
        (true, false) if tcp.reset == Some(Orientation::Reply) => {
            return format!("SYN refused by RST{}; ", reset_place(tcp));
        }
        (true, true) => match tcp.handshake_ns {
            Some(handshake) => format!("SYN answered after {}", duration(handshake)),
            None => "SYN answered".to_owned(),
        },
        (true, false) => "SYN not answered".to_owned(),
        (false, _) => "open before the trace".to_owned(),
    };
    // Who opened it is known from the SYN alone.
    let (one, other) =
        if tcp.opened { ("its opener", "the other side") } else { ("the first side", "the second side") };
    let closing = match (tcp.reset, tcp.fin.as_slice()) {
        (Some(Orientation::Forward), _) => format!(", reset by {one}{}", reset_place(tcp)),
        (Some(Orientation::Reply), _) => format!(", reset by {other}{}", reset_place(tcp)),
        (None, [_, _]) => ", closed by FIN from both sides".to_owned(),
        (None, [Orientation::Forward]) => format!(", FIN from {one} only"),
        (None, [Orientation::Reply]) => format!(", FIN from {other} only"),
        (None, _) if tcp.answered => ", still open".to_owned(),
        (None, _) => String::new(),
    };
    format!("{opening}{closing}; ")
}

/// Where a RST was seen first: a node may send it in a pod's name.
fn reset_place(tcp: &TcpReport) -> String {
    tcp.reset_from.as_ref().map(|from| format!(" (first seen at {})", name(from))).unwrap_or_default()
}

fn lane(
    writer: &mut impl Write,
    lane: &LaneReport,
    orientation: Orientation,
    colour: Colour,
) -> io::Result<()> {
    if lane.packets == 0 && lane.drops.is_empty() {
        return Ok(());
    }
    let arrow = match orientation {
        Orientation::Forward => "there",
        Orientation::Reply => "back",
    };
    writeln!(writer, "  {arrow}: {}", verdict(lane, colour))?;
    if lane.hops.is_empty() {
        return drops(writer, lane, colour);
    }
    let width = lane.hops.iter().map(|hop| hop_place(hop).chars().count()).max().unwrap_or_default();
    let (interface, direction, since) =
        ("node interface", "direction", "since the hop before: median, p99, max");
    writeln!(writer, "    #  {interface:<width$}  {direction:<9}  packets  {since}")?;
    for (index, hop) in lane.hops.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| lane.hops.get(before));
        line(writer, index + 1, hop, before, width)?;
    }
    lane.stopped.iter().try_for_each(|stopped| stop(writer, stopped, colour))?;
    drops(writer, lane, colour)?;
    incidents(writer, lane)
}

/// What kernels say that they dropped.
fn drops(writer: &mut impl Write, lane: &LaneReport, colour: Colour) -> io::Result<()> {
    for drop in lane.drops.iter().filter(|drop| !drop.is_benign) {
        let wherever = match (&drop.pod, &drop.interface) {
            (pod, Some(interface)) => place(&drop.node, pod.as_ref(), interface),
            (Some(pod), None) => format!("{} {}", printable(&drop.node), printable(short(pod))),
            (None, None) => printable(&drop.node),
        };
        let function = drop.function.as_ref().map(|name| format!(" in {}", printable(name)));
        let reason = drop.reason.as_ref().map(|name| format!(": {}", printable(name)));
        let text = format!(
            "{} dropped by the kernel at {wherever}{}{}",
            packets(drop.packets),
            function.unwrap_or_default(),
            reason.unwrap_or_default()
        );
        writeln!(writer, "       {}", colour.alarm(&text))?;
    }
    Ok(())
}

fn verdict(lane: &LaneReport, colour: Colour) -> String {
    let stopped = |is_certain: bool| -> u64 {
        let stops = lane.stopped.iter().filter(|stop| stop.uncertain.is_none() == is_certain);
        stops.map(|stop| stop.packets).sum()
    };
    let all = packets(lane.packets);
    let mut parts = Vec::new();
    if lane.delivered > 0 {
        parts.push(format!("{} of {all} delivered", lane.delivered));
    }
    if stopped(true) > 0 {
        parts.push(colour.alarm(&format!("{} of {all} lost", stopped(true))));
    }
    if stopped(false) > 0 {
        parts.push(format!("{} of {all} perhaps lost", stopped(false)));
    }
    if lane.unknown > 0 {
        parts.push(format!("{} of {all} with an unknown end", lane.unknown));
    }
    if lane.ordinal > 0 {
        parts.push(format!("{} recognised by order only", lane.ordinal));
    }
    if lane.counted > 0 {
        parts.push(format!("{} of which only the number is certain", lane.counted));
    }
    if lane.packets == 0 {
        parts.push(colour.alarm("no hop saw a packet"));
    }
    parts.join(", ")
}

fn direction_word(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::Ingress) => "ingress",
        Some(Direction::Egress) => "egress",
        None => "either way",
    }
}

fn hop_place(hop: &Hop) -> String {
    place(&hop.node, hop.pod.as_ref(), &hop.interface)
}

fn line(
    writer: &mut impl Write,
    number: usize,
    hop: &Hop,
    before: Option<&Hop>,
    width: usize,
) -> io::Result<()> {
    let place = hop_place(hop);
    let times = match hop.latency {
        Some(step) => format!("{}, {}, {}", latency(step.p50), latency(step.p99), latency(step.max)),
        None if before.is_some() => "unknown".to_owned(),
        None => String::new(),
    };
    let line = format!(
        "  {number:>3}  {place:<width$}  {:<9}  {:>7}  {times}",
        direction_word(hop.direction),
        hop.packets
    );
    writeln!(writer, "{}", line.trim_end())?;
    for happened in &hop.changes {
        writeln!(writer, "         {}", change(happened))?;
    }
    let is_new = before.is_none_or(|b| (&b.source, &b.destination) != (&hop.source, &hop.destination));
    if is_new {
        let (source, destination) = (endpoint(&hop.source), endpoint(&hop.destination));
        writeln!(writer, "         {source} -> {destination}")?;
    }
    Ok(())
}

fn stop(writer: &mut impl Write, stop: &Stop, colour: Colour) -> io::Result<()> {
    let after = format!("{} {}", hop_place(&stop.after), direction_word(stop.after.direction));
    let before = match &stop.before {
        Some(hop) => format!("between {after} and {} {}", hop_place(hop), direction_word(hop.direction)),
        None => format!("after {after}, seen nowhere else"),
    };
    let text = match &stop.uncertain {
        Some(doubt) => {
            format!("{} not seen any more {before}; unknown whether lost: {doubt}", packets(stop.packets))
        }
        None => format!("{} lost {before}", packets(stop.packets)),
    };
    writeln!(writer, "       {}", colour.alarm(&text))
}
