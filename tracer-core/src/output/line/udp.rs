//! UDP (RFC 768), as tcpdump's print-udp.c prints it.

use super::checksum::{expected, with_pseudo_header};
use super::ip4::Network;
use super::names::protocol;
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 8;
const DNS: u16 = 53;
const MULTICAST_DNS: u16 = 5353;
const VXLAN: u16 = 4789;
/// What Linux took for VXLAN before there was a number, and Flannel takes still.
const VXLAN_OF_LINUX: u16 = 8472;
const GENEVE: u16 = 6081;
const SIP: u16 = 5060;
const NTP: u16 = 123;
const BOOTP: [u16; 2] = [67, 68];

impl Scribe<'_> {
    pub(super) fn udp(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        self.protocol = "udp";
        let Network { source, destination, .. } = network;
        if !self.has(at + 2, 2) {
            if network.protocol == protocol::UDP {
                say!(self, "{source} > {destination}: ");
            }
            self.truncated();
            return Ok(());
        }
        let ports = (self.u16(at)?, self.u16(at + 2)?);
        self.ports(network, protocol::UDP, ports);
        if len < HEADER {
            say!(self, "truncated-udp {len}");
            return Ok(());
        }
        if !self.has(at + 4, 2) {
            self.truncated();
            return Ok(());
        }
        // A jumbo datagram (RFC 2675) has no length of its own.
        let told = match usize::from(self.u16(at + 4)?) {
            0 if len > usize::from(u16::MAX) => len,
            told => told,
        };
        if told < HEADER {
            say!(self, "truncated-udplength {told}");
            return Ok(());
        }
        if at + HEADER > self.end {
            self.truncated();
            return Ok(());
        }
        let (told, payload) = (told - HEADER, (told - HEADER).min(len - HEADER));
        if self.verbose && network.is_ip6() && !network.is_fragment {
            self.udp_checksum(network, at, payload)?;
        }
        self.udp_payload(ports, at + HEADER, payload, told, network.is_fragment)
    }

    /// It is mandatory with IPv6; with IPv4 tcpdump looks at it from `-vv` on.
    fn udp_checksum(&mut self, network: &Network, at: usize, payload: usize) -> Printed {
        let Ok(datagram) = self.slice(at, HEADER + payload) else { return Ok(()) };
        let sum = with_pseudo_header(network.source, network.last, protocol::UDP, datagram);
        if sum == 0 {
            self.put("[udp sum ok] ");
        } else {
            let found = self.u16(at + 6)?;
            say!(self, "[bad udp cksum 0x{found:04x} -> 0x{:04x}!] ", expected(found, sum));
        }
        Ok(())
    }

    /// What the payload says, by its port.
    fn udp_payload(
        &mut self,
        (from, to): (u16, u16),
        at: usize,
        len: usize,
        told: usize,
        is_fragment: bool,
    ) -> Printed {
        let has = |port: u16| from == port || to == port;
        match () {
            () if has(DNS) => self.dns(at, len, false),
            () if has(MULTICAST_DNS) => self.dns(at, len, true),
            () if BOOTP.into_iter().any(has) && !self.verbose => self.bootp(at, len),
            () if has(NTP) && !self.verbose => self.ntp(at, len),
            () if has(SIP) => self.sip(at, len),
            () if has(VXLAN) || has(VXLAN_OF_LINUX) => self.vxlan(at, len),
            () if has(GENEVE) => self.geneve(at, len),
            () if told > len && !is_fragment => {
                say!(self, "UDP, bad length {told} > {len}");
                Ok(())
            }
            () => {
                say!(self, "UDP, length {told}");
                Ok(())
            }
        }
    }

    /// RFC 951
    fn bootp(&mut self, at: usize, len: usize) -> Printed {
        const REQUEST: u8 = 1;
        self.protocol = "bootp";
        let operation = self.u8(at)?;
        self.put("BOOTP/DHCP, ");
        match operation {
            REQUEST => self.put("Request"),
            2 => self.put("Reply"),
            _ => say!(self, "unknown (0x{operation:02x})"),
        }
        if (self.u8(at + 1)?, self.u8(at + 2)?, operation) == (1, 6, REQUEST) {
            say!(self, " from {}", self.mac(at + 28)?);
        }
        say!(self, ", length {len}");
        Ok(())
    }

    /// RFC 5905
    fn ntp(&mut self, at: usize, len: usize) -> Printed {
        const MODES: [&str; 8] = [
            "unspecified",
            "symmetric active",
            "symmetric passive",
            "Client",
            "Server",
            "Broadcast",
            "Control Message",
            "Reserved",
        ];
        self.protocol = "ntp";
        let first = self.u8(at)?;
        let mode = MODES[usize::from(first & 7)];
        say!(self, "NTPv{}, {mode}, length {len}", (first >> 3) & 7);
        Ok(())
    }
}
