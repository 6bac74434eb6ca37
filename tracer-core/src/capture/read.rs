//! pcapng to packets, ours and other tools'.

use std::io::Read;

use byteorder_slice::{BigEndian, LittleEndian};
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::blocks::{
    Block, ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK,
    SECTION_HEADER_BLOCK,
};
use pcap_file::{DataLink, Endianness};

use super::option::{ENTERPRISE, INBOUND, OUTBOUND, SkbFacts, value};
use super::{CaptureError, Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use crate::units::{Direction, Timestamp};

/// A bound on what a hostile file can make us remember.
const MAX_INTERFACES: usize = 65_536;

/// What a capture says next.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<'a> {
    /// A section begins; interfaces are numbered anew.
    Section(Section),
    /// An interface is described.
    Interface(InterfaceId, Interface),
    /// A packet.
    Frame(Frame<'a>),
    /// Counters of an interface as of a time.
    Statistics(InterfaceId, Timestamp, Statistics),
    /// A block of a type that says nothing to us.
    Other(u32),
}

impl Item<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Item<'static> {
        match self {
            Self::Section(section) => Item::Section(section),
            Self::Interface(id, interface) => Item::Interface(id, interface),
            Self::Frame(frame) => Item::Frame(frame.into_owned()),
            Self::Statistics(id, time, statistics) => Item::Statistics(id, time, statistics),
            Self::Other(kind) => Item::Other(kind),
        }
    }
}

/// Reads pcapng block by block; blocks that say nothing to us are passed over.
pub struct CaptureReader<R: Read> {
    inner: PcapNgReader<R>,
    resolutions: Vec<Resolution>,
    pending_section: bool,
}

impl<R: Read> CaptureReader<R> {
    /// Reads the section header; fails when the input is no pcapng.
    pub fn new(reader: R) -> Result<Self, CaptureError> {
        let inner = PcapNgReader::new(reader).map_err(CaptureError::Read)?;
        Ok(Self { inner, resolutions: Vec::new(), pending_section: true })
    }

    /// The next item; absent at the end. An input that ends in the middle of a block is an error.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        if std::mem::take(&mut self.pending_section) {
            return Ok(Some(Item::Section(section(self.inner.section()))));
        }
        let endianness = self.inner.section().endianness;
        let Some(block) = self.inner.next_raw_block() else { return Ok(None) };
        let block = block.map_err(CaptureError::Read)?;
        if !USED_BLOCKS.contains(&block.type_) {
            return Ok(Some(Item::Other(block.type_)));
        }
        let block = match endianness {
            Endianness::Big => block.try_into_block::<BigEndian>(),
            Endianness::Little => block.try_into_block::<LittleEndian>(),
        };
        interpret(block.map_err(CaptureError::Read)?, endianness, &mut self.resolutions).map(Some)
    }
}

/// The others are not even decoded: what we do not use cannot make us fail.
const USED_BLOCKS: [u32; 4] =
    [SECTION_HEADER_BLOCK, INTERFACE_DESCRIPTION_BLOCK, ENHANCED_PACKET_BLOCK, INTERFACE_STATISTIC_BLOCK];

fn interpret<'a>(
    block: Block<'a>,
    endianness: Endianness,
    resolutions: &mut Vec<Resolution>,
) -> Result<Item<'a>, CaptureError> {
    match block {
        Block::SectionHeader(block) => {
            resolutions.clear();
            Ok(Item::Section(section(&block)))
        }
        Block::InterfaceDescription(block) => {
            if resolutions.len() >= MAX_INTERFACES {
                return Err(CaptureError::TooManyInterfaces(MAX_INTERFACES));
            }
            let id = InterfaceId(u32::try_from(resolutions.len()).unwrap_or(u32::MAX));
            resolutions.push(Resolution::of(&block));
            Ok(Item::Interface(id, interface(&block)))
        }
        Block::EnhancedPacket(block) => {
            let resolution = resolutions.get(block.interface_id as usize);
            let resolution = *resolution.ok_or(CaptureError::UnknownInterface(block.interface_id))?;
            Ok(Item::Frame(frame(block, resolution)))
        }
        Block::InterfaceStatistics(block) => {
            let resolution = resolutions.get(block.interface_id as usize);
            let resolution = *resolution.ok_or(CaptureError::UnknownInterface(block.interface_id))?;
            // pcap-file reads the two words of the time in the section's byte order as one number.
            let ticks = match endianness {
                Endianness::Little => block.timestamp.rotate_left(32),
                Endianness::Big => block.timestamp,
            };
            let time = resolution.time(u128::from(ticks));
            Ok(Item::Statistics(InterfaceId(block.interface_id), time, statistics(&block)))
        }
        // `USED_BLOCKS` lets no other kind come here.
        _ => Ok(Item::Other(0)),
    }
}

fn section(block: &SectionHeaderBlock<'_>) -> Section {
    let mut section = Section::default();
    for option in &block.options {
        match option {
            SectionHeaderOption::Comment(text) => section.boot_id = value(text, "boot_id"),
            SectionHeaderOption::Hardware(text) => section.node = Some(text.to_string()),
            SectionHeaderOption::OS(text) => section.os = Some(text.to_string()),
            SectionHeaderOption::UserApplication(text) => section.application = Some(text.to_string()),
            _ => {}
        }
    }
    section
}

fn interface(block: &InterfaceDescriptionBlock<'_>) -> Interface {
    let mut name = String::new();
    let mut description = "";
    let mut mac = None;
    for option in &block.options {
        match option {
            InterfaceDescriptionOption::IfName(text) => name = text.to_string(),
            InterfaceDescriptionOption::IfDescription(text) => description = text,
            InterfaceDescriptionOption::IfMacAddr(bytes) => mac = bytes.as_ref().try_into().ok(),
            _ => {}
        }
    }
    let link = match block.linktype {
        DataLink::ETHERNET if value(description, "link").as_deref() == Some("synthetic-ethernet") => {
            LinkLayer::SyntheticEthernet
        }
        DataLink::ETHERNET => LinkLayer::Ethernet,
        other => LinkLayer::Other(other.into()),
    };
    Interface {
        name,
        node: value(description, "node"),
        pod: value(description, "pod"),
        ifindex: value(description, "ifindex").and_then(|index| index.parse().ok()),
        link,
        mac,
    }
}

fn frame(block: EnhancedPacketBlock<'_>, resolution: Resolution) -> Frame<'_> {
    let mut frame = Frame {
        interface: InterfaceId(block.interface_id),
        time: resolution.time(block.timestamp.as_nanos()),
        direction: None,
        original_len: block.original_len,
        data: block.data,
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: None,
    };
    for option in block.options {
        match option {
            EnhancedPacketOption::Comment(text) => frame.comment = Some(text),
            EnhancedPacketOption::Flags(flags) => frame.direction = direction(flags),
            EnhancedPacketOption::DropCount(count) => frame.lost_before = count,
            EnhancedPacketOption::CustomBinary(custom) if custom.pen == ENTERPRISE => {
                let facts = SkbFacts::from_bytes(&custom.value).unwrap_or_default();
                frame.gso = facts.gso;
                frame.mark = facts.mark;
            }
            _ => {}
        }
    }
    frame
}

/// The inbound/outbound bits of `epb_flags`.
fn direction(flags: u32) -> Option<Direction> {
    match flags & 0b11 {
        INBOUND => Some(Direction::Ingress),
        OUTBOUND => Some(Direction::Egress),
        _ => None,
    }
}

fn statistics(block: &InterfaceStatisticsBlock<'_>) -> Statistics {
    let mut statistics = Statistics::default();
    for option in &block.options {
        match option {
            InterfaceStatisticsOption::IsbIfRecv(count) => statistics.seen = *count,
            InterfaceStatisticsOption::IsbFilterAccept(count) => statistics.matched = *count,
            InterfaceStatisticsOption::IsbIfDrop(count) | InterfaceStatisticsOption::IsbOsDrop(count) => {
                statistics.lost = statistics.lost.saturating_add(*count);
            }
            InterfaceStatisticsOption::IsbUsrDeliv(count) => statistics.written = *count,
            _ => {}
        }
    }
    statistics
}

/// Unit and origin of an interface's timestamps (`if_tsresol`, `if_tsoffset`).
#[derive(Clone, Copy, Debug)]
struct Resolution {
    /// Ticks per second.
    per_second: u64,
    /// Seconds to add.
    offset: u64,
}

impl Resolution {
    fn of(block: &InterfaceDescriptionBlock<'_>) -> Self {
        let mut resolution = Self { per_second: 1_000_000, offset: 0 };
        for option in &block.options {
            match option {
                InterfaceDescriptionOption::IfTsResol(value) => resolution.per_second = per_second(*value),
                InterfaceDescriptionOption::IfTsOffset(seconds) => resolution.offset = *seconds,
                _ => {}
            }
        }
        resolution
    }

    /// pcap-file hands the raw ticks on as if they were nanoseconds.
    fn time(self, ticks: u128) -> Timestamp {
        let nanoseconds = ticks * 1_000_000_000 / u128::from(self.per_second);
        let offset = u128::from(self.offset) * 1_000_000_000;
        Timestamp(u64::try_from(nanoseconds + offset).unwrap_or(u64::MAX))
    }
}

/// `if_tsresol`: a power of ten, or of two where the top bit is set; nanoseconds where it makes no sense.
fn per_second(value: u8) -> u64 {
    let exponent = u32::from(value & 0x7f);
    let base: u64 = if value & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(exponent).unwrap_or(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::CaptureWriter;
    use super::*;
    use crate::units::{Gso, SnapLength};

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

    fn written(snap: u32) -> Vec<u8> {
        let section = Section {
            node: Some("k8s-node2".to_owned()),
            os: Some("Linux 6.18".to_owned()),
            application: Some("kflow".to_owned()),
            boot_id: Some("1234".to_owned()),
        };
        let mut writer = CaptureWriter::new(Vec::new(), &section, SnapLength(snap)).unwrap();
        let id = writer.interface(&tunl0()).unwrap();
        writer.frame(&packet()).unwrap();
        writer.names(&[("10.0.0.1".parse().unwrap(), vec!["pod-src".to_owned()])].into()).unwrap();
        let statistics = Statistics { seen: 10, matched: 4, lost: 3, written: 1 };
        writer.statistics(id, Timestamp(1_700_000_000_000_000_000), &statistics).unwrap();
        writer.into_inner()
    }

    fn items(bytes: &[u8]) -> Result<usize, CaptureError> {
        let mut reader = CaptureReader::new(bytes)?;
        let mut count = 0;
        while reader.next_item()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = written(256);
        let mut reader = CaptureReader::new(bytes.as_slice()).unwrap();
        let Some(Item::Section(section)) = reader.next_item().unwrap() else { panic!("no section") };
        assert_eq!(section.node.as_deref(), Some("k8s-node2"));
        assert_eq!(section.boot_id.as_deref(), Some("1234"));
        assert_eq!(reader.next_item().unwrap(), Some(Item::Interface(InterfaceId(0), tunl0())));
        assert_eq!(reader.next_item().unwrap(), Some(Item::Frame(packet())));
        assert!(matches!(reader.next_item().unwrap(), Some(Item::Other(4))));
        let statistics = Statistics { seen: 10, matched: 4, lost: 3, written: 1 };
        let time = Timestamp(1_700_000_000_000_000_000);
        assert_eq!(reader.next_item().unwrap(), Some(Item::Statistics(InterfaceId(0), time, statistics)));
        assert_eq!(reader.next_item().unwrap(), None);
    }

    #[test]
    fn a_frame_is_cut_at_the_snap_length() {
        let bytes = written(16);
        let mut reader = CaptureReader::new(bytes.as_slice()).unwrap();
        reader.next_item().unwrap();
        reader.next_item().unwrap();
        let Some(Item::Frame(frame)) = reader.next_item().unwrap() else { panic!("no frame") };
        assert_eq!((frame.data.len(), frame.original_len), (16, 9000));
    }

    #[test]
    fn an_undescribed_interface_is_refused() {
        let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), SnapLength(64)).unwrap();
        assert!(matches!(writer.frame(&packet()), Err(CaptureError::UnknownInterface(0))));
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

    #[test]
    fn resolutions_other_than_nanoseconds() {
        let microseconds = Resolution { per_second: per_second(6), offset: 0 };
        assert_eq!(microseconds.time(1_500_000), Timestamp(1_500_000_000));
        let binary = Resolution { per_second: per_second(0x8a), offset: 2 };
        assert_eq!(binary.time(512), Timestamp(2_500_000_000));
        assert_eq!(per_second(127), 1_000_000_000);
    }
}
