//! How much of what was to be written is whole packets and blocks.

use super::Format;

/// Type and length of a pcapng block, and the offset of the length.
const BLOCK: (usize, usize) = (12, 4);
/// Header of a pcap record, and the offset of its captured length.
const RECORD: (usize, usize) = (16, 8);
/// Type of the pcapng block that has a packet.
const ENHANCED_PACKET: [u8; 4] = [6, 0, 0, 0];
const PCAP_HEADER: usize = 24;
/// The first bytes of a pcap file that we write.
const PCAP_MAGIC: [u8; 4] = [0x4d, 0x3c, 0xb2, 0xa1];

/// Bytes of the whole blocks within the first `accepted` bytes of a buffer that begins with a block.
///
/// `begins_file` tells a buffer that begins with the header of a pcap file.
pub(super) fn whole(format: Format, bytes: &[u8], accepted: usize, begins_file: bool) -> usize {
    let mut end = 0;
    if format == Format::Pcap && begins_file && bytes.starts_with(&PCAP_MAGIC) {
        end = PCAP_HEADER;
    }
    if end > accepted {
        return 0;
    }
    while let Some(next) = next(format, bytes, end)
        && next <= accepted
    {
        end = next;
    }
    end
}

/// Packets in a buffer that begins with a block and not with a file.
pub(super) fn packets(format: Format, bytes: &[u8]) -> u64 {
    let (mut begin, mut packets) = (0, 0);
    while let Some(end) = next(format, bytes, begin) {
        let is_packet = format == Format::Pcap || bytes[begin..].starts_with(&ENHANCED_PACKET);
        packets += u64::from(is_packet);
        begin = end;
    }
    packets
}

fn next(format: Format, bytes: &[u8], begin: usize) -> Option<usize> {
    let (header, offset) = match format {
        Format::Pcapng => BLOCK,
        Format::Pcap => RECORD,
    };
    let field = bytes.get(begin..begin + header)?.get(offset..)?.first_chunk()?;
    let len = usize::try_from(u32::from_le_bytes(*field)).ok()?;
    match format {
        Format::Pcapng => begin.checked_add(len.max(header)),
        Format::Pcap => begin.checked_add(header)?.checked_add(len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(len: u32) -> Vec<u8> {
        let mut bytes = vec![0xee; len as usize];
        bytes[4..8].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    fn record(len: u32) -> Vec<u8> {
        let mut bytes = vec![0xee; 16 + len as usize];
        bytes[8..12].copy_from_slice(&len.to_le_bytes());
        bytes
    }

    #[test]
    fn blocks_are_counted_up_to_the_last_whole_one() {
        let bytes = [block(28), block(32), block(12)].concat();
        for accepted in 0..=bytes.len() {
            let end = [72, 60, 28, 0].into_iter().find(|end| *end <= accepted).unwrap();
            assert_eq!(whole(Format::Pcapng, &bytes, accepted, false), end, "{accepted}");
        }
    }

    #[test]
    fn records_are_counted_behind_the_header_of_the_file() {
        let mut header = vec![0; PCAP_HEADER];
        header[..4].copy_from_slice(&PCAP_MAGIC);
        let bytes = [header, record(0), record(5)].concat();
        for accepted in 0..=bytes.len() {
            let end = [61, 40, 24, 0].into_iter().find(|end| *end <= accepted).unwrap();
            assert_eq!(whole(Format::Pcap, &bytes, accepted, true), end, "{accepted}");
        }
        assert_eq!(whole(Format::Pcap, &bytes[24..], 20, false), 16);
    }

    #[test]
    fn packets_are_counted_and_other_blocks_are_not() {
        let mut packet = block(32);
        packet[..4].copy_from_slice(&ENHANCED_PACKET);
        let bytes = [packet.clone(), block(28), packet].concat();
        assert_eq!(packets(Format::Pcapng, &bytes), 2);
        assert_eq!(packets(Format::Pcap, &[record(9), record(0)].concat()), 2);
        assert_eq!(packets(Format::Pcap, &[]), 0);
    }

    #[test]
    fn lengths_that_make_no_sense_end() {
        assert_eq!(whole(Format::Pcapng, &[0; 64], 64, false), 60);
        assert_eq!(whole(Format::Pcapng, &[0xff; 64], 64, false), 0);
        assert_eq!(whole(Format::Pcap, &[0xff; 64], 64, true), 0);
        assert_eq!(whole(Format::Pcapng, &[], 0, true), 0);
    }
}
