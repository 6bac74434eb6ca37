//! ARP and its relatives (RFC 826, RFC 903, RFC 2390), as tcpdump's print-arp.c prints them.

use super::names::{ETHERTYPES, Names, ethertype, name};
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 8;
const HARDWARE: &Names = &[
    (1, "Ethernet"),
    (6, "TokenRing"),
    (7, "ArcNet"),
    (15, "FrameRelay"),
    (23, "Strip"),
    (24, "IEEE 1394"),
    (19, "ATM"),
    (32, "InfiniBand"),
];
const OPERATIONS: &Names = &[
    (1, "Request"),
    (2, "Reply"),
    (3, "Reverse Request"),
    (4, "Reverse Reply"),
    (8, "Inverse Request"),
    (9, "Inverse Reply"),
    (10, "NACK Reply"),
];

/// The fixed part of a packet, and where its addresses are.
struct Arp {
    hardware: u16,
    protocol: u16,
    hardware_len: usize,
    protocol_len: usize,
    operation: u16,
    at: usize,
}

impl Arp {
    fn sender_hardware(&self) -> usize {
        self.at + HEADER
    }

    fn sender(&self) -> usize {
        self.sender_hardware() + self.hardware_len
    }

    fn target_hardware(&self) -> usize {
        self.sender() + self.protocol_len
    }

    fn target(&self) -> usize {
        self.target_hardware() + self.hardware_len
    }

    fn is_ip(&self) -> bool {
        self.protocol == ethertype::IPV4 || self.protocol == ethertype::TRAIL
    }
}

impl Scribe<'_> {
    pub(super) fn arp(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "arp";
        let arp = Arp {
            hardware: self.u16(at)?,
            protocol: self.u16(at + 2)?,
            hardware_len: usize::from(self.u8(at + 4)?),
            protocol_len: usize::from(self.u8(at + 5)?),
            operation: self.u16(at + 6)?,
            at,
        };
        self.slice(arp.target(), arp.protocol_len)?;
        if !self.link {
            self.put("ARP, ");
        }
        let is_strange = !arp.is_ip() || arp.protocol_len != 4 || arp.hardware_len == 0;
        if is_strange || self.verbose {
            self.arp_formats(&arp);
        }
        if (!is_strange || self.verbose) && !self.arp_operation(&arp)? {
            return self.dump(at, self.available(at));
        }
        say!(self, ", length {len}");
        Ok(())
    }

    fn arp_formats(&mut self, arp: &Arp) {
        match name(HARDWARE, arp.hardware) {
            Some(called) => self.put(called),
            None => say!(self, "Unknown Hardware ({})", arp.hardware),
        }
        say!(self, " (len {}), ", arp.hardware_len);
        match name(ETHERTYPES, arp.protocol) {
            Some(called) => self.put(called),
            None => say!(self, "Unknown Protocol (0x{:04x})", arp.protocol),
        }
        say!(self, " (len {})", arp.protocol_len);
        if self.verbose {
            self.put(", ");
        }
    }

    /// Prints who asks what, or answers; false if the operation is unknown.
    fn arp_operation(&mut self, arp: &Arp) -> Printed<bool> {
        match name(OPERATIONS, arp.operation) {
            Some(called) => say!(self, "{called} "),
            None => say!(self, "Unknown ({}) ", arp.operation),
        }
        match arp.operation {
            1 => self.arp_request(arp)?,
            2 => {
                self.arp_protocol(arp, arp.sender())?;
                self.put(" is-at ");
                self.arp_hardware(arp, arp.sender_hardware())?;
            }
            3 | 8 => {
                self.put("who-is ");
                self.arp_hardware(arp, arp.target_hardware())?;
                self.put(" tell ");
                self.arp_hardware(arp, arp.sender_hardware())?;
            }
            4 => {
                self.arp_hardware(arp, arp.target_hardware())?;
                self.put(" at ");
                self.arp_protocol(arp, arp.target())?;
            }
            9 => {
                self.arp_hardware(arp, arp.sender_hardware())?;
                self.put(" at ");
                self.arp_protocol(arp, arp.sender())?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn arp_request(&mut self, arp: &Arp) -> Printed {
        self.put("who-has ");
        self.arp_protocol(arp, arp.target())?;
        let known = self.slice(arp.target_hardware(), arp.hardware_len)?;
        if known.iter().any(|byte| *byte != 0) {
            self.put(" (");
            self.arp_hardware(arp, arp.target_hardware())?;
            self.put(")");
        }
        self.put(" tell ");
        self.arp_protocol(arp, arp.sender())
    }

    fn arp_protocol(&mut self, arp: &Arp, at: usize) -> Printed {
        if !arp.is_ip() {
            self.put("<wrong proto type>");
        } else if arp.protocol_len == 4 {
            say!(self, "{}", self.ip4_address(at)?);
        } else {
            self.put("<wrong len>");
        }
        Ok(())
    }

    fn arp_hardware(&mut self, arp: &Arp, at: usize) -> Printed {
        if arp.hardware_len == 0 {
            self.put("<empty>");
        }
        self.digits(at, arp.hardware_len, ":")
    }
}
