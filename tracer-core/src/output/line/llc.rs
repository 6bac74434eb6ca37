//! LLC and SNAP headers (IEEE 802.2, RFC 1042), with the spanning tree protocol above them.

use super::ethernet::Ends;
use super::names::{CISCO, ETHERTYPES, Names, ORGANIZATIONS, SERVICE_ACCESS_POINTS, bits, name};
use super::scribe::{Printed, Scribe, say};

/// Of the destination: a group; of the source: a response.
const LOW_BIT: u8 = 1;
const SAP_IP: u8 = 0x06;
const SAP_SPANNING_TREE: u8 = 0x42;
const SAP_SNAP: u8 = 0xaa;
/// Control field of unnumbered information.
const UNNUMBERED_INFORMATION: u16 = 0x03;
const POLL_UNNUMBERED: u16 = 0x10;
const POLL_NUMBERED: u16 = 0x0100;
const EXCHANGE_IDENTIFICATION: u16 = 0xaf;
const SNAP: usize = 5;

const COMMANDS: &Names = &[
    (0x03, "ui"),
    (0xe3, "test"),
    (0xaf, "xid"),
    (0x63, "ua"),
    (0x43, "disc"),
    (0x0f, "dm"),
    (0x6f, "sabme"),
    (0x87, "frmr"),
];
const SUPERVISORY: &Names = &[(0, "Receiver Ready"), (1, "Receiver not Ready"), (2, "Reject")];
const TREE_PROTOCOLS: &Names = &[(0, "802.1d"), (2, "802.1w"), (3, "802.1s"), (4, "802.1aq")];
const TREE_MESSAGES: &Names = &[(0, "Config"), (2, "Rapid STP"), (0x80, "Topology Change")];
const TREE_FLAGS: &Names = &[
    (0x01, "Topology change"),
    (0x02, "Proposal"),
    (0x10, "Learn"),
    (0x20, "Forward"),
    (0x40, "Agreement"),
    (0x80, "Topology change ACK"),
];
const TREE_ROLES: &Names = &[(0, "Unknown"), (1, "Alternate"), (2, "Root"), (3, "Designated")];

/// An LLC header.
struct Llc {
    destination: u8,
    source: u8,
    control: u16,
    is_unnumbered: bool,
    len: usize,
}

impl Llc {
    fn is(&self, sap: u8) -> bool {
        let (destination, source) = (self.destination & !LOW_BIT, self.source & !LOW_BIT);
        destination == sap && source == sap && self.control == UNNUMBERED_INFORMATION
    }

    /// Poll or final, command or response.
    fn flags(&self) -> &'static str {
        let poll = if self.is_unnumbered { POLL_UNNUMBERED } else { POLL_NUMBERED };
        match (self.source & LOW_BIT, self.control & poll) {
            (0, 0) => "Command",
            (_, 0) => "Response",
            (0, _) => "Poll",
            _ => "Final",
        }
    }
}

impl Scribe<'_> {
    /// Prints an LLC header and what is behind it; returns its length, and whether its payload is known.
    pub(super) fn llc(&mut self, at: usize, len: usize, ends: Ends) -> Printed<(usize, bool)> {
        self.protocol = "llc";
        let captured = self.available(at);
        let shortest = captured.min(len);
        let control = if shortest < 3 { 0 } else { self.u8(at + 2)? };
        let is_unnumbered = control & 3 == 3;
        if shortest < 3 || (!is_unnumbered && shortest < 4) {
            self.truncated();
            self.dump(at, captured)?;
            return Ok((shortest, true));
        }
        let high = if is_unnumbered { 0 } else { self.u8(at + 3)? };
        let llc = Llc {
            destination: self.u8(at)?,
            source: self.u8(at + 1)?,
            control: u16::from_le_bytes([control, high]),
            is_unnumbered,
            len: if is_unnumbered { 3 } else { 4 },
        };
        if self.link {
            self.llc_header(&llc);
        }
        self.llc_payload(&llc, at + llc.len, len - llc.len, ends)
    }

    fn llc_header(&mut self, llc: &Llc) {
        let (destination, source) = (llc.destination & !LOW_BIT, llc.source & !LOW_BIT);
        let called = |sap: u8| name(SERVICE_ACCESS_POINTS, sap).unwrap_or("Unknown");
        let to = if llc.destination & LOW_BIT == 0 { "Individual" } else { "Group" };
        let kind = if llc.source & LOW_BIT == 0 { "Command" } else { "Response" };
        say!(self, "LLC, dsap {} (0x{destination:02x}) {to}, ", called(destination));
        say!(self, "ssap {} (0x{source:02x}) {kind}", called(source));
        let digits = if llc.is_unnumbered { 2 } else { 4 };
        say!(self, ", ctrl 0x{:0digits$x}: ", llc.control);
    }

    fn llc_payload(&mut self, llc: &Llc, at: usize, len: usize, ends: Ends) -> Printed<(usize, bool)> {
        if llc.is(SAP_SNAP) {
            let is_known = self.snap(at, len, ends)?;
            return Ok((llc.len + SNAP, is_known));
        }
        if llc.is(SAP_SPANNING_TREE) {
            self.spanning_tree(at, len)?;
            return Ok((llc.len, true));
        }
        if llc.is(SAP_IP) {
            self.ip4(at, len)?;
            return Ok((llc.len, true));
        }
        if !self.link {
            self.llc_ends(llc, ends);
        }
        let is_known = self.llc_kind(llc, at, len)?;
        Ok((llc.len, is_known))
    }

    fn llc_ends(&mut self, llc: &Llc, ends: Ends) {
        let called = |sap: u8, what: &str| {
            let known = name(SERVICE_ACCESS_POINTS, sap).map(str::to_owned);
            known.unwrap_or_else(|| format!("Unknown {what} 0x{sap:02x}"))
        };
        let (destination, source) = (llc.destination & !LOW_BIT, llc.source & !LOW_BIT);
        let to = called(destination, "DSAP");
        if destination == source {
            say!(self, "{} > {} {to} ", ends.source, ends.destination);
        } else {
            say!(self, "{} {} > {} {to} ", ends.source, called(source, "SSAP"), ends.destination);
        }
    }

    /// What kind of frame it is, by its control field.
    fn llc_kind(&mut self, llc: &Llc, at: usize, len: usize) -> Printed<bool> {
        let (flags, total) = (llc.flags(), len + llc.len);
        let receive = llc.control >> 9;
        if llc.is_unnumbered {
            let command = llc.control & !POLL_UNNUMBERED;
            let called = name(COMMANDS, command).map_or_else(|| format!("{command:02x}"), str::to_owned);
            say!(self, "Unnumbered, {called}, Flags [{flags}], length {total}");
            return if command == EXCHANGE_IDENTIFICATION { self.identification(at, len) } else { Ok(false) };
        }
        if llc.control & 1 == 1 {
            let called = name(SUPERVISORY, (llc.control >> 2) & 3).unwrap_or("?");
            say!(self, "Supervisory, {called}, rcv seq {receive}, Flags [{flags}], length {total}");
            return Ok(true);
        }
        let send = (llc.control >> 1) & 0x7f;
        say!(self, "Information, send seq {send}, rcv seq {receive}, Flags [{flags}], length {total}");
        Ok(false)
    }

    fn identification(&mut self, at: usize, len: usize) -> Printed<bool> {
        const FORMAT: u8 = 0x81;
        let captured = self.available(at);
        if len == 0 {
            return Ok(true);
        }
        if captured == 0 {
            self.truncated();
            return Ok(true);
        }
        if self.u8(at)? != FORMAT {
            return Ok(false);
        }
        if captured < 3 || len < 3 {
            self.truncated();
            self.dump(at, captured)?;
        } else {
            say!(self, ": {:02x} {:02x}", self.u8(at + 1)?, self.u8(at + 2)?);
        }
        Ok(true)
    }

    /// Prints a SNAP header and what is behind it; false if that is unknown.
    fn snap(&mut self, at: usize, len: usize, ends: Ends) -> Printed<bool> {
        const ORGANIZATION_ETHERNET: u32 = 0;
        const ORGANIZATION_CISCO: u32 = 0x0c;
        const ORGANIZATION_CISCO_BRIDGED: u32 = 0xf8;
        self.protocol = "snap";
        if !self.has(at, SNAP) || len < SNAP {
            self.truncated();
            return Ok(true);
        }
        let (organization, protocol) = (self.u24(at)?, self.u16(at + 3)?);
        let (at, len) = (at + SNAP, len - SNAP);
        let names: &Names = match organization {
            ORGANIZATION_ETHERNET | ORGANIZATION_CISCO_BRIDGED => ETHERTYPES,
            ORGANIZATION_CISCO => CISCO,
            _ => &[],
        };
        let called = name(names, protocol).unwrap_or("Unknown");
        let by = name(ORGANIZATIONS, organization).unwrap_or("Unknown");
        let what = if organization == 0 { "ethertype" } else { "pid" };
        if self.link {
            say!(self, "oui {by} (0x{organization:06x}), {what} {called} (0x{protocol:04x}), length {len}: ");
        }
        let is_ethertype = matches!(organization, ORGANIZATION_ETHERNET | ORGANIZATION_CISCO_BRIDGED);
        if is_ethertype && self.network(protocol, at, len)? {
            return Ok(true);
        }
        if organization == ORGANIZATION_CISCO && matches!(protocol, 0x010b | 0x010c) {
            self.spanning_tree(at, len)?;
            return Ok(true);
        }
        if !self.link {
            say!(self, "{} > {} SNAP, ", ends.source, ends.destination);
            if organization != 0 {
                say!(self, "oui {by} (0x{organization:06x}), ");
            }
            say!(self, "{what} {called} (0x{protocol:04x}), length {len}: ");
        }
        Ok(false)
    }

    /// A bridge protocol data unit (IEEE 802.1D clause 9); of the multiple spanning tree its flags only.
    fn spanning_tree(&mut self, at: usize, len: usize) -> Printed {
        const CONFIGURATION: usize = 35;
        const MULTIPLE: usize = 102;
        self.protocol = "stp";
        if len < 4 {
            self.invalid();
            return Ok(());
        }
        if self.u16(at)? != 0 {
            say!(self, "unknown STP version, length {len}");
            return Ok(());
        }
        let version = self.u8(at + 2)?;
        let Some(called) = name(TREE_PROTOCOLS, version) else {
            say!(self, "STP Unknown STP protocol (0x{version:02x})");
            return Ok(());
        };
        say!(self, "STP {called}");
        let kind = self.u8(at + 3)?;
        match name(TREE_MESSAGES, kind) {
            Some(called) => say!(self, ", {called}"),
            None => say!(self, ", Unknown BPDU Type (0x{kind:02x})"),
        }
        match (kind, version) {
            (0, _) if len < CONFIGURATION => self.invalid(),
            (2, 2) if len < CONFIGURATION + 1 => self.invalid(),
            (0, _) | (2, 2) => self.configuration(at, len, version)?,
            (2, 3 | 4) if len < MULTIPLE || self.u8(at + 35)? != 0 => self.invalid(),
            (2, 3 | 4) => {
                let flags = bits(TREE_FLAGS, self.u8(at + 4)?, ", ", "none");
                say!(self, ", CIST Flags [{flags}], length {len}");
            }
            _ => {}
        }
        Ok(())
    }

    fn configuration(&mut self, at: usize, len: usize, version: u8) -> Printed {
        let flags = self.u8(at + 4)?;
        say!(self, ", Flags [{}]", bits(TREE_FLAGS, flags, ", ", "none"));
        let (priority, bridge, port) = (self.u16(at + 17)?, self.mac(at + 19)?, self.u16(at + 25)?);
        say!(self, ", bridge-id {priority:04x}.{bridge}.{port:04x}, length {len}");
        if !self.verbose {
            return Ok(());
        }
        let seconds = |at| Ok(f64::from(self.u16(at)?) / 256.0);
        let (age, max, hello, delay) =
            (seconds(at + 27)?, seconds(at + 29)?, seconds(at + 31)?, seconds(at + 33)?);
        say!(self, "\n\tmessage-age {age:.2}s, max-age {max:.2}s");
        say!(self, ", hello-time {hello:.2}s, forwarding-delay {delay:.2}s");
        let (priority, root, cost) = (self.u16(at + 5)?, self.mac(at + 7)?, self.u32(at + 13)?);
        say!(self, "\n\troot-id {priority:04x}.{root}, root-pathcost {cost}");
        if version == 2 {
            say!(self, ", port-role {}", name(TREE_ROLES, (flags >> 2) & 3).unwrap_or("Unknown"));
        }
        Ok(())
    }
}
