//! Texts of strangers in files: names, comments, DNS, HTTP. None of them drives the terminal that they are printed on.

use std::ffi::OsString;

use serde_json::{Value, json};
use tests::{
    Kflow,
    kflow::{self, Outcome},
};

use crate::support::{Folder, Test};

/// Sets a title, makes lines, turns text around, and is what C1 controls are in UTF-8.
const EVIL: &str = "e\u{1b}]0;own\u{7}\nfake\r\u{202e}\u{9b}2J\u{2028}z";

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn u16_of(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_le_bytes()
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    [code.to_le_bytes().to_vec(), u16_of(value.len()).to_vec(), padded(value.to_vec())].concat()
}

fn block(kind: u32, body: Vec<u8>) -> Vec<u8> {
    let body = padded(body);
    let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, &body, &length].concat()
}

/// Of 10.0.0.1 to 10.0.0.2, or back.
fn ip(protocol: u8, is_back: bool, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let (source, destination) = if is_back { (2, 1) } else { (1, 2) };
    let header = [
        0x45,
        0,
        length[0],
        length[1],
        0,
        1,
        0,
        0,
        64,
        protocol,
        0,
        0,
        10,
        0,
        0,
        source,
        10,
        0,
        0,
        destination,
    ];
    [&[2; 12][..], &[8, 0], &header, payload].concat()
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let words = [source, destination, length, 0].map(u16::to_be_bytes);
    [&words.concat()[..], payload].concat()
}

fn tcp(destination: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [5000, destination].map(u16::to_be_bytes).concat();
    [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 3, 0, 0, 0, 0, 0], payload].concat()
}

fn dns(flags: [u8; 2]) -> Vec<u8> {
    let label = "a\u{1b}]0;x\u{7}\n\r\u{202e}".as_bytes();
    let header = [0, 7, flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], &[u8::try_from(label.len()).unwrap()], label, &[0, 0, 1, 0, 1]].concat()
}

/// A capture of which every text is hostile.
fn file() -> Vec<u8> {
    let evil = EVIL.as_bytes();
    let section = [
        &0x1A2B_3C4D_u32.to_le_bytes()[..],
        &[1, 0, 0, 0],
        &[0xff; 8],
        &option(1, evil),
        &option(2, evil),
        &option(3, evil),
        &option(4, evil),
    ];
    let interface = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &option(2, evil), &option(3, evil), &option(9, &[9])];
    let mut bytes = [block(0x0A0D_0D0A, section.concat()), block(1, interface.concat())].concat();
    let http = "GET /\u{1b}]0;x\u{7}\u{202e} HTTP/1.1\r\nHost: \u{1b}[2J\r\n\r\n";
    let packets = [
        ip(17, false, &udp(4000, 53, &dns([1, 0]))),
        ip(17, true, &udp(53, 4000, &dns([0x81, 0x83]))),
        ip(6, false, &tcp(80, http.as_bytes())),
        ip(6, false, &tcp(25, "220 \u{1b}]0;x\u{7}\r\n".as_bytes())),
    ];
    for (number, packet) in packets.into_iter().enumerate() {
        let time = 1_700_000_000_000_000_000_u64 + number as u64;
        let comment =
            if number == 3 { "dropped in f+0x1 reason X\u{1b}\u{202e}Y on e\u{9b}th0 netns 9" } else { EVIL };
        let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
        let head = [[0; 4], high(time), low(time), length, length].concat();
        bytes.extend(block(6, [head, padded(packet), option(1, comment.as_bytes())].concat()));
    }
    bytes
}

fn high(time: u64) -> [u8; 4] {
    u32::try_from(time >> 32).unwrap().to_le_bytes()
}

fn low(time: u64) -> [u8; 4] {
    u32::try_from(time & 0xffff_ffff).unwrap().to_le_bytes()
}

/// Objects whose names no API server would take, as a file may have them.
fn state() -> String {
    let named = |name: &str| format!("{name}{EVIL}");
    let pod = |name: &str, address: &str| {
        json!({
            "kind": "Pod", "apiVersion": "v1", "metadata": {"name": named(name), "namespace": named("d")},
            "spec": {"nodeName": named("n"), "containers": []},
            "status": {"podIP": address, "podIPs": [{"ip": address}], "hostIP": "192.168.0.1", "phase": "Running"},
        })
    };
    let node = json!({
        "kind": "Node", "metadata": {"name": named("n")},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}]},
    });
    let service = json!({
        "kind": "Service", "metadata": {"name": named("s"), "namespace": named("d")},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": named("w"), "port": 80, "protocol": "TCP"}]},
    });
    let items = json!([pod("p", "10.0.0.1"), pod("q", "10.0.0.2"), node, service]);
    json!({"kind": "List", "apiVersion": "v1", "items": items}).to_string()
}

/// A text that cannot be told from ordinary lines would begin one of its own.
fn assert_tame(what: &str, Outcome { stdout, stderr, .. }: &Outcome) {
    for text in [stdout, stderr] {
        let is_wild =
            |c: char| (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202e}' | '\u{2028}');
        assert!(!text.contains(is_wild), "{what}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("fake")), "{what}: {text:?}");
    }
}

#[test]
fn texts_of_strangers_cannot_drive_the_terminal() -> Test {
    let folder = Folder::new()?;
    let file = folder.write("evil.pcapng", &file())?.display().to_string();
    let state = folder.write("state.json", state().as_bytes())?.display().to_string();
    let shown = "e\\u{1b}]0;own\\u{7}\\nfake\\r\\u{202e}\\u{9b}2J\\u{2028}z";
    for (words, expected) in [
        ("capture -r FILE", "HTTP"),
        ("capture -r FILE -v -e -X", "HTTP"),
        ("trace -r FILE 10.0.0.1", shown),
        ("trace -r FILE --why 10.0.0.1", shown),
        ("trace -r FILE --state STATE 10.0.0.1 10.0.0.2", shown),
        ("trace -r FILE --state STATE nosuch", "no such pod"),
        ("explain --state STATE 10.96.0.1", shown),
        ("capture -r /no/such\u{1b}[2J", "/no/such\\u{1b}[2J"),
        ("trace -r /no/such\u{1b}[2J 10.0.0.1", "/no/such\\u{1b}[2J"),
    ] {
        let words = words.replace("FILE", &file).replace("STATE", &state);
        let outcome = Kflow::run(&kflow::program(), words.split(' ').map(OsString::from))?;
        assert_tame(&words, &outcome);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains(expected), "{words}: no {expected} in {said}");
    }
    Ok(())
}

/// Programs read it: the texts are whole, in the escapes of the format.
#[test]
fn json_has_every_text_as_it_is() -> Test {
    let folder = Folder::new()?;
    folder.write("evil.pcapng", &file())?;
    let outcome = folder.trace("-r DIR/evil.pcapng 10.0.0.1 -o json")?;
    assert!(!outcome.stdout.contains('\u{1b}'), "{:?}", outcome.stdout);
    let mut found = false;
    for line in outcome.stdout.lines() {
        let value: Value = serde_json::from_str(line)?;
        found |= has(&value, EVIL);
    }
    assert!(found, "{}", outcome.stdout);
    Ok(())
}

fn has(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found.contains(text),
        Value::Array(all) => all.iter().any(|one| has(one, text)),
        Value::Object(all) => all.values().any(|one| has(one, text)),
        _ => false,
    }
}
