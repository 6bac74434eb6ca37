//! pcapng, block by block (draft-ietf-opsawg-pcapng, section 3).

use std::io::Read;
use std::ops::Range;

use super::super::buffer::Buffer;
use super::super::{CaptureError, Section};
use super::block;
use super::fields::{ByteOrder, Fields};
use super::interfaces::Interfaces;
use super::{MAX_BLOCK, Packet, Record};
use crate::units::Timestamp;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;
/// The others are not even looked into: what is not used cannot make the reader fail.
const USED: [u32; 6] = [SECTION, INTERFACE, OBSOLETE_PACKET, SIMPLE_PACKET, STATISTICS, ENHANCED_PACKET];

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const VERSION: u16 = 1;
/// Type and length, which come before the body.
const HEAD: usize = 8;
/// The length once more, which comes after it.
const TAIL: usize = 4;

/// The rest of a file in this format.
pub(super) struct Pcapng {
    order: ByteOrder,
    /// Time of the latest packet: a simple packet has none of its own.
    latest: Timestamp,
}

/// A block in the buffer.
struct Block {
    kind: u32,
    body: Range<usize>,
    offset: u64,
}

impl Block {
    fn damaged(&self, what: &'static str) -> CaptureError {
        CaptureError::Damaged { what, offset: self.offset }
    }
}

impl Pcapng {
    /// Reads the first section header; absent where the file begins with none.
    pub(super) fn begin<R: Read>(buffer: &mut Buffer<R>) -> Result<Option<(Self, Section)>, CaptureError> {
        if !buffer.available().starts_with(&SECTION.to_be_bytes()) {
            return Ok(None);
        }
        let mut pcapng = Self { order: ByteOrder::Little, latest: Timestamp::default() };
        let Some(block) = pcapng.block(buffer)? else { return Ok(None) };
        let section = pcapng.section(buffer, &block)?;
        Ok(Some((pcapng, section)))
    }

    /// The next block; absent at the end.
    pub(super) fn next<R: Read>(
        &mut self,
        buffer: &mut Buffer<R>,
        interfaces: &Interfaces,
        packet: &mut Packet,
    ) -> Result<Option<Record>, CaptureError> {
        let Some(block) = self.block(buffer)? else { return Ok(None) };
        let fields = self.order.fields(buffer.at(block.body.clone()));
        let record = match block.kind {
            SECTION => Some(Record::Section(Box::new(self.section(buffer, &block)?))),
            INTERFACE => block::interface(fields).map(|described| Record::Interface(Box::new(described))),
            ENHANCED_PACKET => self.date(block::enhanced_packet(fields, packet), packet, interfaces)?,
            OBSOLETE_PACKET => self.date(block::obsolete_packet(fields, packet), packet, interfaces)?,
            SIMPLE_PACKET => self.simple_packet(fields, packet, interfaces)?,
            STATISTICS => statistics(fields, interfaces)?,
            other => Some(Record::Other(other)),
        };
        if matches!(record, Some(Record::Packet)) {
            packet.shift(block.body.start);
        }
        record.map(Some).ok_or_else(|| block.damaged("a block too short for what it holds"))
    }

    /// The next block as it lies; absent at the end.
    fn block<R: Read>(&mut self, buffer: &mut Buffer<R>) -> Result<Option<Block>, CaptureError> {
        if !buffer.fill(1).map_err(CaptureError::Read)? {
            return Ok(None);
        }
        let offset = buffer.offset();
        let fill = |buffer: &mut Buffer<R>, count| match buffer.fill(count) {
            Ok(true) => Ok(()),
            Ok(false) => Err(CaptureError::CutShort(offset)),
            Err(error) => Err(CaptureError::Read(error)),
        };
        fill(buffer, HEAD + TAIL)?;
        // The type of a section header reads the same in either byte order; the magic in its body tells which.
        if buffer.available().starts_with(&SECTION.to_be_bytes()) {
            self.order = order(&buffer.available()[HEAD..])
                .ok_or(CaptureError::Damaged { what: "a section without a byte order", offset })?;
        }
        let mut fields = self.order.fields(buffer.available());
        let (kind, total) = (fields.u32().unwrap_or_default(), fields.u32().unwrap_or_default() as usize);
        if total < HEAD + TAIL || !total.is_multiple_of(4) {
            return Err(CaptureError::Damaged { what: "a block of impossible length", offset });
        }
        if total > MAX_BLOCK {
            return if USED.contains(&kind) {
                Err(CaptureError::Damaged { what: "a block longer than any", offset })
            } else if buffer.discard(total as u64).map_err(CaptureError::Read)? {
                Ok(Some(Block { kind, body: 0..0, offset }))
            } else {
                Err(CaptureError::CutShort(offset))
            };
        }
        fill(buffer, total)?;
        let tail = self.order.fields(&buffer.available()[total - TAIL..]).u32();
        if tail != u32::try_from(total).ok() {
            return Err(CaptureError::Damaged { what: "a block whose two lengths differ", offset });
        }
        let block = buffer.take(total);
        Ok(Some(Block { kind, body: block.start + HEAD..block.end - TAIL, offset }))
    }

    fn section<R: Read>(&self, buffer: &Buffer<R>, block: &Block) -> Result<Section, CaptureError> {
        let mut fields = self.order.fields(buffer.at(block.body.clone()));
        let mut version = || {
            fields.skip(size_of_val(&BYTE_ORDER_MAGIC))?;
            let major = fields.u16()?;
            // Minor version, length of the section.
            fields.skip(2 + 8)?;
            Some(major)
        };
        match version() {
            Some(VERSION) => Ok(block::section(fields.options())),
            Some(_) => Err(block.damaged("a pcapng version other than 1")),
            None => Err(block.damaged("a block too short for what it holds")),
        }
    }

    /// Gives a packet the time that so many ticks of its interface are.
    fn date(
        &mut self,
        ticks: Option<u64>,
        packet: &mut Packet,
        interfaces: &Interfaces,
    ) -> Result<Option<Record>, CaptureError> {
        let Some(ticks) = ticks else { return Ok(None) };
        packet.time = interfaces.get(packet.interface)?.resolution.time(ticks);
        self.latest = self.latest.max(packet.time);
        Ok(Some(Record::Packet))
    }

    fn simple_packet(
        &self,
        fields: Fields<'_>,
        packet: &mut Packet,
        interfaces: &Interfaces,
    ) -> Result<Option<Record>, CaptureError> {
        let read = block::simple_packet(fields, interfaces.get(0)?.snap, packet);
        packet.time = self.latest;
        Ok(read.map(|()| Record::Packet))
    }
}

fn statistics(fields: Fields<'_>, interfaces: &Interfaces) -> Result<Option<Record>, CaptureError> {
    let Some((interface, ticks, statistics)) = block::statistics(fields) else { return Ok(None) };
    let time = interfaces.get(interface)?.resolution.time(ticks);
    Ok(Some(Record::Statistics(interface, time, statistics)))
}

fn order(body: &[u8]) -> Option<ByteOrder> {
    let magic = *body.first_chunk()?;
    [ByteOrder::Little, ByteOrder::Big].into_iter().find(|order| order.u32(magic) == BYTE_ORDER_MAGIC)
}

impl Packet {
    /// Makes places in a block's body places in the buffer.
    fn shift(&mut self, by: usize) {
        for range in [Some(&mut self.data), self.comment.as_mut()].into_iter().flatten() {
            *range = range.start + by..range.end + by;
        }
    }
}
