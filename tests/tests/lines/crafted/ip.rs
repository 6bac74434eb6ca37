//! Link layers, ARP, IP and what it tells about itself.

use super::{assert_said, assert_same, assert_same_packets};
use crate::compare::{ETHERNET, Test};
use crate::craft::{
    A6, B6, Bytes, Ip4, PORTS, counted, ethernet, hex, icmp, icmp6, ip4, ip6, join, sum, udp, udp_message,
    vlan, words,
};

fn arp(operation: u16, target: &str) -> Bytes {
    let addresses = format!("020000000001 0a000001 {target} 0a000002");
    ethernet(0x0806, &join(&[&words([1, 0x0800, 0x0604, operation]), &hex(&addresses)]))
}

#[test]
fn arp_in_all_its_kinds() -> Test {
    let mut packets: Vec<_> =
        (0..12).flat_map(|kind| [arp(kind, "000000000000"), arp(kind, "020000000002")]).collect();
    let strange =
        ["0006 0800 0604 0001", "0001 86dd 0610 0001", "0001 0800 0004 0001", "0001 0800 0604 0002"];
    for header in strange {
        packets.push(ethernet(0x0806, &join(&[&hex(header), &[0x11; 44]])));
    }
    packets.push(ethernet(0x8035, &arp(3, "020000000002")[14..]));
    assert_same(ETHERNET, &packets)
}

#[test]
fn frames_with_tags_lengths_and_unknown_types() -> Test {
    let packet = udp(PORTS, b"kflow");
    let tagged = join(&[&words([0x2123, 0x0800]), &packet]);
    let mut padded = ethernet(0x0800, &udp(PORTS, b"k"));
    padded.resize(60, 0xaa);
    let packets = [
        vlan(0x8100, 42, 0x0800, &packet),
        vlan(0x88a8, 0xf00a, 0x8100, &tagged),
        vlan(0x8100, 7, 0x88b5, b"no such protocol"),
        vlan(0x9100, 7, 0x0806, &arp(1, "000000000000")[14..]),
        padded,
        ethernet(0x88b5, b"no such protocol"),
        ethernet(0x0800, &ip6(17, &[0; 8])),
        ethernet(0x0800, &[0x35; 40]),
        ethernet(0x86dd, &packet),
        ethernet(0x86dd, &join(&[&packet, &[0; 20]])),
    ];
    assert_same(ETHERNET, &packets)
}

#[test]
fn frames_with_a_length_instead_of_a_type() -> Test {
    let tree = "4242 03 0000 00 00 3c 8000 020000000001 00000004 8000 020000000002 8001 0100 1400 0200 0f00";
    let rapid = tree.replacen("0000 00 00", "0000 02 02", 1) + "00";
    let snap = join(&[&hex("aaaa03 000000 0800"), &udp(PORTS, b"snap")]);
    let packets = [
        counted(&hex(tree)),
        counted(&hex(&rapid)),
        counted(&hex("4242 03 0000 00 80")),
        counted(&snap),
        counted(&hex("aaaa03 000000 88b5 6b666c6f77")),
        counted(&hex("aaaa03 00000c 3333 6b666c6f77")),
        counted(&hex("0000 af 81 01 00")),
        counted(&hex("f0f1 7f")),
        counted(&hex("1c1c 03 6b666c6f77")),
        counted(&hex("0404 0102 6b666c6f77")),
        counted(&hex("0405 0103")),
        counted(&hex("0610 0204 6b")),
        counted(&join(&[&hex("060603"), &udp(PORTS, b"llc")])),
    ];
    assert_same(ETHERNET, &packets)
}

#[test]
fn ip4_headers() -> Test {
    let payload = udp_message(PORTS, b"kflow");
    let header = |tos, ttl, fragment| Ip4 { tos, ttl, fragment, ..Ip4::of(17) };
    let option = |options| Ip4 { options, ..Ip4::of(17) }.with(&payload);
    let mut bad_sum = ip4(17, &payload);
    bad_sum[10] ^= 0x55;
    let mut too_long = ip4(17, &payload);
    too_long[3] += 9;
    let mut short_header = ip4(17, &payload);
    short_header[0] = 0x44;
    let mut short_packet = ip4(17, &payload);
    short_packet[3] = 19;
    let mut no_length = ip4(17, &payload);
    no_length[3] = 0;
    let packets = [
        header(0x01, 1, 0).with(&payload),
        header(0xb9, 0, 0x8000).with(&payload),
        header(0x12, 64, 0x2000).with(&payload),
        header(0x03, 64, 0x20b9).with(&payload),
        header(0, 64, 0x00b9).with(&payload),
        Ip4 { fragment: 0x2000, ..Ip4::of(6) }.with(&[0; 24]),
        Ip4 { fragment: 0x2000, ..Ip4::of(1) }.with(&hex("0800 0000 0001 0002 6b66")),
        option(&hex("07 0b 08 0a000003 00000000 00")),
        option(&hex("83 0b 04 0a000003 0a000004 00")),
        option(&hex("94 04 0000 94 04 0001 01 01 01 00")),
        option(&hex("44 0c 05 00 00000001 00000000")),
        option(&hex("44 0c 0d 21 0a000003 00000001")),
        option(&hex("44 04 05 07 82 03 00 00")),
        option(&hex("99 04 0000 94 02 07 01")),
        bad_sum,
        too_long,
        short_header,
        short_packet,
        no_length,
        ip4(253, b"unknown"),
        ip4(58, &[0; 8]),
        ip4(59, &[]),
        ip4(50, &hex("00000001 00000002 6b666c6f77")),
        ip4(51, &join(&[&hex("11 04 0000 00000001 00000002 0102030405060708 090a0b0c"), &payload])),
    ];
    assert_same_packets(&packets)
}

#[test]
fn ip6_headers() -> Test {
    let payload = || sum(true, 17, 6, udp_message(PORTS, b"kflow"));
    let with = |next, header: &str| ip6(next, &join(&[&hex(header), &payload()]));
    let mut marked = ip6(17, &payload());
    marked[..4].copy_from_slice(&hex("6b812345"));
    let mut wrong_sum = ip6(17, &payload());
    wrong_sum[46] ^= 0x55;
    let mut no_length = ip6(17, &payload());
    no_length[4..6].fill(0);
    let mut too_long = ip6(17, &payload());
    too_long[5] += 9;
    let route = join(&[&hex("11 04 00 01 00000000"), &A6, &B6, &payload()]);
    let segments = join(&[&hex("11 04 04 01 01 00 0000"), &B6, &A6, &payload()]);
    let home = join(&[&hex("11 02 01 02 0000 c9 10"), &A6, &payload()]);
    let packets = [
        marked,
        wrong_sum,
        no_length,
        too_long,
        with(0, "11 00 05 02 0000 01 00"),
        with(0, "11 00 00 00 00 01 01 00"),
        with(0, "11 00 c2 04 00010001"),
        with(0, "3c 00 1e 04 00000000 11 00 01 04 00000000"),
        with(0, "00 00 01 04 00000000 11 00 01 04 00000000"),
        with(60, "00 00 01 04 00000000 11 00 01 04 00000000"),
        with(60, "11 00 05 09 00000000"),
        with(44, "11 00 0000 12345678"),
        with(44, "11 00 0001 12345678"),
        with(44, "11 00 05a9 12345678"),
        with(43, "11 00 03 00 00000000"),
        ip6(60, &home),
        ip6(43, &route),
        ip6(43, &segments),
        ip6(253, b"unknown"),
        ip6(1, &[0; 8]),
        ip6(59, b""),
        ip6(143, &ethernet(0x0800, &udp(PORTS, b"inner"))),
        ip6(51, &join(&[&hex("11 02 0001 00000001 00000002 01020304"), &payload()])),
    ];
    assert_same_packets(&packets)
}

#[test]
fn icmp_messages() -> Test {
    let cause = udp([40_000, 53], b"cause");
    let about = |kind, code, word: &str| icmp(kind, code, &join(&[&hex(word), &cause]));
    let mut packets = vec![
        icmp(8, 0, &hex("0001 0002 6b666c6f77")),
        icmp(0, 0, &hex("0001 0002 6b666c6f77")),
        icmp(13, 0, &hex("0001 0002 00000001 00000000 00000000")),
        icmp(14, 0, &hex("0001 0002 04d2d2d2 00112233 01020304")),
        icmp(9, 0, &hex("02 02 0708 0a000001 00000001 0a000002 80000000")),
        icmp(9, 0, &hex("00 03 2a30")),
        icmp(10, 0, &[0; 4]),
        icmp(15, 0, &[0; 4]),
        icmp(17, 0, &[0; 8]),
        icmp(18, 0, &hex("00000000 ffffff00")),
        icmp(99, 0, &[0; 4]),
        about(4, 0, "00000000"),
        about(3, 4, "000005dc"),
        about(11, 0, "00000000"),
        about(11, 1, "00000000"),
        about(11, 2, "00000000"),
        about(12, 0, "14000000"),
        about(12, 1, "00000000"),
    ];
    packets.extend((0..17).map(|code| about(3, code, "00000000")));
    packets.extend((0..5).map(|code| about(5, code, "0a000003")));
    packets.push(icmp(3, 3, &join(&[&[0; 4], &ip4(6, &words([40_000, 80, 0, 0]))])));
    packets.push(icmp(3, 3, &join(&[&[0; 4], &ip4(132, &words([1, 2, 0, 0]))])));
    let mut wrong = icmp(8, 0, &hex("0001 0002"));
    wrong[22] ^= 0x55;
    packets.push(wrong);
    assert_said(
        &packets,
        &["need to frag (mtu 1500)", "time exceeded in-transit", "redirect 10.0.0.2 to host"],
    )?;
    assert_same_packets(&packets)
}

#[test]
fn icmp_extensions() -> Test {
    let cause = join(&[&udp([40_000, 33_434], &[0x6b; 92]), &[0; 8]]);
    assert_eq!(cause.len(), 128);
    let with = |extension: &str| icmp(11, 0, &join(&[&hex("00200000"), &cause, &hex(extension)]));
    let packets = [
        with("2000 2a2e 0008 01 01 000191ff 0008 01 02 00000000"),
        with("2000 0000 0008 02 01 0a000001 0003 01 01"),
        with("1000 0000 0008 02 01 0a000001"),
        icmp(11, 0, &join(&[&[0; 4], &cause, &[0x6b; 40]])),
    ];
    assert_same_packets(&packets)
}

#[test]
fn icmp6_messages() -> Test {
    let cause = ip6(17, &sum(true, 17, 6, udp_message([40_000, 53], b"cause")));
    let about = |kind, code, word: &str| icmp6(kind, code, &join(&[&hex(word), &cause]));
    let mut packets: Vec<_> = (0..6).map(|code| about(1, code, "00000000")).collect();
    packets.extend((0..3).map(|code| about(3, code, "00000000")));
    packets.extend((0..5).map(|code| about(4, code, "00000028")));
    let target = |kind, word: &str, options: &str| icmp6(kind, 0, &join(&[&hex(word), &B6, &hex(options)]));
    let redirect = join(&[&[0; 4], &A6, &B6, &hex("02 01 020000000002")]);
    let report = join(&[&hex("0000 0002"), &hex("04 00 0000"), &A6, &hex("01 00 0001"), &A6, &B6]);
    let options = "01 01 020000000001 05 01 0000 000005dc 19 01 0000 00000e10 \
                   18 01 40 08 00000e10 63 01 000000000000";
    let prefix = join(&[&hex("03 04 40 c0 00278d00 ffffffff 00000000"), &A6]);
    let names = hex("1f 03 0000 00000e10 056b666c6f77 026465 00 000000000000");
    let advertisement = join(&[&hex("40 c8 0708 00000000 00000000"), &prefix, &names, &hex(options)]);
    packets.extend([
        about(2, 0, "000004d2"),
        icmp6(128, 0, &hex("0001 0002 6b666c6f77")),
        icmp6(129, 0, &hex("0001 0002 6b666c6f77")),
        target(130, "03e8 0000", ""),
        target(130, "03e8 0000", "0a 7d 0000"),
        target(130, "9234 0000", "03 95 0001 00000000"),
        icmp6(130, 0, &[0; 6]),
        target(131, "0000 0000", ""),
        target(132, "0000 0000", ""),
        icmp6(143, 0, &report),
        icmp6(143, 0, &hex("0000 0002 01 00 0000")),
        icmp6(133, 0, &hex("00000000 01 01 020000000001")),
        icmp6(134, 0, &advertisement),
        target(135, "00000000", "01 01 020000000001"),
        target(136, "e0000000", "02 01 020000000002"),
        target(136, "00000000", "02 00"),
        icmp6(137, 0, &redirect),
        icmp6(141, 0, &[0; 4]),
        icmp6(250, 0, b"unknown"),
    ]);
    packets.push({
        let mut wrong = icmp6(128, 0, &hex("0001 0002"));
        wrong[42] ^= 0x55;
        wrong
    });
    assert_same_packets(&packets)
}

#[test]
fn group_messages() -> Test {
    let group = |message: &str| ip4(2, &hex(message));
    let packets = [
        group("11 64 ee9b 00000000"),
        group("11 0a 0000 e0000001"),
        group("11 00 ee9b 00000000"),
        group("11 64 0000 e0000001 02 7d 0000"),
        group("11 95 0000 e0000001 02 7d 0001 0a000001"),
        group("11 ff 0000 e0000001 02 7d 0003 0a000001"),
        group("12 00 0000 e0000001"),
        group("16 00 0000 e0000001"),
        group("17 00 0000 e0000001"),
        group("22 00 0000 0000 0002 04 00 0000 e0000001 09 00 0001 e0000002 0a000001"),
        group("22 00 0000 0000 0009 04 00 0000 e0000001"),
        group("22 00 0000 0000"),
        group("99 00 0000 00000000"),
    ];
    assert_same_packets(&packets)
}
