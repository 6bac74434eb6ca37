//! Numbers and options in either byte order.

use std::ops::Range;

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// A cursor on these bytes.
    pub(super) fn fields(self, bytes: &[u8]) -> Fields<'_> {
        Fields { bytes, at: 0, order: self }
    }
}

/// A cursor that fails at the end of its bytes.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    order: ByteOrder,
}

impl<'a> Fields<'a> {
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| self.order.u16(bytes))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(|bytes| self.order.u32(bytes))
    }

    /// A timestamp: the high word comes first in either byte order.
    pub(super) fn ticks(&mut self) -> Option<u64> {
        let (high, low) = (self.u32()?, self.u32()?);
        Some(u64::from(high) << 32 | u64::from(low))
    }

    /// Goes past so many bytes, and says where they are.
    pub(super) fn skip(&mut self, count: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len())?;
        let skipped = self.at..end;
        self.at = end;
        Some(skipped)
    }

    /// Goes past so many bytes and the padding to 32 bits that follows, as far as it is there.
    pub(super) fn skip_padded(&mut self, count: usize) -> Option<Range<usize>> {
        let skipped = self.skip(count)?;
        self.at = self.bytes.len().min(self.at.next_multiple_of(4));
        Some(skipped)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What is left as a list of options.
    pub(super) fn options(self) -> Options<'a> {
        Options { fields: self }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(*bytes)
    }
}

/// One option of a block.
pub(super) struct BlockOption<'a> {
    pub(super) code: u16,
    pub(super) value: &'a [u8],
    /// Where the value is in the block's body.
    pub(super) place: Range<usize>,
    order: ByteOrder,
}

impl BlockOption<'_> {
    /// The value as a number; absent where it is shorter.
    pub(super) fn u32(&self) -> Option<u32> {
        self.value.first_chunk().map(|bytes| self.order.u32(*bytes))
    }

    /// The value as a number; absent where it is shorter.
    pub(super) fn u64(&self) -> Option<u64> {
        self.value.first_chunk().map(|bytes| self.order.u64(*bytes))
    }

    /// The value as text, less the zero bytes that some programs end it with.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.value).trim_end_matches('\0').to_owned()
    }
}

/// Options up to the one that ends the list, or as far as they are in order.
pub(super) struct Options<'a> {
    fields: Fields<'a>,
}

impl<'a> Iterator for Options<'a> {
    type Item = BlockOption<'a>;

    fn next(&mut self) -> Option<BlockOption<'a>> {
        const END: u16 = 0;
        let (code, len) = (self.fields.u16()?, self.fields.u16()?);
        if code == END {
            return None;
        }
        let place = self.fields.skip_padded(usize::from(len))?;
        Some(BlockOption { code, value: &self.fields.bytes[place.clone()], place, order: self.fields.order })
    }
}
