//! DNS messages (RFC 1035, RFC 6762, RFC 6891), as tcpdump's print-domain.c prints them.

mod name;
mod record;

use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 12;
const INVERSE_QUERY: u16 = 1;
const TYPE_OPT: u16 = 41;
const CLASS_INTERNET: u16 = 1;
/// Multicast DNS asks for a unicast answer, or tells to forget older answers (RFC 6762).
const CLASS_TOP_BIT: u16 = 0x8000;
const OPERATIONS: [&str; 16] = [
    "",
    " inv_q",
    " stat",
    " op3",
    " notify",
    " update",
    " op6",
    " op7",
    " op8",
    " updateA",
    " updateD",
    " updateDA",
    " updateM",
    " updateMA",
    " zoneInit",
    " zoneRef",
];
const RESPONSES: [&str; 24] = [
    "",
    " FormErr",
    " ServFail",
    " NXDomain",
    " NotImp",
    " Refused",
    " YXDomain",
    " YXRRSet",
    " NXRRSet",
    " NotAuth",
    " NotZone",
    " Resp11",
    " Resp12",
    " Resp13",
    " Resp14",
    " NoChange",
    " BadVers",
    "Resp17",
    " Resp18",
    " Resp19",
    " Resp20",
    "Resp21",
    " Resp22",
    " BadCookie",
];

/// A message whose header was captured.
#[derive(Clone, Copy)]
struct Message {
    /// Where it begins, which compressed names count from.
    at: usize,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
    additions: u16,
    is_multicast: bool,
}

impl Message {
    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    fn operation(&self) -> u16 {
        (self.flags >> 11) & 0xf
    }
}

impl Scribe<'_> {
    /// A message behind its length (RFC 1035 section 4.2.2).
    pub(super) fn dns_over_tcp(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "domain";
        if len < 2 {
            say!(self, " [DNS over TCP: length {len} < 2]");
            self.invalid();
            return Ok(());
        }
        let told = usize::from(self.u16(at)?);
        if told != len - 2 {
            say!(self, " [prefix length({told}) != length({})]", len - 2);
            self.invalid();
            return Ok(());
        }
        self.put(" ");
        self.dns(at + 2, len - 2, false)
    }

    pub(super) fn dns(&mut self, at: usize, len: usize, is_multicast: bool) -> Printed {
        self.protocol = "domain";
        if len < HEADER {
            say!(self, "domain [length {len} < {HEADER}]");
            self.invalid();
            return Ok(());
        }
        if !self.has(at, HEADER) {
            self.truncated();
            return Ok(());
        }
        let message = Message {
            at,
            flags: self.u16(at + 2)?,
            questions: self.u16(at + 4)?,
            answers: self.u16(at + 6)?,
            authorities: self.u16(at + 8)?,
            additions: self.u16(at + 10)?,
            is_multicast,
        };
        say!(self, "{}{}", self.u16(at)?, OPERATIONS[usize::from(message.operation())]);
        let is_whole =
            if message.has(0x8000) { self.dns_response(&message)? } else { self.dns_query(&message)? };
        match is_whole {
            Some(()) => say!(self, " ({len})"),
            None => self.truncated(),
        }
        Ok(())
    }

    /// Prints a response; nothing where it is cut short or damaged.
    fn dns_response(&mut self, message: &Message) -> Printed<Option<()>> {
        let code = self.response_code(message)?;
        match RESPONSES.get(usize::from(code)) {
            Some(called) => self.put(called),
            None => say!(self, " Resp{code}"),
        }
        self.put(if message.has(0x0400) { "*" } else { "" });
        self.put(if message.has(0x0080) { "" } else { "-" });
        self.put(if message.has(0x0200) { "|" } else { "" });
        self.put(if message.has(0x0020) { "$" } else { "" });
        if message.questions != 1 {
            say!(self, " [{}q]", message.questions);
        }
        let mut at = message.at + HEADER;
        for question in 0..message.questions {
            self.put(if question == 0 { "" } else { "," });
            let Some(end) = self.skip_name(at)? else { return Ok(None) };
            at = end + 4;
        }
        say!(self, " {}/{}/{}", message.answers, message.authorities, message.additions);
        for answer in 0..message.answers {
            if answer > 0 && at >= self.end {
                return Ok(None);
            }
            self.put(if answer == 0 { "" } else { "," });
            let Some(end) = self.dns_record(message, at)? else { return Ok(None) };
            at = end;
        }
        Ok(Some(()))
    }

    /// The code of the response, with its upper bits from the OPT record where one was captured.
    fn response_code(&self, message: &Message) -> Printed<u16> {
        let code = message.flags & 0xf;
        Ok(match self.find_opt(message)? {
            Some(at) if self.has(at + 4, 1) => code | (u16::from(self.u8(at + 4)?) << 4),
            _ => code,
        })
    }

    /// Where the type of the OPT record is.
    fn find_opt(&self, message: &Message) -> Printed<Option<usize>> {
        let mut at = message.at + HEADER;
        for _ in 0..message.questions {
            let Some(end) = self.skip_name(at)? else { return Ok(None) };
            at = end + 4;
            if at >= self.end {
                return Ok(None);
            }
        }
        let before = u32::from(message.answers) + u32::from(message.authorities);
        for record in 0..before + u32::from(message.additions) {
            let Some(end) = self.skip_name(at)? else { return Ok(None) };
            if record >= before && self.has(end, 2) && self.u16(end)? == TYPE_OPT {
                return Ok(Some(end));
            }
            if !self.has(end + 8, 2) {
                return Ok(None);
            }
            at = end + 10 + usize::from(self.u16(end + 8)?);
            if at >= self.end {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn dns_query(&mut self, message: &Message) -> Printed<Option<()>> {
        const UNEXPECTED: u16 = 0x06cf;
        self.put(if message.has(0x0100) { "+" } else { "" });
        self.put(if message.has(0x0010) { "%" } else { "" });
        if message.has(UNEXPECTED) {
            say!(self, " [b2&3=0x{:x}]", message.flags);
        }
        let is_inverse = message.operation() == INVERSE_QUERY;
        let (questions, answers) = (message.questions, message.answers);
        if is_inverse && questions > 0 {
            say!(self, " [{questions}q]");
        }
        if answers != u16::from(is_inverse) {
            say!(self, " [{answers}a]");
        }
        if !is_inverse && questions != 1 {
            say!(self, " [{questions}q]");
        }
        if message.authorities > 0 {
            say!(self, " [{}n]", message.authorities);
        }
        if message.additions > 0 {
            say!(self, " [{}au]", message.additions);
        }
        let mut at = message.at + HEADER;
        for question in 0..questions {
            if question > 0 && at >= self.end {
                return Ok(None);
            }
            let Some(end) = self.question(message, at)? else { return Ok(None) };
            at = end;
        }
        Ok(Some(()))
    }

    fn question(&mut self, message: &Message, at: usize) -> Printed<Option<usize>> {
        let Some(end) = self.skip_name(at)? else { return Ok(None) };
        if !self.has(end, 4) {
            return Ok(None);
        }
        let (kind, class) = (self.u16(end)?, self.u16(end + 2)?);
        self.put(" ");
        self.record_type(kind);
        if message.is_multicast {
            self.record_class(class & !CLASS_TOP_BIT);
            self.put(if class & CLASS_TOP_BIT == 0 { " (QM)" } else { " (QU)" });
        } else {
            self.record_class(class);
        }
        self.put("? ");
        Ok(self.name(at, message.at)?.map(|end| end + 4))
    }

    fn record_class(&mut self, class: u16) {
        match class {
            CLASS_INTERNET => {}
            3 => self.put(" CHAOS"),
            4 => self.put(" HS"),
            255 => self.put(" ANY"),
            _ => say!(self, " (Class {class})"),
        }
    }
}
