//! libpcap's classic format (draft-ietf-opsawg-pcap): a header, then packets.

use std::io::Read;

use super::super::CaptureError;
use super::super::buffer::Buffer;
use super::fields::ByteOrder;
use super::interfaces::Described;
use super::{MAX_BLOCK, Packet, Record};
use crate::units::Timestamp;

const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;
const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// The only major version since 1998.
const VERSION: u16 = 2;
/// What libpcap allows for a packet whatever the header says (`MAXIMUM_SNAPLEN`).
const MAX_SNAP: u32 = 262_144;

/// The rest of a file in this format.
pub(super) struct Pcap {
    order: ByteOrder,
    /// Nanoseconds of one tick.
    tick: u64,
    /// The greatest number of bytes that a packet may have in this file.
    max_len: u32,
    /// The only interface, until it is handed out.
    described: Option<Box<Described>>,
}

impl Pcap {
    /// Reads the header; absent where the file begins as none in this format.
    pub(super) fn begin<R: Read>(buffer: &mut Buffer<R>) -> Result<Option<Self>, CaptureError> {
        let Some(magic) = buffer.available().first_chunk().copied() else { return Ok(None) };
        let known =
            [ByteOrder::Little, ByteOrder::Big].into_iter().find_map(|order| match order.u32(magic) {
                MAGIC_MICROSECONDS => Some((order, 1000)),
                MAGIC_NANOSECONDS => Some((order, 1)),
                _ => None,
            });
        let Some((order, tick)) = known else { return Ok(None) };
        if !buffer.fill(FILE_HEADER).map_err(CaptureError::Read)? {
            return Err(CaptureError::CutShort(0));
        }
        let mut fields = order.fields(&buffer.available()[magic.len()..FILE_HEADER]);
        let mut header = || {
            let version = fields.u16()?;
            // Minor version, time zone, accuracy.
            fields.skip(2 + 4 + 4)?;
            Some((version, fields.u32()?, fields.u32()?))
        };
        let (version, snap, link) = header().unwrap_or_default();
        if version != VERSION {
            return Err(CaptureError::Damaged { what: "a pcap version other than 2", offset: 0 });
        }
        buffer.take(FILE_HEADER);
        let max_block = u32::try_from(MAX_BLOCK).unwrap_or(u32::MAX);
        let described = Some(Box::new(Described::unnamed(link)));
        Ok(Some(Self { order, tick, max_len: snap.clamp(MAX_SNAP, max_block), described }))
    }

    /// The next packet, after the interface; absent at the end.
    pub(super) fn next<R: Read>(
        &mut self,
        buffer: &mut Buffer<R>,
        packet: &mut Packet,
    ) -> Result<Option<Record>, CaptureError> {
        if let Some(described) = self.described.take() {
            return Ok(Some(Record::Interface(described)));
        }
        if !buffer.fill(1).map_err(CaptureError::Read)? {
            return Ok(None);
        }
        let offset = buffer.offset();
        if !buffer.fill(PACKET_HEADER).map_err(CaptureError::Read)? {
            return Err(CaptureError::CutShort(offset));
        }
        let mut fields = self.order.fields(&buffer.available()[..PACKET_HEADER]);
        let mut next = || fields.u32().unwrap_or_default();
        let (seconds, fraction, captured_len, original_len) = (next(), next(), next(), next());
        if captured_len > self.max_len {
            return Err(CaptureError::Damaged { what: "a packet longer than any", offset });
        }
        let len = captured_len as usize;
        if !buffer.fill(PACKET_HEADER + len).map_err(CaptureError::Read)? {
            return Err(CaptureError::CutShort(offset));
        }
        buffer.take(PACKET_HEADER);
        let data = buffer.take(len);
        let nanoseconds = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.tick;
        let time = Timestamp(nanoseconds);
        *packet = Packet { time, original_len: original_len.max(captured_len), data, ..Packet::default() };
        Ok(Some(Record::Packet))
    }
}
