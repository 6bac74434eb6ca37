//! IPv4 (RFC 791), as tcpdump's print-ip.c prints it.

use super::address::Address;
use super::checksum::{checksum, expected};
use super::names::{Names, PROTOCOLS, bits, name, protocol};
use super::scribe::{Cut, Printed, Scribe, say};

const HEADER: usize = 20;
const OFFSET: u16 = 0x1fff;
const MORE_FRAGMENTS: u16 = 0x2000;
const FLAGS: &Names = &[(0x2000, "+"), (0x4000, "DF"), (0x8000, "rsvd")];
const OPTIONS: &Names = &[
    (0, "EOL"),
    (1, "NOP"),
    (68, "timestamp"),
    (130, "security"),
    (7, "RR"),
    (137, "SSRR"),
    (131, "LSRR"),
    (148, "RA"),
    (82, "traceroute"),
];
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;

/// An IP header, for what is behind it.
#[derive(Clone, Copy)]
pub(super) struct Network {
    pub(super) source: Address,
    pub(super) destination: Address,
    /// To whom it goes in the end, where it is routed by the source: what checksums are computed with.
    pub(super) last: Address,
    /// The protocol that the header itself names; extension headers may lie between.
    pub(super) protocol: u8,
    /// There is more of the packet in other fragments.
    pub(super) is_fragment: bool,
}

impl Network {
    pub(super) fn is_ip6(&self) -> bool {
        matches!(self.source, Address::V6(_))
    }
}

/// The lengths in bytes that an IPv4 header tells.
struct Lengths {
    header: usize,
    payload: usize,
}

impl Scribe<'_> {
    pub(super) fn ip4(&mut self, at: usize, len: usize) -> Printed {
        self.nested(|scribe| scribe.ip4_checked(at, len))
    }

    fn ip4_checked(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "ip";
        match self.u8(at)? >> 4 {
            4 => {}
            version => {
                match version {
                    6 => self.put("IP6, wrong link-layer encapsulation"),
                    _ => say!(self, "IP{version}"),
                }
                self.invalid();
                return Ok(());
            }
        }
        if !self.link {
            self.put("IP ");
        }
        if !self.has(at, HEADER) {
            self.truncated();
            return Ok(());
        }
        if len < HEADER {
            say!(self, "truncated-ip {len}");
            return Ok(());
        }
        let Some(lengths) = self.ip4_lengths(at, len)? else { return Ok(()) };
        let outer = self.end;
        self.cut(at, lengths.header + lengths.payload);
        let printed = self.ip4_packet(at, &lengths);
        self.end = outer;
        printed
    }

    /// The lengths, unless they make no sense.
    fn ip4_lengths(&mut self, at: usize, len: usize) -> Printed<Option<Lengths>> {
        let header = usize::from(self.u8(at)? & 0xf) * 4;
        if header < HEADER {
            say!(self, "bad-hlen {header}");
            return Ok(None);
        }
        let total = usize::from(self.u16(at + 2)?);
        if len < total {
            say!(self, "truncated-ip - {} bytes missing! ", total - len);
        }
        if total < header {
            say!(self, "bad-len {total}");
            return Ok(None);
        }
        Ok(Some(Lengths { header, payload: total - header }))
    }

    fn ip4_packet(&mut self, at: usize, lengths: &Lengths) -> Printed {
        let (source, destination) = (self.ip4_address(at + 12)?, self.ip4_address(at + 16)?);
        let fragment = self.u16(at + 6)?;
        let next = self.u8(at + 9)?;
        if self.verbose && !self.ip4_fields(at, lengths, fragment, next)? {
            say!(self, "{source} > {destination}: ");
            self.truncated();
            return Ok(());
        }
        if fragment & OFFSET != 0 {
            say!(self, "{source} > {destination}: ip-proto-{next}");
            return Ok(());
        }
        if !matches!(next, protocol::TCP | protocol::UDP | protocol::SCTP) {
            say!(self, "{source} > {destination}: ");
        }
        if !self.has(at, lengths.header) {
            let captured = self.available(at);
            say!(self, " [remaining caplen({captured}) < header length({})]", lengths.header);
            return Err(Cut);
        }
        let network = Network {
            source: Address::V4(source),
            destination: Address::V4(destination),
            last: self.ip4_last(at, lengths.header)?,
            protocol: next,
            is_fragment: fragment & MORE_FRAGMENTS != 0,
        };
        self.transport(&network, next, at + lengths.header, lengths.payload)
    }

    /// The line of `-v`; false if the options were not captured.
    fn ip4_fields(&mut self, at: usize, lengths: &Lengths, fragment: u16, next: u8) -> Printed<bool> {
        let service = self.u8(at + 1)?;
        let congestion = ["", ",ECT(1)", ",ECT(0)", ",CE"][usize::from(service & 3)];
        say!(self, "(tos 0x{service:x}{congestion}");
        let ttl = self.u8(at + 8)?;
        if ttl > 0 {
            say!(self, ", ttl {ttl}");
        }
        let flags = bits(FLAGS, fragment & !OFFSET, ", ", "none");
        let (id, offset) = (self.u16(at + 4)?, u32::from(fragment & OFFSET) * 8);
        say!(self, ", id {id}, offset {offset}, flags [{flags}]");
        let called = name(PROTOCOLS, next).unwrap_or("unknown");
        say!(self, ", proto {called} ({next}), length {}", self.u16(at + 2)?);
        let mut is_whole = true;
        if lengths.header > HEADER {
            self.put(", options (");
            is_whole = self.ip4_options(at + HEADER, lengths.header - HEADER)?;
            self.put(if is_whole { ")" } else { " [truncated-option])" });
        }
        if let Ok(header) = self.slice(at, lengths.header) {
            let sum = checksum(&[header]);
            if sum != 0 {
                let found = self.u16(at + 10)?;
                say!(self, ", bad cksum {found:x} (->{:x})!", expected(found, sum));
            }
        }
        self.put(")\n    ");
        Ok(is_whole)
    }

    /// Options; false if they were not captured.
    fn ip4_options(&mut self, mut at: usize, mut left: usize) -> Printed<bool> {
        let mut separator = "";
        while left > 0 {
            self.put(separator);
            separator = ",";
            let code = self.u8(at)?;
            match name(OPTIONS, code) {
                Some(called) => self.put(called),
                None => say!(self, "unknown {code}"),
            }
            let is_single = matches!(code, END | NO_OPERATION);
            let len = if is_single { 1 } else { usize::from(self.u8(at + 1)?) };
            if (!is_single && len < 2) || len > left {
                say!(self, " [bad length {len}]");
                return Ok(true);
            }
            if !self.has(at, len) {
                return Ok(false);
            }
            match code {
                END => return Ok(true),
                TIMESTAMP if !self.ip4_timestamps(at, len)? => return Ok(false),
                RECORD_ROUTE | STRICT_ROUTE | LOOSE_ROUTE if !self.ip4_route(at, len)? => return Ok(false),
                ROUTER_ALERT if len < 4 => say!(self, " [bad length {len}]"),
                ROUTER_ALERT if self.u16(at + 2)? != 0 => say!(self, " value {}", self.u16(at + 2)?),
                _ => {}
            }
            at += len;
            left -= len;
        }
        Ok(true)
    }

    /// The routers of a recorded or source route; a comma is behind those that were visited. False if they
    /// were not captured.
    fn ip4_route(&mut self, at: usize, len: usize) -> Printed<bool> {
        if len < 3 {
            say!(self, " [bad length {len}]");
            return Ok(true);
        }
        if !(len + 1).is_multiple_of(4) {
            say!(self, " [bad length {len}]");
        }
        let told = self.u8(at + 2)?;
        let next = usize::from(told).wrapping_sub(1);
        if next < 3 || next % 4 != 3 || next > len + 1 {
            say!(self, " [bad ptr {told}]");
        }
        for hop in (3..len).step_by(4) {
            let Ok(router) = self.ip4_address(at + hop) else { return Ok(false) };
            say!(self, " {router}{}", if next > hop { "," } else { "" });
        }
        Ok(true)
    }

    /// Times of routers; false if they were not captured.
    fn ip4_timestamps(&mut self, at: usize, len: usize) -> Printed<bool> {
        if len < 4 {
            say!(self, "[bad length {len}]");
            return Ok(true);
        }
        self.put(" TS{");
        let flags = self.u8(at + 3)?;
        let kind = flags & 0xf;
        let step = if kind == 0 { 4 } else { 8 };
        if !(len - 4).is_multiple_of(step) {
            say!(self, "[bad length {len}]");
        }
        let told = self.u8(at + 2)?;
        let next = usize::from(told).wrapping_sub(1);
        if next < 4 || !(next.wrapping_sub(4)).is_multiple_of(step) || next > len + 1 {
            say!(self, "[bad ptr {told}]");
        }
        let mut hop = 0;
        match kind {
            0 => self.put("TSONLY"),
            1 => self.put("TS+ADDR"),
            3 => self.put("PRESPEC"),
            other => say!(self, "[bad ts type {other}]"),
        }
        if matches!(kind, 0 | 1 | 3) {
            hop = 4;
            while hop < len {
                let Ok(time) = self.u32(at + hop + step - 4) else { return Ok(false) };
                say!(self, "{}{time}@", if next == hop { " ^ " } else { " " });
                if step == 8 {
                    say!(self, "{}", self.ip4_address(at + hop)?);
                }
                hop += step;
            }
        }
        self.put(if next == hop { " ^ " } else { "" });
        match flags >> 4 {
            0 => self.put("}"),
            missed => say!(self, " [{missed} hops not recorded]}} "),
        }
        Ok(true)
    }

    /// Where a source route ends; the destination, if there is none.
    fn ip4_last(&self, at: usize, header: usize) -> Printed<Address> {
        let destination = self.ip4_address(at + 16)?;
        let (mut option, end) = (at + HEADER, at + header);
        while option < end {
            let code = self.u8(option)?;
            let len = match code {
                END => break,
                NO_OPERATION => 1,
                _ => usize::from(self.u8(option + 1)?),
            };
            if len == 0 || (len < 2 && code != NO_OPERATION) || option + len > end {
                break;
            }
            if matches!(code, STRICT_ROUTE | LOOSE_ROUTE) && len >= 7 {
                return Ok(Address::V4(self.ip4_address(option + len - 4)?));
            }
            option += len;
        }
        Ok(Address::V4(destination))
    }
}
