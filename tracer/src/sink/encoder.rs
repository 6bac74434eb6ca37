//! Packets and interfaces to the bytes of one file after another.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use tracer_core::capture::{
    CaptureError, CaptureWriter, Frame, Interface, InterfaceId, LinkLayer, PcapWriter, Section, Statistics,
};
use tracer_core::units::{SnapLength, Timestamp};

use super::{Format, SinkError};

/// `LINKTYPE_ETHERNET` (tcpdump.org/linktypes.html).
const ETHERNET: u32 = 1;

/// Encodes into a buffer of its own, which its owner empties into files. After each call it ends with a whole block.
pub(super) struct Encoder {
    section: Section,
    snap: SnapLength,
    interfaces: Vec<Known>,
    /// Of the same interfaces, what is looked at for each packet: there may be thousands of them.
    here: Vec<Here>,
    /// Those that every file begins with.
    names: BTreeMap<IpAddr, Vec<String>>,
    writer: Writer,
}

/// Addresses in one block: a block has to be small enough for every reader.
const NAMES: usize = 4096;

enum Writer {
    Pcapng(CaptureWriter<Vec<u8>>),
    /// The header waits for the first interface, which tells the link type.
    Pcap(PcapState),
}

struct PcapState {
    writer: Option<PcapWriter<Vec<u8>>>,
    /// Of the interface that was described first.
    link_type: Option<(u32, String)>,
    /// What `writer` will write to.
    empty: Vec<u8>,
}

/// An interface of the capture, in whichever file.
struct Known {
    interface: Interface,
    /// The pod at its other end.
    peer: Option<String>,
    is_retired: bool,
    statistics: Option<(Timestamp, Statistics)>,
}

/// An interface in the present file.
#[derive(Clone, Copy, Default)]
struct Here {
    /// Its number; absent where it was not described.
    local: Option<InterfaceId>,
    /// Its statistics as they were last known are in the file, and nothing came since.
    is_told: bool,
}

impl Encoder {
    /// Begins the first file. The buffer holds `capacity` bytes without growing.
    pub(super) fn new(
        format: Format,
        section: Section,
        snap: SnapLength,
        capacity: usize,
    ) -> Result<Self, CaptureError> {
        let buffer = Vec::with_capacity(capacity);
        let writer = match format {
            Format::Pcapng => Writer::Pcapng(CaptureWriter::new(buffer, &section, snap)?),
            Format::Pcap => Writer::Pcap(PcapState { writer: None, link_type: None, empty: buffer }),
        };
        let (interfaces, here) = (Vec::new(), Vec::new());
        Ok(Self { section, snap, interfaces, here, names: BTreeMap::new(), writer })
    }

    /// What is to be written.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        match &mut self.writer {
            Writer::Pcapng(writer) => writer.get_mut(),
            Writer::Pcap(PcapState { writer: Some(writer), .. }) => writer.get_mut(),
            Writer::Pcap(state) => &mut state.empty,
        }
    }

    /// Bytes that are to be written.
    pub(super) fn buffered(&self) -> usize {
        match &self.writer {
            Writer::Pcapng(writer) => writer.get_ref().len(),
            Writer::Pcap(PcapState { writer: Some(writer), .. }) => writer.get_ref().len(),
            Writer::Pcap(_) => 0,
        }
    }

    /// Describes an interface in this file and, until it is retired, in those that follow.
    pub(super) fn interface(
        &mut self,
        interface: &Interface,
        peer: Option<&str>,
    ) -> Result<InterfaceId, SinkError> {
        let local = match &mut self.writer {
            Writer::Pcapng(writer) => writer.interface_of(interface, peer)?,
            Writer::Pcap(state) => {
                state.accept(interface, self.snap)?;
                InterfaceId(0)
            }
        };
        let id = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        self.interfaces.push(Known {
            interface: interface.clone(),
            peer: peer.map(str::to_owned),
            is_retired: false,
            statistics: None,
        });
        self.here.push(Here { local: Some(local), is_told: false });
        Ok(InterfaceId(id))
    }

    /// Describes it no more.
    pub(super) fn retire(&mut self, id: InterfaceId) {
        if let Some(known) = self.interfaces.get_mut(id.0 as usize) {
            known.is_retired = true;
        }
    }

    /// Makes sure that the present file describes the interface.
    pub(super) fn describe(&mut self, id: InterfaceId) -> Result<InterfaceId, CaptureError> {
        let Self { interfaces, here, writer, .. } = self;
        let number = id.0 as usize;
        let (Some(known), Some(here)) = (interfaces.get(number), here.get_mut(number)) else {
            return Err(CaptureError::UnknownInterface(id.0));
        };
        // What was told is told of what came before.
        here.is_told = false;
        match (here.local, writer) {
            (Some(local), _) => Ok(local),
            (None, Writer::Pcapng(writer)) => {
                let local = writer.interface_of(&known.interface, known.peer.as_deref())?;
                here.local = Some(local);
                Ok(local)
            }
            (None, Writer::Pcap(_)) => Ok(InterfaceId(0)),
        }
    }

    /// Encodes a packet of an interface that has the number `local` in this file.
    pub(super) fn frame(&mut self, frame: &Frame<'_>, local: InterfaceId) -> Result<(), CaptureError> {
        match &mut self.writer {
            Writer::Pcapng(writer) if frame.interface == local => writer.frame(frame),
            Writer::Pcapng(writer) => writer.frame(&Frame {
                interface: local,
                data: Cow::Borrowed(&frame.data),
                comment: frame.comment.as_deref().map(Cow::Borrowed),
                ..*frame
            }),
            Writer::Pcap(PcapState { writer: Some(writer), .. }) => writer.frame(frame),
            Writer::Pcap(_) => Err(CaptureError::UnknownInterface(frame.interface.0)),
        }
    }

    /// Keeps statistics for the end of the file.
    pub(super) fn remember(&mut self, id: InterfaceId, time: Timestamp, statistics: &Statistics) {
        let number = id.0 as usize;
        if let (Some(known), Some(here)) = (self.interfaces.get_mut(number), self.here.get_mut(number)) {
            known.statistics = Some((time, *statistics));
            here.is_told = false;
        }
    }

    /// Encodes statistics, which pcap has no place for.
    pub(super) fn statistics(
        &mut self,
        id: InterfaceId,
        time: Timestamp,
        statistics: &Statistics,
    ) -> Result<(), CaptureError> {
        self.remember(id, time, statistics);
        let local = self.describe(id)?;
        if let Some(here) = self.here.get_mut(id.0 as usize) {
            here.is_told = true;
        }
        match &mut self.writer {
            Writer::Pcapng(writer) => writer.statistics(local, time, statistics),
            Writer::Pcap(_) => Ok(()),
        }
    }

    /// Encodes what a file ends with: the statistics last known of each of its interfaces, unless nothing came since they
    /// were told.
    pub(super) fn end_file(&mut self) -> Result<(), CaptureError> {
        let Self { interfaces, here, writer: Writer::Pcapng(writer), .. } = self else { return Ok(()) };
        for (known, here) in interfaces.iter().zip(here) {
            if let (Some(local), Some((time, statistics)), false) =
                (here.local, &known.statistics, here.is_told)
            {
                writer.statistics(local, *time, statistics)?;
            }
        }
        Ok(())
    }

    /// Encodes what a further file begins with. The buffer is empty before.
    pub(super) fn begin_file(&mut self) -> Result<(), CaptureError> {
        let Self { interfaces, here, names, writer, section, snap } = self;
        let writer = match writer {
            Writer::Pcapng(writer) => writer,
            Writer::Pcap(state) => return state.begin(*snap),
        };
        writer.section(section)?;
        write_names(writer, names)?;
        for (known, here) in interfaces.iter().zip(here) {
            *here = Here::default();
            if !known.is_retired {
                here.local = Some(writer.interface_of(&known.interface, known.peer.as_deref())?);
            }
        }
        Ok(())
    }

    /// Encodes names of addresses, for those that were not told or have others now, in this file and those that follow.
    pub(super) fn names(&mut self, names: &BTreeMap<IpAddr, Vec<String>>) -> Result<(), CaptureError> {
        let Writer::Pcapng(writer) = &mut self.writer else { return Ok(()) };
        let is_new = |(address, names): &(&IpAddr, &Vec<String>)| self.names.get(*address) != Some(*names);
        let new = names.iter().filter(is_new).map(|(address, names)| (*address, names.clone())).collect();
        write_names(writer, &new)?;
        self.names.extend(new);
        Ok(())
    }

    /// Encodes what a capture without any interface lacks.
    pub(super) fn end(&mut self) -> Result<(), CaptureError> {
        match &mut self.writer {
            Writer::Pcap(state) if state.writer.is_none() => state.begin(self.snap),
            Writer::Pcap(_) | Writer::Pcapng(_) => Ok(()),
        }
    }
}

fn write_names(
    writer: &mut CaptureWriter<Vec<u8>>,
    names: &BTreeMap<IpAddr, Vec<String>>,
) -> Result<(), CaptureError> {
    let mut names = names.iter().peekable();
    while names.peek().is_some() {
        let some = names.by_ref().take(NAMES).map(|(address, names)| (*address, names.clone()));
        writer.names(&some.collect())?;
    }
    Ok(())
}

impl PcapState {
    fn accept(&mut self, interface: &Interface, snap: SnapLength) -> Result<(), SinkError> {
        let link_type = match interface.link {
            LinkLayer::Ethernet | LinkLayer::SyntheticEthernet => ETHERNET,
            LinkLayer::Other(number) => number,
        };
        match &self.link_type {
            Some((first_type, first)) if *first_type != link_type => Err(SinkError::MixedLinkTypes {
                first: first.clone(),
                first_type: *first_type,
                other: interface.name.clone(),
                other_type: link_type,
            }),
            Some(_) => Ok(()),
            None => {
                self.link_type = Some((link_type, interface.name.clone()));
                Ok(self.begin(snap)?)
            }
        }
    }

    fn begin(&mut self, snap: SnapLength) -> Result<(), CaptureError> {
        let link_type = self.link_type.as_ref().map_or(ETHERNET, |(number, _)| *number);
        let buffer = match self.writer.take() {
            Some(writer) => writer.into_inner(),
            None => std::mem::take(&mut self.empty),
        };
        self.writer = Some(PcapWriter::new(buffer, link_type, snap)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
