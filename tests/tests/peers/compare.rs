//! The same packets, the same bytes, in the same order.

use std::fmt::Write as _;

use crate::watch::Packet;

/// Bytes of a packet that a difference shows.
const SHOWN: usize = 64;

/// What kflow and tcpdump differ in; empty where nothing does.
pub(crate) fn differences(ours: &[Packet], theirs: &[Packet]) -> String {
    let mut text = String::new();
    if ours.len() != theirs.len() {
        let _ = writeln!(text, "kflow has {} packets, tcpdump {}", ours.len(), theirs.len());
    }
    let pairs = ours.iter().zip(theirs).enumerate();
    if let Some((number, (ours, theirs))) = pairs.clone().find(|(_, (ours, theirs))| !same(ours, theirs)) {
        let _ = writeln!(text, "packet {number}\n  kflow   {}\n  tcpdump {}", shown(ours), shown(theirs));
    } else if let Some(more) = ours.get(theirs.len()).or(theirs.get(ours.len())) {
        let _ = writeln!(text, "the first that one has more: {}", shown(more));
    }
    text
}

/// Asserts that there are packets, and no differences.
pub(crate) fn assert_same(what: &str, ours: &[Packet], theirs: &[Packet]) {
    let differences = differences(ours, theirs);
    assert!(differences.is_empty(), "{what}: {differences}");
    assert!(!ours.is_empty(), "{what}: no packets");
}

fn same(ours: &Packet, theirs: &Packet) -> bool {
    (ours.link_type, ours.original_len, &ours.data) == (theirs.link_type, theirs.original_len, &theirs.data)
}

fn shown(packet: &Packet) -> String {
    let way = packet.is_sent.map_or("", |is_sent| if is_sent { ", sent" } else { ", received" });
    let mut text = format!("link type {}, {} bytes{way}:", packet.link_type, packet.original_len);
    for byte in packet.data.iter().take(SHOWN) {
        let _ = write!(text, " {byte:02x}");
    }
    text
}
