//! Protocols of text: HTTP, RTSP, SIP, SMTP, FTP, SSH. The first line says most; `-v` shows all that are
//! printable.

use super::scribe::{Cut, Printed, Scribe, is_printable, say};

/// Methods of HTTP (RFC 9110), its extension for authoring (RFC 4918) and what is near them.
const HTTP: &[&str] = &[
    "GET",
    "PUT",
    "COPY",
    "HEAD",
    "LOCK",
    "MOVE",
    "POLL",
    "POST",
    "BCOPY",
    "BMOVE",
    "MKCOL",
    "TRACE",
    "LABEL",
    "MERGE",
    "DELETE",
    "SEARCH",
    "UNLOCK",
    "REPORT",
    "UPDATE",
    "NOTIFY",
    "BDELETE",
    "CONNECT",
    "OPTIONS",
    "CHECKIN",
    "PROPFIND",
    "CHECKOUT",
    "CCM_POST",
    "SUBSCRIBE",
    "PROPPATCH",
    "BPROPFIND",
    "BPROPPATCH",
    "UNCHECKOUT",
    "MKACTIVITY",
    "MKWORKSPACE",
    "UNSUBSCRIBE",
    "RPC_CONNECT",
    "VERSION-CONTROL",
    "BASELINE-CONTROL",
];
/// RFC 7826
const RTSP: &[&str] = &[
    "DESCRIBE",
    "ANNOUNCE",
    "GET_PARAMETER",
    "OPTIONS",
    "PAUSE",
    "PLAY",
    "RECORD",
    "REDIRECT",
    "SETUP",
    "SET_PARAMETER",
    "TEARDOWN",
];
/// RFC 3261 and its extensions
const SIP: &[&str] = &[
    "ACK",
    "BYE",
    "CANCEL",
    "DO",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "QAUTH",
    "REFER",
    "REGISTER",
    "SPRACK",
    "SUBSCRIBE",
    "UPDATE",
    "PUBLISH",
];
/// No word of a first line is longer.
const MAX_WORD: usize = 128;

impl Scribe<'_> {
    pub(super) fn http(&mut self, at: usize, len: usize) -> Printed {
        self.lines("http", Some(HTTP), at, len)
    }

    pub(super) fn rtsp(&mut self, at: usize, len: usize) -> Printed {
        self.lines("rtsp", Some(RTSP), at, len)
    }

    pub(super) fn sip(&mut self, at: usize, len: usize) -> Printed {
        self.lines("sip", Some(SIP), at, len)
    }

    /// Prints the first line, or with `-v` all, if it begins with a method or has a status code as its second
    /// word; where there are no methods, in any case.
    pub(super) fn lines(
        &mut self,
        protocol: &'static str,
        methods: Option<&[&str]>,
        at: usize,
        len: usize,
    ) -> Printed {
        self.protocol = protocol;
        let captured = self.slice(at, len.min(self.available(at)))?;
        self.capitals();
        if !methods.is_none_or(|methods| begins(captured, captured.len() == len, methods)) {
            return Ok(());
        }
        if !self.verbose {
            return self.line(": ", at, len).map(drop);
        }
        say!(self, ", length: {len}");
        let mut begin = 0;
        while begin < len {
            let Some(line) = self.line("\n\t", at + begin, len - begin)? else { break };
            begin += line;
        }
        Ok(())
    }

    /// Prints a line if all of it is printable; returns its length with its end, if it has one.
    fn line(&mut self, before: &str, at: usize, len: usize) -> Printed<Option<usize>> {
        let captured = self.slice(at, len.min(self.available(at)))?;
        let is_text = |byte: &u8| *byte == b'\t' || is_printable(*byte);
        if let Some(end) = captured.iter().position(|byte| !is_text(byte)) {
            return match captured[end] {
                b'\n' => self.whole_line(before, at, end, 1).map(Some),
                b'\r' if end + 1 < len && self.u8(at + end + 1)? == b'\n' => {
                    self.whole_line(before, at, end, 2).map(Some)
                }
                _ => Ok(None),
            };
        }
        if captured.len() < len {
            return Err(Cut);
        }
        self.whole_line(before, at, len, 0)?;
        self.truncated();
        Ok(None)
    }

    fn whole_line(&mut self, before: &str, at: usize, len: usize, end: usize) -> Printed<usize> {
        self.put(before);
        // It is of ASCII, which was looked at.
        let line = self.slice(at, len)?;
        self.put(&String::from_utf8_lossy(line));
        Ok(len + end)
    }

    /// The line by which an implementation names itself (RFC 4253 section 4.2).
    pub(super) fn ssh(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "ssh";
        for (index, expected) in b"SSH-".iter().enumerate() {
            if self.u8(at + index)? != *expected {
                return Ok(());
            }
        }
        for index in 4..len {
            let is_end = match self.u8(at + index)? {
                b'\n' => true,
                b'\r' => index + 1 < len && self.u8(at + index + 1)? == b'\n',
                byte if is_printable(byte) => continue,
                _ => false,
            };
            if is_end {
                self.whole_line(": SSH: ", at, index, 0)?;
            }
            return Ok(());
        }
        Ok(())
    }
}

/// Whether the first word is one of these, or the second one a code of three digits.
fn begins(bytes: &[u8], is_whole: bool, methods: &[&str]) -> bool {
    let Some((first, rest)) = word(bytes, is_whole) else { return false };
    let is_code = |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_digit);
    methods.iter().any(|method| first.eq_ignore_ascii_case(method.as_bytes()))
        || word(rest, is_whole).is_some_and(|(second, _)| is_code(second))
}

/// The word that the bytes begin with, and what is behind the blanks after it.
///
/// There is none where its end was not captured.
fn word(bytes: &[u8], is_whole: bool) -> Option<(&[u8], &[u8])> {
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let end = bytes.iter().position(is_end);
    let (word, rest) = bytes.split_at(end.or_else(|| is_whole.then_some(bytes.len()))?);
    let is_word = !word.is_empty() && word.len() <= MAX_WORD && word.iter().copied().all(is_printable);
    let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
    is_word.then(|| (word, &rest[blanks..]))
}
