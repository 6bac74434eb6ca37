//! ICMPv6 (RFC 4443), as tcpdump's print-icmp6.c prints it.

mod multicast;
mod neighbour;

pub(super) use self::multicast::RECORD_TYPES;
use super::checksum::{expected, with_pseudo_header};
use super::ip4::Network;
use super::names::{Names, name, protocol};
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 8;
const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const LISTENER_QUERY: u8 = 130;
const LISTENER_REPORT: u8 = 131;
const LISTENER_DONE: u8 = 132;
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;
const LISTENER_REPORT_2: u8 = 143;
const NAMES: &Names = &[
    (1, "destination unreachable"),
    (2, "packet too big"),
    (3, "time exceeded in-transit"),
    (4, "parameter problem"),
    (128, "echo request"),
    (129, "echo reply"),
    (130, "multicast listener query"),
    (131, "multicast listener report"),
    (132, "multicast listener done"),
    (133, "router solicitation"),
    (134, "router advertisement"),
    (135, "neighbor solicitation"),
    (136, "neighbor advertisement"),
    (137, "redirect"),
    (138, "router renumbering"),
    (139, "who-are-you request"),
    (140, "who-are-you reply"),
    (141, "inverse neighbor solicitation"),
    (142, "inverse neighbor advertisement"),
    (143, "multicast listener report v2"),
    (144, "ha discovery request"),
    (145, "ha discovery reply"),
    (146, "mobile router solicitation"),
    (147, "mobile router advertisement"),
    (155, "RPL"),
    (200, "mtrace response"),
    (201, "mtrace message"),
];
const UNREACHABLES: &Names = &[
    (0, "unreachable route"),
    (1, " unreachable prohibited"),
    (2, "beyond scope"),
    (3, "unreachable address"),
    (4, "unreachable port"),
];

impl Scribe<'_> {
    pub(super) fn icmp6(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        self.protocol = "icmp6";
        if len == 0 {
            self.put("ICMP6, length 0");
            self.invalid();
            return Ok(());
        }
        if self.verbose && !network.is_fragment {
            self.icmp6_checksum(network, at, len)?;
        }
        let kind = self.u8(at)?;
        self.put("ICMP6, ");
        match name(NAMES, kind) {
            Some(called) => self.put(called),
            None => say!(self, "unknown icmp6 type ({kind})"),
        }
        if self.verbose && matches!(kind, ROUTER_SOLICITATION..=REDIRECT | 145 | 147) {
            say!(self, ", length {len}");
        }
        if self.icmp6_message(kind, at, len)? && !self.verbose {
            say!(self, ", length {len}");
        }
        Ok(())
    }

    fn icmp6_checksum(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        let Ok(message) = self.slice(at, len) else { return Ok(()) };
        let found = self.u16(at + 2)?;
        let sum = with_pseudo_header(network.source, network.last, protocol::ICMP6, message);
        if sum == 0 {
            self.put("[icmp6 sum ok] ");
        } else {
            say!(self, "[bad icmp6 cksum 0x{found:04x} -> 0x{:04x}!] ", expected(found, sum));
        }
        Ok(())
    }

    /// Prints what a message says; false where that ends with what was captured, or has its own length
    /// printed.
    fn icmp6_message(&mut self, kind: u8, at: usize, len: usize) -> Printed<bool> {
        let code = self.u8(at + 1)?;
        let cause = at + HEADER;
        match kind {
            UNREACHABLE => return self.unreachable6(code, at, len),
            TOO_BIG => say!(self, ", mtu {}", self.u32(at + 4)?),
            TIME_EXCEEDED => match code {
                0 => say!(self, " for {}", self.ip6_address(cause + 24)?),
                1 => self.put(" (reassembly)"),
                _ => say!(self, ", unknown code ({code})"),
            },
            PARAMETER_PROBLEM => return self.parameter_problem(code, at),
            ECHO_REQUEST | ECHO_REPLY => {
                say!(self, ", id {}, seq {}", self.u16(at + 4)?, self.u16(at + 6)?);
            }
            LISTENER_QUERY => self.listener_query(at, len)?,
            LISTENER_REPORT | LISTENER_DONE => self.listener(at)?,
            LISTENER_REPORT_2 => self.listener_report_2(at, len)?,
            ROUTER_SOLICITATION..=REDIRECT => return self.neighbour_discovery(kind, at, len),
            141 | 142 => {}
            144 | 146 => say!(self, ", id 0x{:04x}", self.u16(at + 4)?),
            _ if name(NAMES, kind).is_some() && !matches!(kind, 200 | 201) => {}
            _ => {
                say!(self, ", length {len}");
                self.unknown(at, len, "\n\t")?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn unreachable6(&mut self, code: u8, at: usize, len: usize) -> Printed<bool> {
        let cause = at + HEADER;
        match name(UNREACHABLES, code) {
            Some(called) => say!(self, ", {called}"),
            None => say!(self, ", unknown unreach code ({code})"),
        }
        match code {
            0 | 1 | 3 => say!(self, " {}", self.ip6_address(cause + 24)?),
            2 => {
                let (destination, source) = (self.ip6_address(cause + 24)?, self.ip6_address(cause + 8)?);
                say!(self, " {destination}, source address {source}");
            }
            4 => return self.port_unreachable6(cause),
            _ => {
                self.unknown(at, len, "\n\t")?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn port_unreachable6(&mut self, cause: usize) -> Printed<bool> {
        let Some((next, at)) = self.upper_layer(cause)? else {
            self.truncated();
            return Ok(false);
        };
        let (port, destination) = (self.u16(at + 2)?, self.ip6_address(cause + 24)?);
        let called = if next == protocol::TCP { "tcp" } else { "udp" };
        say!(self, ", {destination} {called} port {port}");
        Ok(true)
    }

    /// The TCP or UDP header behind an IPv6 header, up to its ports.
    fn upper_layer(&self, begin: usize) -> Printed<Option<(u8, usize)>> {
        use protocol::{AH, DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING, TCP, UDP};
        if !self.has(begin + 6, 1) {
            return Ok(None);
        }
        let (mut next, mut at) = (self.u8(begin + 6)?, begin + 40);
        while self.has(at, 4) {
            let units = usize::from(self.u8(at + 1)?);
            let header = match next {
                TCP | UDP => return Ok(Some((next, at))),
                HOP_BY_HOP | DESTINATION | ROUTING => (units + 1) * 8,
                FRAGMENT if self.u16(at + 2)? & 0xfff8 == 0 => 8,
                AH => (units + 2) * 4,
                _ => break,
            };
            next = self.u8(at)?;
            at += header;
        }
        Ok(None)
    }

    fn parameter_problem(&mut self, code: u8, at: usize) -> Printed<bool> {
        if !self.has(at + HEADER + 24, 16) {
            self.truncated();
            return Ok(false);
        }
        let what = match code {
            0 => "erroneous",
            1 => "next header",
            2 => "option",
            3 => "incomplete header chain",
            _ => {
                say!(self, ", code-#{code}");
                return Ok(true);
            }
        };
        say!(self, ", {what} - octet {}", self.u32(at + 4)?);
        Ok(true)
    }
}
