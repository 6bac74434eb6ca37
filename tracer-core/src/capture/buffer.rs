//! The bytes of a capture as they come, a packet or block at a time.

use std::io::{self, Read};
use std::ops::Range;

/// Bytes that are asked for at once: enough to make system calls rare, few enough to stay in a processor's cache.
const CAPACITY: usize = 1 << 18;
/// Bytes that may be overwritten before whatever is available: a link-layer header that is put before a packet
/// needs no copy of the packet.
pub(super) const HEADROOM: usize = 16;

/// A window on a stream of bytes, which moves forward.
pub(super) struct Buffer<R> {
    reader: R,
    bytes: Vec<u8>,
    /// What is available: `begin..end` of the bytes.
    begin: usize,
    end: usize,
    /// Where in the stream `begin` is.
    offset: u64,
}

impl<R: Read> Buffer<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, bytes: vec![0; CAPACITY], begin: HEADROOM, end: HEADROOM, offset: 0 }
    }

    /// Makes so many bytes available; false where the stream ends before.
    pub(super) fn fill(&mut self, count: usize) -> io::Result<bool> {
        if self.end - self.begin >= count {
            return Ok(true);
        }
        self.bytes.copy_within(self.begin..self.end, HEADROOM);
        (self.begin, self.end) = (HEADROOM, HEADROOM + self.end - self.begin);
        if self.bytes.len() < HEADROOM + count {
            self.bytes.resize(HEADROOM + count, 0);
        }
        while self.end - self.begin < count {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The bytes that are available.
    pub(super) fn available(&self) -> &[u8] {
        &self.bytes[self.begin..self.end]
    }

    /// Goes past so many of the available bytes; they stay where it says until the next call of [`Self::fill`].
    pub(super) fn take(&mut self, count: usize) -> Range<usize> {
        let taken = self.begin..self.end.min(self.begin + count);
        self.begin = taken.end;
        self.offset += taken.len() as u64;
        taken
    }

    /// Goes past so many bytes, available or not; false where the stream ends before.
    pub(super) fn discard(&mut self, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let there = self.available().len();
            let taken = self.take(usize::try_from(count).unwrap_or(there).min(there));
            count -= taken.len() as u64;
        }
        Ok(true)
    }

    /// Bytes that were taken.
    pub(super) fn at(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// All bytes, by the numbers of [`Self::take`].
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Where in the stream the available bytes begin.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, and is interrupted before each.
    struct Drip<'a>(&'a [u8], bool);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn bytes_come_in_order_however_they_drip() {
        let mut buffer = Buffer::new(Drip(b"abcdefgh", false));
        assert!(buffer.fill(3).unwrap());
        assert_eq!(buffer.available(), b"abc");
        let taken = buffer.take(2);
        assert_eq!(buffer.at(taken), b"ab");
        assert!(buffer.fill(4).unwrap());
        assert_eq!((buffer.available(), buffer.offset()), (&b"cdef"[..], 2));
        assert!(!buffer.fill(9).unwrap());
        assert_eq!(buffer.available(), b"cdefgh");
        assert!(buffer.discard(5).unwrap());
        assert_eq!((buffer.available(), buffer.offset()), (&b"h"[..], 7));
        assert!(!buffer.discard(2).unwrap());
    }

    #[test]
    fn there_is_room_before_what_is_taken() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * CAPACITY).collect();
        let mut buffer = Buffer::new(bytes.as_slice());
        let mut begin = 0;
        for count in [1, 2, CAPACITY - 3, CAPACITY + 1, 7] {
            assert!(buffer.fill(count).unwrap());
            let taken = buffer.take(count);
            assert!(taken.start >= HEADROOM);
            buffer.bytes_mut()[taken.start - HEADROOM..taken.start].fill(0xff);
            assert!(buffer.at(taken) == &bytes[begin..begin + count]);
            begin += count;
        }
    }
}
