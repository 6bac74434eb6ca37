//! SCTP in brief (RFC 9260), as tcpdump's print-sctp.c prints it.

use super::ip4::Network;
use super::names::{Names, name};
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SELECTIVE_ACK: u8 = 3;
const CHUNKS: &Names = &[
    (0x00, "DATA"),
    (0x01, "INIT"),
    (0x02, "INIT ACK"),
    (0x03, "SACK"),
    (0x04, "HB REQ"),
    (0x05, "HB ACK"),
    (0x06, "ABORT"),
    (0x07, "SHUTDOWN"),
    (0x08, "SHUTDOWN ACK"),
    (0x09, "OP ERR"),
    (0x0a, "COOKIE ECHO"),
    (0x0b, "COOKIE ACK"),
    (0x0c, "ECN ECHO"),
    (0x0d, "ECN CWR"),
    (0x0e, "SHUTDOWN COMPLETE"),
    (0xa2, "REL CTRL"),
    (0xa3, "REL CTRL ACK"),
    (0xc0, "FOR CUM TSN"),
];
const PAYLOADS: &Names = &[
    (1, "ISDN Q.921"),
    (2, "M2UA"),
    (3, "M3UA"),
    (4, "SUA"),
    (5, "M2PA"),
    (6, "V5.2"),
    (7, "H.248"),
    (8, "BICC"),
    (9, "TALI"),
    (10, "DUA"),
    (11, "ASAP"),
    (12, "ENRP"),
    (13, "H.323"),
    (14, "Q.IPC"),
    (15, "SIMCO"),
    (16, "DDPSC"),
    (17, "DDPSSC"),
    (18, "S1AP"),
    (19, "RUA"),
    (20, "HNBAP"),
    (21, "ForCES HP"),
    (22, "ForCES MP"),
    (23, "ForCES LP"),
    (24, "SBc-AP"),
    (25, "NBAP"),
    (27, "X2AP"),
];

impl Scribe<'_> {
    pub(super) fn sctp(&mut self, network: &Network, at: usize, len: usize) -> Printed {
        self.protocol = "sctp";
        if len < HEADER {
            say!(self, "truncated-sctp - {} bytes missing!", HEADER - len);
            return Ok(());
        }
        if !self.has(at, HEADER) {
            self.truncated();
            return Ok(());
        }
        let Network { source, destination, .. } = network;
        let (from, to) = (self.u16(at)?, self.u16(at + 2)?);
        say!(self, "{source}.{from} > {destination}.{to}: sctp");
        self.chunks(at + HEADER, len - HEADER)
    }

    fn chunks(&mut self, mut at: usize, mut left: usize) -> Printed {
        let mut separator = " (";
        let mut number = 1;
        while left != 0 {
            if left < CHUNK_HEADER {
                say!(self, "{separator}{number}) [chunk descriptor cut off at end of packet]");
                return Ok(());
            }
            if !self.has(at, CHUNK_HEADER) {
                self.truncated();
                return Ok(());
            }
            let len = usize::from(self.u16(at + 2)?);
            let padding = len.wrapping_neg() & 3;
            let wrong = match () {
                () if len < CHUNK_HEADER => Some("< size of chunk descriptor"),
                () if left < padding => Some("> remaining data in packet"),
                () => None,
            };
            if let Some(wrong) = wrong {
                say!(self, "{separator}{number}) [Bad chunk length {len}, {wrong}]");
                return Ok(());
            }
            if !self.has(at, len) {
                self.truncated();
                return Ok(());
            }
            say!(self, "{separator}{number}) ");
            if !self.chunk(at, len)? {
                return Ok(());
            }
            separator = ", (";
            if !self.has(at + len, padding) {
                self.truncated();
                return Ok(());
            }
            at += len + padding;
            left = left.saturating_sub(len + padding);
            number += 1;
        }
        Ok(())
    }

    /// Prints a chunk of `len` bytes; false if it is too short for what it is.
    fn chunk(&mut self, at: usize, len: usize) -> Printed<bool> {
        let kind = self.u8(at)?;
        match name(CHUNKS, kind) {
            Some(called) => say!(self, "[{called}] "),
            None => say!(self, "[Unknown chunk type: 0x{kind:x}] "),
        }
        let flags = self.u8(at + 1)?;
        if kind == DATA {
            self.data_flags(flags);
        }
        let least = match kind {
            // A chunk of data has at least one byte.
            DATA => 13,
            INIT | INIT_ACK => 16,
            SELECTIVE_ACK => 12,
            _ => 0,
        };
        let at = at + CHUNK_HEADER;
        if kind == DATA && len - CHUNK_HEADER == least - 1 {
            self.data(at)?;
        }
        if len - CHUNK_HEADER < least {
            say!(self, "bogus chunk length {len}]");
            return Ok(false);
        }
        match kind {
            DATA => self.data(at)?,
            INIT | INIT_ACK => self.initiation(at)?,
            SELECTIVE_ACK => return self.selective_acknowledgement(at, len),
            _ => {}
        }
        Ok(true)
    }

    fn data_flags(&mut self, flags: u8) {
        for (flag, letter) in [(4, "(U)"), (2, "(B)"), (1, "(E)")] {
            self.put(if flags & flag == 0 { "" } else { letter });
        }
        self.put(if matches!(flags & 7, 1..) { " " } else { "" });
    }

    fn data(&mut self, at: usize) -> Printed {
        say!(self, "[TSN: {}] [SID: {}] ", self.u32(at)?, self.u16(at + 4)?);
        say!(self, "[SSEQ {}] ", self.u16(at + 6)?);
        let payload = self.u32(at + 8)?;
        match name(PAYLOADS, payload) {
            Some(called) => say!(self, "[PPID {called}] "),
            None => say!(self, "[PPID 0x{payload:x}] "),
        }
        Ok(())
    }

    fn initiation(&mut self, at: usize) -> Printed {
        say!(self, "[init tag: {}] [rwnd: {}] ", self.u32(at)?, self.u32(at + 4)?);
        say!(self, "[OS: {}] [MIS: {}] ", self.u16(at + 8)?, self.u16(at + 10)?);
        say!(self, "[init TSN: {}] ", self.u32(at + 12)?);
        Ok(())
    }

    fn selective_acknowledgement(&mut self, at: usize, len: usize) -> Printed<bool> {
        let (cumulative, gaps, duplicates) = (self.u32(at)?, self.u16(at + 8)?, self.u16(at + 10)?);
        say!(self, "[cum ack {cumulative}] [a_rwnd {}] ", self.u32(at + 4)?);
        say!(self, "[#gap acks {gaps}] [#dup tsns {duplicates}] ");
        let (mut entry, mut left) = (at + 12, len - CHUNK_HEADER - 12);
        for number in 1..=u32::from(gaps) + u32::from(duplicates) {
            if left == 0 {
                break;
            }
            if left < 4 {
                say!(self, "bogus chunk length {len}]");
                return Ok(false);
            }
            if number <= u32::from(gaps) {
                let place = |at| Ok(cumulative.wrapping_add(u32::from(self.u16(at)?)));
                let (begin, end) = (place(entry)?, place(entry + 2)?);
                say!(self, "\n\t\t[gap ack block #{number}: start = {begin}, end = {end}] ");
            } else {
                let number = number - u32::from(gaps);
                say!(self, "\n\t\t[dup TSN #{number}: {}] ", self.u32(entry)?);
            }
            entry += 4;
            left -= 4;
        }
        Ok(true)
    }
}
