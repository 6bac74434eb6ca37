//! A stream as its agent compressed it, or plain.

use std::io::{self, Read};

use zstd::stream::read::Decoder;

use super::Pipe;

/// First bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// The largest window that is taken, as a power of two: 8 MiB. What the other side claims never takes more memory.
const WINDOW_LOG: u32 = 23;

/// Bytes of a pipe, decompressed where they are zstd.
pub(super) enum Unpacked {
    /// Nothing is read yet.
    Unseen(Option<Pipe>),
    /// As it comes.
    Plain(Pipe),
    /// One zstd frame or several.
    Zstd(Box<Decoder<'static, Pipe>>),
    /// It ended.
    Ended,
}

impl Unpacked {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self::Unseen(Some(pipe))
    }

    fn look(mut pipe: Pipe) -> io::Result<Self> {
        if pipe.peek(ZSTD.len()).starts_with(&ZSTD) {
            let mut decoder = Decoder::with_buffer(pipe)?;
            decoder.window_log_max(WINDOW_LOG)?;
            return Ok(Self::Zstd(Box::new(decoder)));
        }
        Ok(Self::Plain(pipe))
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self {
                Self::Unseen(pipe) => {
                    *self = pipe.take().map_or(Ok(Self::Ended), Self::look)?;
                }
                Self::Plain(pipe) => return pipe.read(buffer),
                // A frame without its end is an error, behind all that was flushed.
                Self::Zstd(decoder) => return decoder.read(buffer),
                Self::Ended => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::thread;

    use super::*;

    fn through(chunks: Vec<Vec<u8>>) -> Unpacked {
        let (sender, pipe) = Pipe::new();
        thread::spawn(move || {
            for chunk in chunks {
                sender.blocking_send(chunk).unwrap();
            }
        });
        Unpacked::new(pipe)
    }

    fn text() -> Vec<u8> {
        (0..20_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
    }

    #[test]
    fn plain_and_compressed_streams_are_told_apart_however_they_are_cut() {
        let packed = zstd::encode_all(&text()[..], 1).unwrap();
        for size in [1, 3, 1000, 1 << 20] {
            for bytes in [&packed, &text()] {
                let mut read = Vec::new();
                through(bytes.chunks(size).map(<[u8]>::to_vec).collect()).read_to_end(&mut read).unwrap();
                assert_eq!(read, text(), "in chunks of {size}");
            }
        }
        let mut read = Vec::new();
        through(Vec::new()).read_to_end(&mut read).unwrap();
        through(vec![b"ab".to_vec()]).read_to_end(&mut read).unwrap();
        assert_eq!(read, b"ab");
    }

    #[test]
    fn a_stream_that_is_cut_off_yields_all_that_was_flushed() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(&text()).unwrap();
        encoder.flush().unwrap();
        let flushed = encoder.get_ref().len();
        encoder.write_all(&text()).unwrap();
        let packed = encoder.finish().unwrap();
        let mut read = Vec::new();
        let cut = through(vec![packed[..flushed + 2].to_vec()]).read_to_end(&mut read);
        assert_eq!(read, text());
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_flushed_can_be_read_before_more_comes() {
        let (sender, pipe) = Pipe::new();
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(b"first").unwrap();
        encoder.flush().unwrap();
        sender.blocking_send(encoder.get_ref().clone()).unwrap();
        let mut read = [0; 5];
        // The sender is alive: reading on would wait for ever.
        Unpacked::new(pipe).read_exact(&mut read).unwrap();
        assert_eq!(&read, b"first");
    }

    /// As agents do it: with a checksum, and flushed at times.
    fn packed() -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        for part in text()[..4000].chunks(700) {
            encoder.write_all(part).unwrap();
            encoder.flush().unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn every_cut_is_an_error() {
        let packed = packed();
        for end in 4..packed.len() {
            let mut read = Vec::new();
            let error = through(vec![packed[..end].to_vec()]).read_to_end(&mut read).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {end}");
            assert!(text().starts_with(&read), "cut at {end}");
        }
    }

    #[test]
    fn every_damaged_byte_is_an_error_or_nothing() {
        let packed = packed();
        for at in 4..packed.len() {
            for bits in [1, 0x80, 0xff] {
                let mut damaged = packed.clone();
                damaged[at] ^= bits;
                let mut read = Vec::new();
                let outcome = through(vec![damaged]).read_to_end(&mut read);
                assert!(outcome.is_err() || read == text()[..4000], "byte {at}, {bits:#x}");
            }
        }
    }
}
