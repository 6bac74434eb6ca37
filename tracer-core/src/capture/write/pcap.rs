//! libpcap's classic format (draft-ietf-opsawg-pcap), with times in nanoseconds.

use std::io::Write;

use super::write_failed;
use crate::capture::{CaptureError, Frame};
use crate::units::SnapLength;

/// Nanoseconds; microseconds would be `a1b2c3d4`.
const MAGIC: u32 = 0xa1b2_3c4d;
const MAJOR: u16 = 2;
const MINOR: u16 = 4;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const NANOSECONDS: u64 = 1_000_000_000;

/// Writes one pcap file, little-endian: packets of one link type, their times, captured bytes and lengths, and
/// nothing else that a [`Frame`] has.
///
/// Nothing is buffered here, as in [`super::CaptureWriter`].
pub struct PcapWriter<W: Write> {
    inner: W,
    snap: SnapLength,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the header with a link type of tcpdump.org/linktypes.html.
    pub fn new(mut writer: W, link_type: u32, snap: SnapLength) -> Result<Self, CaptureError> {
        let mut header = [0; FILE_HEADER];
        header[..4].copy_from_slice(&MAGIC.to_le_bytes());
        header[4..6].copy_from_slice(&MAJOR.to_le_bytes());
        header[6..8].copy_from_slice(&MINOR.to_le_bytes());
        header[16..20].copy_from_slice(&snap.0.to_le_bytes());
        header[20..].copy_from_slice(&link_type.to_le_bytes());
        writer.write_all(&header).map_err(write_failed)?;
        Ok(Self { inner: writer, snap })
    }

    /// Writes one packet, cut at the snap length. The interface is not told.
    ///
    /// Seconds are 32 bits without a sign: times after the year 2106 begin anew at 1970.
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<(), CaptureError> {
        let data = &frame.data[..frame.data.len().min(self.snap.0 as usize)];
        let low_half = |number: u64| u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default();
        let words = [
            low_half(frame.time.0 / NANOSECONDS),
            low_half(frame.time.0 % NANOSECONDS),
            low_half(data.len() as u64),
            frame.original_len,
        ];
        let mut header = [0; RECORD_HEADER];
        for (bytes, word) in header.chunks_exact_mut(4).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.inner.write_all(&header).and_then(|()| self.inner.write_all(data)).map_err(write_failed)
    }

    /// Hands what is buffered below to its reader.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.inner.flush().map_err(write_failed)
    }

    /// The sink.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The sink, which only whole records are to be taken from or put into: after each call here its last one is.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// The sink, all records written and nothing flushed.
    pub fn into_inner(self) -> W {
        self.inner
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::capture::{CaptureReader, InterfaceId, Item, LinkLayer};
    use crate::units::{Direction, Timestamp};

    fn frame(time: u64, data: &[u8]) -> Frame<'_> {
        Frame {
            interface: InterfaceId(7),
            time: Timestamp(time),
            direction: Some(Direction::Ingress),
            original_len: 1500,
            data: Cow::Borrowed(data),
            gso: None,
            mark: 1,
            lost_before: 2,
            comment: None,
        }
    }

    #[test]
    fn bytes_of_a_file() {
        let mut writer = PcapWriter::new(Vec::new(), 1, SnapLength(4)).unwrap();
        writer.frame(&frame(5_000_000_006, b"abcde")).unwrap();
        writer.frame(&frame(0, b"")).unwrap();
        let header = [0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0];
        let cut = [5, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 0xdc, 5, 0, 0, b'a', b'b', b'c', b'd'];
        let empty = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xdc, 5, 0, 0];
        assert_eq!(writer.into_inner(), [header.as_slice(), &cut, &empty].concat());
    }

    #[test]
    fn our_reader_reads_it() {
        let mut writer = PcapWriter::new(Vec::new(), 1, SnapLength(64)).unwrap();
        writer.frame(&frame(1_700_000_000_123_456_789, &[9; 60])).unwrap();
        let bytes = writer.into_inner();
        let mut reader = CaptureReader::new(bytes.as_slice()).unwrap();
        let (mut links, mut frames) = (Vec::new(), Vec::new());
        while let Some(item) = reader.next_item().unwrap() {
            match item {
                Item::Interface(_, interface) => links.push(interface.link),
                Item::Frame(frame) => {
                    frames.push((frame.time.0, frame.original_len, frame.data.into_owned()));
                }
                _ => {}
            }
        }
        assert_eq!(links, [LinkLayer::Ethernet]);
        assert_eq!(frames, [(1_700_000_000_123_456_789, 1500, vec![9; 60])]);
    }
}
