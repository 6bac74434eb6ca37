//! Resource records (RFC 1035 section 4.1.3).

use super::super::names::{Names, name};
use super::super::scribe::{Printed, Scribe, say};
use super::{CLASS_TOP_BIT, Message, TYPE_OPT};

const TYPES: &Names = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP_PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "UNSPECA"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
];

impl Scribe<'_> {
    pub(super) fn record_type(&mut self, kind: u16) {
        match name(TYPES, kind) {
            Some(called) => self.put(called),
            None => say!(self, "Type{kind}"),
        }
    }

    /// Prints a record; returns where it ends, nothing where it is damaged or was not captured.
    pub(super) fn dns_record(&mut self, message: &Message, at: usize) -> Printed<Option<usize>> {
        let owner = if self.verbose {
            self.put(" ");
            let Some(end) = self.name(at, message.at)? else { return Ok(None) };
            Some(end)
        } else {
            self.skip_name(at)?
        };
        let Some(at) = owner.filter(|at| self.has(*at, 10)) else { return Ok(Some(self.end)) };
        let (kind, class) = (self.u16(at)?, self.u16(at + 2)?);
        let plain = if message.is_multicast { class & !CLASS_TOP_BIT } else { class };
        if kind != TYPE_OPT {
            self.record_class(plain);
        }
        if message.is_multicast && class & CLASS_TOP_BIT != 0 {
            self.put(" (Cache flush)");
        }
        let end = at + 10 + usize::from(self.u16(at + 8)?);
        self.put(" ");
        self.record_type(kind);
        if end > self.end {
            return Ok(None);
        }
        if kind == TYPE_OPT {
            say!(self, " UDPsize={plain}");
            self.put(if self.u16(at + 6)? & 0x8000 == 0 { "" } else { " DO" });
            return Ok(Some(end));
        }
        let printed = self.record_data(message, kind, at + 10, end)?;
        Ok(printed.then_some(end))
    }

    /// Prints what a record says; false where it is damaged.
    fn record_data(&mut self, message: &Message, kind: u16, at: usize, end: usize) -> Printed<bool> {
        match kind {
            1 if self.has(at, 4) => say!(self, " {}", self.ip4_address(at)?),
            28 if self.has(at, 16) => say!(self, " {}", self.ip6_address(at)?),
            1 | 28 => return Ok(false),
            2 | 5 | 12 | 39 => {
                self.put(" ");
                return Ok(self.name(at, message.at)?.is_some());
            }
            6 if self.verbose => return self.start_of_authority(message, at),
            15 => {
                self.put(" ");
                if !self.has(at, 2) || self.name(at + 2, message.at)?.is_none() {
                    return Ok(false);
                }
                say!(self, " {}", self.u16(at)?);
            }
            16 => return self.texts(at, end),
            33 => {
                self.put(" ");
                if !self.has(at, 6) || self.name(at + 6, message.at)?.is_none() {
                    return Ok(false);
                }
                say!(self, ":{} {} {}", self.u16(at + 4)?, self.u16(at)?, self.u16(at + 2)?);
            }
            104 => return Ok(self.string(at, end - at)),
            256 => {
                say!(self, " {} {} ", self.u16(at)?, self.u16(at + 2)?);
                return Ok(self.string(at + 4, end.saturating_sub(at + 4)));
            }
            _ => {}
        }
        Ok(true)
    }

    fn start_of_authority(&mut self, message: &Message, at: usize) -> Printed<bool> {
        let mut at = at;
        for _ in 0..2 {
            self.put(" ");
            let Some(end) = self.name(at, message.at)? else { return Ok(false) };
            at = end;
        }
        if !self.has(at, 20) {
            return Ok(false);
        }
        for number in 0..5 {
            say!(self, " {}", self.u32(at + number * 4)?);
        }
        Ok(true)
    }

    fn texts(&mut self, mut at: usize, end: usize) -> Printed<bool> {
        while at < end {
            self.put(" \"");
            let len = usize::from(self.u8(at)?);
            if !self.string(at + 1, len) {
                return Ok(false);
            }
            self.put("\"");
            at += 1 + len;
        }
        Ok(true)
    }
}
