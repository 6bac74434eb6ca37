//! DNS: what pods ask most, and how it can be wrong.

use super::{assert_said, assert_same_packets};
use crate::compare::Test;
use crate::craft::{Bytes, PORTS, Tcp, hex, join, narrow, udp, words};

/// A name, label by label.
fn name(text: &str) -> Bytes {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut bytes: Bytes =
        labels.flat_map(|label| join(&[&[narrow::<u8>(label.len())], label.as_bytes()])).collect();
    bytes.push(0);
    bytes
}

fn question(text: &str, kind: u16) -> Bytes {
    join(&[&name(text), &words([kind, 1])])
}

/// A record about the name that the question is about.
fn record(kind: u16, data: &[u8]) -> Bytes {
    let len = narrow::<u16>(data.len());
    join(&[&words([0xc00c, kind, 1, 0, 30, len]), data])
}

/// A message with one question, and as many answers as there are.
fn message(flags: u16, question: &[u8], answers: &[Bytes]) -> Bytes {
    let count = narrow::<u16>(answers.len());
    join(&[&words([0x1234, flags, 1, count, 0, 0]), question, &answers.concat()])
}

fn to_server(message: &[u8]) -> Bytes {
    udp([PORTS[0], 53], message)
}

fn from_server(message: &[u8]) -> Bytes {
    udp([53, PORTS[0]], message)
}

const SERVICE: &str = "svc-clusterip.default.svc.cluster.local";

#[test]
fn queries() -> Test {
    let kinds = [1, 28, 12, 33, 16, 5, 15, 6, 2, 65, 255, 256];
    let mut packets: Vec<_> =
        kinds.map(|kind| to_server(&message(0x0100, &question(SERVICE, kind), &[]))).into();
    let flags = [0x0000, 0x0110, 0x0800, 0x2000, 0x2800, 0x7800, 0x0120, 0x06cf];
    packets.extend(flags.map(|flags| to_server(&message(flags, &question("kflow", 1), &[]))));
    let class = join(&[&name("version.bind"), &words([16, 3])]);
    let unicast = join(&[&name("kflow.local"), &words([1, 0x8001])]);
    let with = |counts: [u16; 4], rest: &[u8]| to_server(&join(&[&words([1, 0x0100]), &words(counts), rest]));
    packets.extend([
        to_server(&message(0x0100, &class, &[])),
        to_server(&message(0x0100, &question("", 2), &[])),
        udp([5353, 5353], &message(0, &unicast, &[])),
        udp([5353, 5353], &message(0, &question("kflow.local", 28), &[])),
        with([2, 0, 0, 0], &join(&[&question("a", 1), &question("b", 28)])),
        with([0, 0, 0, 0], b""),
        with([3, 1, 2, 1], &question("a", 1)),
        with([1, 0, 0, 1], &join(&[&question("kflow", 1), &hex("00 0029 04d0 00008000 0000")])),
    ]);
    assert_said(&packets, &["4660+ A? svc-clusterip.default.svc.cluster.local. (57)"])?;
    assert_same_packets(&packets)
}

#[test]
fn answers() -> Test {
    let address6 = hex("fd000000000000000000000000000001");
    let service = join(&[&words([0, 100, 8080]), &name(SERVICE)]);
    let start = join(&[&name("ns.dns"), &name("hostmaster"), &[0; 20]]);
    let table: [(u16, &[u8]); 13] = [
        (1, &[10, 96, 0, 1]),
        (28, &address6),
        (5, &name("cname.kflow")),
        (12, &hex("c00c")),
        (2, &hex("026e73 c00c")),
        (33, &service),
        (16, b"\x05kflow\x07\x1b[31m\xe4\x7f"),
        (15, &hex("000a 046d61696c c00c")),
        (6, &start),
        (256, b"\0\x01\0\x02https://kflow"),
        (104, b"as it is"),
        (13, b"unknown"),
        (999, b"unknown"),
    ];
    let mut packets: Vec<_> = table
        .iter()
        .map(|(kind, data)| from_server(&message(0x8180, &question(SERVICE, *kind), &[record(*kind, data)])))
        .collect();
    let all: Vec<_> = table.iter().map(|(kind, data)| record(*kind, data)).collect();
    packets.push(from_server(&message(0x8580, &question(SERVICE, 255), &all)));
    packets.extend((0..16).map(|code| from_server(&message(0x8180 | code, &question("kflow", 1), &[]))));
    let flags = [0x8100, 0x8380, 0x81a0, 0x8590, 0xa980];
    packets.extend(flags.map(|flags| from_server(&message(flags, &question("kflow", 1), &[]))));
    let flush = join(&[&words([0xc00c, 1, 0x8001, 0, 30, 4]), &[10, 0, 0, 1]]);
    packets.push(udp([5353, 5353], &message(0x8400, &question("kflow.local", 1), &[flush])));
    let extended = |code: u8| {
        let opt = join(&[&hex("00 0029 04d0"), &[code], &hex("00 0000 0000")]);
        let counts = words([0x1234, 0x8180, 1, 0, 0, 1]);
        from_server(&join(&[&counts, &question("kflow", 1), &opt]))
    };
    packets.extend([0, 1, 2, 9, 99].map(extended));
    assert_said(&packets, &["A 10.96.0.1 (73)", "NXDomain", "ServFail", ":8080 0 100", "BadVers"])?;
    assert_same_packets(&packets)
}

#[test]
fn what_no_server_would_say() -> Test {
    let names = [
        "c00c 0001 0001",
        "c0ff 0001 0001",
        "0161 c00e 0001 0001",
        "80 61 00 0001 0001",
        "42 61 00 0001 0001",
        "41 0c 1234 00 0001 0001",
        "41 05 f8 00 0001 0001",
        "41 00 00",
        "0161",
        "3f 61",
        "",
    ];
    let mut packets: Vec<_> =
        names.iter().map(|digits| to_server(&message(0x0100, &hex(digits), &[]))).collect();
    let long = join(&[&join(&[&[63], &[b'k'; 63]]).repeat(5), &[0], &words([1, 1])]);
    packets.push(to_server(&message(0x0100, &long, &[])));
    let data: [(u16, &[u8]); 8] = [
        (1, &[10, 0, 0]),
        (28, &[0; 15]),
        (5, &[]),
        (5, &[0xc0, 0xff]),
        (16, &[200, b'k']),
        (33, &[0, 0, 0, 0, 0]),
        (15, &[0]),
        (1, &[10, 0, 0, 1, 5, 5]),
    ];
    packets.extend(
        data.iter()
            .map(|(kind, data)| from_server(&message(0x8180, &question("k", 1), &[record(*kind, data)]))),
    );
    let mut more = message(0x8180, &question("k", 1), &[record(1, &[10, 0, 0, 1])]);
    more[7] = 9;
    packets.extend([from_server(&more), to_server(&[0; 11]), to_server(b"")]);
    assert_same_packets(&packets)
}

#[test]
fn dns_over_tcp() -> Test {
    let query = message(0x0100, &question(SERVICE, 1), &[]);
    let tcp = Tcp { ports: [PORTS[0], 53], numbers: [1, 1], flags: 0x18, options: &[] };
    let len = narrow::<u16>(query.len());
    let packets = [
        tcp.ip4(&join(&[&words([len]), &query])),
        tcp.ip4(&join(&[&words([len + 1]), &query])),
        tcp.ip4(&[0]),
    ];
    assert_same_packets(&packets)
}
