//! pcap-file's encoder of the same block is the golden one.

use std::borrow::Cow;
use std::time::Duration;

use byteorder_slice::LittleEndian;
use pcap_file::pcapng::PcapNgBlock as _;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use proptest::prelude::*;

use super::*;
use crate::capture::InterfaceId;
use crate::units::{Gso, Timestamp};

fn written(frame: &Frame<'_>, snap: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, frame, SnapLength(snap)).unwrap();
    bytes
}

fn golden(frame: &Frame<'_>, snap: u32) -> Vec<u8> {
    let block = EnhancedPacketBlock {
        interface_id: frame.interface.0,
        timestamp: Duration::from_nanos(frame.time.0),
        original_len: frame.original_len,
        data: Cow::Borrowed(&frame.data[..frame.data.len().min(snap as usize)]),
        options: golden_options(frame),
    };
    let mut bytes = Vec::new();
    block.into_block().write_to::<LittleEndian, _>(&mut bytes).unwrap();
    bytes
}

fn golden_options<'a>(frame: &'a Frame<'_>) -> Vec<EnhancedPacketOption<'a>> {
    let mut options = Vec::new();
    options.extend(frame.comment.as_deref().map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(text))));
    options.extend(frame.direction.map(|direction| {
        EnhancedPacketOption::Flags(match direction {
            Direction::Ingress => INBOUND,
            Direction::Egress => OUTBOUND,
        })
    }));
    if frame.lost_before != 0 {
        options.push(EnhancedPacketOption::DropCount(frame.lost_before));
    }
    let facts = SkbFacts { gso: frame.gso, mark: frame.mark };
    if !facts.is_empty() {
        options.push(custom_option(facts));
    }
    options
}

/// The type of the value is private in pcap-file 2.0 and its parser is not.
fn custom_option(facts: SkbFacts) -> EnhancedPacketOption<'static> {
    let len = u8::try_from(CUSTOM_VALUE).unwrap();
    let code = CUSTOM_BINARY.to_le_bytes();
    let head = [code.as_slice(), &[len, 0], &ENTERPRISE.to_le_bytes()].concat();
    let packet = [[0; 20].as_slice(), &head, &facts.to_bytes(), &[0; 4]].concat();
    let (_, mut block) = EnhancedPacketBlock::from_slice::<LittleEndian>(&packet).unwrap();
    block.options.pop().unwrap().into_owned()
}

fn frame<'a>(data: &'a [u8], comment: Option<&'a str>) -> Frame<'a> {
    Frame {
        interface: InterfaceId(3),
        time: Timestamp(1_700_000_000_123_456_789),
        direction: None,
        original_len: 1514,
        data: Cow::Borrowed(data),
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: comment.map(Cow::Borrowed),
    }
}

#[test]
fn bytes_are_those_of_pcap_file() {
    let directions = [None, Some(Direction::Ingress), Some(Direction::Egress)];
    for (len, snap) in [(0, 96), (1, 96), (2, 96), (3, 96), (4, 96), (96, 96), (97, 96), (1514, 262_144)] {
        for comment in [None, Some(""), Some("a"), Some("hop 1: né"), Some("four")] {
            for direction in directions {
                for (lost_before, mark) in [(0, 0), (u64::MAX, 0), (0, 0x4000), (1, 2)] {
                    let data = vec![0xa5; len];
                    let frame = Frame { direction, mark, lost_before, ..frame(&data, comment) };
                    assert_eq!(written(&frame, snap), golden(&frame, snap), "{frame:?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn bytes_of_any_packet_are_those_of_pcap_file(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        comment in proptest::option::of(".{0,40}"),
        numbers in any::<(u32, u64, u32, u32, u64)>(),
        gso in proptest::option::of((1..u16::MAX, any::<u16>())),
        ingress in proptest::option::of(any::<bool>()),
        snap in 1..300_u32,
    ) {
        let (interface, time, original_len, mark, lost_before) = numbers;
        let frame = Frame {
            interface: InterfaceId(interface),
            time: Timestamp(time),
            direction: ingress.map(|ingress| if ingress { Direction::Ingress } else { Direction::Egress }),
            original_len,
            gso: gso.map(|(size, segments)| Gso { size, segments }),
            mark,
            lost_before,
            ..frame(&data, comment.as_deref())
        };
        prop_assert_eq!(written(&frame, snap), golden(&frame, snap));
    }
}

/// pcap-file writes the whole text behind a length that went around.
#[test]
fn a_comment_too_long_is_cut_at_a_character() {
    let text = format!("{}é and more", "x".repeat(MAX_OPTION - 1));
    let cut = &text[..MAX_OPTION - 1];
    let frame_of = |text| written(&frame(b"packet", Some(text)), 96);
    assert_eq!(frame_of(&text), frame_of(cut));
}
