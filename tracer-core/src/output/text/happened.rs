//! Events in words.

use super::units::duration;
use super::{Colour, endpoint, flow};
use crate::output::printable;
use crate::report::IcmpError;
use crate::timeline::Orientation;
use crate::trace::{EventKind, PlaceName};

/// What happened, as the end of a line.
pub(super) fn words(kind: &EventKind, colour: Colour) -> String {
    match kind {
        EventKind::Appeared { opened: Some(true) } => "opened".to_owned(),
        EventKind::Appeared { opened: Some(false) } => "seen first (it was open before)".to_owned(),
        EventKind::Appeared { opened: None } => "seen first".to_owned(),
        EventKind::Established { handshake_ns } => format!("SYN answered after {}", duration(*handshake_ns)),
        EventKind::Closed => "closed by both sides".to_owned(),
        // Who sent it is not said: a node may do so in a pod's name.
        EventKind::Reset { by, from } => {
            let way = match by {
                Orientation::Forward => "there",
                Orientation::Reply => "back",
            };
            colour.alarm(&format!("RST {way}, first seen at {}", place(from)))
        }
        EventKind::Stopped { after, before, .. } => {
            colour.alarm(&format!("packet stopped after {} before {}", place(after), place(before)))
        }
        EventKind::Retransmitted { direction, sequence, last_seen_at } => {
            let before = match last_seen_at {
                Some(last) => format!("was last seen at {}", place(last)),
                None => "went as far as any".to_owned(),
            };
            format!(
                "{} retransmitted (sequence {sequence}): the transmission before {before}",
                way(*direction)
            )
        }
        EventKind::Reordered { direction, at } => {
            format!("{} out of order from {} on", way(*direction), place(at))
        }
        EventKind::Duplicated { direction, at } => {
            colour.alarm(&format!("{} doubled before {}", way(*direction), place(at)))
        }
        EventKind::ZeroWindow { direction: Orientation::Forward } => {
            "the first side closed the receive window".to_owned()
        }
        EventKind::ZeroWindow { direction: Orientation::Reply } => {
            "the second side closed the receive window".to_owned()
        }
        EventKind::WindowOpened { direction, closed_ns } => {
            let who = match direction {
                Orientation::Forward => "the first side",
                Orientation::Reply => "the second side",
            };
            format!("{who} opened the receive window again after {}", duration(*closed_ns))
        }
        EventKind::IcmpError(error) => colour.alarm(&icmp(error)),
        EventKind::DnsQuestion(question) => format!("DNS {}", printable(&question.to_string())),
        EventKind::DnsAnswer { question, answer } => {
            let asked = question.as_ref().map(|question| format!(" {}", printable(&question.to_string())));
            let asked = asked.unwrap_or_default();
            let after =
                answer.latency_ns.map(|taken| format!(" after {}", duration(taken))).unwrap_or_default();
            format!("DNS{asked}: {answer}{after}")
        }
    }
}

/// An ICMP error in words.
pub(super) fn icmp(error: &IcmpError) -> String {
    let mtu = error.mtu.map(|mtu| format!(" (MTU {mtu})")).unwrap_or_default();
    let about = match error.quotes {
        Orientation::Forward => "a packet there",
        Orientation::Reply => "a packet back",
    };
    format!(
        "{}: {}{mtu}, sent by {} about {about}, first seen at {}",
        error.icmp,
        error.meaning,
        endpoint(&error.sender),
        place(&error.seen_at)
    )
}

pub(super) fn place(place: &PlaceName) -> String {
    flow::place(&place.node, place.pod.as_ref(), &place.interface)
}

fn way(direction: Orientation) -> &'static str {
    match direction {
        Orientation::Forward => "segment there",
        Orientation::Reply => "segment back",
    }
}
