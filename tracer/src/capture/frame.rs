//! From a record's bytes to the frame that was, or would have been, on the wire.

use std::borrow::Cow;

use tracer_common::record::{INGRESS, RecordHeader};
use tracer_core::capture::{Frame, InterfaceId};
use tracer_core::units::{Direction, Gso, Timestamp};

use crate::kernel::interfaces::LinkType;

const ETHERNET_LEN: usize = 14;
/// Both addresses: what a VLAN tag comes behind.
const ADDRESSES_LEN: usize = 12;
const VLAN_TAG_LEN: usize = 4;

/// Bytes of frames that had to be put together; kept from packet to packet.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    buffer: Vec<u8>,
    /// Whether packets without link layer stay as they are.
    true_link_types: bool,
}

impl Assembly {
    pub(super) fn new(true_link_types: bool) -> Self {
        Self { buffer: Vec::new(), true_link_types }
    }

    /// The frame of a record.
    pub(super) fn frame<'a>(
        &'a mut self,
        header: &RecordHeader,
        data: &'a [u8],
        link: LinkType,
        interface: InterfaceId,
        time: Timestamp,
    ) -> Frame<'a> {
        let (data, added) = self.bytes(header, data, link);
        Frame {
            interface,
            time,
            direction: Some(direction(header)),
            original_len: header.original_len.saturating_add(added),
            data: Cow::Borrowed(data),
            gso: (header.gso_size != 0).then_some(Gso { size: header.gso_size, segments: header.gso_segs }),
            mark: header.mark,
            lost_before: u64::from(header.lost_before),
            comment: None,
        }
    }

    /// The frame's bytes, and how many were added: a synthetic Ethernet header where there is no link layer, the
    /// VLAN tag that the kernel keeps beside the packet.
    fn bytes<'a>(&'a mut self, header: &RecordHeader, data: &'a [u8], link: LinkType) -> (&'a [u8], u32) {
        let buffer = &mut self.buffer;
        buffer.clear();
        let (addresses, rest) = match link {
            LinkType::Ip if self.true_link_types => return (data, 0),
            LinkType::Ip => {
                buffer.extend([0; ADDRESSES_LEN]);
                (&[][..], data)
            }
            _ if header.vlan_proto == 0 => return (data, 0),
            _ => data.split_at(data.len().min(ADDRESSES_LEN)),
        };
        buffer.extend(addresses);
        let mut added = 0;
        if header.vlan_proto != 0 {
            buffer.extend(header.vlan_proto.to_be_bytes());
            buffer.extend(header.vlan_tci.to_be_bytes());
            added += VLAN_TAG_LEN;
        }
        if link == LinkType::Ip {
            buffer.extend(ethertype(header, data).to_be_bytes());
            added += ETHERNET_LEN;
        }
        buffer.extend(rest);
        (buffer, u32::try_from(added).unwrap_or(0))
    }
}

/// The packet's version says what it is; the socket buffer's protocol does for what is no IP.
fn ethertype(header: &RecordHeader, data: &[u8]) -> u16 {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    match (header.protocol, data.first().map(|byte| byte >> 4)) {
        (0 | IPV4 | IPV6, Some(4)) => IPV4,
        (0 | IPV4 | IPV6, Some(6)) => IPV6,
        (protocol, _) => protocol,
    }
}

fn direction(header: &RecordHeader) -> Direction {
    if header.direction == INGRESS { Direction::Ingress } else { Direction::Egress }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(header: RecordHeader, data: &[u8], link: LinkType) -> (Vec<u8>, u32) {
        let mut assembly = Assembly::default();
        let frame = assembly.frame(&header, data, link, InterfaceId(0), Timestamp(0));
        (frame.data.into_owned(), frame.original_len)
    }

    #[test]
    fn ethernet_frames_stay_as_they_are() {
        let header = RecordHeader { original_len: 99, ..RecordHeader::default() };
        assert_eq!(frame(header, b"anything", LinkType::Ethernet), (b"anything".to_vec(), 99));
    }

    #[test]
    fn packets_without_link_layer_get_an_ethernet_header() {
        let header = RecordHeader { original_len: 84, protocol: 0x0800, ..RecordHeader::default() };
        let (data, original_len) = frame(header, &[0x45, 1, 2], LinkType::Ip);
        assert_eq!(data, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00, 0x45, 1, 2]);
        assert_eq!(original_len, 98);
        let six = RecordHeader { protocol: 0, ..header };
        assert_eq!(frame(six, &[0x60], LinkType::Ip).0[12..], [0x86, 0xdd, 0x60]);
        let mpls = RecordHeader { protocol: 0x8847, ..header };
        assert_eq!(frame(mpls, &[0x45], LinkType::Ip).0[12..], [0x88, 0x47, 0x45]);
    }

    #[test]
    fn packets_without_link_layer_stay_as_they_are_where_that_is_asked_for() {
        let header = RecordHeader { original_len: 84, protocol: 0x0800, ..RecordHeader::default() };
        let mut assembly = Assembly::new(true);
        let frame = assembly.frame(&header, &[0x45, 1, 2], LinkType::Ip, InterfaceId(0), Timestamp(0));
        assert_eq!((frame.data.as_ref(), frame.original_len), (&[0x45, 1, 2][..], 84));
    }

    #[test]
    fn offloaded_tag_goes_back_behind_the_addresses() {
        let header = RecordHeader {
            original_len: 60,
            vlan_proto: 0x8100,
            vlan_tci: 0x2005,
            ..RecordHeader::default()
        };
        let mut data = vec![0xaa; 12];
        data.extend([0x08, 0x00, 0x45]);
        let (tagged, original_len) = frame(header, &data, LinkType::Ethernet);
        assert_eq!(tagged[..12], [0xaa; 12]);
        assert_eq!(tagged[12..], [0x81, 0x00, 0x20, 0x05, 0x08, 0x00, 0x45]);
        assert_eq!(original_len, 64);
        // A record that ends within the addresses.
        assert_eq!(frame(header, &data[..4], LinkType::Ethernet).0.len(), 8);
    }

    #[test]
    fn facts_of_the_socket_buffer_go_along() {
        let header = RecordHeader {
            gso_size: 1448,
            gso_segs: 3,
            mark: 7,
            direction: 1,
            lost_before: 5,
            ..RecordHeader::default()
        };
        let mut assembly = Assembly::default();
        let frame = assembly.frame(&header, &[], LinkType::Ethernet, InterfaceId(2), Timestamp(9));
        assert_eq!(frame.gso, Some(Gso { size: 1448, segments: 3 }));
        assert_eq!((frame.mark, frame.lost_before), (7, 5));
        assert_eq!((frame.direction, frame.interface), (Some(Direction::Egress), InterfaceId(2)));
    }
}
