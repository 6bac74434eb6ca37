//! Whether a capture of ours is whole: its counters tell how many packets it has, and it ends with them.
//!
//! Bytes that are missing between two blocks leave a capture that is in order. Only what it tells of itself shows that
//! there was more.

use super::super::{CaptureError, Interface, InterfaceId, Section, Statistics};
use super::Current;
use crate::drops;

/// What `shb_userappl` of our captures begins with.
const OWN: &str = "kflow ";

/// What is expected of a capture beyond blocks that are in order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// A stream of our own as it comes: counters are those of the packets before them, and nothing comes after the last.
    Stream,
    /// A file: where we wrote it, counters that it began with come once more at its end, and tell of no more packets
    /// than there are between. Other programs may have left packets out, and then have the last counters only.
    File,
}

/// Packets and counters of the interfaces of a section.
pub(super) struct Tally {
    expected: Expected,
    is_own: bool,
    interfaces: Vec<Counted>,
}

struct Counted {
    name: String,
    /// Packets since its description.
    packets: u64,
    /// Packets when its counters were told last; absent before they were.
    told: Option<u64>,
    /// What they told at first, and how many packets there were.
    first: Option<(u64, u64)>,
}

impl Tally {
    pub(super) fn new(expected: Expected) -> Self {
        Self { expected, is_own: expected == Expected::Stream, interfaces: Vec::new() }
    }

    /// Takes the next item, which begins at this byte. Fails where what came before it is not what it should be.
    pub(super) fn take(&mut self, item: &Current, packet_of: u32, offset: u64) -> Result<(), CaptureError> {
        match item {
            Current::Section(section) => {
                self.end(offset)?;
                self.begin(section);
            }
            Current::Interface(_, interface) => self.describe(interface),
            Current::Packet => {
                if let Some(counted) = self.interfaces.get_mut(packet_of as usize) {
                    counted.packets += 1;
                }
            }
            Current::Statistics(id, _, statistics) => self.count(*id, statistics, offset)?,
            Current::Other(_) => {}
        }
        Ok(())
    }

    /// Fails where a capture that ends at this byte had more to tell.
    pub(super) fn end(&self, offset: u64) -> Result<(), CaptureError> {
        let is_open = |counted: &Counted| match counted.told {
            Some(told) => counted.packets > told,
            None => self.expected == Expected::Stream && counted.packets > 0,
        };
        // Drops are counted over several interfaces.
        let mut judged =
            self.interfaces.iter().filter(|counted| drops::is_interface(&counted.name).is_none());
        if self.is_own && judged.any(is_open) { Err(CaptureError::NoEnd(offset)) } else { Ok(()) }
    }

    fn begin(&mut self, section: &Section) {
        self.interfaces.clear();
        if self.expected == Expected::File {
            self.is_own = section.application.as_ref().is_some_and(|name| name.starts_with(OWN));
        }
    }

    fn describe(&mut self, interface: &Interface) {
        self.interfaces.push(Counted { name: interface.name.clone(), packets: 0, told: None, first: None });
    }

    fn count(&mut self, id: InterfaceId, statistics: &Statistics, offset: u64) -> Result<(), CaptureError> {
        let Some(counted) = self.interfaces.get_mut(id.0 as usize) else { return Ok(()) };
        counted.told = Some(counted.packets);
        let first = *counted.first.get_or_insert((statistics.written, counted.packets));
        if !self.is_own || drops::is_interface(&counted.name).is_some() {
            return Ok(());
        }
        let (told, read) = match self.expected {
            Expected::Stream => (statistics.written, counted.packets),
            Expected::File => (statistics.written.saturating_sub(first.0), counted.packets - first.1),
        };
        let is_whole = match self.expected {
            Expected::Stream => told == read,
            // Counters at the end of a file that another one follows may be older than its last packets.
            Expected::File => read == 0 || told <= read,
        };
        if is_whole {
            return Ok(());
        }
        Err(CaptureError::Miscounted { interface: counted.name.clone(), told, read, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::CaptureWriter;
    use super::super::CaptureReader;
    use super::*;
    use crate::capture::{Frame, LinkLayer};
    use crate::units::{SnapLength, Timestamp};

    /// Blocks of a capture: `i` describes `eth0`, `p` is a packet, a digit counters that tell of so many.
    fn capture(application: &str, blocks: &str) -> Vec<u8> {
        let section = Section { application: Some(application.to_owned()), ..Section::default() };
        let mut writer = CaptureWriter::new(Vec::new(), &section, SnapLength(96)).unwrap();
        let interface = Interface {
            name: "eth0".to_owned(),
            node: None,
            pod: None,
            ifindex: Some(2),
            link: LinkLayer::Ethernet,
            mac: None,
        };
        let frame = Frame {
            interface: InterfaceId(0),
            time: Timestamp(1),
            direction: None,
            original_len: 60,
            data: vec![0; 60].into(),
            gso: None,
            mark: 0,
            lost_before: 0,
            comment: None,
        };
        for block in blocks.chars() {
            match block {
                'i' => drop(writer.interface(&interface).unwrap()),
                'p' => writer.frame(&frame).unwrap(),
                's' => writer.section(&section).unwrap(),
                digit => {
                    let written = u64::from(digit.to_digit(10).unwrap());
                    let statistics = Statistics { written, ..Statistics::default() };
                    writer.statistics(InterfaceId(0), Timestamp(1), &statistics).unwrap();
                }
            }
        }
        writer.into_inner()
    }

    /// How many packets there are before the end, and what is wrong with it.
    fn read(bytes: &[u8], expected: Expected) -> (usize, Option<String>) {
        let mut reader = CaptureReader::new(bytes).unwrap().expecting(expected);
        let mut packets = 0;
        loop {
            match reader.advance() {
                Ok(true) => packets += usize::from(reader.packet_time().is_some()),
                Ok(false) => return (packets, None),
                Err(error) => return (packets, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn a_capture_that_is_not_whole_is_told() {
        let stream = Expected::Stream;
        let missing = "its counters tell of 2 packets of eth0, and it has 1";
        let twice = "its counters tell of 1 packets of eth0, and it has 2";
        let open = "without the counters that it ends with";
        for (application, blocks, expected, packets, said) in [
            ("kflow 1", "i0pp2p3", stream, 3, None),
            ("kflow 1", "i0", stream, 0, None),
            ("kflow 1", "i0p2p3", stream, 1, Some(missing)),
            ("kflow 1", "i0pp1", stream, 2, Some(twice)),
            ("kflow 1", "i0p", stream, 1, Some(open)),
            ("kflow 1", "ip", stream, 1, Some(open)),
            ("kflow 1", "i0p1si0pp", stream, 3, Some(open)),
            ("kflow 1", "i0p1si0p1", stream, 2, None),
            ("kflow 1", "i0ppp", Expected::File, 3, Some(open)),
            ("kflow 1", "i0psi0p1", Expected::File, 1, Some(open)),
            ("kflow 1", "i0p2", Expected::File, 1, Some(missing)),
            ("kflow 1", "i0ppp2", Expected::File, 3, None),
            ("kflow 1", "i3ppp5", Expected::File, 3, None),
            ("kflow 1", "ipp05", Expected::File, 2, None),
            ("dumpcap", "i0p2", Expected::File, 1, None),
            // What another program makes of it.
            ("kflow 1", "ipp4", Expected::File, 2, None),
            ("kflow 1", "ipp", Expected::File, 2, None),
            ("dumpcap", "i0ppp", Expected::File, 3, None),
        ] {
            let (read, told) = read(&capture(application, blocks), expected);
            assert_eq!((read, told.is_some()), (packets, said.is_some()), "{blocks}: {told:?}");
            let told = told.unwrap_or_default();
            assert!(
                told.contains(said.unwrap_or_default()) && (said.is_none() || told.contains("byte ")),
                "{told}"
            );
        }
    }
}
