//! Packets to pcapng and pcap.
//!
//! pcap-file writes the blocks that are rare. Packets are written here: it takes memory for each of them and encodes
//! each twice.

mod packet;
mod pcap;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::name_resolution::{Ipv4Record, Ipv6Record, NameResolutionBlock, Record};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

pub use self::pcap::PcapWriter;
use super::option::join;
use super::{CaptureError, Frame, Interface, InterfaceId, LinkLayer, Section, Statistics};
use crate::units::{SnapLength, Timestamp};

/// `if_tsresol` of every interface that we describe: 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Writes pcapng with one snap length.
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
        let header = section_header(section);
        let inner = PcapNgWriter::with_section_header(writer, header).map_err(CaptureError::Write)?;
        Ok(Self { inner, snap, interfaces: 0 })
    }

    /// Begins a further section, in which interfaces are to be described anew. Where the sink is emptied before, it is
    /// what a further file begins with.
    pub fn section(&mut self, section: &Section) -> Result<(), CaptureError> {
        self.interfaces = 0;
        self.write(section_header(section))
    }

    /// Describes an interface; its packets may follow.
    pub fn interface(&mut self, interface: &Interface) -> Result<InterfaceId, CaptureError> {
        self.interface_of(interface, None)
    }

    /// Describes an interface, and the pod at its other end (`peer` in its description).
    pub fn interface_of(
        &mut self,
        interface: &Interface,
        peer: Option<&str>,
    ) -> Result<InterfaceId, CaptureError> {
        let linktype = match interface.link {
            LinkLayer::Ethernet | LinkLayer::SyntheticEthernet => DataLink::ETHERNET,
            LinkLayer::Other(number) => DataLink::from(number),
        };
        let options = interface_options(interface, peer);
        self.write(InterfaceDescriptionBlock { linktype, snaplen: self.snap.0, options })?;
        let id = InterfaceId(self.interfaces);
        self.interfaces += 1;
        Ok(id)
    }

    /// Writes one packet, cut at the snap length, and its comment, cut at what an option holds.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<(), CaptureError> {
        if frame.interface.0 >= self.interfaces {
            return Err(CaptureError::UnknownInterface(frame.interface.0));
        }
        packet::write(self.inner.get_mut(), frame, self.snap).map_err(write_failed)
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
        self.inner.get_mut().flush().map_err(write_failed)
    }

    /// The sink.
    pub fn get_ref(&self) -> &W {
        self.inner.get_ref()
    }

    /// The sink, which only whole blocks are to be taken from or put into: after each call here its last one is.
    pub fn get_mut(&mut self) -> &mut W {
        self.inner.get_mut()
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

fn write_failed(error: io::Error) -> CaptureError {
    CaptureError::Write(pcap_file::PcapError::IoError(error))
}

fn section_header(section: &Section) -> SectionHeaderBlock<'static> {
    SectionHeaderBlock {
        endianness: Endianness::Little,
        options: section_options(section),
        ..SectionHeaderBlock::default()
    }
}

fn section_options(section: &Section) -> Vec<SectionHeaderOption<'static>> {
    let mut options = Vec::new();
    let mut pairs = Vec::new();
    if let Some(boot_id) = &section.boot_id {
        pairs.extend([("clock", "boottime".to_owned()), ("boot_id", boot_id.clone())]);
    }
    pairs.extend(section.netns.map(|inode| ("netns", inode.to_string())));
    if !pairs.is_empty() {
        options.push(SectionHeaderOption::Comment(Cow::Owned(join(pairs))));
    }
    options.extend(section.node.clone().map(|node| SectionHeaderOption::Hardware(Cow::Owned(node))));
    options.extend(section.os.clone().map(|os| SectionHeaderOption::OS(Cow::Owned(os))));
    let application = section.application.clone();
    options.extend(application.map(|name| SectionHeaderOption::UserApplication(Cow::Owned(name))));
    options
}

fn interface_options(interface: &Interface, peer: Option<&str>) -> Vec<InterfaceDescriptionOption<'static>> {
    let mut pairs = Vec::new();
    pairs.extend(interface.node.clone().map(|node| ("node", node)));
    pairs.extend(interface.pod.clone().map(|pod| ("pod", pod)));
    pairs.extend(peer.map(|peer| ("peer", peer.to_owned())));
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

fn name_record(address: IpAddr, names: &[String]) -> Record<'static> {
    let names = names.iter().cloned().map(Cow::Owned).collect();
    match address {
        IpAddr::V4(v4) => Record::Ipv4(Ipv4Record { ip_addr: Cow::Owned(v4.octets().to_vec()), names }),
        IpAddr::V6(v6) => Record::Ipv6(Ipv6Record { ip_addr: Cow::Owned(v6.octets().to_vec()), names }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{CaptureReader, Item};

    #[test]
    fn a_further_section_is_what_a_file_begins_with() {
        let section = Section { node: Some("k8s-node1".to_owned()), ..Section::default() };
        let lo = Interface {
            name: "lo".to_owned(),
            node: None,
            pod: None,
            ifindex: Some(1),
            link: LinkLayer::Ethernet,
            mac: None,
        };
        let mut writer = CaptureWriter::new(Vec::new(), &section, SnapLength(96)).unwrap();
        writer.interface(&lo).unwrap();
        let first = std::mem::take(writer.get_mut());
        writer.section(&section).unwrap();
        let undescribed = writer.statistics(InterfaceId(0), Timestamp(0), &Statistics::default());
        assert!(matches!(undescribed, Err(CaptureError::UnknownInterface(0))));
        assert_eq!(writer.interface(&lo).unwrap(), InterfaceId(0));
        assert_eq!(writer.get_ref(), &first);
        let mut reader = CaptureReader::new(first.as_slice()).unwrap();
        assert_eq!(reader.next_item().unwrap(), Some(Item::Section(section)));
    }
}
