//! Scripts of what happens in a network: requests from a pod to a service, their answers, and what comes between.

use crate::script::{Action, Packet, Place, Script, Settings, Step};

const ACK: u8 = 0x10;
const SYN: u8 = 0x02;
const FIN: u8 = 0x01;
/// Source and destination change places.
const BACK: u8 = 0x10;
/// The address of the service's endpoint instead of the service's.
const TRANSLATED: u8 = 0x04;
const IN_IPIP: u8 = 0x20;
const SETTINGS: Settings = Settings { window: 200, sightings: 100, tables: 100, flags: 0b11 };

/// Each with a name that tells what happens.
pub fn scripts() -> Vec<(&'static str, Script)> {
    let script = |settings: Settings, steps: Vec<Step>| Script { settings, steps };
    let live = Settings { flags: 0, ..SETTINGS };
    let small = Settings { sightings: 0, tables: 0, ..SETTINGS };
    vec![
        ("one-packet", script(SETTINGS, way(request(1, SYN), 0))),
        ("connection", script(SETTINGS, connection(0))),
        ("live", script(live, connection(0))),
        ("clocks-apart", script(SETTINGS, connection(30_000))),
        ("tables-full", script(small, connection(0))),
        ("lost", script(SETTINGS, [way(request(1, ACK), 0), way(request(2, ACK), 0)[..3].to_vec()].concat())),
        ("unanswered", script(SETTINGS, (0..4).flat_map(|_| way(request(1, SYN), 0)).collect())),
        ("equal", script(SETTINGS, (0..3).flat_map(|_| way(request(1, ACK), 0)).collect())),
        ("super-packet", script(SETTINGS, segmented())),
        ("foreign", script(Settings { flags: 0b11011, ..SETTINGS }, segmented())),
        ("ends", script(live, ends())),
        (
            "kinds",
            script(SETTINGS, (0..8).flat_map(|kind| way(Packet { kind, ..request(kind, ACK) }, 0)).collect()),
        ),
        ("encapsulations", script(SETTINGS, encapsulations())),
    ]
}

fn request(number: u8, flags: u8) -> Packet {
    Packet { kind: 0, number, flags, payload: 10, segment: 0, wear: 0, ttl: 64 }
}

/// From a pod of the first node to one of the third, whose clock is ahead by so much.
fn way(packet: Packet, clock: i16) -> Vec<Step> {
    let is_back = packet.wear & BACK != 0;
    let hop = |source: u8, interface: u8, direction: u8, wear: u8, routed: u8| {
        let clock = if source == 0 { 0 } else { clock };
        let packet = Packet { wear: packet.wear | wear, ttl: packet.ttl - routed, ..packet };
        Step { delay: 5, clock, action: Action::See, place: Place { source, interface, direction }, packet }
    };
    let (from, to) = if is_back { (2, 0) } else { (0, 2) };
    let (first, last) = if is_back { (TRANSLATED, 0) } else { (0, TRANSLATED) };
    vec![
        hop(from, 3, 2, first, 0),
        hop(from, 2, 1, first, 0),
        hop(from, 1, 2, TRANSLATED, 1),
        hop(from, 0, 2, TRANSLATED | IN_IPIP, 1),
        hop(to, 0, 1, TRANSLATED | IN_IPIP, 1),
        hop(to, 1, 1, TRANSLATED, 1),
        hop(to, 2, 2, last, 2),
        hop(to, 3, 1, last, 2),
    ]
}

fn connection(clock: i16) -> Vec<Step> {
    let answer = |number: u8, flags: u8| Packet { wear: BACK, ..request(number, flags) };
    let packets = [
        request(1, SYN),
        answer(101, SYN | ACK),
        request(2, ACK),
        answer(102, ACK),
        request(3, FIN | ACK),
        answer(103, FIN | ACK),
    ];
    packets.into_iter().flat_map(|packet| way(packet, clock)).collect()
}

/// Sent as one super-packet of three segments, received as three packets.
fn segmented() -> Vec<Step> {
    let whole = Packet { payload: 30, segment: 10, ..request(1, ACK) };
    let mut steps = way(whole, 0);
    let received = steps.split_off(4);
    for step in received {
        for part in 0..3 {
            let packet = Packet { number: 1 + part, payload: 10, segment: 0, ..step.packet };
            steps.push(Step { packet, ..step });
        }
    }
    steps
}

fn ends() -> Vec<Step> {
    let at = |source: u8, action: Action| Step {
        delay: 1000,
        action,
        place: Place { source, ..Place::default() },
        ..Step::default()
    };
    let mut steps = connection(0);
    steps.extend([at(0, Action::Count(3)), at(1, Action::Begin), at(2, Action::Break), at(3, Action::End)]);
    steps.extend(way(request(9, ACK), 0));
    steps
}

fn encapsulations() -> Vec<Step> {
    let wear = |kind: u8| Packet { wear: kind << 5, ..request(kind, ACK) };
    (1..5).flat_map(|kind| way(wear(kind), 0)).collect()
}
