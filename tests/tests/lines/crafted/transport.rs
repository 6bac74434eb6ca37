//! TCP, UDP and SCTP, and the text within.

use super::{assert_said, assert_same_packets};
use crate::compare::Test;
use crate::craft::{Bytes, Ip4, PORTS, Tcp, hex, ip4, ip6, join, sum, udp, udp_message, words};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
const URG: u8 = 32;
const CLIENT: Tcp<'_> = Tcp { ports: PORTS, numbers: [0, 0], flags: ACK, options: &[] };

fn server() -> Tcp<'static> {
    Tcp { ports: [PORTS[1], PORTS[0]], ..CLIENT }
}

/// The same packet in the other direction; the checksums hold.
fn back(mut packet: Bytes) -> Bytes {
    packet[12..20].rotate_left(4);
    packet
}

#[test]
fn a_connection_has_relative_numbers() -> Test {
    const BEGIN: u32 = u32::MAX - 2;
    let handshake = hex("020405b4 0402 080a 00000001 00000000 01 030307");
    let stamps = hex("0101 080a 00000002 00000001");
    let sack = hex("0101 050a 000003f4 000003fe");
    let own = |offset: u32| BEGIN.wrapping_add(offset);
    let packets = [
        Tcp { numbers: [BEGIN, 0], flags: SYN, options: &handshake, ..CLIENT }.ip4(b""),
        back(Tcp { numbers: [1000, own(1)], flags: SYN | ACK, options: &handshake, ..server() }.ip4(b"")),
        Tcp { numbers: [own(1), 1001], options: &stamps, ..CLIENT }.ip4(b""),
        Tcp { numbers: [own(1), 1001], flags: ACK | PSH, ..CLIENT }.ip4(b"ten bytes!"),
        back(Tcp { numbers: [1001, own(11)], ..server() }.ip4(b"answer")),
        Tcp { numbers: [own(11), 1001], options: &sack, ..CLIENT }.ip4(b""),
        Tcp { numbers: [own(11), 1007], flags: FIN | ACK, ..CLIENT }.ip4(b""),
        back(Tcp { numbers: [1007, own(12)], flags: RST | ACK, ..server() }.ip4(b"why it was reset")),
        Tcp { numbers: [own(12), 0], flags: RST, ..CLIENT }.ip4(&[0x80; 40]),
        back(Tcp { numbers: [77, 88], flags: SYN | ACK, ..server() }.ip4(b"")),
        Tcp { numbers: [88, 78], ..CLIENT }.ip4(b""),
    ];
    assert_said(&packets, &["seq 1:11, ack 1", "ack 11", "sack 1 {12:22}"])?;
    assert_same_packets(&packets)?;
    let packets: Vec<_> = [[BEGIN, 5], [own(1), 6], [own(9), 7]]
        .into_iter()
        .flat_map(|numbers| {
            [Tcp { numbers, ..CLIENT }.ip6(b"kflow"), Tcp { numbers, ..CLIENT }.ip4(b"kflow")]
        })
        .collect();
    assert_same_packets(&packets)
}

#[test]
fn flags_and_options_of_tcp() -> Test {
    let flags = [0, FIN | PSH | URG, 0xff, ACK | URG, ACK | 0x40, SYN | 0xc0];
    let mut packets: Vec<Bytes> = flags.map(|flags| Tcp { flags, ..CLIENT }.ip4(b"kflow")).into();
    let options = [
        "00000000",
        "0204",
        "020405b4 01010100",
        "0203 05 01",
        "03030e 00",
        "0402 0402",
        "0512 00000001 00000002 00000003 00000004 0101",
        "0507 0102030405 00",
        "0606 00000001 0706 00000002",
        "080a 00000001 00000002 0101",
        "0806 00000001 0101",
        "0b06 00000001 0c06 00000002 0d06 00000003 0101",
        "1312 00112233445566778899aabbccddeeff 0101",
        "1404 0102",
        "1c04 0003 1c04 0002",
        "1d04 0102",
        "1d08 0102 03040506",
        "1d02 0101",
        "2202 0101",
        "2206 01020304 0101",
        "2205 010203 010101",
        "fe04 f989",
        "fe08 f989 01020304",
        "fe06 1234 0000 0101",
        "fd04 0102",
        "0100",
        "4701 0101",
        "47ff 0101",
    ];
    for digits in options {
        let mut options = hex(digits);
        options.resize(options.len().next_multiple_of(4), 1);
        packets.push(Tcp { options: &options, ..CLIENT }.ip4(b"kflow"));
    }
    let mut wrong_sum = CLIENT.ip4(b"kflow");
    wrong_sum[36] ^= 0x55;
    let mut short_header = CLIENT.ip4(b"kflow");
    short_header[32] = 0x40;
    let mut long_header = CLIENT.ip4(b"kflow");
    long_header[32] = 0xf0;
    packets.extend([wrong_sum, short_header, long_header]);
    packets.push(Ip4 { fragment: 0x2000, ..Ip4::of(6) }.with(&CLIENT.message(b"kflow")));
    packets.push(ip6(44, &join(&[&hex("06 00 0000 12345678"), &CLIENT.message(b"kflow")])));
    assert_same_packets(&packets)
}

#[test]
fn text_above_tcp() -> Test {
    let get: &[u8] = b"GET /where?did=it HTTP/1.1\r\nHost: kflow\r\n\r\n";
    let table: [(u16, &[u8]); 19] = [
        (80, get),
        (8080, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
        (8080, b"HTTP/1.1 2000 strange\r\n"),
        (80, b"\x16\x03\x01 binary"),
        (80, b"GET /cut"),
        (80, b"GET /bell \x07\r\n"),
        (80, b"GET /return \rHTTP\r\n"),
        (80, b"HTTP/1.1"),
        (80, b" \r\n"),
        (80, b"post\t/tab HTTP/1.0\n\nrest"),
        (8000, get),
        (554, b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n"),
        (25, b"220 mail.kflow ESMTP\r\n"),
        (21, b"USER anonymous\r\n"),
        (43, b"kflow\r\n"),
        (22, b"SSH-2.0-OpenSSH_9.2\r\n"),
        (22, b"\0\0\x05\x0c binary"),
        (22, b"SSH-cut"),
        (80, b"\r"),
    ];
    let packets: Vec<_> = table
        .into_iter()
        .map(|(port, payload)| Tcp { ports: [PORTS[0], port], ..CLIENT }.ip4(payload))
        .collect();
    assert_said(&packets, &[": HTTP: GET /where?did=it HTTP/1.1", "SSH: SSH-2.0-OpenSSH_9.2"])?;
    assert_same_packets(&packets)
}

#[test]
fn udp_and_its_lengths() -> Test {
    let with_len = |len: u16| {
        let mut message = udp_message(PORTS, b"kflow");
        message[4..6].copy_from_slice(&len.to_be_bytes());
        message
    };
    let sip = b"INVITE sip:kflow@example.com SIP/2.0\r\nVia: x\r\n";
    let mut packets: Vec<_> = [0, 7, 8, 12, 13, 14, 2000].map(|len| ip4(17, &with_len(len))).into();
    packets.extend([
        udp(PORTS, b""),
        udp([5060, 5060], sip),
        ip4(17, &words([PORTS[0], PORTS[1]])),
        Ip4 { fragment: 0x2000, ..Ip4::of(17) }.with(&with_len(2000)),
        ip6(17, &sum(true, 17, 6, udp_message(PORTS, b"kflow"))),
        ip6(17, &with_len(12)),
    ]);
    assert_same_packets(&packets)
}

#[test]
fn sctp_chunks() -> Test {
    let header = hex("9c40 2328 00000001 00000000");
    let packet = |chunks: &str| ip4(132, &join(&[&header, &hex(chunks)]));
    let packets = [
        packet("01 00 0014 00000001 00010000 000a ffff 00000002"),
        packet("02 00 0018 00000001 00010000 000a ffff 00000002 00070004"),
        packet("0a 00 0008 01020304 00 03 0013 00000001 0001 0002 00000000 6b6672 00"),
        packet("00 04 0014 00000001 0001 0002 0000001b 6b666c6f"),
        packet("03 00 0018 00000005 00010000 0001 0001 0002 0003 00000004"),
        packet("0b 00 0004"),
        packet("04 00 0008 00010004 05 00 0008 00010004"),
        packet("06 00 0004 07 00 0008 00000001 08 00 0004 0e 00 0004"),
        packet("c0 00 0008 00000001 42 00 0004"),
        packet("00 03 0010 00000001 0001 0002 00000063"),
        packet("00 03 000c 00000001 0001 0002"),
        packet("01 00 0008 00000001"),
        packet("03 00 0012 00000005 00010000 0001 0000 0002 0000"),
        packet("0b 00 0003 00"),
        packet("0b 00"),
        packet("0b 00 0044"),
        ip4(132, &header[..8]),
        ip6(132, &join(&[&header, &hex("0b 00 0004")])),
    ];
    assert_same_packets(&packets)
}
