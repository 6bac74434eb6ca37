//! What is no capture, and what is one up to a point.

use super::*;

fn refused(bytes: &[u8]) -> String {
    items(bytes).unwrap_err().to_string()
}

#[test]
fn what_is_no_capture_is_told() {
    for (bytes, said) in [
        (&b""[..], "the capture is empty"),
        (b"#", "this is no capture: it begins neither as pcap nor as pcapng"),
        (b"#!/bin/sh\n", "this is no capture: it begins neither as pcap nor as pcapng"),
        (&[0xd4, 0xc3, 0xb2], "this is no capture: it begins neither as pcap nor as pcapng"),
        (&[0x1f, 0x8b, 8, 0], "unpack it first (`gzip -dc FILE"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "unpack it first (`zstd -dc FILE"),
        (b"\xfd7zXZ\0", "unpack it first (`xz -dc FILE"),
        (&[0xd4, 0xc3, 0xb2, 0xa1], "ends in the middle of a packet or block, which begins at byte 0"),
        (&SECTION.to_le_bytes(), "ends in the middle of a packet or block, which begins at byte 0"),
    ] {
        let refused = refused(bytes);
        assert!(refused.contains(said), "{bytes:?}: {refused}");
    }
}

#[test]
fn other_versions_are_told() {
    let mut pcap = pcap_header(false, 0xa1b2_c3d4, 0, 1);
    pcap[4] = 3;
    assert_eq!(refused(&pcap), "the capture is damaged at byte 0: a pcap version other than 2");
    let section = body(false, &[U32(0x1a2b_3c4d), U16(2), U16(0), U64(0)]);
    let pcapng = block(false, SECTION, &section);
    assert_eq!(refused(&pcapng), "the capture is damaged at byte 0: a pcapng version other than 1");
}

/// Frames before the error, and the error.
fn until(bytes: &[u8]) -> (usize, String) {
    let mut reader = CaptureReader::new(bytes).unwrap();
    let mut count = 0;
    loop {
        match reader.next_item() {
            Ok(Some(Item::Frame(_))) => count += 1,
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => return (count, error.to_string()),
        }
    }
}

#[test]
fn what_comes_before_the_damage_is_read() {
    let pcap = [pcap_header(false, 0xa1b2_c3d4, 0, 1), pcap_packet(false, (1, 0), 60, &[1; 60])].concat();
    let pcapng = [
        section_block(false, NO_OPTIONS),
        interface_block(false, 1, 0, NO_OPTIONS),
        packet_block(false, 1, &[1; 60]),
    ]
    .concat();
    let next = |start: &[u8], next: &[u8]| until(&[start, next].concat());
    let cut = |offset| {
        format!("the capture ends in the middle of a packet or block, which begins at byte {offset}")
    };
    let damaged = |offset, what| format!("the capture is damaged at byte {offset}: {what}");

    let packet = pcap_packet(false, (2, 0), 60, &[1; 60]);
    for end in [1, 15, 16, 75] {
        assert_eq!(next(&pcap, &packet[..end]), (1, cut(pcap.len())));
    }
    let long = pcap_packet(false, (2, 0), 262_145, &vec![1; 262_145]);
    assert_eq!(next(&pcap, &long), (1, damaged(pcap.len(), "a packet longer than any")));

    let packet = packet_block(false, 2, &[1; 60]);
    for end in [1, 11, 12, packet.len() - 1] {
        assert_eq!(next(&pcapng, &packet[..end]), (1, cut(pcapng.len())));
    }
    let head = |kind: u32, len: u32| body(false, &[U32(kind), U32(len), U32(0)]);
    for (bytes, what) in [
        (head(6, 11), "a block of impossible length"),
        (head(6, 0), "a block of impossible length"),
        (head(6, 33), "a block of impossible length"),
        (head(6, 1 << 30), "a block longer than any"),
        (head(6, 12), "a block whose two lengths differ"),
        (head(SECTION, 28), "a section without a byte order"),
        (block(false, 6, &[0; 16]), "a block too short for what it holds"),
        (packet_block(false, 2, &[1; 60]).tap(|bytes| bytes[20] = 99), "a block too short for what it holds"),
    ] {
        assert_eq!(next(&pcapng, &bytes), (1, damaged(pcapng.len(), what)));
    }
    let mut unknown = packet_block(false, 2, &[1]);
    unknown[8] = 1;
    let what = "it names interface 1, which it did not describe";
    assert_eq!(next(&pcapng, &unknown), (1, damaged(pcapng.len(), what)));
}

/// The same, changed.
trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Vec<u8> {}
