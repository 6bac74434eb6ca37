//! What our own writer wrote.

use super::super::super::{CaptureWriter, LinkLayer};
use super::*;
use crate::units::SnapLength;

fn tunl0() -> Interface {
    Interface {
        name: "tunl0".to_owned(),
        node: Some("k8s-node2".to_owned()),
        pod: None,
        ifindex: Some(7),
        link: LinkLayer::SyntheticEthernet,
        mac: Some([2, 0, 0, 0, 0, 1]),
    }
}

fn packet() -> Frame<'static> {
    Frame {
        interface: InterfaceId(0),
        time: Timestamp(1_700_000_000_123_456_789),
        direction: Some(Direction::Egress),
        original_len: 9000,
        data: Cow::Borrowed(&[7; 40]),
        gso: Some(Gso { size: 1448, segments: 6 }),
        mark: 0x4000,
        lost_before: 3,
        comment: Some(Cow::Borrowed("hop 1")),
    }
}

fn section() -> Section {
    Section {
        node: Some("k8s-node2".to_owned()),
        os: Some("Linux 6.18".to_owned()),
        application: Some("kflow".to_owned()),
        boot_id: Some("1234".to_owned()),
        netns: Some(4_026_531_840),
    }
}

const STATISTICS: Statistics = Statistics { seen: 10, matched: 4, lost: 3, written: 1 };

fn written(snap: u32) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new(), &section(), SnapLength(snap)).unwrap();
    let id = writer.interface(&tunl0()).unwrap();
    writer.frame(&packet()).unwrap();
    writer.names(&[("10.0.0.1".parse().unwrap(), vec!["pod-src".to_owned()])].into()).unwrap();
    writer.statistics(id, Timestamp(1_700_000_000_000_000_000), &STATISTICS).unwrap();
    writer.into_inner()
}

#[test]
fn what_is_written_is_read() {
    let bytes = written(256);
    let mut reader = CaptureReader::new(bytes.as_slice()).unwrap();
    assert_eq!(reader.format(), CaptureFormat::Pcapng);
    assert_eq!(reader.item(), Item::Other(0));
    assert_eq!(reader.next_item().unwrap(), Some(Item::Section(section())));
    assert_eq!(reader.next_item().unwrap(), Some(Item::Interface(InterfaceId(0), tunl0())));
    assert_eq!(reader.next_item().unwrap(), Some(Item::Frame(packet())));
    assert!(matches!(reader.next_item().unwrap(), Some(Item::Other(4))));
    let time = Timestamp(1_700_000_000_000_000_000);
    assert_eq!(reader.next_item().unwrap(), Some(Item::Statistics(InterfaceId(0), time, STATISTICS)));
    assert_eq!(reader.next_item().unwrap(), None);
}

#[test]
fn a_frame_is_cut_at_the_snap_length() {
    let frames = frames(&items(&written(16)).unwrap());
    assert_eq!((frames[0].data.len(), frames[0].original_len), (16, 9000));
}

#[test]
fn an_undescribed_interface_is_refused() {
    let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), SnapLength(64)).unwrap();
    assert!(matches!(writer.frame(&packet()), Err(CaptureError::UnknownInterface(0))));
}

#[test]
fn interfaces_of_a_traced_file_have_their_own_names() {
    let node = |name: &str| Interface { name: name.to_owned(), mac: None, ..tunl0() };
    let pod = |pod: &str, name: &str| Interface { pod: Some(pod.to_owned()), ..node(name) };
    let nameless = Interface { node: None, ..node("k8s-node2:tunl0") };
    let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), SnapLength(64)).unwrap();
    for interface in [
        node("k8s-node2:tunl0"),
        pod("default/pod-src", "pod-src:eth0"),
        pod("other/pod-src", "other/pod-src:eth0"),
        node("k8s-node2:"),
        node("k8s-node22:tunl0"),
        nameless.clone(),
    ] {
        writer.interface(&interface).unwrap();
    }
    let read = interfaces(&items(&writer.into_inner()).unwrap());
    assert_eq!(
        read,
        [
            node("tunl0"),
            pod("default/pod-src", "eth0"),
            pod("other/pod-src", "eth0"),
            node("k8s-node2:"),
            node("k8s-node22:tunl0"),
            nameless,
        ]
    );
}

#[test]
fn every_truncation_and_bit_flip_ends() {
    let bytes = written(256);
    for end in 0..bytes.len() {
        let _ = items(&bytes[..end]);
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = items(&flipped);
    }
}
