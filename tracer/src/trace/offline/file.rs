//! One file being read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::rc::Rc;

use tracer_core::capture::{CaptureReader, Expected, Interface, InterfaceId, Item, LinkLayer};
use tracer_core::trace::{SourceId, SourceSpec, Taken, Tracer};
use tracer_core::units::Timestamp;

use super::OfflineError;
use super::input::Input;
use super::name::FileName;
use super::place::{Naming, PlaceError, Places, is_own};
use crate::error::chain;
use crate::interrupt::{Interrupt, Interruptible};

/// A file whose packets are handed over one by one, its other items as they come.
pub(super) struct CaptureFile {
    pub(super) label: String,
    pub(super) held: Held,
    reader: CaptureReader<Interruptible>,
    interrupt: Rc<Interrupt>,
    naming: Naming,
    source: SourceId,
    /// Link types of this section's interfaces that are not decoded.
    links: Vec<Option<u32>>,
    has_ended: bool,
}

/// What a file held, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Places of its interfaces, as `NODE/IFACE` or `POD:IFACE`.
    pub(super) places: Vec<String>,
    /// The same, to look them up: a hostile file has many.
    pub(super) known: BTreeSet<String>,
    pub(super) packets: u64,
    /// Packets that are followed.
    pub(super) decoded: u64,
    pub(super) not_ip: u64,
    /// Packets of which too little was captured to recognise them.
    pub(super) too_short: u64,
    /// Packets of link types that are not decoded.
    pub(super) links: BTreeMap<u32, u64>,
    /// Times of the first and the last packet.
    pub(super) span: Option<(Timestamp, Timestamp)>,
}

impl CaptureFile {
    /// Reads the header and announces the capture. Fails where it is none.
    pub(super) fn begin(
        number: usize,
        input: &Input,
        file: File,
        interrupt: &Rc<Interrupt>,
        tracer: &mut Tracer,
    ) -> Result<Self, OfflineError> {
        let label = input.label();
        let unreadable = |source| {
            if interrupt.is_raised() {
                return OfflineError::Interrupted;
            }
            OfflineError::Unreadable { file: input.label(), source }
        };
        let reader = CaptureReader::new(Interruptible::new(file, interrupt)).map_err(unreadable)?;
        let mut reader = reader.expecting(Expected::File);
        let name = FileName::of(&input.path);
        let mut naming = Naming::new(number, label.clone(), input.given.clone(), name, reader.format());
        // The first item is the section.
        reader.advance().map_err(unreadable)?;
        let tells_gso = match reader.item() {
            Item::Section(section) => {
                naming.section(&section);
                is_own(&section)
            }
            _ => false,
        };
        let source = tracer.source(&SourceSpec { node: naming.node().to_owned(), tells_gso });
        Ok(Self {
            label,
            held: Held::default(),
            reader,
            interrupt: Rc::clone(interrupt),
            naming,
            source,
            links: Vec::new(),
            has_ended: false,
        })
    }

    /// Hands the present item over.
    pub(super) fn deliver(&mut self, tracer: &mut Tracer, now: Timestamp) {
        let item = self.reader.item();
        let taken = tracer.take(self.source, &item, now);
        if let Item::Frame(frame) = &item {
            let link = self.links.get(frame.interface.0 as usize).copied().flatten();
            self.held.count(taken, frame.time, link);
        }
    }

    /// Goes on to the next packet and hands over what comes before it. Returns the packet's time; nothing at the end.
    pub(super) fn next_packet(
        &mut self,
        tracer: &mut Tracer,
        places: &mut Places,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, PlaceError> {
        loop {
            match self.reader.advance() {
                Ok(true) => {}
                Ok(false) | Err(_) if self.interrupt.is_raised() => self.give_up(tracer, now),
                Ok(false) => {
                    self.has_ended = true;
                    tracer.ended(self.source, now);
                }
                Err(error) => self.fail(tracer, &chain(&error), now),
            }
            if self.has_ended {
                return Ok(None);
            }
            if let Some(time) = self.reader.packet_time() {
                return Ok(Some(time));
            }
            match self.reader.item() {
                Item::Interface(id, interface) => self.describe(id, &interface, tracer, places, now)?,
                item => {
                    if let Item::Section(section) = &item {
                        self.naming.section(section);
                        self.links.clear();
                    }
                    tracer.take(self.source, &item, now);
                }
            }
        }
    }

    /// Hands over the first section, which [`Self::begin`] read.
    pub(super) fn deliver_section(&mut self, tracer: &mut Tracer) {
        tracer.take(self.source, &self.reader.item(), Timestamp::default());
    }

    /// Leaves the rest unread, because the user asked to end.
    pub(super) fn give_up(&mut self, tracer: &mut Tracer, now: Timestamp) {
        if !self.has_ended {
            self.fail(tracer, "not read to its end, a signal came", now);
        }
    }

    fn fail(&mut self, tracer: &mut Tracer, reason: &str, now: Timestamp) {
        self.has_ended = true;
        tracer.broken(self.source, &format!("{}: {reason}", self.label), now);
    }

    fn describe(
        &mut self,
        id: InterfaceId,
        described: &Interface,
        tracer: &mut Tracer,
        places: &mut Places,
        now: Timestamp,
    ) -> Result<(), PlaceError> {
        let interface = self.naming.interface(described, places)?;
        self.links.push(match interface.link {
            LinkLayer::Other(number) => Some(number),
            LinkLayer::Ethernet | LinkLayer::SyntheticEthernet => None,
        });
        let node = interface.node.as_deref().unwrap_or_default();
        let place = match &interface.pod {
            Some(pod) => format!("{pod}:{}", interface.name),
            None => format!("{node}/{}", interface.name),
        };
        if self.held.known.insert(place.clone()) {
            self.held.places.push(place);
        }
        tracer.take(self.source, &Item::Interface(id, interface), now);
        Ok(())
    }
}

impl Held {
    fn count(&mut self, taken: Taken, time: Timestamp, link: Option<u32>) {
        self.packets += 1;
        match (taken, link) {
            (Taken::Followed, _) => self.decoded += 1,
            (Taken::NotIp, _) => self.not_ip += 1,
            (Taken::Unidentified, _) => self.too_short += 1,
            (_, Some(link)) => *self.links.entry(link).or_default() += 1,
            // Counted by the trace, and told with what it lost.
            (Taken::Undecodable | Taken::Nothing, None) => {}
        }
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first.min(time), last.max(time)));
    }
}
