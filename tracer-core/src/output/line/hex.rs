//! Bytes as digits, 16 to a line.

use std::fmt::Write as _;

use super::scribe::{Cut, Printed, Scribe, say};

const PER_LINE: usize = 16;

/// Appends lines of an offset, digits and characters, each after a line break and a tab.
pub(super) fn dump(text: &mut String, bytes: &[u8]) {
    for (number, line) in bytes.chunks(PER_LINE).enumerate() {
        // A string takes whatever is written to it.
        let _ = write!(text, "\n\t0x{:04x}: ", number * PER_LINE);
        let begin = text.len();
        line.chunks(2).for_each(|pair| digits(text, pair));
        let width = text.len() - begin;
        let _ = write!(text, "{:1$}", "", 42 - width);
        text.extend(line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }));
    }
}

fn digits(text: &mut String, pair: &[u8]) {
    text.push(' ');
    for byte in pair {
        let _ = write!(text, "{byte:02x}");
    }
}

impl Scribe<'_> {
    /// Digits and characters of `len` bytes; the packet ends there if they were not captured.
    pub(super) fn dump(&mut self, at: usize, len: usize) -> Printed {
        let captured = self.available(at).min(len);
        dump(self.text, self.slice(at, captured)?);
        if captured < len { Err(Cut) } else { Ok(()) }
    }

    /// Digits and characters of a payload that nobody knows, where they do not follow anyway.
    pub(super) fn payload(&mut self, at: usize) -> Printed {
        if self.hex { Ok(()) } else { self.dump(at, self.available(at)) }
    }

    /// Digits of what was captured of `len` bytes, each line after `ident`.
    pub(super) fn unknown(&mut self, at: usize, len: usize, ident: &str) -> Printed {
        if !self.has(at, 0) {
            say!(self, "{ident}Dissector error: print_unknown_data called with pointer past end of packet");
            return Ok(());
        }
        let bytes = self.slice(at, self.available(at).min(len))?;
        for (number, line) in bytes.chunks(PER_LINE).enumerate() {
            say!(self, "{ident}0x{:04x}: ", number * PER_LINE);
            line.chunks(2).for_each(|pair| digits(self.text, pair));
        }
        Ok(())
    }
}
