//! Records out of the ring buffer.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{Map, MapData, MapError, RingBuf};
use tracer_common::record::RecordHeader;

/// The ring buffer that all programs of a capture share.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub(super) fn new(map: Map) -> Result<Self, MapError> {
        RingBuf::try_from(map).map(Self)
    }

    /// Hands each record that waits to `each`, at most `limit`, until it fails. Returns how many there were.
    ///
    /// An item that is no record (a defect of the programs) is passed over.
    pub fn drain<E>(
        &mut self,
        limit: usize,
        mut each: impl FnMut(&RecordHeader, &[u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        for count in 0..limit {
            let Some(item) = self.0.next() else { return Ok(count) };
            if let Ok((header, data)) = RecordHeader::split(&item) {
                each(&header, data)?;
            }
        }
        Ok(limit)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
