//! What other programs write.

use super::super::super::LinkLayer;
use super::*;

const ETHERNET: u32 = 1;
const SLL: u32 = 113;
const SLL2: u32 = 276;
const END: Field<'static> = U32(0);

/// A cooked packet that came or went by an interface.
fn sll2(ifindex: u8, packet_type: u8) -> Vec<u8> {
    [&[8, 0, 0, 0, 0, 0, 0, ifindex, 0, 1, packet_type, 6, 0, 0, 0, 0, 0, 0, 0, 0], IP.as_slice()].concat()
}

const IP: [u8; 5] = [0x45, 1, 2, 3, 4];

fn ethernet_ip() -> Vec<u8> {
    [&[0; 12], [8, 0].as_slice(), &IP].concat()
}

#[test]
fn pcap_of_both_byte_orders_and_units() {
    for (is_big, magic, nanoseconds) in [
        (false, 0xa1b2_c3d4, 5000),
        (true, 0xa1b2_c3d4, 5000),
        (false, 0xa1b2_3c4d, 5),
        (true, 0xa1b2_3c4d, 5),
    ] {
        let mut bytes = pcap_header(is_big, magic, 20, ETHERNET);
        // The snap length of the file is below the length of the packet.
        bytes.extend(pcap_packet(is_big, (1_700_000_000, 5), 1500, &[7; 20]));
        bytes.extend(pcap_packet(is_big, (1_700_000_001, 6), 3, &[8; 3]));
        let reader = CaptureReader::new(bytes.as_slice()).unwrap();
        assert_eq!(reader.format(), CaptureFormat::Pcap);
        let items = items(&bytes).unwrap();
        assert_eq!(items[0], Item::Section(Section::default()));
        let interface = &interfaces(&items)[0];
        assert_eq!((interface.name.as_str(), interface.link), ("", LinkLayer::Ethernet));
        let frames = frames(&items);
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].time, Timestamp(1_700_000_000_000_000_000 + nanoseconds));
        assert_eq!((frames[0].original_len, frames[0].data.as_ref()), (1500, [7; 20].as_slice()));
        assert_eq!((frames[1].original_len, frames[1].data.as_ref()), (3, [8; 3].as_slice()));
        assert_eq!((frames[0].direction, frames[0].gso), (None, None));
    }
}

#[test]
fn pcapng_of_both_byte_orders() {
    for is_big in [false, true] {
        let options = [U16(4), U16(5), Bytes(b"other\0\0\0"), END];
        let mut bytes = section_block(is_big, &options);
        // Microseconds unless told otherwise; the name without an end of the list.
        bytes.extend(interface_block(is_big, 1, 0, &[U16(2), U16(4), Bytes(b"eth0")]));
        bytes.extend(packet_block(is_big, 1_700_000_000_000_005, &[7; 7]));
        let flags = [U16(2), U16(4), U32(2), U16(4), U16(8), U64(9), U16(1), U16(3), Bytes(b"a\xffb\0"), END];
        let head = [U32(0), U32(0), U32(6), U32(3), U32(60), Bytes(&[1, 2, 3, 0])];
        bytes.extend(block(is_big, 6, &body(is_big, &[head.as_slice(), &flags].concat())));
        let counters = [U16(4), U16(8), U64(12), U16(5), U16(8), U64(2), U16(7), U16(8), U64(3), END];
        let when = [U32(0), U32(0), U32(7)];
        bytes.extend(block(is_big, 5, &body(is_big, &[when.as_slice(), &counters].concat())));
        let items = items(&bytes).unwrap();
        let Item::Section(section) = &items[0] else { panic!("{items:?}") };
        assert_eq!(section.application.as_deref(), Some("other"));
        assert_eq!(interfaces(&items)[0].name, "eth0");
        let frames = frames(&items);
        assert_eq!(frames[0].time, Timestamp(1_700_000_000_000_005_000));
        assert_eq!(frames[0].data.as_ref(), [7; 7]);
        assert_eq!((frames[1].time, frames[1].original_len), (Timestamp(6000), 60));
        assert_eq!((frames[1].direction, frames[1].lost_before), (Some(Direction::Egress), 9));
        assert_eq!(frames[1].comment.as_deref(), Some("a\u{fffd}b"));
        let statistics = Statistics { seen: 12, matched: 12, lost: 5, written: 0 };
        assert_eq!(items[4], Item::Statistics(InterfaceId(0), Timestamp(7000), statistics));
    }
}

#[test]
fn old_and_simple_packets() {
    for is_big in [false, true] {
        let mut bytes = section_block(is_big, NO_OPTIONS);
        bytes.extend(interface_block(is_big, 1, 6, NO_OPTIONS));
        let old = [U16(0), U16(4), U32(0), U32(9), U32(5), U32(50), Bytes(&[1, 2, 3, 4, 5])];
        bytes.extend(block(is_big, 2, &body(is_big, &old)));
        let simple =
            |len: u32, data: &'static [u8]| block(is_big, 3, &body(is_big, &[U32(len), Bytes(data)]));
        // Cut at the snap length; then padding that is no packet.
        bytes.extend(simple(100, &[6; 6]));
        bytes.extend(simple(5, &[5; 5]));
        let frames = frames(&items(&bytes).unwrap());
        assert_eq!(frames[0].data.as_ref(), [1, 2, 3, 4, 5]);
        assert_eq!((frames[0].time, frames[0].original_len, frames[0].lost_before), (Timestamp(9000), 50, 4));
        // A simple packet has no time: it is that of the packet before.
        assert_eq!((frames[1].time, frames[1].original_len), (Timestamp(9000), 100));
        assert_eq!(
            (frames[1].data.as_ref(), frames[2].data.as_ref()),
            ([6; 6].as_slice(), [5; 5].as_slice())
        );
    }
}

#[test]
fn sections_number_their_interfaces_anew() {
    let section = |is_big: bool, name: &'static [u8]| {
        let name = [U16(2), U16(4), Bytes(name)];
        [section_block(is_big, NO_OPTIONS), interface_block(is_big, 1, 0, &name)].concat()
    };
    let bytes = [
        section(false, b"eth0"),
        packet_block(false, 1, &[1]),
        section(true, b"eth1"),
        packet_block(true, 2, &[2]),
    ];
    let items = items(&bytes.concat()).unwrap();
    let names: Vec<String> = interfaces(&items).into_iter().map(|interface| interface.name).collect();
    assert_eq!(names, ["eth0", "eth1"]);
    assert!(frames(&items).iter().all(|frame| frame.interface == InterfaceId(0)));
    assert_eq!(items.iter().filter(|item| matches!(item, Item::Section(_))).count(), 2);
}

#[test]
fn any_has_an_interface_for_each_index() {
    let mut bytes = pcap_header(false, 0xa1b2_c3d4, 0, SLL2);
    for (second, ifindex, packet_type) in [(1, 7, 0), (2, 9, 4), (3, 7, 4)] {
        bytes.extend(pcap_packet(false, (second, 0), 100, &sll2(ifindex, packet_type)));
    }
    let items = items(&bytes).unwrap();
    let told: Vec<_> = items.iter().skip(1).map(|item| matches!(item, Item::Interface(..))).collect();
    // Each is described before its first packet.
    assert_eq!(told, [true, false, true, false, false]);
    let named: Vec<_> = interfaces(&items).into_iter().map(|each| (each.name, each.ifindex)).collect();
    assert_eq!(named, [("if7".to_owned(), Some(7)), ("if9".to_owned(), Some(9))]);
    let seen: Vec<_> = frames(&items).iter().map(|frame| (frame.interface.0, frame.direction)).collect();
    let (ingress, egress) = (Some(Direction::Ingress), Some(Direction::Egress));
    assert_eq!(seen, [(0, ingress), (1, egress), (0, egress)]);
    assert!(frames(&items).iter().all(|frame| frame.data.as_ref() == ethernet_ip()));
    assert!(frames(&items).iter().all(|frame| frame.original_len == 94));
}

#[test]
fn any_beside_an_interface_with_counters() {
    let name = |name: &'static [u8]| [U16(2), U16(3), Bytes(name), Bytes(&[0])];
    let mut bytes = section_block(false, NO_OPTIONS);
    bytes.extend(interface_block(false, 276, 0, &name(b"any")));
    bytes.extend(interface_block(false, 1, 0, &name(b"br0")));
    bytes.extend(packet_block(false, 1, &sll2(3, 0)));
    let lost = [U16(7), U16(8), U64(2)];
    let counters = |interface| [&[U32(interface), U32(0), U32(5)], lost.as_slice()].concat();
    bytes.extend(block(false, 5, &body(false, &counters(0))));
    bytes.extend(block(false, 5, &body(false, &counters(1))));
    bytes.extend(block(false, 5, &body(false, &counters(0))));
    let items = items(&bytes).unwrap();
    let named: Vec<_> = interfaces(&items).into_iter().map(|each| each.name).collect();
    // What the kernel lost on all of them is told of none.
    assert_eq!(named, ["br0", "if3", "any"]);
    let counted = items.iter().filter_map(|item| match item {
        Item::Statistics(id, _, counters) => Some((id.0, counters.lost)),
        _ => None,
    });
    assert_eq!(counted.collect::<Vec<_>>(), [(2, 2), (0, 2), (2, 2)]);
}

#[test]
fn any_without_indices_is_one_interface() {
    let cooked = |kind: u8| [&[0, kind, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], IP.as_slice()].concat();
    let mut bytes = pcap_header(true, 0xa1b2_3c4d, 0, SLL);
    bytes.extend(pcap_packet(true, (1, 0), 21, &cooked(4)));
    bytes.extend(pcap_packet(true, (2, 0), 21, &cooked(0)));
    let items = items(&bytes).unwrap();
    assert_eq!(interfaces(&items)[0].name, "any");
    let directions: Vec<_> = frames(&items).iter().map(|frame| frame.direction).collect();
    assert_eq!(directions, [Some(Direction::Egress), Some(Direction::Ingress)]);
    assert!(frames(&items).iter().all(|frame| frame.data.as_ref() == ethernet_ip()));
}

#[test]
fn the_interfaces_own_address_tells_the_direction() {
    let (own, other) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let with_mac = |mac: &[u8; 6]| {
        let mut bytes = section_block(false, NO_OPTIONS);
        let mac = [U16(6), U16(6), Bytes(mac), U16(0)];
        bytes.extend(interface_block(false, 1, 0, &mac));
        bytes.extend(packet_block(false, 1, &[own, other].concat()));
        bytes.extend(packet_block(false, 2, &[other, own].concat()));
        bytes.extend(packet_block(false, 3, &[0; 12]));
        let frames = frames(&items(&bytes).unwrap());
        frames.iter().map(|frame| frame.direction).collect::<Vec<_>>()
    };
    assert_eq!(with_mac(&own), [Some(Direction::Ingress), Some(Direction::Egress), None]);
    // Of loopback, which sends to itself.
    assert_eq!(with_mac(&[0; 6]), [None, None, None]);
}

#[test]
fn a_block_of_no_use_may_be_of_any_length() {
    let mut bytes = section_block(false, NO_OPTIONS);
    bytes.extend(interface_block(false, 1, 0, NO_OPTIONS));
    bytes.extend(block(false, 0xbad, &vec![1; MAX_BLOCK + 5]));
    bytes.extend(packet_block(false, 1, &[1]));
    let items = items(&bytes).unwrap();
    assert_eq!(items[2], Item::Other(0xbad));
    assert_eq!(frames(&items).len(), 1);
}

#[test]
fn every_truncation_and_bit_flip_ends() {
    let mut pcap = pcap_header(true, 0xa1b2_c3d4, 0, SLL2);
    pcap.extend(pcap_packet(true, (1, 0), 100, &sll2(7, 0)));
    pcap.extend(pcap_packet(true, (2, 0), 100, &sll2(8, 4)));
    let mut pcapng = section_block(true, &[U16(4), U16(4), Bytes(b"prog"), END]);
    pcapng.extend(interface_block(true, 276, 64, &[U16(9), U16(1), Bytes(&[9, 0, 0, 0]), END]));
    pcapng.extend(packet_block(true, 1, &sll2(3, 0)));
    pcapng.extend(block(true, 3, &body(true, &[U32(30), Bytes(&sll2(4, 0))])));
    pcapng.extend(block(true, 5, &body(true, &[U32(0), U64(5), U16(7), U16(8), U64(2)])));
    for bytes in [pcap, pcapng] {
        for end in 0..bytes.len() {
            let _ = items(&bytes[..end]);
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = items(&flipped);
        }
    }
}
