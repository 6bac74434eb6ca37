//! The Internet checksum (RFC 1071).

/// A sum in one's complement of 16-bit words, in the byte order of the machine until it is finished: the order does not
/// matter to the sum (section 2, B).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds bytes that stand at an even place; an odd last one counts as if a zero came after it.
    #[must_use]
    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let sum: u64 = words.iter().chain([&last]).map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
        // Less than 2^32 words fit into memory that a packet has; the carries of all of them fit here.
        Self(self.0 + sum)
    }

    /// The checksum, as it stands in a header.
    pub(crate) fn finish(self) -> [u8; 2] {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap_or(u16::MAX)).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_the_rfc() {
        // RFC 1071, section 3: the sum of these words is 0xddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).finish(), [0x22, 0x0d]);
    }

    #[test]
    fn every_length_and_split_gives_the_words_sum() {
        let bytes: Vec<u8> = (0..40u8).map(|index| index.wrapping_mul(37).wrapping_add(200)).collect();
        for len in 0..bytes.len() {
            let words = bytes[..len].chunks(2).map(|word| {
                u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or_default()]))
            });
            let mut expected: u32 = words.sum();
            expected = (expected & 0xffff) + (expected >> 16);
            expected = !((expected & 0xffff) + (expected >> 16)) & 0xffff;
            for split in (0..=len).step_by(2) {
                let sum = Sum::default().add(&bytes[..split]).add(&bytes[split..len]);
                assert_eq!(u32::from(u16::from_be_bytes(sum.finish())), expected, "{len} {split}");
            }
        }
    }
}
