//! Ethernet frames (IEEE 802.3) with VLAN tags (IEEE 802.1Q), as tcpdump's print-ether.c prints them.

use super::address::Mac;
use super::names::{ETHERTYPES, ethertype, name};
use super::scribe::{Printed, Scribe, say};

const HEADER: usize = 14;
const TAG: usize = 4;
/// A greater number in the place of the length is an ethertype.
const MAX_LENGTH: u16 = 1500;

/// From whom a frame is, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) source: Mac,
    pub(super) destination: Mac,
}

/// What lies behind the addresses and tags of a frame.
struct Payload {
    /// Where it begins.
    at: usize,
    /// Its bytes on the wire.
    len: usize,
    ethertype: u16,
    /// The length of the frame has been printed.
    is_counted: bool,
}

impl Scribe<'_> {
    /// Prints a frame that had `len` bytes; returns the length of the headers before what `-X` shows.
    pub(super) fn ethernet(&mut self, at: usize, len: usize) -> Printed<usize> {
        self.protocol = "ether";
        let captured = self.available(at);
        if len < captured {
            say!(self, "[length {len} < caplen {captured}]");
            self.invalid();
            return Ok(len);
        }
        if captured < HEADER {
            self.truncated();
            return Ok(captured);
        }
        let ends = Ends { source: self.mac(at + 6)?, destination: self.mac(at)? };
        if self.link {
            self.ends(ends);
        }
        let ethertype = self.u16(at + 12)?;
        let payload = Payload { at: at + HEADER, len: len - HEADER, ethertype, is_counted: false };
        let behind = self.tags(payload, len)?;
        let headers = |behind: usize| behind - at;
        match behind {
            Err(end) => Ok(headers(end)),
            Ok(payload) => self.behind_tags(&payload, len, ends).map(headers),
        }
    }

    /// Prints VLAN tags; where the frame ends within one, says where that is.
    fn tags(&mut self, mut payload: Payload, len: usize) -> Printed<Result<Payload, usize>> {
        use ethertype::{QINQ, QINQ_9100, QINQ_9200, VLAN};
        while matches!(payload.ethertype, VLAN | QINQ | QINQ_9100 | QINQ_9200) {
            let captured = self.available(payload.at);
            if captured < TAG || payload.len < TAG {
                self.protocol = "vlan";
                self.truncated();
                return Ok(Err(payload.at + if captured < TAG { captured } else { payload.len }));
            }
            if self.link {
                self.ethertype(payload.ethertype);
                self.count(&mut payload.is_counted, len);
                let tag = self.u16(payload.at)?;
                say!(self, "vlan {}, p {}", tag & 0xfff, tag >> 13);
                self.put(if tag & 0x1000 == 0 { ", " } else { ", DEI, " });
            }
            payload.ethertype = self.u16(payload.at + 2)?;
            payload.at += TAG;
            payload.len -= TAG;
        }
        Ok(Ok(payload))
    }

    /// Prints the payload; returns where the headers end.
    fn behind_tags(&mut self, payload: &Payload, len: usize, ends: Ends) -> Printed<usize> {
        let Payload { at, ethertype, mut is_counted, .. } = *payload;
        if ethertype <= MAX_LENGTH {
            return self.counted(payload, ends);
        }
        if ethertype == ethertype::JUMBO {
            return self.llc_or_dump(at, payload.len, ends);
        }
        if self.link {
            self.ethertype(ethertype);
            self.count(&mut is_counted, len);
        }
        if !self.network(ethertype, at, payload.len)? {
            if !self.link {
                self.ends(ends);
                self.ethertype(ethertype);
                say!(self, ", length {len}: ");
            }
            self.payload(at)?;
        }
        Ok(at)
    }

    /// A frame with a length in the place of the ethertype: what lies behind it is padding.
    fn counted(&mut self, payload: &Payload, ends: Ends) -> Printed<usize> {
        let len = payload.len.min(usize::from(payload.ethertype));
        let outer = self.end;
        self.cut(payload.at, len);
        if self.link {
            self.put("802.3");
            if !payload.is_counted {
                say!(self, ", length {len}: ");
            }
        }
        let printed = self.llc_or_dump(payload.at, len, ends);
        self.end = outer;
        printed
    }

    fn llc_or_dump(&mut self, at: usize, len: usize, ends: Ends) -> Printed<usize> {
        let (header, is_known) = self.llc(at, len, ends)?;
        if !is_known {
            self.payload(at)?;
        }
        Ok(at + header)
    }

    /// Prints what is of a known ethertype; false if that is unknown.
    pub(super) fn network(&mut self, ethertype: u16, at: usize, len: usize) -> Printed<bool> {
        match ethertype {
            ethertype::IPV4 => self.ip4(at, len)?,
            ethertype::IPV6 => self.ip6(at, len)?,
            ethertype::ARP | ethertype::REVERSE_ARP => self.arp(at, len)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn ends(&mut self, ends: Ends) {
        say!(self, "{} > {}, ", ends.source, ends.destination);
    }

    fn ethertype(&mut self, ethertype: u16) {
        say!(self, "ethertype {} (0x{ethertype:04x})", name(ETHERTYPES, ethertype).unwrap_or("Unknown"));
    }

    /// The length of the frame behind its first ethertype.
    fn count(&mut self, is_counted: &mut bool, len: usize) {
        if *is_counted {
            self.put(", ");
        } else {
            say!(self, ", length {len}: ");
            *is_counted = true;
        }
    }
}
