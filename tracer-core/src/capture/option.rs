//! What the writer and the reader must agree on: direction bits, the custom packet option, `key=value` texts.

use std::fmt::Write;

use crate::units::Gso;

/// Inbound and outbound values of the direction bits in `epb_flags`.
pub(super) const INBOUND: u32 = 1;
pub(super) const OUTBOUND: u32 = 2;

/// Enterprise number that RFC 5612 reserves for examples and documentation.
pub(super) const ENTERPRISE: u32 = 32_473;
/// Option code of a binary custom option that may be copied to new files.
pub(super) const CUSTOM_BINARY: u16 = 2989;
/// First bytes of our option's value: the enterprise number is anybody's.
const MAGIC: [u8; 4] = *b"kfl1";

/// `skb` facts beyond the standard options: magic, `gso_size`, `gso_segs` (u16), mark (u32), little-endian.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct SkbFacts {
    pub(super) gso: Option<Gso>,
    pub(super) mark: u32,
}

impl SkbFacts {
    pub(super) const LEN: usize = 12;

    pub(super) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let (size, segments) = self.gso.map_or((0, 0), |gso| (gso.size, gso.segments));
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&size.to_le_bytes());
        bytes[6..8].copy_from_slice(&segments.to_le_bytes());
        bytes[8..].copy_from_slice(&self.mark.to_le_bytes());
        bytes
    }

    /// Absent for another program's option under the same enterprise number.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (size, rest) = rest.split_first_chunk::<2>()?;
        let (segments, rest) = rest.split_first_chunk::<2>()?;
        let (mark, _) = rest.split_first_chunk::<4>()?;
        let size = u16::from_le_bytes(*size);
        let gso = (size != 0).then(|| Gso { size, segments: u16::from_le_bytes(*segments) });
        Some(Self { gso, mark: u32::from_le_bytes(*mark) })
    }
}

/// Joins pairs as `key=value key=value`; white space, `=` and `%` in values become `%XX`.
pub(super) fn join<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(key);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_graphic() && !b"=%".contains(&byte) {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02x}");
            }
        }
    }
    text
}

/// The value of `key` in a text made by [`join`].
pub(super) fn value(text: &str, key: &str) -> Option<String> {
    let raw = text.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))?;
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (hex, tail) = rest.split_first_chunk::<2>()?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_any_value() {
        let text = join([("node", "a b=c%d é".to_owned()), ("ifindex", "3".to_owned())]);
        assert_eq!(text, "node=a%20b%3dc%25d%20%c3%a9 ifindex=3");
        assert_eq!(value(&text, "node").as_deref(), Some("a b=c%d é"));
        assert_eq!(value(&text, "ifindex").as_deref(), Some("3"));
        assert_eq!(value(&text, "index"), None);
        assert_eq!(value("node=%zz", "node"), None);
        assert_eq!(value("node=%2", "node"), None);
    }

    #[test]
    fn facts_survive_and_foreign_options_are_not_ours() {
        let facts = SkbFacts { gso: Some(Gso { size: 1448, segments: 46 }), mark: 0x4000 };
        assert_eq!(SkbFacts::from_bytes(&facts.to_bytes()), Some(facts));
        assert_eq!(SkbFacts::from_bytes(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), None);
        assert_eq!(SkbFacts::from_bytes(&facts.to_bytes()[..11]), None);
    }
}
