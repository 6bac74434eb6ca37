//! Packets in packets.

use super::assert_same_packets;
use crate::compare::Test;
use crate::craft::{Bytes, Ip4, PORTS, ethernet, hex, ip4, ip6, join, sum, udp, udp_message, vlan};

fn inner() -> Bytes {
    udp(PORTS, b"inner")
}

#[test]
fn ip_in_ip() -> Test {
    let inner6 = ip6(17, &sum(true, 17, 6, udp_message(PORTS, b"inner")));
    let packets = [
        ip4(4, &inner()),
        ip4(41, &inner6),
        ip6(4, &inner()),
        ip6(41, &inner6),
        ip4(4, &ip4(4, &ip4(4, &inner()))),
        ip4(4, &inner6),
        Ip4 { fragment: 0x2000, ..Ip4::of(4) }.with(&inner()),
        ip4(4, &inner()[..24]),
    ];
    assert_same_packets(&packets)
}

#[test]
fn gre() -> Test {
    let gre = |header: &str, payload: &[u8]| ip4(47, &join(&[&hex(header), payload]));
    let frame = ethernet(0x0800, &inner());
    let packets = [
        gre("0000 0800", &inner()),
        gre("2000 0800 0000002a", &inner()),
        gre("b000 0800 1234 0000 0000002a 00000007", &inner()),
        gre("2000 6558 0000002a", &frame),
        gre("0000 86dd", &ip6(59, b"")),
        gre("1000 88be 00000001", &frame),
        gre("3081 880b 0005 0001 00000002 00000003", b"ppp"),
        gre("2081 880b 0000 0001 00000003", b""),
        gre("0002 0800", &inner()),
        gre("00", b""),
        gre("2000 0800 00", b""),
        ip6(47, &join(&[&hex("0000 0800"), &inner()])),
    ];
    // PPP itself is not printed.
    assert_same_packets(&[&packets[..6], &packets[7..]].concat())
}

#[test]
fn vxlan_and_geneve() -> Test {
    let frame = ethernet(0x0800, &inner());
    let tagged =
        vlan(0x8100, 42, 0x0806, &hex("0001 0800 0604 0001 020000000001 0a000001 000000000000 0a000002"));
    let vxlan = |header: &str, frame: &[u8]| udp([55_555, 4789], &join(&[&hex(header), frame]));
    let geneve = |header: &str, payload: &[u8]| udp([55_555, 6081], &join(&[&hex(header), payload]));
    let ping = ip6(58, &hex("8000 0000 0001 0001"));
    let packets = [
        vxlan("08000000 00002a00", &frame),
        vxlan("08000000 ffffff00", &tagged),
        vxlan("00000000 00002a00", &ethernet(0x88b5, b"unknown")),
        vxlan("88000000 00002a00", &frame[..10]),
        vxlan("08000000", b""),
        geneve("0000 6558 00002a00", &frame),
        geneve("0000 0800 00002a01", &inner()),
        geneve("00c0 86dd 00002a00", &ping),
        geneve("0240 6558 00002a00 0102 80 01 00000001", &frame),
        geneve("0300 0800 00002a00 0000 01 00 fff0 02 01 00000001", &inner()),
        geneve("0200 0800 00002a00 0104 01 05 00000001", &inner()),
        geneve("0000 88b5 00002a00", b"unknown"),
        geneve("4000 0800 00002a00", &inner()),
        geneve("3f00 0800 00002a00", b"short"),
        geneve("0000 0800", b""),
    ];
    assert_same_packets(&packets)
}
