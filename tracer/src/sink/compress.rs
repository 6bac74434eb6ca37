//! Output as one zstd stream (RFC 8878), whole up to the last flush for whoever reads along.

use std::io::{self, Write as _};

use zstd::stream::write::Encoder;

/// The fastest of zstd's ordinary levels: headers of packets shrink to a fraction by any of them.
const LEVEL: i32 = 1;

/// Compresses into a buffer of its own.
pub(super) struct Compressor(Encoder<'static, Vec<u8>>);

impl Compressor {
    pub(super) fn new() -> io::Result<Self> {
        let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
        // Its end tells whether the bytes before it are those that were written.
        encoder.include_checksum(true)?;
        Ok(Self(encoder))
    }

    /// Compresses bytes. What it leaves in its buffer is all that a reader needs to have them.
    pub(super) fn compress(&mut self, bytes: &[u8]) -> io::Result<&[u8]> {
        self.0.get_mut().clear();
        self.0.write_all(bytes)?;
        self.0.flush()?;
        Ok(self.0.get_ref())
    }

    /// What the stream ends with.
    pub(super) fn end(mut self) -> io::Result<Vec<u8>> {
        self.0.get_mut().clear();
        self.0.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_flush_is_readable_and_the_end_is_one() {
        let mut compressor = Compressor::new().unwrap();
        let mut stream = Vec::new();
        let mut plain = Vec::new();
        for round in 0..5u8 {
            let bytes = vec![round; 70_000];
            stream.extend(compressor.compress(&bytes).unwrap());
            plain.extend(bytes);
            let mut reader = zstd::stream::read::Decoder::new(&stream[..]).unwrap();
            let mut read = vec![0; plain.len()];
            reader.read_exact(&mut read).unwrap();
            assert_eq!(read, plain);
        }
        assert!(zstd::stream::decode_all(&stream[..]).is_err(), "it has no end yet");
        stream.extend(compressor.end().unwrap());
        assert_eq!(zstd::stream::decode_all(&stream[..]).unwrap(), plain);
    }
}
