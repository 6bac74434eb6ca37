//! Hop-by-hop and destination options (RFC 8200, RFC 2675, RFC 2711, RFC 6275).

use super::super::scribe::{Printed, Scribe, say};

const PAD_1: u8 = 0;
const PAD_N: u8 = 1;
const ROUTER_ALERT: u8 = 5;
const JUMBO: u8 = 0xc2;
const HOME_ADDRESS: u8 = 0xc9;

/// The payload length: that of the IPv6 header, or that of a valid jumbo payload option.
pub(super) struct Jumbo {
    pub(super) payload: usize,
    pub(super) is_valid: bool,
}

/// The option does not fit in its header.
struct Short;

impl Scribe<'_> {
    /// Prints the header; returns its length, or nothing where it is cut short.
    pub(super) fn hop_by_hop_options(&mut self, at: usize, jumbo: &mut Jumbo) -> Printed<Option<usize>> {
        self.protocol = "hbhopt";
        self.ip6_options(at, "HBH ", true, Some(jumbo))
    }

    pub(super) fn destination_options(&mut self, at: usize) -> Printed<Option<usize>> {
        self.protocol = "dstopt";
        self.ip6_options(at, "DSTOPT ", self.verbose, None)
    }

    fn ip6_options(
        &mut self,
        at: usize,
        title: &str,
        is_read: bool,
        mut jumbo: Option<&mut Jumbo>,
    ) -> Printed<Option<usize>> {
        let header = (usize::from(self.u8(at + 1)?) + 1) * 8;
        if !self.has(at, header) {
            self.truncated();
            return Ok(None);
        }
        self.put(title);
        let mut option = at + 2;
        let mut seen = false;
        while is_read && option < at + header {
            let left = at + header - option;
            let Ok(len) = self.ip6_option(option, left, &mut seen, jumbo.as_deref_mut())? else {
                self.truncated();
                return Ok(None);
            };
            option += len;
        }
        if is_read && self.verbose {
            self.put(" ");
        }
        Ok(Some(header))
    }

    /// Prints an option with `left` bytes to the end of its header; returns its length.
    fn ip6_option(
        &mut self,
        at: usize,
        left: usize,
        seen_jumbo: &mut bool,
        jumbo: Option<&mut Jumbo>,
    ) -> Printed<Result<usize, Short>> {
        let kind = self.u8(at)?;
        if kind != PAD_1 && left < 2 {
            return Ok(Err(Short));
        }
        let len = if kind == PAD_1 { 1 } else { usize::from(self.u8(at + 1)?) + 2 };
        if len > left {
            return Ok(Err(Short));
        }
        let (called, expected) = match kind {
            ROUTER_ALERT => ("rtalert", 4),
            JUMBO => ("jumbo", 6),
            HOME_ADDRESS => ("homeaddr", 18),
            _ => ("", 0),
        };
        if left < expected {
            say!(self, "({called}: trunc)");
            return Ok(Err(Short));
        }
        let is_wrong = if kind == HOME_ADDRESS { len < expected } else { len != expected };
        if expected != 0 && is_wrong {
            say!(self, "({called}: invalid len {})", len - 2);
            return Ok(Err(Short));
        }
        match kind {
            JUMBO => self.jumbo(at, seen_jumbo, jumbo)?,
            _ if !self.verbose => {}
            PAD_1 => self.put("(pad1)"),
            PAD_N => self.put("(padn)"),
            ROUTER_ALERT => say!(self, "(rtalert: 0x{:04x}) ", self.u16(at + 2)?),
            HOME_ADDRESS => say!(self, "(homeaddr: {})", self.ip6_address(at + 2)?),
            _ => say!(self, "(opt_type 0x{kind:02x}: len={})", len - 2),
        }
        Ok(Ok(len))
    }

    fn jumbo(&mut self, at: usize, seen: &mut bool, jumbo: Option<&mut Jumbo>) -> Printed {
        const LEAST: u32 = 65_536;
        let len = self.u32(at + 2)?;
        let why = match jumbo {
            _ if *seen => " - already seen",
            None => " - not a hop-by-hop option",
            Some(jumbo) if jumbo.payload != 0 => " - payload len != 0",
            Some(_) if len < LEAST => " - < 65536",
            Some(jumbo) => {
                jumbo.payload = usize::try_from(len).unwrap_or(usize::MAX);
                jumbo.is_valid = true;
                ""
            }
        };
        *seen = true;
        if self.verbose {
            say!(self, "(jumbo: {len}{why}) ");
        }
        Ok(())
    }
}
