//! IGMP (RFC 1112, RFC 2236, RFC 3376), as tcpdump's print-igmp.c prints it.

use super::checksum::checksum;
use super::icmp6::RECORD_TYPES;
use super::names::name;
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 8;
const QUERY: u8 = 0x11;
const REPORT_1: u8 = 0x12;
const REPORT_2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_3: u8 = 0x22;
/// The maximum response time of 10 s goes without saying.
const USUAL: u8 = 100;

impl Scribe<'_> {
    pub(super) fn igmp(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "igmp";
        let kind = self.u8(at)?;
        match kind {
            QUERY => self.group_query(at, len)?,
            REPORT_1 => {
                say!(self, "igmp v1 report {}", self.ip4_address(at + 4)?);
                if len != HEADER {
                    say!(self, " [len {len}]");
                }
            }
            REPORT_2 => say!(self, "igmp v2 report {}", self.ip4_address(at + 4)?),
            LEAVE => say!(self, "igmp leave {}", self.ip4_address(at + 4)?),
            REPORT_3 => self.group_report(at, len)?,
            _ => say!(self, "igmp-{kind}"),
        }
        if let Some(message) = self.slice(at, len).ok().filter(|_| self.verbose && len >= 4)
            && checksum(&[message]) != 0
        {
            say!(self, " bad igmp cksum {:x}!", self.u16(at + 2)?);
        }
        Ok(())
    }

    fn group_query(&mut self, at: usize, len: usize) -> Printed {
        self.put("igmp query");
        if len >= 12 {
            return self.group_query_3(at, len);
        }
        match self.u8(at + 1)? {
            0 => self.put(" v1"),
            USUAL => self.put(" v2"),
            time => say!(self, " v2 [max resp time {time}]"),
        }
        if self.u32(at + 4)? != 0 {
            say!(self, " [gaddr {}]", self.ip4_address(at + 4)?);
        }
        if len != HEADER {
            say!(self, " [len {len}]");
        }
        Ok(())
    }

    fn group_query_3(&mut self, at: usize, len: usize) -> Printed {
        self.put(" v3");
        if !len.is_multiple_of(4) {
            say!(self, " [invalid len {len}]");
            return Ok(());
        }
        let code = self.u8(at + 1)?;
        if code != USUAL {
            self.response_time(u32::from(code));
        }
        if self.u32(at + 4)? == 0 {
            return Ok(());
        }
        say!(self, " [gaddr {}", self.ip4_address(at + 4)?);
        let sources = usize::from(self.u16(at + 10)?);
        if sources > 0 && len < 12 + sources * 4 {
            self.put(" [invalid number of sources]");
        } else if sources > 0 {
            say!(self, ", {sources} source(s)");
        }
        self.put("]");
        Ok(())
    }

    /// A time in tenths of a second, by its code (RFC 3376 section 4.1.1).
    fn response_time(&mut self, code: u32) {
        let time = if code < 128 { code } else { ((code & 0xf) | 0x10) << (((code >> 4) & 7) + 3) };
        self.put(" [max resp time ");
        if time < 600 {
            say!(self, "{}.{}s", time / 10, time % 10);
        } else {
            let mut seconds = time / 10;
            for (unit, len) in [("h", 3600), ("m", 60), ("s", 1)] {
                if seconds >= len {
                    say!(self, "{}{unit}", seconds / len);
                }
                seconds %= len;
            }
        }
        self.put("]");
    }

    fn group_report(&mut self, at: usize, len: usize) -> Printed {
        self.put("igmp v3 report");
        if len < 16 || !len.is_multiple_of(4) {
            say!(self, " [invalid len {len}]");
            return Ok(());
        }
        let count = self.u16(at + 6)?;
        say!(self, ", {count} group record(s)");
        let mut group = 8;
        for _ in 0..if self.verbose { count } else { 0 } {
            if len < group + 8 {
                self.put(" [invalid number of groups]");
                return Ok(());
            }
            say!(self, " [gaddr {}", self.ip4_address(at + group + 4)?);
            let kind = self.u8(at + group)?;
            match name(RECORD_TYPES, kind) {
                Some(called) => say!(self, " {called}"),
                None => say!(self, "  [v3-report-#{kind}]"),
            }
            let sources = usize::from(self.u16(at + group + 2)?);
            group += 8 + sources * 4;
            if len < group {
                say!(self, " [invalid number of sources {sources}]");
                return Ok(());
            }
            say!(self, ", {sources} source(s)]");
        }
        Ok(())
    }
}
