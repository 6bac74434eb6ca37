//! One line per packet, as tcpdump prints it.
//!
//! The words are those of `tcpdump -n` 4.99, so that what people have learned to read, and their scripts to
//! parse, stays as it is. Protocols above UDP and TCP are printed as far as they are met around pods: DNS,
//! HTTP and other text, VXLAN, Geneve, and the names of DHCP, NTP and BGP; of all others the length. Where
//! tcpdump takes port 8472 for OTV it is VXLAN here, which is what Linux sends there.

mod address;
mod arp;
mod checksum;
mod dns;
mod ethernet;
mod hex;
mod icmp4;
mod icmp6;
mod igmp;
mod ip4;
mod ip6;
mod llc;
mod names;
mod scribe;
mod sctp;
mod sequence;
mod tcp;
mod text;
mod transport;
mod tunnel;
mod udp;

use std::fmt::Write as _;
use std::io;

use self::names::{ETHERTYPES, name};
use self::scribe::{Cut, Printed, Scribe, say};
use self::sequence::Conversations;
use crate::capture::{Frame, LinkLayer};
use crate::units::Direction;

const ETHERNET_HEADER: usize = 14;
/// An IP packet without a header before it: as in files, as libpcap calls it here, and for one version of IP.
const RAW: [u32; 4] = [101, 12, 228, 229];

/// What is printed of a packet besides the one line.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own, in any combination")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LineOptions {
    /// Fields of the IP header, checksums, options, all lines of text (`-v`).
    pub verbose: bool,
    /// The bytes behind the link-layer header, as digits and characters (`-X`).
    pub hex: bool,
    /// The link-layer header (`-e`).
    pub link: bool,
    /// Where the packet was seen and in which direction, as `tcpdump -i any` has it.
    pub label: bool,
}

/// Prints packets as tcpdump does.
///
/// It remembers where the sequence numbers of TCP connections began, of the last 32,768 at least: from a
/// connection's second segment on they are printed relative to that.
#[derive(Debug)]
pub struct LinePrinter {
    options: LineOptions,
    conversations: Conversations,
    text: String,
}

impl LinePrinter {
    /// A printer that has seen no connection.
    pub fn new(options: LineOptions) -> Self {
        Self { options, conversations: Conversations::default(), text: String::new() }
    }

    /// Writes a packet, at once and with its line breaks.
    ///
    /// `clock` is the time of day as it is to be printed, `label` where the packet was seen, such as node and
    /// interface. A packet that was on an interface without link layer is printed as one of link type RAW.
    pub fn print(
        &mut self,
        out: &mut impl io::Write,
        clock: &str,
        label: &str,
        frame: &Frame<'_>,
        link: LinkLayer,
    ) -> io::Result<()> {
        self.text.clear();
        let packet = Packet::new(frame, link);
        if packet.is_valid() {
            self.begin(clock, label, frame.direction);
            self.packet(&packet);
        } else {
            packet.complain(&mut self.text);
        }
        self.text.push('\n');
        out.write_all(self.text.as_bytes())
    }

    fn begin(&mut self, clock: &str, label: &str, direction: Option<Direction>) {
        self.text.push_str(clock);
        self.text.push(' ');
        if self.options.label {
            let direction = match direction {
                Some(Direction::Ingress) => "In",
                Some(Direction::Egress) => "Out",
                None => "?",
            };
            self.column(label, 5);
            self.column(direction, 3);
        }
    }

    /// A word, filled up to a width.
    fn column(&mut self, word: &str, width: usize) {
        self.text.push_str(word);
        let missing = width.saturating_sub(word.chars().count());
        self.text.extend(std::iter::repeat_n(' ', missing + 1));
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        let mut scribe = Scribe {
            bytes: packet.bytes,
            end: packet.bytes.len(),
            protocol: "",
            verbose: self.options.verbose,
            link: self.options.link,
            hex: self.options.hex,
            text: &mut self.text,
            conversations: &mut self.conversations,
            depth: 0,
        };
        let header = scribe.packet(packet).unwrap_or_else(|Cut| {
            scribe.truncated();
            // What is cut short is shown from its first byte on.
            0
        });
        if self.options.hex {
            hex::dump(&mut self.text, packet.bytes.get(header..).unwrap_or_default());
        }
    }
}

/// A packet as it was on its interface.
struct Packet<'a> {
    bytes: &'a [u8],
    /// Bytes that it had.
    len: usize,
    kind: Kind,
}

/// What a packet begins with.
#[derive(Clone, Copy)]
enum Kind {
    Ethernet,
    Raw,
    /// Something that is no IP, behind a header that was taken away.
    Cooked(u16),
    Unsupported,
}

impl<'a> Packet<'a> {
    fn new(frame: &'a Frame<'_>, link: LinkLayer) -> Self {
        let (bytes, len) = (&*frame.data, usize::try_from(frame.original_len).unwrap_or(usize::MAX));
        match link {
            LinkLayer::Ethernet => Self { bytes, len, kind: Kind::Ethernet },
            LinkLayer::SyntheticEthernet => {
                let kind = match bytes.get(12..ETHERNET_HEADER) {
                    Some([0x08, 0x00] | [0x86, 0xdd] | [0, 0]) | None => Kind::Raw,
                    Some(ethertype) => Kind::Cooked(u16::from_be_bytes([ethertype[0], ethertype[1]])),
                };
                let bytes = bytes.get(ETHERNET_HEADER..).unwrap_or_default();
                Self { bytes, len: len.saturating_sub(ETHERNET_HEADER), kind }
            }
            LinkLayer::Other(number) if RAW.contains(&number) => Self { bytes, len, kind: Kind::Raw },
            LinkLayer::Other(_) => Self { bytes, len, kind: Kind::Unsupported },
        }
    }

    fn is_valid(&self) -> bool {
        !self.bytes.is_empty() && self.len >= self.bytes.len()
    }

    /// Says what cannot be about the lengths.
    fn complain(&self, text: &mut String) {
        let captured = self.bytes.len();
        text.push_str("[Invalid header:");
        text.push_str(if captured == 0 { " caplen==0" } else { "" });
        if self.len == 0 {
            text.push_str(if captured == 0 { ", len==0" } else { " len==0" });
        } else if self.len < captured {
            // A string takes whatever is written to it.
            let _ = write!(text, " len({}) < caplen({captured})", self.len);
        }
        text.push(']');
    }
}

impl Scribe<'_> {
    /// Prints a packet; returns the length of the headers that the digits of its bytes leave out.
    fn packet(&mut self, packet: &Packet<'_>) -> Printed<usize> {
        match packet.kind {
            Kind::Ethernet => return self.ethernet(0, packet.len),
            Kind::Raw => self.raw(packet.len)?,
            Kind::Cooked(ethertype) => self.cooked(ethertype, packet.len)?,
            Kind::Unsupported => {
                self.protocol = "unsupported";
                self.capitals();
                self.dump(0, packet.bytes.len())?;
            }
        }
        Ok(0)
    }

    fn raw(&mut self, len: usize) -> Printed {
        self.protocol = "raw";
        if self.link {
            self.put("ip: ");
        }
        match self.u8(0)? >> 4 {
            4 => self.ip4(0, len),
            6 => self.ip6(0, len),
            version => {
                say!(self, "unknown ip {version}");
                Ok(())
            }
        }
    }

    fn cooked(&mut self, ethertype: u16, len: usize) -> Printed {
        if !self.network(ethertype, 0, len)? {
            let called = name(ETHERTYPES, ethertype).unwrap_or("Unknown");
            say!(self, "ethertype {called} (0x{ethertype:04x}), length {len}: ");
            self.payload(0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
