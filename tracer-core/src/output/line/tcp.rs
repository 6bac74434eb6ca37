//! TCP (RFC 9293), as tcpdump's print-tcp.c prints it.

mod options;

use super::checksum::{expected, with_pseudo_header};
use super::ip4::Network;
use super::names::protocol;
use super::scribe::{Cut, Printed, Scribe, say};
use super::sequence::{Relative, Segment};

const HEADER: usize = 20;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
/// Letters of the flags, from the lowest bit on.
const LETTERS: [char; 8] = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];

/// The fields of a segment that several lines need.
struct Tcp {
    at: usize,
    ports: (u16, u16),
    flags: u8,
    header: usize,
}

impl Scribe<'_> {
    pub(super) fn tcp(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        self.protocol = "tcp";
        if !self.has(at + 2, 2) {
            say!(self, "{} > {}:", network.source, network.destination);
            self.truncated();
            return Ok(());
        }
        let ports = (self.u16(at)?, self.u16(at + 2)?);
        self.ports(network, protocol::TCP, ports);
        if !self.has(at, HEADER) {
            self.truncated();
            return Ok(());
        }
        let header = usize::from(self.u8(at + 12)? >> 4) * 4;
        if header < HEADER {
            let payload = u32::try_from(len.wrapping_sub(header) & 0xffff_ffff).unwrap_or_default();
            say!(self, " tcp {payload} [bad hdr length {header} - too short, < {HEADER}]");
            return Ok(());
        }
        let tcp = Tcp { at, ports, flags: self.u8(at + 13)?, header };
        self.put("Flags [");
        self.tcp_flags(tcp.flags);
        self.put("]");
        let relative = self.relative(network, &tcp)?;
        if header > len {
            say!(self, " [bad hdr length {header} - too long, > {len}]");
            return Ok(());
        }
        if self.verbose && !network.is_fragment {
            self.tcp_checksum(network, at, len)?;
        }
        self.tcp_numbers(&tcp, &relative, len - header)?;
        if header > HEADER && !self.tcp_options(&tcp, relative.sack_base, len - header)? {
            return Ok(());
        }
        self.put(", length ");
        self.number(len - header);
        self.tcp_payload(&tcp, len - header)
    }

    /// Both ends with their ports; without the addresses where an extension header had them printed.
    pub(super) fn ports(&mut self, network: &Network, own: u8, (from, to): (u16, u16)) {
        let is_own = network.protocol == own;
        let ends = [(network.source, from, " > "), (network.destination, to, ": ")];
        for (address, port, behind) in ends {
            if is_own {
                self.address(address);
                self.put(".");
            }
            self.number(port);
            self.put(behind);
        }
    }

    fn tcp_flags(&mut self, flags: u8) {
        if flags == 0 {
            self.put("none");
        }
        let set = LETTERS.iter().enumerate().filter(|(bit, _)| flags & (1 << bit) != 0);
        self.text.extend(set.map(|(_, letter)| letter));
    }

    /// The numbers to print: relative ones where there is an acknowledgement.
    fn relative(&mut self, network: &Network, tcp: &Tcp) -> Printed<Relative> {
        let (sequence, acknowledgement) = (self.u32(tcp.at + 4)?, self.u32(tcp.at + 8)?);
        if tcp.flags & ACK == 0 {
            return Ok(Relative { sequence, acknowledgement, sack_base: 0 });
        }
        Ok(self.conversations.relative(&Segment {
            source: (network.source, tcp.ports.0),
            destination: (network.destination, tcp.ports.1),
            sequence,
            acknowledgement,
            is_syn: tcp.flags & SYN != 0,
        }))
    }

    fn tcp_checksum(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        let Ok(segment) = self.slice(at, len) else { return Ok(()) };
        let sum = with_pseudo_header(network.source, network.last, protocol::TCP, segment);
        let found = self.u16(at + 16)?;
        say!(self, ", cksum 0x{found:04x}");
        if sum == 0 {
            self.put(" (correct)");
        } else {
            say!(self, " (incorrect -> 0x{:04x})", expected(found, sum));
        }
        Ok(())
    }

    fn tcp_numbers(&mut self, tcp: &Tcp, relative: &Relative, payload: usize) -> Printed {
        let Relative { sequence, acknowledgement, .. } = relative;
        if payload > 0 || tcp.flags & (SYN | FIN | RST) != 0 {
            self.put(", seq ");
            self.number(*sequence);
        }
        if payload > 0 {
            let len = u32::try_from(payload).unwrap_or(u32::MAX);
            self.put(":");
            self.number(sequence.wrapping_add(len));
        }
        if tcp.flags & ACK != 0 {
            self.put(", ack ");
            self.number(*acknowledgement);
        }
        self.put(", win ");
        self.number(self.u16(tcp.at + 14)?);
        if tcp.flags & URG != 0 {
            say!(self, ", urg {}", self.u16(tcp.at + 18)?);
        }
        Ok(())
    }

    /// What the payload says, by its port.
    fn tcp_payload(&mut self, tcp: &Tcp, len: usize) -> Printed {
        if len == 0 {
            return Ok(());
        }
        if !self.has(tcp.at, tcp.header) {
            let captured = self.available(tcp.at);
            say!(self, " [remaining caplen({captured}) < header length({})]", tcp.header);
            return Err(Cut);
        }
        let at = tcp.at + tcp.header;
        if tcp.flags & RST != 0 && self.verbose {
            self.reset_reason(at, len);
            return Ok(());
        }
        let has = |port: u16| tcp.ports.0 == port || tcp.ports.1 == port;
        if [25, 43, 21, 80, 8080, 554, 8554].into_iter().any(has) {
            self.put(": ");
        }
        match () {
            () if has(25) => self.lines("smtp", None, at, len),
            () if has(43) => self.lines("whois", None, at, len),
            () if has(179) => {
                self.put(": BGP");
                Ok(())
            }
            () if has(22) => self.ssh(at, len),
            () if has(21) => self.lines("ftp", None, at, len),
            () if has(80) || has(8080) => self.http(at, len),
            () if has(554) || has(8554) => self.rtsp(at, len),
            () if has(53) => self.dns_over_tcp(at, len),
            () => Ok(()),
        }
    }

    /// Text that says why a connection was reset (RFC 9293 section 3.5.3).
    fn reset_reason(&mut self, at: usize, len: usize) {
        const MOST: usize = 30;
        self.put(if self.has(at, len) { " [RST" } else { " [!RST" });
        self.put(if len > MOST { "+ " } else { " " });
        self.string(at, len.min(MOST));
        self.put("]");
    }
}
