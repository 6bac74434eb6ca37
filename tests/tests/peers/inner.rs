//! `--inner`: the filter is asked of the innermost packet, whatever carries it.

use std::collections::HashMap;

use tests::expressions::{link, packets::packets};

use crate::Test;
use crate::compare::differences;
use crate::scene::Pair;
use crate::watch::{Ask, Packet, Size, during, picked};

const EXPRESSIONS: [&str; 24] = [
    "ip",
    "ip6",
    "tcp",
    "udp port 53",
    "icmp",
    "icmp6",
    "host 192.0.2.10",
    "src net 10.0.0.0/8",
    "host 2001:db8::20",
    "tcp dst port 8080 and (tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x504f5354)",
    "tcp[13] = 2",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 192.0.2.0/24",
    "ip[8] = 1 or ip6[7] = 1",
    "ip[0] & 0xf != 5",
    "ip[6:2] & 0x3fff != 0",
    "ip6[6] = 44",
    "ip6 protochain 6",
    "portrange 8000-8100",
    "len > 100",
    "less 64",
    "ip multicast",
    "ip broadcast",
    "not port 22",
    "icmp[icmptype] = icmp-unreach and icmp[icmpcode] = 4",
];

/// Of hardware, in the order of an Ethernet header.
const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const VXLAN_PORT: u16 = 4789;
const GENEVE_PORT: u16 = 6081;

#[test]
fn the_innermost_packet_is_what_counts() -> Test {
    let contents: Vec<_> = packets().iter().filter_map(|packet| packet.frame(link::RAW)).collect();
    let contents: Vec<_> = contents.into_iter().filter(|content| !is_carrier(content)).collect();
    let wrappings = wrappings();
    let mut content_of = HashMap::new();
    for (number, content) in contents.iter().enumerate() {
        // Every packet in one of the tunnels, and every second one as it is.
        content_of.insert(wrappings[number % wrappings.len()](content), content.clone());
        if number % 2 == 0 {
            content_of.insert(ethernet(content), content.clone());
        }
    }
    let mut frames: Vec<_> = content_of.keys().cloned().collect();
    frames.sort();
    let flags: Vec<_> = EXPRESSIONS.iter().map(|expression| ["--inner", "-f", expression]).collect();
    let asks: Vec<_> = flags.iter().map(|ours| Ask { ours, ..Ask::default() }).collect();
    let pair = Pair::silent()?;
    let all_seen = during(pair.near_end(), Size::Frames, &asks, || pair.exchange(&frames))?;
    let mut different = Vec::new();
    for (expression, seen) in EXPRESSIONS.iter().zip(all_seen) {
        let picked = picked(link::RAW, &contents, expression)?;
        let is_expected = |packet: &&Packet| {
            content_of.get(&packet.data).is_some_and(|content| picked.iter().any(|one| one.data == *content))
        };
        let expected: Vec<_> = seen.theirs.iter().filter(is_expected).cloned().collect();
        assert!(!expected.is_empty(), "nothing matches {expression}");
        let differences = differences(&seen.ours, &expected);
        if !differences.is_empty() {
            different.push(format!("{expression}: {differences}"));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
    Ok(())
}

/// Whether a packet is a tunnel's by itself.
fn is_carrier(packet: &[u8]) -> bool {
    let (protocol, header) = if packet[0] >> 4 == 4 { (packet[9], 20) } else { (packet[6], 40) };
    let port = u16::from_be_bytes([packet[header + 2], packet[header + 3]]);
    matches!(protocol, 4 | 41 | 47) || protocol == 17 && matches!(port, VXLAN_PORT | GENEVE_PORT)
}

type Wrapping = fn(&[u8]) -> Vec<u8>;

/// Frames around a packet.
fn wrappings() -> Vec<Wrapping> {
    vec![
        |content| tagged(content),
        |content| ethernet(&ip4(inside(content), content)),
        |content| ethernet(&ip6(inside(content), content)),
        |content| ethernet(&ip4(47, &[&[0, 0][..], &ethertype(content), content].concat())),
        |content| ethernet(&ip4(47, &[&[0x20, 0, 0x65, 0x58, 0, 0, 0, 9][..], &ethernet(content)].concat())),
        |content| ethernet(&ip4(17, &vxlan(&ethernet(content)))),
        |content| ethernet(&ip6(17, &vxlan(&tagged(content)))),
        |content| ethernet(&ip4(17, &geneve([0x65, 0x58], &ethernet(content)))),
        |content| ethernet(&ip4(17, &geneve(ethertype(content), content))),
        |content| tagged(&ip4(4, &ip4(17, &vxlan(&ethernet(&ip4(inside(content), content)))))),
    ]
}

fn ethertype(content: &[u8]) -> [u8; 2] {
    if content[0] >> 4 == 4 { IPV4 } else { IPV6 }
}

/// The protocol number of a packet in another.
fn inside(content: &[u8]) -> u8 {
    if content[0] >> 4 == 4 { 4 } else { 41 }
}

fn ethernet(content: &[u8]) -> Vec<u8> {
    [&ADDRESSES[..], &ethertype(content), content].concat()
}

fn tagged(content: &[u8]) -> Vec<u8> {
    [&ADDRESSES[..], &[0x81, 0, 0, 5], &ethertype(content), content].concat()
}

fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = length(20 + payload.len());
    let head = [0x45, 0, total[0], total[1], 0, 9, 0, 0, 64, protocol, 0, 0];
    [&head[..], &[203, 0, 113, 1], &[203, 0, 113, 2], payload].concat()
}

fn ip6(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let host = |host: u8| [0x20, 1, 0xd, 0xb8, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
    let length = length(payload.len());
    let head = [0x60, 0, 0, 0, length[0], length[1], protocol, 64];
    [&head[..], &host(1), &host(2), payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xc0, 0][..], &port.to_be_bytes(), &length(8 + payload.len()), &[0, 0], payload].concat()
}

fn vxlan(frame: &[u8]) -> Vec<u8> {
    udp(VXLAN_PORT, &[&[8, 0, 0, 0, 0, 0, 42, 0][..], frame].concat())
}

/// With an option of 4 bytes.
fn geneve(protocol: [u8; 2], content: &[u8]) -> Vec<u8> {
    let header = [2, 0, protocol[0], protocol[1], 0, 0, 42, 0, 1, 2, 3, 1, 9, 9, 9, 9];
    udp(GENEVE_PORT, &[&header[..], content].concat())
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes()
}
