//! IPv6 and its extension headers (RFC 8200), as tcpdump's print-ip6.c and its neighbours print them.

mod options;

use self::options::Jumbo;
use super::address::Address;
use super::ip4::Network;
use super::names::{PROTOCOLS, name, protocol};
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;
const FRAGMENT_OFFSET: u16 = 0xfff8;

/// How far the chain of headers has been followed.
struct Chain {
    /// Where the IPv6 header begins.
    begin: usize,
    /// Where the header begins that is next.
    at: usize,
    /// Which one that is.
    next: u8,
    /// Bytes on the wire from there on.
    len: usize,
    /// Bytes on the wire from the IPv6 header on.
    total: usize,
    /// Where the captured bytes end for what this packet is in.
    outer: usize,
    has_hop_by_hop: bool,
    has_extension: bool,
    is_fragment: bool,
    jumbo: Jumbo,
}

impl Scribe<'_> {
    pub(super) fn ip6(&mut self, at: usize, len: usize) -> Printed {
        self.nested(|scribe| scribe.ip6_checked(at, len))
    }

    fn ip6_checked(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "ip6";
        if !self.has(at, HEADER) {
            self.truncated();
            return Ok(());
        }
        if len < HEADER {
            say!(self, "truncated-ip6 {len}");
            return Ok(());
        }
        if !self.link {
            self.put("IP6 ");
        }
        let first = self.u32(at)?;
        if first >> 28 != 6 {
            say!(self, "version error: {} != 6", first >> 28);
            return Ok(());
        }
        let payload = usize::from(self.u16(at + 4)?);
        let known = if payload == 0 { len + HEADER } else { payload + HEADER };
        if payload != 0 && len < known {
            say!(self, "truncated-ip6 - {} bytes missing!", known - len);
        }
        if self.verbose {
            self.ip6_fields(at, first, payload)?;
        }
        let outer = self.end;
        self.cut(at, known);
        let printed = self.ip6_chain(Chain {
            begin: at,
            at: at + HEADER,
            next: self.u8(at + 6)?,
            len: known - HEADER,
            total: len,
            outer,
            has_hop_by_hop: false,
            has_extension: false,
            is_fragment: false,
            jumbo: Jumbo { payload, is_valid: false },
        });
        self.end = outer;
        printed
    }

    fn ip6_fields(&mut self, at: usize, first: u32, payload: usize) -> Printed {
        self.put("(");
        let (class, flow) = ((first >> 20) & 0xff, first & 0xf_ffff);
        if class != 0 {
            say!(self, "class 0x{class:02x}, ");
        }
        if flow != 0 {
            say!(self, "flowlabel 0x{flow:05x}, ");
        }
        let (next, hops) = (self.u8(at + 6)?, self.u8(at + 7)?);
        let called = name(PROTOCOLS, next).unwrap_or("unknown");
        say!(self, "hlim {hops}, next-header {called} ({next}) payload length: {payload}) ");
        Ok(())
    }

    /// Prints extension headers and what is behind them.
    fn ip6_chain(&mut self, mut chain: Chain) -> Printed {
        use protocol::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING, SCTP, TCP, UDP};
        if !matches!(chain.next, TCP | UDP | SCTP) {
            let (source, destination) = self.ip6_ends(chain.begin)?;
            say!(self, "{source} > {destination}: ");
        }
        loop {
            let header = match chain.next {
                HOP_BY_HOP => self.hop_by_hop(&mut chain)?,
                DESTINATION => self.destination_options(chain.at)?,
                FRAGMENT => self.ip6_fragment(&mut chain)?,
                ROUTING => self.routing_header(chain.at)?,
                _ => return self.ip6_payload(&chain),
            };
            let Some(header) = header else { return Ok(()) };
            chain.has_extension = true;
            chain.next = self.u8(chain.at)?;
            self.protocol = "ip6";
            if chain.at >= self.end {
                return Ok(());
            }
            if chain.len < header {
                self.truncated();
                return Ok(());
            }
            chain.at += header;
            chain.len -= header;
        }
    }

    fn ip6_ends(&self, at: usize) -> Printed<(Address, Address)> {
        Ok((Address::V6(self.ip6_address(at + 8)?), Address::V6(self.ip6_address(at + 24)?)))
    }

    fn ip6_payload(&mut self, chain: &Chain) -> Printed {
        let headers = chain.at - chain.begin;
        let mut len = chain.len;
        if chain.jumbo.is_valid {
            let whole = chain.jumbo.payload + HEADER;
            if whole < headers {
                self.truncated();
                return Ok(());
            }
            if chain.total < whole {
                say!(self, "truncated-ip6 - {} bytes missing!", whole - chain.total);
            }
            self.end = chain.outer;
            self.cut(chain.begin, whole);
            len = whole - headers;
        } else if chain.jumbo.payload == 0 {
            if chain.has_extension {
                self.truncated();
                return Ok(());
            }
            self.end = chain.outer;
            self.cut(chain.begin, HEADER);
            len = 0;
        }
        let (source, destination) = self.ip6_ends(chain.begin)?;
        let network = Network {
            source,
            destination,
            last: self.ip6_last(chain)?.unwrap_or(destination),
            protocol: self.u8(chain.begin + 6)?,
            is_fragment: chain.is_fragment,
        };
        self.transport(&network, chain.next, chain.at, len)
    }

    fn hop_by_hop(&mut self, chain: &mut Chain) -> Printed<Option<usize>> {
        if chain.has_hop_by_hop || chain.at != chain.begin + HEADER {
            self.put(if chain.has_hop_by_hop {
                "[The Hop-by-Hop Options header was already found]"
            } else {
                "[The Hop-by-Hop Options header don't follow the IPv6 header]"
            });
            self.invalid();
            return Ok(None);
        }
        chain.has_hop_by_hop = true;
        let header = self.hop_by_hop_options(chain.at, &mut chain.jumbo)?;
        if chain.jumbo.payload == 0 && !chain.jumbo.is_valid {
            self.put("[No valid Jumbo Payload Hop-by-Hop option found]");
            self.invalid();
            return Ok(None);
        }
        Ok(header)
    }

    fn ip6_fragment(&mut self, chain: &mut Chain) -> Printed<Option<usize>> {
        self.protocol = "frag6";
        let place = self.u16(chain.at + 2)?;
        let offset = place & FRAGMENT_OFFSET;
        let before = chain.at - chain.begin + FRAGMENT_HEADER;
        let len = (HEADER + usize::from(self.u16(chain.begin + 4)?)).wrapping_sub(before);
        if self.verbose {
            say!(self, "frag (0x{:08x}:{offset}|{len})", self.u32(chain.at + 4)?);
        } else {
            say!(self, "frag ({offset}|{len})");
        }
        chain.is_fragment = true;
        if offset != 0 {
            return Ok(None);
        }
        self.put(" ");
        Ok(Some(FRAGMENT_HEADER).filter(|header| self.end > chain.at + header))
    }

    /// A routing header: the home address of RFC 6275, the segments of RFC 8754, the routers of RFC 2460.
    fn routing_header(&mut self, at: usize) -> Printed<Option<usize>> {
        if !self.has(at, 1) {
            self.truncated();
            return Ok(None);
        }
        self.protocol = "rt6";
        self.capitals();
        let units = usize::from(self.u8(at + 1)?);
        say!(self, " (len={units}");
        let kind = self.u8(at + 2)?;
        say!(self, ", type={kind}");
        self.put(if kind == 0 { " [Deprecated]" } else { "" });
        say!(self, ", segleft={}", self.u8(at + 3)?);
        match kind {
            0 | 2 => {
                let reserved = self.u32(at + 4)?;
                if reserved != 0 || self.verbose {
                    say!(self, ", rsv=0x{reserved:x}");
                }
            }
            4 => {
                say!(self, ", last-entry={}", self.u8(at + 4)?);
                let flags = self.u8(at + 5)?;
                if flags != 0 || self.verbose {
                    say!(self, ", flags=0x{flags:x}");
                }
                say!(self, ", tag={:x}", self.u16(at + 6)?);
            }
            _ => self.put(" (unknown type)"),
        }
        if !matches!(kind, 0 | 2 | 4) || !units.is_multiple_of(2) {
            if matches!(kind, 0 | 2 | 4) {
                say!(self, " (invalid length {units})");
            }
            self.invalid();
            return Ok(None);
        }
        for hop in 0..units / 2 {
            say!(self, ", [{hop}]{}", self.ip6_address(at + 8 + hop * 16)?);
        }
        self.put(") ");
        Ok(Some((units + 1) * 8))
    }

    /// To whom a packet with a routing header goes in the end.
    fn ip6_last(&self, chain: &Chain) -> Printed<Option<Address>> {
        use protocol::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING};
        let (mut at, mut next) = (chain.begin + HEADER, self.u8(chain.begin + 6)?);
        while at < chain.at {
            let units = usize::from(self.u8(at + 1)?);
            match next {
                HOP_BY_HOP | DESTINATION | FRAGMENT => {}
                ROUTING => {
                    let last = if self.u8(at + 2)? == 4 { 0 } else { (units / 2).saturating_sub(1) };
                    return Ok(if units < 2 {
                        None
                    } else {
                        Some(Address::V6(self.ip6_address(at + 8 + last * 16)?))
                    });
                }
                _ => break,
            }
            let header = if next == FRAGMENT { FRAGMENT_HEADER } else { (units + 1) * 8 };
            next = self.u8(at)?;
            at += header;
        }
        Ok(None)
    }
}
