//! TCP options (IANA TCP Option Kind Numbers).

use super::super::names::{Names, name};
use super::super::scribe::{Printed, Scribe, say};
use super::{HEADER, Tcp};

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const NAMES: &Names = &[
    (0, "eol"),
    (1, "nop"),
    (2, "mss"),
    (3, "wscale"),
    (4, "sackOK"),
    (5, "sack"),
    (6, "echo"),
    (7, "echoreply"),
    (8, "TS"),
    (11, "cc"),
    (12, "ccnew"),
    (13, ""),
    (19, "md5"),
    (20, "scps"),
    (28, "uto"),
    (29, "tcp-ao"),
    (30, "mptcp"),
    (34, "tfo"),
    (254, "exp"),
];
/// Subtypes of multipath TCP (RFC 8684).
const MULTIPATH: [&str; 9] =
    ["capable", "join", "dss", "add-addr", "rem-addr", "prio", "fail", "fast-close", "reset"];

/// How an option ended.
enum Read {
    /// These many bytes of its data are accounted for.
    Data(usize),
    /// It is too short for what it is.
    Bad,
    /// It was not captured.
    Missing,
}

/// The data of an option.
#[derive(Clone, Copy)]
struct Data {
    at: usize,
    /// Bytes that the length field tells.
    len: usize,
    /// Bytes to the end of the header.
    left: usize,
}

impl Scribe<'_> {
    /// Prints `, options [...]`; false if they are damaged or were not captured.
    pub(super) fn tcp_options(&mut self, tcp: &Tcp, sack_base: u32, payload: usize) -> Printed<bool> {
        self.put(", options [");
        let (mut at, mut left) = (tcp.at + HEADER, tcp.header - HEADER);
        let mut is_first = true;
        while left > 0 {
            if !is_first {
                self.put(",");
            }
            let kind = self.u8(at)?;
            let is_single = matches!(kind, END | NO_OPERATION);
            let len = if is_single { 1 } else { usize::from(self.u8(at + 1)?) };
            if !is_single && (len < 2 || len > left) {
                self.end_badly(&Read::Bad, is_first);
                return Ok(false);
            }
            match name(NAMES, kind) {
                Some(called) => self.put(called),
                None => say!(self, "unknown-{kind}"),
            }
            let header = len.min(2);
            let data = Data { at: at + header, len: len - header, left: left - header };
            let read = self.tcp_option(kind, data, tcp, sack_base, payload)?;
            let Read::Data(used) = read else {
                self.end_badly(&read, is_first);
                return Ok(false);
            };
            if used + header != len {
                say!(self, "[len {len}]");
            }
            is_first = false;
            at += header + used;
            left -= header + used;
            if kind == END {
                break;
            }
        }
        self.put("]");
        Ok(true)
    }

    fn end_badly(&mut self, read: &Read, is_first: bool) {
        match read {
            Read::Missing => {
                self.truncated();
                self.put(if is_first { "" } else { ">" });
            }
            Read::Bad | Read::Data(_) => self.put(if is_first { "[bad opt]" } else { "[bad opt]]" }),
        }
    }

    fn tcp_option(
        &mut self,
        kind: u8,
        data: Data,
        tcp: &Tcp,
        sack_base: u32,
        payload: usize,
    ) -> Printed<Read> {
        let needed = match kind {
            END | NO_OPERATION | 4 => return Ok(Read::Data(0)),
            5 => return Ok(self.sack(data, sack_base)),
            29 => return self.authentication_option(data),
            2 | 20 | 28 => 2,
            3 => 1,
            6 | 7 | 11 | 12 | 13 => 4,
            8 => 8,
            19 => 16,
            _ => data.len,
        };
        if needed > data.left {
            return Ok(Read::Bad);
        }
        if !self.has(data.at, needed) && matches!(kind, 2 | 3 | 6..=34 | 254) {
            return Ok(Read::Missing);
        }
        let at = data.at;
        match kind {
            2 => say!(self, " {}", self.u16(at)?),
            3 => say!(self, " {}", self.u8(at)?),
            6 | 7 | 11 | 12 | 13 => say!(self, " {}", self.u32(at)?),
            8 => {
                self.put(" val ");
                self.number(self.u32(at)?);
                self.put(" ecr ");
                self.number(self.u32(at + 4)?);
            }
            19 => self.signature(at, tcp, payload)?,
            20 => say!(self, " cap {:02x} id {}", self.u8(at)?, self.u8(at + 1)?),
            28 => self.user_timeout(at)?,
            30 => self.multipath(data)?,
            34 => {
                self.put(" ");
                self.fast_open(at, data.len)?;
            }
            254 if data.len < 2 => return Ok(Read::Bad),
            254 => self.experiment(data)?,
            _ => return self.other_option(data),
        }
        Ok(Read::Data(needed))
    }

    fn sack(&mut self, data: Data, base: u32) -> Read {
        if !data.len.is_multiple_of(8) {
            self.put(" invalid sack");
            return Read::Data(data.len);
        }
        say!(self, " {} ", data.len / 8);
        for block in (0..data.len).step_by(8) {
            if block + 8 > data.left {
                return Read::Bad;
            }
            let (Ok(begin), Ok(end)) = (self.u32(data.at + block), self.u32(data.at + block + 4)) else {
                return Read::Missing;
            };
            say!(self, "{{{}:{}}}", begin.wrapping_sub(base), end.wrapping_sub(base));
        }
        Read::Data(data.len)
    }

    /// RFC 2385; the secret is not known here.
    fn signature(&mut self, at: usize, tcp: &Tcp, payload: usize) -> Printed {
        self.put(" ");
        let is_whole = self.has(tcp.at + tcp.header, payload);
        self.put(if is_whole { "shared secret not supplied with -M, " } else { "snaplen too short, " });
        self.put("can't check - ");
        self.digits(at, 16, "")
    }

    /// RFC 5925
    fn authentication_option(&mut self, data: Data) -> Printed<Read> {
        if data.len < 2 {
            self.invalid();
            return Ok(Read::Data(data.len));
        }
        for (place, before) in [(0, " keyid "), (1, " rnextkeyid ")] {
            if place >= data.left {
                return Ok(Read::Bad);
            }
            let Ok(key) = self.u8(data.at + place) else { return Ok(Read::Missing) };
            say!(self, "{before}{key}");
        }
        if data.len == 2 {
            return Ok(Read::Data(data.len));
        }
        self.put(" mac 0x");
        self.captured_digits(data, 2)
    }

    /// RFC 5482: whether it counts minutes or seconds is in the lowest bit.
    fn user_timeout(&mut self, at: usize) -> Printed {
        let value = u32::from(self.u16(at)?);
        let seconds = if value & 1 == 1 { (value >> 1) * 60 } else { value >> 1 };
        say!(self, " 0x{value:x} {seconds}");
        Ok(())
    }

    /// RFC 8684: what kind it is.
    fn multipath(&mut self, data: Data) -> Printed {
        let subtype = if data.len == 0 { 0xf } else { self.u8(data.at)? >> 4 };
        let called = MULTIPATH.get(usize::from(subtype)).unwrap_or(&"unknown");
        say!(self, " {} {called}", data.len + 2);
        Ok(())
    }

    /// RFC 7413
    fn fast_open(&mut self, at: usize, len: usize) -> Printed {
        match len {
            0 => self.put(" cookiereq"),
            4..=16 if len.is_multiple_of(2) => {
                self.put(" cookie ");
                self.digits(at, len, "")?;
            }
            _ => self.invalid(),
        }
        Ok(())
    }

    /// RFC 6994
    fn experiment(&mut self, data: Data) -> Printed {
        const FAST_OPEN: u16 = 0xf989;
        match self.u16(data.at)? {
            FAST_OPEN => {
                self.put("-tfo");
                self.fast_open(data.at + 2, data.len - 2)
            }
            other => {
                say!(self, "-{other:04x}");
                Ok(())
            }
        }
    }

    fn other_option(&mut self, data: Data) -> Printed<Read> {
        if data.len > 0 {
            self.put(" 0x");
        }
        self.captured_digits(data, 0)
    }

    /// The data from `begin` on, as far as it was captured.
    fn captured_digits(&mut self, data: Data, begin: usize) -> Printed<Read> {
        let (at, len) = (data.at + begin, data.len - begin);
        let captured = len.min(self.available(at));
        self.digits(at, captured, "")?;
        Ok(if captured < len { Read::Missing } else { Read::Data(data.len) })
    }
}
