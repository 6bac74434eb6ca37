//! Packets in packets: GRE (RFC 2784, RFC 2890), VXLAN (RFC 7348), Geneve (RFC 8926).

use super::names::{ETHERTYPES, Names, bits, ethertype, name};
use super::scribe::{Printed, Scribe, say};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;
const VERSION: u16 = 7;
const GRE_FLAGS: &Names = &[
    (0x8000, "checksum present"),
    (0x4000, "routing present"),
    (0x2000, "key present"),
    (0x1000, "sequence# present"),
    (0x0800, "source routing present"),
    (0x0080, "ack present"),
];
const GENEVE_FLAGS: &Names = &[
    (0x80, "O"),
    (0x40, "C"),
    (0x20, "R1"),
    (0x10, "R2"),
    (0x08, "R3"),
    (0x04, "R4"),
    (0x02, "R5"),
    (0x01, "R6"),
];
const VXLAN_HEADER: usize = 8;
const GENEVE_HEADER: usize = 8;

/// What is left of a header, read from its front.
struct Rest {
    at: usize,
    len: usize,
}

impl Rest {
    /// Where the next `len` bytes are; nothing if the header ends before, or was not captured so far.
    fn take(&mut self, scribe: &Scribe<'_>, len: usize) -> Option<usize> {
        let at = self.at;
        self.len = self.len.checked_sub(len).filter(|_| scribe.has(at, len))?;
        self.at += len;
        Some(at)
    }
}

impl Scribe<'_> {
    pub(super) fn gre(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "gre";
        let mut rest = Rest { at, len };
        let Some(at) = rest.take(self, 2) else {
            self.truncated();
            return Ok(());
        };
        let flags = self.u16(at)?;
        say!(self, "GREv{}", flags & VERSION);
        let printed = match flags & VERSION {
            0 => self.gre_0(flags, rest, len)?,
            1 => self.gre_1(flags, rest, len)?,
            _ => {
                self.put(" ERROR: unknown-version");
                Some(())
            }
        };
        if printed.is_none() {
            self.truncated();
        }
        Ok(())
    }

    fn gre_flags(&mut self, flags: u16) {
        if self.verbose {
            say!(self, ", Flags [{}]", bits(GRE_FLAGS, flags, ", ", "none"));
        }
    }

    /// Prints a header of version 0 and its packet; nothing where the header is cut short.
    fn gre_0(&mut self, flags: u16, mut rest: Rest, len: usize) -> Printed<Option<()>> {
        self.gre_flags(flags);
        let Some(at) = rest.take(self, 2) else { return Ok(None) };
        let protocol = self.u16(at)?;
        if flags & (CHECKSUM | ROUTING) != 0 {
            let Some(at) = rest.take(self, 2) else { return Ok(None) };
            if self.verbose {
                say!(self, ", sum 0x{:x}", self.u16(at)?);
            }
            let Some(at) = rest.take(self, 2) else { return Ok(None) };
            say!(self, ", off 0x{:x}", self.u16(at)?);
        }
        if flags & KEY != 0 {
            let Some(at) = rest.take(self, 4) else { return Ok(None) };
            say!(self, ", key=0x{:x}", self.u32(at)?);
        }
        if flags & SEQUENCE != 0 {
            let Some(at) = rest.take(self, 4) else { return Ok(None) };
            say!(self, ", seq {}", self.u32(at)?);
        }
        if flags & ROUTING != 0 && self.gre_route(&mut rest)?.is_none() {
            return Ok(None);
        }
        self.gre_end(protocol, len);
        match protocol {
            ethertype::IPV4 => self.ip4(rest.at, rest.len)?,
            ethertype::IPV6 => self.ip6(rest.at, rest.len)?,
            ethertype::TRANSPARENT_BRIDGING => self.inner_frame(rest.at, rest.len)?,
            _ => say!(self, "gre-proto-0x{protocol:x}"),
        }
        Ok(Some(()))
    }

    /// Source routes (RFC 1701), which nobody uses: what kind they are.
    fn gre_route(&mut self, rest: &mut Rest) -> Printed<Option<()>> {
        loop {
            let Some(at) = rest.take(self, 4) else { return Ok(None) };
            let (family, len) = (self.u16(at)?, usize::from(self.u8(at + 3)?));
            if family == 0 && len == 0 {
                return Ok(Some(()));
            }
            say!(self, ", (rtaf=0x{family:x})");
            if rest.take(self, len).is_none() {
                return Ok(None);
            }
        }
    }

    /// The header of PPTP (RFC 2637).
    fn gre_1(&mut self, flags: u16, mut rest: Rest, len: usize) -> Printed<Option<()>> {
        self.gre_flags(flags);
        let Some(at) = rest.take(self, 2) else { return Ok(None) };
        let protocol = self.u16(at)?;
        if flags & KEY != 0 {
            let Some(at) = rest.take(self, 4) else { return Ok(None) };
            say!(self, ", call {}", self.u32(at)? & 0xffff);
        }
        for (flag, called) in [(SEQUENCE, "seq"), (ACKNOWLEDGEMENT, "ack")] {
            if flags & flag != 0 {
                let Some(at) = rest.take(self, 4) else { return Ok(None) };
                say!(self, ", {called} {}", self.u32(at)?);
            }
        }
        if flags & SEQUENCE == 0 {
            self.put(", no-payload");
            self.gre_length(protocol, len);
        } else {
            self.gre_end(protocol, len);
            say!(self, "gre-proto-0x{protocol:x}");
        }
        Ok(Some(()))
    }

    fn gre_end(&mut self, protocol: u16, len: usize) {
        self.gre_length(protocol, len);
        self.put(if self.verbose { "\n\t" } else { ": " });
    }

    fn gre_length(&mut self, protocol: u16, len: usize) {
        if self.link {
            let called = name(ETHERTYPES, protocol).unwrap_or("unknown");
            say!(self, ", proto {called} (0x{protocol:04x})");
        }
        say!(self, ", length {len}");
    }

    /// A frame in a packet.
    fn inner_frame(&mut self, at: usize, len: usize) -> Printed {
        self.nested(|scribe| scribe.ethernet(at, len).map(drop))
    }

    pub(super) fn vxlan(&mut self, at: usize, len: usize) -> Printed {
        const IS_VALID: u8 = 0x08;
        self.protocol = "vxlan";
        self.put("VXLAN");
        if len < VXLAN_HEADER {
            self.invalid();
            return Ok(());
        }
        let flags = self.u8(at)?;
        let called = if flags & IS_VALID == 0 { "invalid" } else { "I" };
        say!(self, ", flags [{called}] (0x{flags:02x}), ");
        say!(self, "vni {}\n", self.u24(at + 4)?);
        self.slice(at + 7, 1)?;
        self.inner_frame(at + VXLAN_HEADER, len - VXLAN_HEADER)
    }

    pub(super) fn geneve(&mut self, at: usize, len: usize) -> Printed {
        self.protocol = "geneve";
        self.put("Geneve");
        if len < GENEVE_HEADER {
            say!(self, " [length {len} < {GENEVE_HEADER}]");
            self.invalid();
            return Ok(());
        }
        if !self.has(at, GENEVE_HEADER) {
            self.truncated();
            return Ok(());
        }
        let first = self.u8(at)?;
        if first >> 6 != 0 {
            say!(self, " ERROR: unknown-version {}", first >> 6);
            return Ok(());
        }
        let flags = bits(GENEVE_FLAGS, self.u8(at + 1)?, "", "none");
        say!(self, ", Flags [{flags}], vni 0x{:x}", self.u24(at + 4)?);
        let reserved = self.u8(at + 7)?;
        if reserved != 0 {
            say!(self, ", rsvd 0x{reserved:x}");
        }
        let protocol = self.u16(at + 2)?;
        if self.link {
            let called = name(ETHERTYPES, protocol).unwrap_or("unknown");
            say!(self, ", proto {called} (0x{protocol:04x})");
        }
        let rest = Rest { at: at + GENEVE_HEADER, len: len - GENEVE_HEADER };
        self.geneve_payload(protocol, usize::from(first & 0x3f) * 4, rest)
    }

    fn geneve_payload(&mut self, protocol: u16, options: usize, mut rest: Rest) -> Printed {
        if rest.len < options {
            say!(self, " truncated-geneve - {} bytes missing", options - rest.len);
            return Ok(());
        }
        let Some(at) = rest.take(self, options) else {
            self.truncated();
            return Ok(());
        };
        if options > 0 {
            self.put(", options [");
            if self.verbose {
                self.geneve_options(at, options)?;
            } else {
                say!(self, "{options} bytes");
            }
            self.put("]");
        }
        self.put(if self.verbose { "\n\t" } else { ": " });
        if self.network(protocol, rest.at, rest.len)? {
            return Ok(());
        }
        if protocol == ethertype::TRANSPARENT_BRIDGING {
            return self.inner_frame(rest.at, rest.len);
        }
        say!(self, "geneve-proto-0x{protocol:x}");
        Ok(())
    }

    fn geneve_options(&mut self, mut at: usize, mut left: usize) -> Printed {
        let mut separator = "";
        while left > 0 {
            let (class, kind) = (self.u16(at)?, self.u8(at + 2)?);
            let len = 4 + usize::from(self.u8(at + 3)? & 0x1f) * 4;
            let critical = if kind & 0x80 == 0 { "" } else { "(C)" };
            let called = option_class(class);
            say!(self, "{separator}class {called} (0x{class:x}) type 0x{kind:x}{critical} len {len}");
            separator = ", ";
            if len > left {
                self.put(" [bad length]");
                return Ok(());
            }
            at += len;
            left -= len;
        }
        Ok(())
    }
}

/// IANA Geneve Option Class
fn option_class(class: u16) -> &'static str {
    match class {
        0x0100 => "Linux",
        0x0101 => "Open vSwitch",
        0x0102 => "Open Virtual Networking (OVN)",
        0x0103 => "In-band Network Telemetry (INT)",
        0x0104 => "VMware",
        0..=0x00ff => "Standard",
        0xfff0.. => "Experimental",
        _ => "Unknown",
    }
}
