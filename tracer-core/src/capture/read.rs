//! Captures to packets, ours and other tools', pcapng and pcap.
//!
//! The blocks are decoded here and not by pcap-file 2.0, which writes ours: it refuses files that are in order (a
//! snap length below a packet's length in pcap, option lists without an end, text that is no UTF-8), reads the
//! time of statistics wrong, takes 8 MB for each file and allocates memory for each packet.

mod block;
mod fields;
mod interfaces;
mod pcap;
mod pcapng;
mod raw;
mod resolution;
mod tally;

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use super::buffer::Buffer;
use super::{CaptureError, Frame, Interface, InterfaceId, Section, Statistics};
use crate::units::{Direction, Gso, Timestamp};
use interfaces::{Described, Interfaces};
use pcap::Pcap;
use pcapng::Pcapng;
pub use raw::RawPacket;
use raw::Untouched;
pub use tally::Expected;
use tally::Tally;

/// More than any packet or block that is of use; a bound on what a hostile file can make us hold.
const MAX_BLOCK: usize = 1 << 24;

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

/// File formats that are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CaptureFormat {
    /// libpcap's classic format (draft-ietf-opsawg-pcap): one interface without a name.
    Pcap,
    /// pcapng (draft-ietf-opsawg-pcapng).
    Pcapng,
}

/// Reads a capture item by item; blocks that say nothing to us are passed over.
///
/// A pcap file is read as one section with one interface. An interface whose packets tell the interface that they
/// came by (`LINKTYPE_LINUX_SLL2`, the device `any`) is read as one interface for each. Packets of link types that
/// are no Ethernet are made Ethernet, see [`super::LinkLayer`].
pub struct CaptureReader<R: Read> {
    buffer: Buffer<R>,
    source: Source,
    interfaces: Interfaces,
    current: Current,
    following: Option<Current>,
    packet: Packet,
    untouched: Option<Untouched>,
    tally: Option<Tally>,
}

enum Source {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// What a file says next, with the file's own numbering of interfaces.
enum Record {
    Section(Box<Section>),
    Interface(Box<Described>),
    /// A packet, which is in the place for it: moving it from hand to hand costs as much as reading it.
    Packet,
    Statistics(u32, Timestamp, Statistics),
    Other(u32),
}

/// A packet whose bytes lie in the buffer.
#[derive(Default)]
struct Packet {
    interface: u32,
    time: Timestamp,
    direction: Option<Direction>,
    original_len: u32,
    data: Range<usize>,
    gso: Option<Gso>,
    mark: u32,
    lost_before: u64,
    comment: Option<Range<usize>>,
}

/// The item that the reader is at.
enum Current {
    Section(Box<Section>),
    Interface(InterfaceId, Box<Interface>),
    Packet,
    Statistics(InterfaceId, Timestamp, Statistics),
    Other(u32),
}

impl<R: Read> CaptureReader<R> {
    /// Reads the header; fails when the input is no capture.
    pub fn new(reader: R) -> Result<Self, CaptureError> {
        let mut buffer = Buffer::new(reader);
        let (source, section) = begin(&mut buffer)?;
        let following = Some(Current::Section(Box::new(section)));
        let interfaces = Interfaces::default();
        let packet = Packet::default();
        let current = Current::Other(0);
        Ok(Self { buffer, source, interfaces, current, following, packet, untouched: None, tally: None })
    }

    /// The same, which also fails where a capture of ours is not whole, although its blocks are in order: what came before
    /// is as good as ever.
    #[must_use]
    pub fn expecting(mut self, expected: Expected) -> Self {
        self.tally = Some(Tally::new(expected));
        self
    }

    /// The format of the input.
    pub fn format(&self) -> CaptureFormat {
        match self.source {
            Source::Pcap(_) => CaptureFormat::Pcap,
            Source::Pcapng(_) => CaptureFormat::Pcapng,
        }
    }

    /// The next item; absent at the end. An input that ends in the middle of a packet is an error.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>, CaptureError> {
        Ok(if self.advance()? { Some(self.item()) } else { None })
    }

    /// Goes on to the next item; false at the end.
    pub fn advance(&mut self) -> Result<bool, CaptureError> {
        let offset = self.buffer.offset();
        let went = self.step().map_err(|error| error.at(offset))?;
        if let Some(tally) = &mut self.tally {
            if went {
                tally.take(&self.current, self.packet.interface, offset)?;
            } else {
                tally.end(offset)?;
            }
        }
        Ok(went)
    }

    fn step(&mut self) -> Result<bool, CaptureError> {
        if let Some(following) = self.following.take() {
            self.current = following;
            return Ok(true);
        }
        loop {
            let record = match &mut self.source {
                Source::Pcap(pcap) => pcap.next(&mut self.buffer, &mut self.packet)?,
                Source::Pcapng(pcapng) => {
                    pcapng.next(&mut self.buffer, &self.interfaces, &mut self.packet)?
                }
            };
            let Some(record) = record else { return Ok(false) };
            if let Some(current) = self.interpret(record)? {
                self.current = current;
                return Ok(true);
            }
        }
    }

    /// The item that the last [`Self::advance`] went to; one that says nothing before the first.
    pub fn item(&self) -> Item<'_> {
        match &self.current {
            Current::Section(section) => Item::Section((**section).clone()),
            Current::Interface(id, interface) => Item::Interface(*id, (**interface).clone()),
            Current::Packet => Item::Frame(self.frame()),
            Current::Statistics(id, time, statistics) => Item::Statistics(*id, *time, *statistics),
            Current::Other(kind) => Item::Other(*kind),
        }
    }

    /// The time of the item, where it is a packet.
    pub fn packet_time(&self) -> Option<Timestamp> {
        match &self.current {
            Current::Packet => Some(self.packet.time),
            _ => None,
        }
    }

    fn frame(&self) -> Frame<'_> {
        let packet = &self.packet;
        let text = |range: &Range<usize>| String::from_utf8_lossy(self.buffer.at(range.clone()));
        Frame {
            interface: InterfaceId(packet.interface),
            time: packet.time,
            direction: packet.direction,
            original_len: packet.original_len,
            data: Cow::Borrowed(self.buffer.at(packet.data.clone())),
            gso: packet.gso,
            mark: packet.mark,
            lost_before: packet.lost_before,
            comment: packet.comment.as_ref().map(text),
        }
    }

    /// What a record means with our numbering of interfaces; absent where it waits for packets to tell more.
    fn interpret(&mut self, record: Record) -> Result<Option<Current>, CaptureError> {
        let (described, current) = match record {
            Record::Section(section) => {
                self.interfaces.clear();
                (None, Current::Section(section))
            }
            Record::Interface(described) => {
                let interface = self.interfaces.describe(*described)?;
                return Ok(interface.map(|(id, interface)| Current::Interface(id, interface)));
            }
            Record::Packet => {
                if let Some(untouched) = &mut self.untouched {
                    untouched.keep(self.interfaces.get(self.packet.interface)?, &self.packet, &self.buffer);
                }
                let described = self.interfaces.place(&mut self.packet, self.buffer.bytes_mut())?;
                (described, Current::Packet)
            }
            Record::Statistics(interface, time, statistics) => {
                let (id, described) = self.interfaces.of_statistics(interface)?;
                (described, Current::Statistics(id, time, statistics))
            }
            Record::Other(kind) => (None, Current::Other(kind)),
        };
        Ok(Some(match described {
            Some((id, interface)) => {
                self.following = Some(current);
                Current::Interface(id, interface)
            }
            None => current,
        }))
    }
}

impl CaptureError {
    /// The error of a block that begins at this byte.
    fn at(self, offset: u64) -> Self {
        match self {
            Self::UnknownInterface(interface) => Self::Undescribed { interface, offset },
            Self::TooManyInterfaces { most, .. } => Self::TooManyInterfaces { most, offset },
            other => other,
        }
    }
}

/// Finds out the format by the first bytes, and reads the header.
fn begin<R: Read>(buffer: &mut Buffer<R>) -> Result<(Source, Section), CaptureError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const XZ: [u8; 4] = [0xfd, b'7', b'z', b'X'];
    if !buffer.fill(1).map_err(CaptureError::Read)? {
        return Err(CaptureError::Empty);
    }
    buffer.fill(4).map_err(CaptureError::Read)?;
    match buffer.available() {
        [a, b, ..] if [*a, *b] == GZIP => return Err(CaptureError::Compressed("gzip")),
        bytes if bytes.starts_with(&ZSTD) => return Err(CaptureError::Compressed("zstd")),
        bytes if bytes.starts_with(&XZ) => return Err(CaptureError::Compressed("xz")),
        _ => {}
    }
    if let Some(pcap) = Pcap::begin(buffer)? {
        return Ok((Source::Pcap(pcap), Section::default()));
    }
    let (pcapng, section) = Pcapng::begin(buffer)?.ok_or(CaptureError::NoCapture)?;
    Ok((Source::Pcapng(pcapng), section))
}

#[cfg(test)]
mod tests;
