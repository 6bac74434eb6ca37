//! The packet being printed: its bytes behind checks, and the text that it becomes.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::address::{Address, Ip6, Mac};
use super::sequence::Conversations;

/// Headers within headers; tcpdump has no bound, the stack has.
const MAX_DEPTH: u8 = 32;

/// The captured bytes end before what was to be printed.
#[derive(Debug)]
pub(super) struct Cut;

/// What a printer gives: it printed, or it came to the end of the captured bytes and nothing more is printed.
pub(super) type Printed<T = ()> = Result<T, Cut>;

/// A packet and the text about it.
///
/// A printer is told where in the packet it begins, and how many bytes its part of the packet had on the
/// wire; what was captured of it ends at [`Self::end`].
pub(super) struct Scribe<'a> {
    /// The captured bytes, from the link-layer header on.
    pub(super) bytes: &'a [u8],
    /// Where the captured bytes of the header being printed end; the padding behind an IP packet is no part
    /// of it.
    pub(super) end: usize,
    /// Of which protocol the bytes are, for `[|tcp]`.
    pub(super) protocol: &'static str,
    /// `-v`
    pub(super) verbose: bool,
    /// `-e`
    pub(super) link: bool,
    /// `-X`
    pub(super) hex: bool,
    /// The text so far.
    pub(super) text: &'a mut String,
    /// Where each connection's sequence numbers began.
    pub(super) conversations: &'a mut Conversations,
    /// Headers that this one is in.
    pub(super) depth: u8,
}

/// Prints with the words of `format!`.
macro_rules! say {
    ($scribe:expr, $($words:tt)*) => { $scribe.write(format_args!($($words)*)) };
}
pub(super) use say;

impl<'a> Scribe<'a> {
    pub(super) fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn write(&mut self, words: fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = self.text.write_fmt(words);
    }

    /// A number in decimal digits: of what is printed of most packets, most is these.
    pub(super) fn number(&mut self, number: impl itoa::Integer) {
        self.text.push_str(itoa::Buffer::new().format(number));
    }

    /// An address.
    pub(super) fn address(&mut self, address: Address) {
        match address {
            Address::V4(address) => {
                let [first, rest @ ..] = address.octets();
                self.number(first);
                for octet in rest {
                    self.put(".");
                    self.number(octet);
                }
            }
            Address::V6(address) => say!(self, "{address}"),
        }
    }

    /// ` [|tcp]`: there is more of this protocol than was captured.
    pub(super) fn truncated(&mut self) {
        let protocol = self.protocol;
        say!(self, " [|{protocol}]");
    }

    pub(super) fn invalid(&mut self) {
        self.put(" (invalid)");
    }

    /// The name of the protocol in capitals.
    pub(super) fn capitals(&mut self) {
        self.text.extend(self.protocol.chars().map(|c| c.to_ascii_uppercase()));
    }

    /// Prints what is within a header, unless there are too many around it.
    pub(super) fn nested(&mut self, print: impl FnOnce(&mut Self) -> Printed) -> Printed {
        if self.depth == MAX_DEPTH {
            self.put(" [nested too deep]");
            return Ok(());
        }
        self.depth += 1;
        let printed = print(self);
        self.depth -= 1;
        printed
    }

    /// Ends the bytes `len` behind `at`, unless they end before that.
    pub(super) fn cut(&mut self, at: usize, len: usize) {
        self.end = self.end.min(at.saturating_add(len));
    }

    /// Whether these bytes were captured.
    pub(super) fn has(&self, at: usize, len: usize) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.end)
    }

    /// Captured bytes from `at` on.
    pub(super) fn available(&self, at: usize) -> usize {
        self.end.saturating_sub(at)
    }

    pub(super) fn slice(&self, at: usize, len: usize) -> Printed<&'a [u8]> {
        let end = at.checked_add(len).filter(|end| *end <= self.end).ok_or(Cut)?;
        self.bytes.get(at..end).ok_or(Cut)
    }

    fn array<const N: usize>(&self, at: usize) -> Printed<[u8; N]> {
        self.slice(at, N)?.try_into().map_err(|_| Cut)
    }

    pub(super) fn u8(&self, at: usize) -> Printed<u8> {
        Ok(self.array::<1>(at)?[0])
    }

    pub(super) fn u16(&self, at: usize) -> Printed<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn u24(&self, at: usize) -> Printed<u32> {
        let [a, b, c] = self.array(at)?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    pub(super) fn u32(&self, at: usize) -> Printed<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn ip4_address(&self, at: usize) -> Printed<Ipv4Addr> {
        self.array::<4>(at).map(Ipv4Addr::from)
    }

    pub(super) fn ip6_address(&self, at: usize) -> Printed<Ip6> {
        self.array::<16>(at).map(|octets| Ip6(Ipv6Addr::from(octets)))
    }

    pub(super) fn mac(&self, at: usize) -> Printed<Mac> {
        self.array(at).map(Mac)
    }

    /// Prints bytes as two digits each, with something between them.
    pub(super) fn digits(&mut self, at: usize, len: usize, between: &str) -> Printed {
        for i in 0..len {
            let byte = self.u8(at + i)?;
            say!(self, "{}{byte:02x}", if i == 0 { "" } else { between });
        }
        Ok(())
    }

    /// Prints a byte of a text as `cat -v` does: `M-` before those of 8 bits, `^` before control characters.
    pub(super) fn character(&mut self, byte: u8) {
        if !byte.is_ascii() {
            self.put("M-");
        }
        let byte = byte & 0x7f;
        if is_printable(byte) {
            self.text.push(char::from(byte));
        } else {
            self.text.push('^');
            self.text.push(char::from(byte ^ 0x40));
        }
    }

    /// Prints text of a given length, as far as it was captured; false if that is not all of it.
    pub(super) fn string(&mut self, at: usize, len: usize) -> bool {
        let captured = len.min(self.available(at));
        if let Ok(bytes) = self.slice(at, captured) {
            for byte in bytes {
                self.character(*byte);
            }
        }
        captured == len
    }
}

/// Blank or visible in ASCII.
pub(super) fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}
