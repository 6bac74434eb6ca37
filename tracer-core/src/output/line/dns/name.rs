//! Domain names with compression (RFC 1035 section 4.1.4) and bit labels (RFC 2673).

use super::super::scribe::{Printed, Scribe, say};

/// Characters after which a name ends as too long.
const MAX_CHARACTERS: usize = 255;
const KIND: u8 = 0xc0;
const POINTER: u8 = 0xc0;
const EXTENDED: u8 = 0x40;
const BIT_LABEL: u8 = 0x41;

/// A label of a name.
enum Label {
    /// So many characters.
    Text(usize),
    /// So many bits.
    Bits(usize),
    /// The rest of the name is elsewhere.
    Pointer,
    /// The upper bits are unassigned.
    Unknown(u8),
}

impl Label {
    fn of(first: u8, second: impl FnOnce() -> Printed<u8>) -> Printed<Self> {
        Ok(match first & KIND {
            POINTER => Self::Pointer,
            EXTENDED if first == BIT_LABEL => match second()? {
                0 => Self::Bits(256),
                count => Self::Bits(usize::from(count)),
            },
            0 => Self::Text(usize::from(first)),
            _ => Self::Unknown(first),
        })
    }
}

impl Scribe<'_> {
    /// Where a name ends; nothing where it was not captured or has unknown labels.
    pub(super) fn skip_name(&self, mut at: usize) -> Printed<Option<usize>> {
        loop {
            if !self.has(at, 1) {
                return Ok(None);
            }
            let first = self.u8(at)?;
            at += 1;
            if first == 0 {
                return Ok(Some(at));
            }
            if first == BIT_LABEL && !self.has(at, 1) {
                return Ok(None);
            }
            match Label::of(first, || self.u8(at))? {
                Label::Pointer => return Ok(Some(at + 1)),
                Label::Text(len) => at += len,
                Label::Bits(count) => at += 1 + count.div_ceil(8),
                Label::Unknown(_) => return Ok(None),
            }
        }
    }

    /// Prints the name at `at` of the message that begins at `message`; returns where it ends in its place,
    /// nothing where it is damaged or was not captured.
    ///
    /// A pointer has to lead backward, so that no name is without end.
    pub(in crate::output::line) fn name(&mut self, mut at: usize, message: usize) -> Printed<Option<usize>> {
        if !self.has(at, 1) {
            return Ok(None);
        }
        let mut bound = at.saturating_sub(message);
        let mut end = None;
        let mut characters = 0;
        if self.u8(at)? == 0 {
            self.put(".");
            return Ok(Some(at + 1));
        }
        loop {
            if !self.has(at, 1) {
                return Ok(None);
            }
            let first = self.u8(at)?;
            at += 1;
            if first == 0 {
                break;
            }
            if at >= self.end {
                let is_whole = first & KIND != POINTER || characters > 0;
                return Ok(end.or(is_whole.then_some(at)));
            }
            match Label::of(first, || self.u8(at))? {
                Label::Pointer => {
                    end = end.or(Some(at + 1));
                    let Some(offset) = self.pointer(first, at, &mut bound)? else { return Ok(None) };
                    at = message + offset;
                    continue;
                }
                Label::Text(len) => {
                    let printed = len.min(MAX_CHARACTERS.saturating_sub(characters));
                    if !self.string(at, printed) {
                        return Ok(None);
                    }
                    at += len;
                    characters += len;
                }
                Label::Bits(count) => {
                    self.bit_label(at, count)?;
                    at += 1 + count.div_ceil(8);
                }
                Label::Unknown(first) => {
                    if first & KIND == EXTENDED {
                        say!(self, "<ELT {}>", first & !KIND);
                    } else {
                        self.put("<BAD LABEL TYPE>");
                    }
                    return Ok(None);
                }
            }
            self.put(if characters <= MAX_CHARACTERS { "." } else { "" });
            characters += 1;
        }
        if characters > MAX_CHARACTERS {
            self.put("<DOMAIN NAME TOO LONG>");
        }
        Ok(end.or(Some(at)))
    }

    /// The place that a pointer leads to, which has to be before all others that the name has been at.
    fn pointer(&mut self, first: u8, at: usize, bound: &mut usize) -> Printed<Option<usize>> {
        if !self.has(at, 1) {
            return Ok(None);
        }
        let offset = (usize::from(first & !KIND) << 8) | usize::from(self.u8(at)?);
        if offset >= *bound {
            self.put("<BAD PTR>");
            return Ok(None);
        }
        *bound = offset;
        Ok(Some(offset))
    }

    /// Prints bits as digits and their number.
    fn bit_label(&mut self, at: usize, count: usize) -> Printed {
        self.put("\\[x");
        let (whole, rest) = (count / 8, count % 8);
        self.digits(at + 1, whole, "")?;
        if rest > 0 {
            let last = self.u8(at + 1 + whole)?;
            let masked = last & (0xff_u8 << (8 - rest));
            if rest > 4 {
                say!(self, "{masked:02x}");
            } else {
                say!(self, "{:x}", masked >> 4);
            }
        }
        say!(self, "/{count}]");
        Ok(())
    }
}
