//! The argument of `-C`.

use thiserror::Error;

/// A file size that is none.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum FileSizeError {
    /// Neither a number nor a number with a unit.
    #[error(
        "`{0}` is no file size: give a number from 1 on, in millions of bytes, or one with k, m or g behind it"
    )]
    Invalid(String),
    /// More than 2^63 - 1 bytes.
    #[error("a file size of {0} is too large")]
    TooLarge(String),
}

/// Bytes of a file size as tcpdump takes it: in millions of bytes, or in KiB, MiB or GiB with `k`, `m` or `g` behind the
/// number, in either case.
pub fn file_size(text: &str) -> Result<u64, FileSizeError> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1_000_000),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FileSizeError::Invalid(text.to_owned()));
    }
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match bytes {
        Some(0) => Err(FileSizeError::Invalid(text.to_owned())),
        Some(bytes) if i64::try_from(bytes).is_ok() => Ok(bytes),
        _ => Err(FileSizeError::TooLarge(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_millions_of_bytes_unless_they_have_a_unit() {
        let table = [
            ("1", 1_000_000),
            ("20", 20_000_000),
            ("1k", 1024),
            ("3K", 3072),
            ("2m", 2 << 20),
            ("5G", 5 << 30),
        ];
        for (text, bytes) in table {
            assert_eq!(file_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "0k", "k", "-1", "+1", "1.5", "1 k", "1kb", "1t", "é"] {
            assert_eq!(file_size(text), Err(FileSizeError::Invalid(text.to_owned())));
        }
        for text in ["9223372036854775807", "99999999999999999999", "8589934592g"] {
            assert_eq!(file_size(text), Err(FileSizeError::TooLarge(text.to_owned())));
        }
    }
}
