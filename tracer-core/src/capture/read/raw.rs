//! Packets as they are in the file, beside the Ethernet that is made of them.

use std::io::Read;
use std::ops::Range;

use super::super::buffer::Buffer;
use super::super::link::LinkType;
use super::interfaces::Described;
use super::{CaptureReader, Current, Packet};

/// A packet as it is in the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawPacket<'a> {
    /// Number of its link type in the file (tcpdump.org/linktypes.html).
    pub link_type: u32,
    /// Bytes that it had, its link-layer header included.
    pub original_len: u32,
    /// The bytes that were captured.
    pub data: &'a [u8],
}

/// What the current packet was before it was made Ethernet.
#[derive(Default)]
pub(super) struct Untouched {
    link_type: u32,
    original_len: u32,
    /// Where its bytes are in the buffer; absent where they are overwritten and kept here.
    place: Option<Range<usize>>,
    bytes: Vec<u8>,
}

impl Untouched {
    pub(super) fn keep<R: Read>(&mut self, described: &Described, packet: &Packet, buffer: &Buffer<R>) {
        self.link_type = described.link_number;
        self.original_len = packet.original_len;
        self.bytes.clear();
        self.place = match described.link {
            LinkType::Ethernet | LinkType::SyntheticEthernet | LinkType::Other(_) => {
                Some(packet.data.clone())
            }
            LinkType::Raw | LinkType::Null | LinkType::Sll | LinkType::Sll2 => {
                self.bytes.extend_from_slice(buffer.at(packet.data.clone()));
                None
            }
        };
    }
}

impl<R: Read> CaptureReader<R> {
    /// The same, which also keeps packets as they are in the file, for [`Self::raw`].
    #[must_use]
    pub fn with_raw(mut self) -> Self {
        self.untouched = Some(Untouched::default());
        self
    }

    /// The packet that the reader is at, as it is in the file; absent where the item is none, and without
    /// [`Self::with_raw`].
    pub fn raw(&self) -> Option<RawPacket<'_>> {
        let (Some(untouched), Current::Packet) = (&self.untouched, &self.current) else { return None };
        let Untouched { link_type, original_len, ref place, ref bytes } = *untouched;
        let data = place.as_ref().map_or(bytes.as_slice(), |place| self.buffer.at(place.clone()));
        Some(RawPacket { link_type, original_len, data })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pcap_header, pcap_packet};
    use super::*;

    const IP: [u8; 24] = [0x45; 24];

    fn file(link_type: u32) -> Vec<u8> {
        let mut bytes = pcap_header(false, 0xa1b2_c3d4, 65535, link_type);
        bytes.extend(pcap_packet(false, (1, 2), 90, &IP));
        bytes.extend(pcap_packet(false, (1, 3), 24, &[7; 24]));
        bytes
    }

    #[test]
    fn packets_stay_as_they_are_in_the_file() {
        for link_type in [0, 1, 12, 101, 105, 108, 113, 228, 0x4400_0001] {
            let bytes = file(link_type);
            let mut reader = CaptureReader::new(bytes.as_slice()).unwrap().with_raw();
            let mut raw = Vec::new();
            while reader.advance().unwrap() {
                let Some(RawPacket { link_type, original_len, data }) = reader.raw() else { continue };
                raw.push((link_type, original_len, data.to_vec()));
            }
            let link_type = link_type & 0xffff;
            assert_eq!(raw, [(link_type, 90, IP.to_vec()), (link_type, 24, vec![7; 24])]);
        }
    }

    #[test]
    fn who_asks_is_answered_and_the_frame_is_the_same() {
        // With an interface that is told by the packets.
        for link_type in [101, 113, 276] {
            let bytes = file(link_type);
            let mut plain = CaptureReader::new(bytes.as_slice()).unwrap();
            let mut asked = CaptureReader::new(bytes.as_slice()).unwrap().with_raw();
            loop {
                assert_eq!(plain.raw(), None);
                let went = asked.advance().unwrap();
                assert_eq!(plain.advance().unwrap(), went);
                if !went {
                    break;
                }
                assert_eq!(plain.item(), asked.item());
                assert_eq!(asked.raw().is_some(), asked.packet_time().is_some());
            }
        }
    }
}
