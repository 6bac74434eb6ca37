//! What is behind an IP header, by its protocol number.

use super::ip4::Network;
use super::names::protocol::{AH, ESP, ETHERNET, GRE, ICMP, ICMP6, IGMP, IPV4, IPV6, NONE, SCTP, TCP, UDP};
use super::names::{PROTOCOLS, name};
use super::scribe::{Printed, Scribe, say};

impl Scribe<'_> {
    /// Prints what begins with the header of protocol `next` and had `len` bytes.
    pub(super) fn transport(&mut self, network: &Network, next: u8, at: usize, len: usize) -> Printed {
        match next {
            AH => self.authentication(network, at, len),
            ESP => self.encrypted(at, len),
            SCTP => self.sctp(network, at, len),
            TCP => self.tcp(network, at, len),
            UDP => self.udp(network, at, len),
            ICMP if !network.is_ip6() => self.icmp4(network, at, len),
            ICMP6 if network.is_ip6() => self.icmp6(network, at, len),
            IGMP if !network.is_ip6() => self.igmp(at, len),
            ETHERNET if network.is_ip6() => self.nested(|scribe| scribe.ethernet(at, len).map(drop)),
            ICMP | IGMP | ICMP6 | ETHERNET => {
                self.requires(next, if network.is_ip6() { 4 } else { 6 });
                Ok(())
            }
            IPV4 => self.ip4(at, len),
            IPV6 => self.ip6(at, len),
            GRE => self.gre(at, len),
            NONE => {
                self.put("no next header");
                Ok(())
            }
            _ => {
                say!(self, " ip-proto-{next} {len}");
                Ok(())
            }
        }
    }

    fn requires(&mut self, next: u8, version: u8) {
        say!(self, "[{} requires IPv{version}]", name(PROTOCOLS, next).unwrap_or("unknown"));
        self.invalid();
    }

    /// RFC 4302; the bytes behind it are readable.
    fn authentication(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        self.protocol = "ah";
        if !self.has(at, 1) {
            self.truncated();
            return Ok(());
        }
        self.put("AH");
        let (next, words) = (self.u8(at)?, usize::from(self.u8(at + 1)?));
        let header = (words + 2) * 4;
        self.put("(");
        if self.verbose {
            say!(self, "length={words}({header}-bytes),");
        }
        let reserved = self.u16(at + 2)?;
        if reserved != 0 {
            say!(self, "reserved=0x{reserved:x}[MustBeZero],");
        }
        say!(self, "spi=0x{:08x},", self.u32(at + 4)?);
        say!(self, "seq=0x{:x},", self.u32(at + 8)?);
        self.put("icv=0x");
        self.digits(at + 12, header.saturating_sub(12), "")?;
        self.put("): ");
        let len = len.saturating_sub(header);
        self.nested(|scribe| scribe.transport(network, next, at + header, len))
    }

    /// RFC 4303; what is behind it cannot be read.
    fn encrypted(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "esp";
        if self.available(at) <= 8 {
            self.truncated();
            return Ok(());
        }
        say!(self, "ESP(spi=0x{:08x},seq=0x{:x}), length {len}", self.u32(at)?, self.u32(at + 4)?);
        Ok(())
    }
}
