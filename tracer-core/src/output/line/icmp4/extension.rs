//! What routers append to an error (RFC 4884, RFC 4950).

use super::super::checksum::checksum;
use super::super::names::{Names, name};
use super::super::scribe::{Printed, Scribe, say};

/// Extensions begin behind the ICMP header and 128 bytes of the packet that the error is about.
const BEGIN: usize = 136;
/// The extension header and the first byte of an object.
const LEAST: usize = 5;
const HEADER: usize = 4;
const VERSION: u8 = 2;
const OBJECT_HEADER: usize = 4;
const LABEL_STACK: u8 = 1;
const OBJECTS: &Names = &[(1, "MPLS Stack Entry"), (2, "Interface Identification")];

impl Scribe<'_> {
    /// Prints the extensions of a message that had `len` bytes. Where the message does not tell whether there
    /// are any, the checksum does.
    pub(super) fn icmp4_extensions(&mut self, at: usize, len: usize) -> Printed {
        if len <= BEGIN {
            return Ok(());
        }
        if !self.has(at, BEGIN + LEAST) {
            self.truncated();
            return Ok(());
        }
        let (begin, len) = (at + BEGIN, len - BEGIN);
        let is_right = self.slice(begin, len).ok().map(|bytes| checksum(&[bytes]) == 0);
        if self.u8(at + 5)? == 0 && is_right == Some(false) {
            return Ok(());
        }
        let version = self.u8(begin)? >> 4;
        say!(self, "\n\tICMP Multi-Part extension v{version}");
        if version != VERSION {
            self.put(" packet not supported");
            return Ok(());
        }
        if let Some(is_right) = is_right {
            let word = if is_right { "correct" } else { "incorrect" };
            say!(self, ", checksum 0x{:04x} ({word}), length {len}", self.u16(begin + 2)?);
        }
        self.extension_objects(begin + HEADER, len.saturating_sub(HEADER))
    }

    fn extension_objects(&mut self, mut at: usize, mut left: usize) -> Printed {
        while left > OBJECT_HEADER {
            if !self.has(at, OBJECT_HEADER) {
                self.truncated();
                return Ok(());
            }
            let (len, class, kind) = (usize::from(self.u16(at)?), self.u8(at + 2)?, self.u8(at + 3)?);
            let called = name(OBJECTS, class).unwrap_or("unknown");
            say!(self, "\n\t  {called} Object ({class}), Class-Type: {kind}, length {len}");
            if class == 0 || len < OBJECT_HEADER {
                return Ok(());
            }
            at += OBJECT_HEADER;
            left -= OBJECT_HEADER;
            let data = len - OBJECT_HEADER;
            if (class, kind) == (LABEL_STACK, 1) {
                self.label(at)?;
            } else {
                self.unknown(at, data, "\n\t    ")?;
            }
            if left < data {
                return Ok(());
            }
            at += data;
            left -= data;
        }
        Ok(())
    }

    /// RFC 3032
    fn label(&mut self, at: usize) -> Printed {
        let entry = self.u32(at)?;
        say!(self, "\n\t    label {}, tc {}", entry >> 12, (entry >> 9) & 7);
        self.put(if entry & 0x100 == 0 { "" } else { ", [S]" });
        say!(self, ", ttl {}", entry & 0xff);
        Ok(())
    }
}
