//! The ways of a packet as text.

use std::io::{self, Write};

use super::super::client::{Client, ClientKind};
use super::super::course::{Course, End, Stage, StageKind};
use super::super::listen::Listener;
use super::super::world::pod_label;
use crate::evidence::Step;
use crate::flow::FlowKey;

/// Ways that are printed of one packet, at most; JSON has all of them.
const MAX_WAYS: usize = 16;
/// Width of the column with names of hooks.
const WIDTH: usize = 11;

/// Every way of a packet. Rules that the way before went through as well are told once.
pub(super) fn write(out: &mut impl Write, courses: &[Course]) -> io::Result<()> {
    let mut before: Option<&Course> = None;
    for course in courses.iter().take(MAX_WAYS) {
        one(out, course, before, courses.len() > 1)?;
        before = Some(course);
    }
    if courses.len() > MAX_WAYS {
        writeln!(out, "    and {} more ways (-o json has them)", courses.len() - MAX_WAYS)?;
    }
    Ok(())
}

fn one(out: &mut impl Write, course: &Course, before: Option<&Course>, is_one_of: bool) -> io::Result<()> {
    let share = if is_one_of { format!("{:.1} %: ", course.probability * 100.0) } else { String::new() };
    writeln!(out, "    {share}{}", ending(course))?;
    let same = before.map_or(0, |before| common(before, course));
    let mut left = same;
    let mut place = None;
    for stage in &course.stages {
        let own = (stage.node.as_str(), stage.pod.as_deref());
        if place != Some(own) {
            place = Some(own);
            writeln!(out, "      at {}", whose(stage))?;
        }
        left = write_stage(out, stage, left)?;
    }
    Ok(())
}

/// Writes a stage less the steps that are left out; how many are still to be left out after it.
fn write_stage(out: &mut impl Write, stage: &Stage, left: usize) -> io::Result<usize> {
    let skipped = left.min(stage.steps.len());
    let mut head = name(stage.at);
    let mut line = |text: &str| {
        let result = writeln!(out, "        {head:WIDTH$}  {text}");
        head = "";
        result
    };
    if skipped > 0 {
        line(&format!("({skipped} rules as before)"))?;
    }
    for step in &stage.steps[skipped..] {
        line(&rule(step))?;
    }
    if let Some(text) = &stage.text {
        line(text)?;
    }
    for doubt in &stage.doubts {
        line(&format!("not understood, taken as not holding: {doubt}"))?;
    }
    if !stage.steps.is_empty() {
        line(&format!("=> {}", packet(&stage.packet, stage.mark)))?;
    }
    Ok(left - skipped)
}

/// A rule with its counter, and the chance that it is drawn.
fn rule(step: &Step) -> String {
    let chance =
        if step.probability < 1.0 { format!("{:.1} % ", step.probability * 100.0) } else { String::new() };
    let counted = step.packets.map(|packets| format!("  [{packets} packets]")).unwrap_or_default();
    let name = match step.index {
        Some(index) => format!("{}", index + 1),
        None => "policy".to_owned(),
    };
    // The chain is told already.
    let text =
        step.text.strip_prefix("-A ").and_then(|text| text.strip_prefix(&step.chain)).unwrap_or(&step.text);
    format!("{chance}{} {} {name}: {}{counted}", step.table, step.chain, text.trim_start())
}

fn packet(key: &FlowKey, mark: u32) -> String {
    if mark == 0 { key.to_string() } else { format!("{key}, mark {mark:#x}") }
}

/// How many rules two ways have in common at their beginning.
fn common(before: &Course, course: &Course) -> usize {
    before.steps().zip(course.steps()).take_while(|(a, b)| a == b).count()
}

fn whose(stage: &Stage) -> String {
    match &stage.pod {
        Some(pod) => format!("pod {}", pod_label(pod)),
        None => format!("node {}", stage.node),
    }
}

fn name(kind: StageKind) -> &'static str {
    match kind {
        StageKind::Prerouting => "prerouting",
        StageKind::Output => "output",
        StageKind::Routing => "routing",
        StageKind::Input => "input",
        StageKind::Ipvs => "ipvs",
        StageKind::Forward => "forward",
        StageKind::Postrouting => "postrouting",
        StageKind::Tunnel => "tunnel",
    }
}

/// Where a way ends.
fn ending(course: &Course) -> String {
    let to = course.packet.destination;
    let place = match &course.pod {
        Some(pod) => format!("pod {}", pod_label(pod)),
        None => course.node.clone(),
    };
    match &course.end {
        End::Delivered { listener } => format!("to {to} in {place}: {}", listens(listener)),
        End::Handed { link, pod: Some(pod) } => format!("to {to}, pod {}, by {link}", pod_label(pod)),
        End::Handed { link, pod: None } => format!("to {to} by {link}"),
        End::Sent { link, next_hop, to: node } => {
            let hop = next_hop.map(|hop| format!(" to {hop}")).unwrap_or_default();
            let node = node.as_ref().map(|node| format!(" ({node})")).unwrap_or_default();
            format!("to {to}: leaves {place} by {link}{hop}{node}")
        }
        End::Dropped { rule, policy } => {
            let policy =
                policy.as_ref().map(|policy| format!(" by the network policy {policy}")).unwrap_or_default();
            format!("dropped at {place}{policy}: {rule}")
        }
        End::Rejected { rule, with } => format!("refused at {place} with {with}: {rule}"),
        End::NotForwarded { interface } => {
            format!("not forwarded at {place}: forwarding is off for {interface}")
        }
        End::RouteRefuses { how, route } => format!("ends at {place}: {how} by {route}"),
        End::NoRoute => format!("ends at {place}: no route to {}", to.address),
        End::LinkDown { link } => format!("ends at {place}: {link} is down"),
        End::NeighbourFailed { link, next_hop } => {
            format!("ends at {place}: {next_hop} does not answer on {link}")
        }
        End::Unknown { why } => format!("cannot be told at {place}: {why}"),
    }
}

pub(super) fn listens(listener: &Listener) -> String {
    match listener {
        Listener::There => "somebody listens".to_owned(),
        Listener::Elsewhere(own) => {
            let own: Vec<String> = own.iter().map(ToString::to_string).collect();
            format!("listened on at {} only", own.join(", "))
        }
        Listener::Nobody => "nobody listens".to_owned(),
        Listener::Unknown => "who listens is not known".to_owned(),
    }
}

/// A client for a person.
pub(super) fn who(client: &Client) -> String {
    match client.kind {
        ClientKind::Pod => format!("pod {}", pod_label(&client.name)),
        ClientKind::Node => format!("node {}", client.name),
        ClientKind::Outside => client.name.clone(),
    }
}
