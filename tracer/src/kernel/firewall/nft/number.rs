//! Numbers and values in attributes: `nf_tables` writes them in the byte order of the network.

use super::super::super::netlink::{attribute, field};

/// A number of four bytes.
pub(super) fn be32(bytes: &[u8]) -> Option<u32> {
    field(bytes, 0).map(u32::from_be_bytes)
}

/// A number of eight bytes.
pub(super) fn be64(bytes: &[u8]) -> Option<u64> {
    field(bytes, 0).map(u64::from_be_bytes)
}

/// The value of data (`NFTA_DATA_VALUE`).
pub(super) fn data_value(data: &[u8]) -> Option<&[u8]> {
    attribute(data, 1)
}
