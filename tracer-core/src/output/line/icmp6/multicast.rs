//! Multicast listeners (RFC 2710, RFC 3810).

use super::super::names::{Names, name};
use super::super::scribe::{Printed, Scribe, say};

const VERSION_1: usize = 24;
const VERSION_2: usize = 28;
const RECORD: usize = 20;
/// The same numbers mean the same in version 3 of IGMP.
pub(in crate::output::line) const RECORD_TYPES: &Names =
    &[(1, "is_in"), (2, "is_ex"), (3, "to_in"), (4, "to_ex"), (5, "allow"), (6, "block")];

impl Scribe<'_> {
    pub(super) fn listener_query(&mut self, at: usize, len: usize) -> Printed {
        if len == VERSION_1 {
            return self.listener(at);
        }
        if len < VERSION_2 {
            say!(self, " unknown-version (len {len}) ");
            return Ok(());
        }
        self.put(" v2");
        let code = u32::from(self.u16(at + 4)?);
        let is_float = code >= 0x8000;
        let delay = if is_float { ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3) } else { code };
        if self.verbose {
            say!(self, " [max resp delay={delay}]");
        }
        say!(self, " [gaddr {}", self.ip6_address(at + 8)?);
        if self.verbose {
            self.querier(at)?;
        }
        let sources = usize::from(self.u16(at + 26)?);
        if sources > 0 && len < VERSION_2 + sources * 16 {
            self.put(" [invalid number of sources]");
        } else if sources > 0 {
            say!(self, ", {sources} source(s)");
        }
        self.put("]");
        Ok(())
    }

    fn querier(&mut self, at: usize) -> Printed {
        let flags = self.u8(at + 24)?;
        self.put(if flags & 8 == 0 { "" } else { " sflag" });
        if flags & 7 != 0 {
            say!(self, " robustness={}", flags & 7);
        }
        let code = u32::from(self.u8(at + 25)?);
        let is_float = code >= 0x80;
        let interval = if is_float { ((code & 0xf) | 0x10) << (((code >> 4) & 7) + 3) } else { code };
        say!(self, " qqi={interval}");
        Ok(())
    }

    /// A query, report or farewell of version 1; nothing where it was not captured.
    pub(super) fn listener(&mut self, at: usize) -> Printed {
        if self.has(at, VERSION_1) {
            let (delay, group) = (self.u16(at + 4)?, self.ip6_address(at + 8)?);
            say!(self, "max resp delay: {delay} addr: {group}");
        }
        Ok(())
    }

    pub(super) fn listener_report_2(&mut self, at: usize, len: usize) -> Printed {
        if len < 8 {
            say!(self, " [invalid len {len}]");
            return Ok(());
        }
        let count = self.u16(at + 6)?;
        say!(self, ", {count} group record(s)");
        let mut group = 8;
        for _ in 0..if self.verbose { count } else { 0 } {
            if len < group + RECORD {
                self.put(" [invalid number of groups]");
                return Ok(());
            }
            say!(self, " [gaddr {}", self.ip6_address(at + group + 4)?);
            let kind = self.u8(at + group)?;
            match name(RECORD_TYPES, kind) {
                Some(called) => say!(self, " {called}"),
                None => say!(self, "  [v2-report-#{kind}]"),
            }
            let sources = usize::from(self.u16(at + group + 2)?);
            group += RECORD + sources * 16;
            if len < group {
                say!(self, " [invalid number of sources {sources}]");
                return Ok(());
            }
            say!(self, ", {sources} source(s)]");
        }
        Ok(())
    }
}
