//! Capture files: ours, and those of other tools, in both byte orders and of every link type.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::pcapng::{Block, PcapNgWriter};
use pcap_file::{DataLink, Endianness, TsResolution};
use tracer_core::capture::{CaptureWriter, Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use tracer_core::units::{Direction, Gso, SnapLength, Timestamp};

use super::{IPV4, IPV6, Sample, UDP, ethernet, frames, ipv4, ipv6, udp};

/// The 14th of November 2023, in nanoseconds since the epoch.
const TIME: u64 = 1_700_000_000_000_000_000;

/// Every kind of file that is read.
pub(crate) fn files() -> Vec<Sample> {
    let mut samples = vec![
        Sample::new("kflow.pcapng", ours()),
        Sample::new("foreign-big-endian.pcapng", foreign(Endianness::Big)),
        Sample::new("foreign-little-endian.pcapng", foreign(Endianness::Little)),
        Sample::new(
            "big-endian.pcap",
            classic(Endianness::Big, TsResolution::MicroSecond, DataLink::ETHERNET),
        ),
    ];
    for (name, link) in LINKS {
        samples.push(Sample::new(name, classic(Endianness::Little, TsResolution::NanoSecond, link)));
    }
    samples
}

const LINKS: [(&str, DataLink); 6] = [
    ("ethernet.pcap", DataLink::ETHERNET),
    ("raw.pcap", DataLink::RAW),
    ("null.pcap", DataLink::NULL),
    ("loop.pcap", DataLink::LOOP),
    ("sll.pcap", DataLink::LINUX_SLL),
    ("sll2.pcap", DataLink::LINUX_SLL2),
];

/// What `kflow capture` writes: interfaces with and without a link layer, packets with all facts, names, counters.
fn ours() -> Vec<u8> {
    let section = Section {
        node: Some("k8s-node2".to_owned()),
        os: Some("Linux 6.18".to_owned()),
        application: Some("kflow".to_owned()),
        boot_id: Some("1234".to_owned()),
        netns: None,
    };
    let mut writer = CaptureWriter::new(Vec::new(), &section, SnapLength(128)).unwrap();
    for (name, link) in [("eth0", LinkLayer::Ethernet), ("tunl0", LinkLayer::SyntheticEthernet)] {
        let interface = Interface {
            name: name.to_owned(),
            node: Some("k8s-node2".to_owned()),
            pod: (name == "eth0").then(|| "default/pod-src".to_owned()),
            ifindex: Some(7),
            link,
            mac: Some([2, 0, 0, 0, 0, 1]),
        };
        let id = writer.interface(&interface).unwrap();
        writer.statistics(id, Timestamp(TIME), &Statistics::default()).unwrap();
    }
    for (number, sample) in (0..).zip(frames().iter().step_by(6)) {
        writer.frame(&our_frame(number, &sample.bytes)).unwrap();
    }
    writer.names(&[(IpAddr::from([10, 0, 0, 1]), vec!["pod-src".to_owned()])].into()).unwrap();
    let statistics = Statistics { seen: 20, matched: 10, lost: 2, written: 8 };
    writer.statistics(InterfaceId(0), Timestamp(TIME + 1_000_000_000), &statistics).unwrap();
    writer.into_inner()
}

fn our_frame(number: u32, bytes: &[u8]) -> Frame<'_> {
    Frame {
        interface: InterfaceId(number % 2),
        time: Timestamp(TIME + u64::from(number) * 1000),
        direction: Some(if number.is_multiple_of(3) { Direction::Egress } else { Direction::Ingress }),
        original_len: u32::try_from(bytes.len()).unwrap() + number,
        data: Cow::Borrowed(bytes),
        gso: number.is_multiple_of(2).then_some(Gso { size: 3, segments: 2 }),
        mark: number,
        lost_before: u64::from(number / 4),
        comment: number.is_multiple_of(5).then_some(Cow::Borrowed("hop 1")),
    }
}

/// What other tools write: two sections, times in microseconds and by an offset, simple packets, unknown blocks.
fn foreign(endianness: Endianness) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
        for linktype in [DataLink::ETHERNET, DataLink::LINUX_SLL2] {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed("any")),
                InterfaceDescriptionOption::IfTsResol(6),
                InterfaceDescriptionOption::IfTsOffset(1),
            ];
            let block = InterfaceDescriptionBlock { linktype, snaplen: 96, options };
            writer.write_pcapng_block(block).unwrap();
        }
        for block in foreign_blocks() {
            writer.write_block(&block).unwrap();
        }
        bytes.extend(writer.into_inner());
    }
    bytes
}

fn foreign_blocks() -> [Block<'static>; 4] {
    let packet = |interface_id: u32, data: Vec<u8>| EnhancedPacketBlock {
        interface_id,
        timestamp: Duration::from_nanos(TIME / 1000),
        original_len: u32::try_from(data.len()).unwrap(),
        data: Cow::Owned(data),
        options: vec![EnhancedPacketOption::Flags(1), EnhancedPacketOption::Comment(Cow::Borrowed("seen"))],
    };
    let plain = ethernet(IPV4, &ipv4(UDP, &udp(5000, 53, b"abcd")));
    let simple = SimplePacketBlock {
        original_len: u32::try_from(plain.len()).unwrap(),
        data: Cow::Owned(plain.clone()),
    };
    [
        Block::EnhancedPacket(packet(0, plain)),
        Block::SimplePacket(simple),
        Block::EnhancedPacket(packet(1, sll2(IPV6, &ipv6(UDP, &udp(5000, 53, b"abcd"))))),
        Block::Unknown(UnknownBlock::new(0x8000_0001, 16, b"what")),
    ]
}

/// pcap: a packet of each IP version behind the link's header.
fn classic(endianness: Endianness, ts_resolution: TsResolution, datalink: DataLink) -> Vec<u8> {
    let header = PcapHeader { endianness, ts_resolution, datalink, snaplen: 96, ..PcapHeader::default() };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    let packets = [(IPV4, ipv4(UDP, &udp(5000, 53, b"abcd"))), (IPV6, ipv6(UDP, &udp(5000, 53, b"abcd")))];
    for (number, (ethertype, packet)) in (0..).zip(packets) {
        let bytes = behind(datalink, endianness, ethertype, &packet);
        let original_len = u32::try_from(bytes.len()).unwrap();
        let packet = PcapPacket::new(Duration::from_nanos(TIME + number * 1000), original_len, &bytes);
        writer.write_packet(&packet).unwrap();
    }
    writer.into_writer()
}

/// A packet behind the header of a link type (tcpdump.org/linktypes.html).
fn behind(link: DataLink, endianness: Endianness, ethertype: u16, packet: &[u8]) -> Vec<u8> {
    const AF_INET: u32 = 2;
    /// Linux's; other systems have others.
    const AF_INET6: u32 = 10;
    let family = if ethertype == IPV4 { AF_INET } else { AF_INET6 };
    match link {
        DataLink::ETHERNET => ethernet(ethertype, packet),
        DataLink::NULL if endianness == Endianness::Little => [&family.to_le_bytes(), packet].concat(),
        DataLink::NULL | DataLink::LOOP => [&family.to_be_bytes(), packet].concat(),
        DataLink::LINUX_SLL => {
            let [type0, type1] = ethertype.to_be_bytes();
            let header = [0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, type0, type1];
            [&header, packet].concat()
        }
        DataLink::LINUX_SLL2 => sll2(ethertype, packet),
        _ => packet.to_vec(),
    }
}

/// Of an outgoing packet on interface 3.
fn sll2(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let [type0, type1] = ethertype.to_be_bytes();
    let header = [type0, type1, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    [&header, packet].concat()
}
