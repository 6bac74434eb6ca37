//! ICMP (RFC 792 and its successors), as tcpdump's print-icmp.c prints it.

mod extension;

use super::checksum::{checksum, expected};
use super::ip4::Network;
use super::names::{Names, name, protocol};
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 8;
const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const ROUTER_ADVERTISEMENT: u8 = 9;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;
const TIMESTAMP_REQUEST: u8 = 13;
const TIMESTAMP_REPLY: u8 = 14;
const MASK_REPLY: u8 = 18;
const OTHERS: &Names = &[
    (4, "source quench"),
    (10, "router solicitation"),
    (15, "information request"),
    (16, "information reply"),
    (17, "address mask request"),
];
/// What stands before and behind the destination of the packet that could not be delivered.
const UNREACHABLES: [(&str, &str); 16] = [
    ("net ", " unreachable"),
    ("host ", " unreachable"),
    ("", ""),
    ("", ""),
    ("", ""),
    ("", " unreachable - source route failed"),
    ("net ", " unreachable - unknown"),
    ("host ", " unreachable - unknown"),
    ("", " unreachable - source host isolated"),
    ("net ", " unreachable - admin prohibited"),
    ("host ", " unreachable - admin prohibited"),
    ("net ", " unreachable - tos prohibited"),
    ("host ", " unreachable - tos prohibited"),
    ("host ", " unreachable - admin prohibited filter"),
    ("host ", " unreachable - host precedence violation"),
    ("host ", " unreachable - precedence cutoff"),
];

impl Scribe<'_> {
    pub(super) fn icmp4(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        self.protocol = "icmp";
        let kind = self.u8(at)?;
        // What is cut short is announced instead of, not behind, what it would have said.
        let begin = self.text.len();
        self.put("ICMP ");
        match self.icmp4_message(kind, at) {
            Ok(true) => {}
            Ok(false) => {
                self.text.truncate(begin);
                self.truncated();
                return Ok(());
            }
            Err(cut) => {
                self.text.truncate(begin);
                return Err(cut);
            }
        }
        say!(self, ", length {len}");
        if !self.verbose {
            return Ok(());
        }
        if !network.is_fragment {
            self.icmp4_checksum(at, len)?;
        }
        if matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | TIME_EXCEEDED | PARAMETER_PROBLEM) {
            self.cause(at + HEADER)?;
        }
        self.protocol = "icmp";
        if matches!(kind, UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM) {
            self.icmp4_extensions(at, len)?;
        }
        Ok(())
    }

    /// The packet that an error is about.
    fn cause(&mut self, at: usize) -> Printed {
        self.put("\n\t");
        let len = usize::from(self.u16(at + 2)?);
        let outer = self.end;
        self.cut(at, len);
        let printed = self.ip4(at, len);
        self.end = outer;
        printed
    }

    fn icmp4_checksum(&mut self, at: usize, len: usize) -> Printed {
        let Ok(message) = self.slice(at, len) else { return Ok(()) };
        let sum = checksum(&[message]);
        if sum != 0 {
            let found = self.u16(at + 2)?;
            say!(self, " (wrong icmp cksum {found:x} (->{:x})!)", expected(found, sum));
        }
        Ok(())
    }

    /// Prints what a message says; false where it is cut short.
    fn icmp4_message(&mut self, kind: u8, at: usize) -> Printed<bool> {
        let code = self.u8(at + 1)?;
        match kind {
            ECHO_REPLY | ECHO_REQUEST => {
                let called = if kind == ECHO_REQUEST { "request" } else { "reply" };
                say!(self, "echo {called}, id {}, seq {}", self.u16(at + 4)?, self.u16(at + 6)?);
            }
            UNREACHABLE => return self.unreachable(code, at),
            REDIRECT => self.redirect(code, at)?,
            ROUTER_ADVERTISEMENT => return self.router_advertisement4(at),
            TIME_EXCEEDED => {
                if !self.has(at + HEADER + 16, 4) {
                    return Ok(false);
                }
                match code {
                    0 => self.put("time exceeded in-transit"),
                    1 => self.put("ip reassembly time exceeded"),
                    _ => say!(self, "time exceeded-#{code}"),
                }
            }
            PARAMETER_PROBLEM if code != 0 => say!(self, "parameter problem - code {code}"),
            PARAMETER_PROBLEM => say!(self, "parameter problem - octet {}", self.u8(at + 4)?),
            MASK_REPLY => say!(self, "address mask is 0x{:08x}", self.u32(at + 8)?),
            TIMESTAMP_REQUEST => {
                say!(self, "time stamp query id {} seq {}", self.u16(at + 4)?, self.u16(at + 6)?);
            }
            TIMESTAMP_REPLY => return self.timestamps(at),
            _ => match name(OTHERS, kind) {
                Some(called) => self.put(called),
                None => say!(self, "type-#{kind}"),
            },
        }
        Ok(true)
    }

    fn unreachable(&mut self, code: u8, at: usize) -> Printed<bool> {
        const PROTOCOL: u8 = 2;
        const PORT: u8 = 3;
        const FRAGMENTATION_NEEDED: u8 = 4;
        let cause = at + HEADER;
        match code {
            PROTOCOL => {
                let (destination, next) = (self.ip4_address(cause + 16)?, self.u8(cause + 9)?);
                say!(self, "{destination} protocol {next} unreachable");
            }
            PORT => return self.port_unreachable(cause),
            FRAGMENTATION_NEEDED => {
                let mtu = self.u16(at + 6)?;
                say!(self, "{} unreachable - need to frag", self.ip4_address(cause + 16)?);
                if mtu > 0 {
                    say!(self, " (mtu {mtu})");
                }
            }
            _ => {
                let destination = self.ip4_address(cause + 16)?;
                match UNREACHABLES.get(usize::from(code)) {
                    Some((before, behind)) => say!(self, "{before}{destination}{behind}"),
                    None => say!(self, "{destination} unreachable - #{code}"),
                }
            }
        }
        Ok(true)
    }

    fn port_unreachable(&mut self, cause: usize) -> Printed<bool> {
        if !self.has(cause + 9, 1) {
            return Ok(false);
        }
        let header = usize::from(self.u8(cause)? & 0xf) * 4;
        let port = self.u16(cause + header + 2)?;
        let (next, destination) = (self.u8(cause + 9)?, self.ip4_address(cause + 16)?);
        match next {
            protocol::TCP => say!(self, "{destination} tcp port {port} unreachable"),
            protocol::UDP => say!(self, "{destination} udp port {port} unreachable"),
            _ => say!(self, "{destination} protocol {next} port {port} unreachable"),
        }
        Ok(true)
    }

    fn redirect(&mut self, code: u8, at: usize) -> Printed {
        let (destination, router) = (self.ip4_address(at + HEADER + 16)?, self.ip4_address(at + 4)?);
        match code {
            0 => say!(self, "redirect {destination} to net {router}"),
            1 => say!(self, "redirect {destination} to host {router}"),
            2 => say!(self, "redirect-tos {destination} to net {router}"),
            3 => say!(self, "redirect-tos {destination} to host {router}"),
            _ => say!(self, "redirect-#{code} {destination} to {router}"),
        }
        Ok(())
    }

    /// RFC 1256
    fn router_advertisement4(&mut self, at: usize) -> Printed<bool> {
        if !self.has(at + 4, 4) {
            return Ok(false);
        }
        let lifetime = self.u16(at + 6)?;
        let (hours, minutes, seconds) = (lifetime / 3600, lifetime / 60 % 60, lifetime % 60);
        self.put("router advertisement lifetime ");
        match (hours, minutes) {
            (0, 0) => say!(self, "{seconds}"),
            (0, _) => say!(self, "{minutes}:{seconds:02}"),
            _ => say!(self, "{hours}:{minutes:02}:{seconds:02}"),
        }
        let (count, words) = (self.u8(at + 4)?, self.u8(at + 5)?);
        say!(self, " {count}:");
        if words != 2 {
            say!(self, " [size {words}]");
            return Ok(true);
        }
        for router in 0..usize::from(count) {
            let router = at + HEADER + router * 8;
            if !self.has(router, 8) {
                return Ok(false);
            }
            say!(self, " {{{} {}}}", self.ip4_address(router)?, self.u32(router + 4)?);
        }
        Ok(true)
    }

    fn timestamps(&mut self, at: usize) -> Printed<bool> {
        if !self.has(at + 16, 4) {
            return Ok(false);
        }
        say!(self, "time stamp reply id {} seq {}: org ", self.u16(at + 4)?, self.u16(at + 6)?);
        for (place, before) in [(8, ""), (12, ", recv "), (16, ", xmit ")] {
            let time = self.u32(at + place)?;
            let (seconds, milliseconds) = (time / 1000, time % 1000);
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            say!(self, "{before}{hours:02}:{minutes:02}:{:02}.{milliseconds:03}", seconds % 60);
        }
        Ok(true)
    }
}
