//! Neighbour discovery (RFC 4861, RFC 4191, RFC 8106).

use std::net::Ipv6Addr;

use super::super::address::Ip6;
use super::super::names::{Names, bits, name};
use super::super::scribe::{Printed, Scribe, say};
use super::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, REDIRECT, ROUTER_ADVERTISEMENT};

const ROUTER_FLAGS: &Names =
    &[(0x80, "managed"), (0x40, "other stateful"), (0x20, "home agent"), (0x02, "ipv6 only")];
const NEIGHBOUR_FLAGS: &Names =
    &[(0x8000_0000, "router"), (0x4000_0000, "solicited"), (0x2000_0000, "override")];
const PREFIX_FLAGS: &Names = &[(0x80, "onlink"), (0x40, "auto"), (0x20, "router")];
const PREFERENCES: [&str; 4] = ["medium", "high", "rsv", "low"];
const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;
const PREFIX: u8 = 3;
const REDIRECTED_HEADER: u8 = 4;
const MTU: u8 = 5;
const INTERVAL: u8 = 7;
const HOME_AGENT: u8 = 8;
const ROUTE: u8 = 24;
const NAME_SERVERS: u8 = 25;
const SEARCH_LIST: u8 = 31;
const OPTIONS: &Names = &[
    (1, "source link-address"),
    (2, "destination link-address"),
    (3, "prefix info"),
    (4, "redirected header"),
    (5, "mtu"),
    (25, "rdnss"),
    (31, "dnssl"),
    (7, "advertisement interval"),
    (8, "homeagent information"),
    (24, "route info"),
];

/// Where an option is, and its length in units of 8 bytes.
#[derive(Clone, Copy)]
struct Entry {
    at: usize,
    units: usize,
    /// Where the options begin.
    begin: usize,
}

fn preference(flags: u8) -> &'static str {
    PREFERENCES[usize::from((flags >> 3) & 3)]
}

fn lifetime(seconds: u32) -> String {
    if seconds == u32::MAX { "infinity".to_owned() } else { format!("{seconds}s") }
}

impl Scribe<'_> {
    /// Prints a message of type 133 to 137; false where its options are damaged or were not captured.
    pub(super) fn neighbour_discovery(&mut self, kind: u8, at: usize, len: usize) -> Printed<bool> {
        let header = match kind {
            ROUTER_ADVERTISEMENT => {
                if self.verbose {
                    self.router_advertisement6(at)?;
                }
                16
            }
            NEIGHBOUR_SOLICITATION => {
                say!(self, ", who has {}", self.ip6_address(at + 8)?);
                24
            }
            NEIGHBOUR_ADVERTISEMENT => {
                say!(self, ", tgt is {}", self.ip6_address(at + 8)?);
                if self.verbose {
                    let flags = bits(NEIGHBOUR_FLAGS, self.u32(at + 4)?, ", ", "none");
                    say!(self, ", Flags [{flags}]");
                }
                24
            }
            REDIRECT => {
                say!(self, ", {}", self.ip6_address(at + 24)?);
                say!(self, " to {}", self.ip6_address(at + 8)?);
                40
            }
            _ => 8,
        };
        if self.verbose && !self.neighbour_options(at + header, len.saturating_sub(header))? {
            self.truncated();
            return Ok(false);
        }
        Ok(true)
    }

    fn router_advertisement6(&mut self, at: usize) -> Printed {
        let (hops, flags, lifetime) = (self.u8(at + 4)?, self.u8(at + 5)?, self.u16(at + 6)?);
        let (reachable, retransmit) = (self.u32(at + 8)?, self.u32(at + 12)?);
        say!(self, "\n\thop limit {hops}, Flags [{}]", bits(ROUTER_FLAGS, flags, ", ", "none"));
        say!(self, ", pref {}, router lifetime {lifetime}s", preference(flags));
        say!(self, ", reachable time {reachable}ms, retrans timer {retransmit}ms");
        Ok(())
    }

    /// Prints options; false if one is damaged or was not captured.
    fn neighbour_options(&mut self, begin: usize, len: usize) -> Printed<bool> {
        let (mut at, mut left) = (begin, len);
        while at < self.end {
            if !self.has(at + 1, 1) {
                return Ok(false);
            }
            if left == 0 {
                break;
            }
            let (kind, units) = (self.u8(at)?, usize::from(self.u8(at + 1)?));
            if units == 0 || at + units * 8 > self.end {
                return Ok(false);
            }
            let called = name(OPTIONS, kind).unwrap_or("unknown");
            say!(self, "\n\t  {called} option ({kind}), length {} ({units}): ", units * 8);
            if name(OPTIONS, kind).is_none() {
                self.unknown(at + 2, units * 8 - 2, "\n\t  ")?;
                return Ok(true);
            }
            if !self.neighbour_option(kind, Entry { at, units, begin })? {
                return Ok(false);
            }
            at += units * 8;
            left = left.saturating_sub(units * 8);
        }
        Ok(true)
    }

    fn neighbour_option(&mut self, kind: u8, entry: Entry) -> Printed<bool> {
        let Entry { at, units, begin } = entry;
        match kind {
            SOURCE_LINK_ADDRESS | TARGET_LINK_ADDRESS => self.digits(at + 2, units * 8 - 2, ":")?,
            PREFIX => self.prefix(at, units)?,
            REDIRECTED_HEADER => self.unknown(begin, units * 8, "\n\t    ")?,
            MTU => {
                let wrong = if units == 1 { "" } else { "bad option length" };
                say!(self, " {}{wrong}", self.u32(at + 4)?);
            }
            NAME_SERVERS => {
                say!(self, " lifetime {}s,", self.u32(at + 4)?);
                for server in 0..(units - 1) / 2 {
                    say!(self, " addr: {}", self.ip6_address(at + 8 + server * 16)?);
                }
            }
            SEARCH_LIST => return self.search_list(entry),
            INTERVAL => say!(self, " {}ms", self.u32(at + 4)?),
            HOME_AGENT => {
                say!(self, " preference {}, lifetime {}", self.u16(at + 4)?, self.u16(at + 6)?);
            }
            ROUTE => return self.route(at, units),
            _ => {}
        }
        Ok(true)
    }

    fn prefix(&mut self, at: usize, units: usize) -> Printed {
        let wrong = if units == 4 { "" } else { "badlen" };
        let flags = bits(PREFIX_FLAGS, self.u8(at + 3)?, ", ", "none");
        let (prefix, len, valid) = (self.ip6_address(at + 16)?, self.u8(at + 2)?, self.u32(at + 4)?);
        say!(self, "{prefix}/{len}{wrong}, Flags [{flags}], valid time {}", lifetime(valid));
        say!(self, ", pref. time {}", lifetime(self.u32(at + 8)?));
        Ok(())
    }

    fn search_list(&mut self, entry: Entry) -> Printed<bool> {
        let Entry { at, units, begin } = entry;
        say!(self, " lifetime {}s, domain(s):", self.u32(at + 4)?);
        let mut domain = at + 8;
        while domain < at + units * 8 && self.u8(domain)? != 0 {
            self.put(" ");
            let Some(end) = self.name(domain, begin)? else { return Ok(false) };
            domain = end;
        }
        Ok(true)
    }

    fn route(&mut self, at: usize, units: usize) -> Printed<bool> {
        let len = match units {
            1 => 0,
            2 => 8,
            3 => 16,
            _ => return Ok(false),
        };
        let mut octets = [0; 16];
        octets[..len].copy_from_slice(self.slice(at + 8, len)?);
        say!(self, " {}/{}", Ip6(Ipv6Addr::from(octets)), self.u8(at + 2)?);
        say!(self, ", pref={}", preference(self.u8(at + 3)?));
        say!(self, ", lifetime={}", lifetime(self.u32(at + 4)?));
        Ok(true)
    }
}
