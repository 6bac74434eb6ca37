//! Packets to pcapng.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;

use byteorder_slice::LittleEndian;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, Ipv6Record, NameResolutionBlock, Record};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::option::{CUSTOM_BINARY, ENTERPRISE, INBOUND, OUTBOUND, SkbFacts, join};
use super::{CaptureError, Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use crate::units::{Direction, SnapLength, Timestamp};

/// `if_tsresol` of every interface that we describe: 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Writes one section of pcapng: one snap length, one link type.
///
/// Nothing is buffered here: give it a `BufWriter` and call [`CaptureWriter::flush`] when a reader waits.
pub struct CaptureWriter<W: Write> {
    inner: PcapNgWriter<W>,
    snap: SnapLength,
    interfaces: u32,
}

impl<W: Write> CaptureWriter<W> {
    /// Writes the section header.
    pub fn new(writer: W, section: &Section, snap: SnapLength) -> Result<Self, CaptureError> {
        let header = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: section_options(section),
            ..SectionHeaderBlock::default()
        };
        let inner = PcapNgWriter::with_section_header(writer, header).map_err(CaptureError::Write)?;
        Ok(Self { inner, snap, interfaces: 0 })
    }

    /// Describes an interface; its packets may follow.
    pub fn interface(&mut self, interface: &Interface) -> Result<InterfaceId, CaptureError> {
        let linktype = match interface.link {
            LinkLayer::Ethernet | LinkLayer::SyntheticEthernet => DataLink::ETHERNET,
            LinkLayer::Other(number) => DataLink::from(number),
        };
        let options = interface_options(interface);
        self.write(InterfaceDescriptionBlock { linktype, snaplen: self.snap.0, options })?;
        let id = InterfaceId(self.interfaces);
        self.interfaces += 1;
        Ok(id)
    }

    /// Writes one packet, cut at the snap length.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<(), CaptureError> {
        let keep = frame.data.len().min(self.snap.0 as usize);
        self.write(EnhancedPacketBlock {
            interface_id: frame.interface.0,
            timestamp: std::time::Duration::from_nanos(frame.time.0),
            original_len: frame.original_len,
            data: Cow::Borrowed(&frame.data[..keep]),
            options: packet_options(frame),
        })
    }

    /// Writes an interface's counters as of `time`, by the clock of its packets.
    pub fn statistics(
        &mut self,
        interface: InterfaceId,
        time: Timestamp,
        statistics: &Statistics,
    ) -> Result<(), CaptureError> {
        self.write(InterfaceStatisticsBlock {
            interface_id: interface.0,
            // pcap-file writes one little-endian u64 where the format has the high word before the low one.
            timestamp: time.0.rotate_left(32),
            options: vec![
                InterfaceStatisticsOption::IsbIfRecv(statistics.seen),
                InterfaceStatisticsOption::IsbFilterAccept(statistics.matched),
                InterfaceStatisticsOption::IsbOsDrop(statistics.lost),
                InterfaceStatisticsOption::IsbUsrDeliv(statistics.written),
            ],
        })
    }

    /// Writes names of addresses, which Wireshark then shows in their place.
    pub fn names(&mut self, names: &BTreeMap<IpAddr, Vec<String>>) -> Result<(), CaptureError> {
        if names.is_empty() {
            return Ok(());
        }
        let records = names.iter().map(|(address, names)| name_record(*address, names)).collect();
        self.write(NameResolutionBlock { records, options: Vec::new() })
    }

    /// Hands what is buffered below to its reader.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.inner.get_mut().flush().map_err(|e| CaptureError::Write(pcap_file::PcapError::IoError(e)))
    }

    /// The sink, all blocks written and nothing flushed.
    pub fn into_inner(self) -> W {
        self.inner.into_inner()
    }

    fn write<'b>(&mut self, block: impl PcapNgBlock<'b>) -> Result<(), CaptureError> {
        match self.inner.write_pcapng_block(block) {
            Ok(_) => Ok(()),
            Err(pcap_file::PcapError::InvalidInterfaceId(id)) => Err(CaptureError::UnknownInterface(id)),
            Err(error) => Err(CaptureError::Write(error)),
        }
    }
}

fn section_options(section: &Section) -> Vec<SectionHeaderOption<'static>> {
    let mut options = Vec::new();
    if let Some(boot_id) = &section.boot_id {
        let comment = join([("clock", "boottime".to_owned()), ("boot_id", boot_id.clone())]);
        options.push(SectionHeaderOption::Comment(Cow::Owned(comment)));
    }
    options.extend(section.node.clone().map(|node| SectionHeaderOption::Hardware(Cow::Owned(node))));
    options.extend(section.os.clone().map(|os| SectionHeaderOption::OS(Cow::Owned(os))));
    let application = section.application.clone();
    options.extend(application.map(|name| SectionHeaderOption::UserApplication(Cow::Owned(name))));
    options
}

fn interface_options(interface: &Interface) -> Vec<InterfaceDescriptionOption<'static>> {
    let mut pairs = Vec::new();
    pairs.extend(interface.node.clone().map(|node| ("node", node)));
    pairs.extend(interface.pod.clone().map(|pod| ("pod", pod)));
    pairs.extend(interface.ifindex.map(|index| ("ifindex", index.to_string())));
    match interface.link {
        LinkLayer::Ethernet => pairs.push(("link", "ethernet".to_owned())),
        LinkLayer::SyntheticEthernet => pairs.push(("link", "synthetic-ethernet".to_owned())),
        LinkLayer::Other(_) => {}
    }
    let mut options = vec![InterfaceDescriptionOption::IfName(Cow::Owned(interface.name.clone()))];
    if !pairs.is_empty() {
        options.push(InterfaceDescriptionOption::IfDescription(Cow::Owned(join(pairs))));
    }
    options.extend(interface.mac.map(|mac| InterfaceDescriptionOption::IfMacAddr(Cow::Owned(mac.to_vec()))));
    options.push(InterfaceDescriptionOption::IfTsResol(NANOSECONDS));
    options
}

fn packet_options<'a>(frame: &'a Frame<'_>) -> Vec<EnhancedPacketOption<'a>> {
    let mut options = Vec::with_capacity(4);
    if let Some(comment) = &frame.comment {
        options.push(EnhancedPacketOption::Comment(Cow::Borrowed(comment)));
    }
    if let Some(direction) = frame.direction {
        let flags = match direction {
            Direction::Ingress => INBOUND,
            Direction::Egress => OUTBOUND,
        };
        options.push(EnhancedPacketOption::Flags(flags));
    }
    if frame.lost_before != 0 {
        options.push(EnhancedPacketOption::DropCount(frame.lost_before));
    }
    let facts = SkbFacts { gso: frame.gso, mark: frame.mark };
    if !facts.is_empty() {
        options.extend(custom_option(facts));
    }
    options
}

/// Our custom option. Its type is private in pcap-file 2.0 while its fields and its parser are public, so the
/// value comes from parsing an empty packet that has one.
fn custom_option(facts: SkbFacts) -> Option<EnhancedPacketOption<'static>> {
    const OPTIONS: usize = 20;
    let mut packet = [0; OPTIONS + 4 + 4 + SkbFacts::LEN + 4];
    packet[OPTIONS..OPTIONS + 2].copy_from_slice(&CUSTOM_BINARY.to_le_bytes());
    packet[OPTIONS + 2] = (4 + SkbFacts::LEN).to_le_bytes()[0];
    packet[OPTIONS + 4..OPTIONS + 8].copy_from_slice(&ENTERPRISE.to_le_bytes());
    packet[OPTIONS + 8..OPTIONS + 8 + SkbFacts::LEN].copy_from_slice(&facts.to_bytes());
    let (_, mut block) = EnhancedPacketBlock::from_slice::<LittleEndian>(&packet).ok()?;
    match block.options.pop()? {
        option @ EnhancedPacketOption::CustomBinary(_) => Some(option.into_owned()),
        _ => None,
    }
}

fn name_record(address: IpAddr, names: &[String]) -> Record<'static> {
    let names = names.iter().cloned().map(Cow::Owned).collect();
    match address {
        IpAddr::V4(v4) => Record::Ipv4(Ipv4Record { ip_addr: Cow::Owned(v4.octets().to_vec()), names }),
        IpAddr::V6(v6) => Record::Ipv6(Ipv6Record { ip_addr: Cow::Owned(v6.octets().to_vec()), names }),
    }
}
