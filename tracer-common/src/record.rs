//! One packet in the ring buffer.

/// Direction of a record: the interface received the packet.
pub const INGRESS: u8 = 0;
/// Direction of a record: the interface sends the packet.
pub const EGRESS: u8 = 1;

/// Kind of a record: a packet that matched.
pub const MATCHED: u8 = 0;
/// Kind of a record: the first bytes of a packet that did not match, one of a few that are kept to tell why.
pub const SAMPLE: u8 = 1;
/// Kind of a record: a packet that the kernel dropped ([`crate::drops`]).
pub const DROP: u8 = 2;

/// Packets shorter than this are not recorded (but counted): no link-layer or IP header fits.
pub const MIN_CAPTURE: u32 = 14;

/// The least snap length that the kernel side knows; user space cuts to less.
pub const MIN_SNAP: u32 = 64;
/// The greatest snap length.
pub const MAX_SNAP: u32 = 262_144;

/// What stands before a packet's bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RecordHeader {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub boot_ns: u64,
    /// Index of the interface in its network namespace.
    pub ifindex: u32,
    /// Length of the packet in bytes, as the hook saw it: an offloaded VLAN tag not included.
    pub original_len: u32,
    /// Bytes of the packet that follow this header; at least [`MIN_CAPTURE`].
    pub captured_len: u32,
    /// `skb->mark`.
    pub mark: u32,
    /// Payload bytes per wire segment; 0 where the packet is one segment.
    pub gso_size: u16,
    /// Number of wire segments by the kernel's count; 0 where unknown.
    pub gso_segs: u16,
    /// `EtherType` of the packet (`skb->protocol`), in host byte order.
    pub protocol: u16,
    /// Tag control information of the offloaded VLAN tag, in host byte order.
    pub vlan_tci: u16,
    /// Protocol of the offloaded VLAN tag (0x8100, 0x88a8), in host byte order; 0 where there is none.
    pub vlan_proto: u16,
    /// [`INGRESS`] or [`EGRESS`].
    pub direction: u8,
    /// [`MATCHED`], [`SAMPLE`] or [`DROP`].
    pub kind: u8,
    /// Packets lost at this interface and direction, on this processor, since its record before this one.
    pub lost_before: u32,
}

/// A reservation in the ring buffer. Its size is a constant for the verifier, hence classes of `N` bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slot<const N: usize> {
    /// Facts of the packet.
    pub header: RecordHeader,
    /// The first [`RecordHeader::captured_len`] are the packet's, the rest is not initialised.
    pub data: [u8; N],
}

/// Why bytes from the ring are no record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotARecord;

impl RecordHeader {
    /// Splits a ring buffer item into header and packet bytes.
    pub fn split(item: &[u8]) -> Result<(Self, &[u8]), NotARecord> {
        let mut fields = Fields(item);
        let header = Self {
            boot_ns: u64::from_ne_bytes(fields.take()?),
            ifindex: u32::from_ne_bytes(fields.take()?),
            original_len: u32::from_ne_bytes(fields.take()?),
            captured_len: u32::from_ne_bytes(fields.take()?),
            mark: u32::from_ne_bytes(fields.take()?),
            gso_size: u16::from_ne_bytes(fields.take()?),
            gso_segs: u16::from_ne_bytes(fields.take()?),
            protocol: u16::from_ne_bytes(fields.take()?),
            vlan_tci: u16::from_ne_bytes(fields.take()?),
            vlan_proto: u16::from_ne_bytes(fields.take()?),
            direction: u8::from_ne_bytes(fields.take()?),
            kind: u8::from_ne_bytes(fields.take()?),
            lost_before: u32::from_ne_bytes(fields.take()?),
        };
        let data = fields.0.get(..header.captured_len as usize).ok_or(NotARecord)?;
        Ok((header, data))
    }
}

/// The bytes not yet read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NotARecord> {
        let (field, rest) = self.0.split_first_chunk().ok_or(NotARecord)?;
        self.0 = rest;
        Ok(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_comes_apart_at_its_own_length() {
        let mut item = vec![0; 40 + 128];
        item[0] = 9;
        item[8] = 3;
        item[16] = 14;
        item[34] = EGRESS;
        item[36] = 7;
        item[40..54].copy_from_slice(b"fourteen bytes");
        let (header, data) = RecordHeader::split(&item).unwrap();
        let expected = RecordHeader {
            boot_ns: 9,
            ifindex: 3,
            captured_len: 14,
            direction: EGRESS,
            lost_before: 7,
            ..RecordHeader::default()
        };
        assert_eq!((header, data), (expected, &b"fourteen bytes"[..]));
    }

    #[test]
    fn short_or_lying_items_are_refused() {
        let mut item = vec![0; 40];
        assert!(RecordHeader::split(&item).is_ok());
        assert_eq!(RecordHeader::split(&item[..39]), Err(NotARecord));
        item[16] = 1;
        assert_eq!(RecordHeader::split(&item), Err(NotARecord));
    }
}
