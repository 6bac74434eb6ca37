//! `kflow capture --drops` as a process whose output is read to its end.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tests::Namespace;
use tracer_core::capture::{CaptureReader, Frame, InterfaceId, Item, LinkLayer, Section, Statistics};
use tracer_core::drops::{Nature, Notice, is_interface};
use tracer_core::flow::Protocol;
use tracer_core::packet::Decoder;
use tracer_core::units::Direction;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A running capture; dropped without being stopped it is killed.
pub(crate) struct Recorder {
    child: Child,
    items: Receiver<Item<'static>>,
    section: Section,
}

/// A drop as it was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) notice: Notice,
    pub(crate) nature: Nature,
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) direction: Option<Direction>,
    /// The namespace that the interface is named for, where it is not the capture's own.
    pub(crate) foreign: Option<u64>,
    pub(crate) original_len: u32,
    /// Segments on the wire.
    pub(crate) segments: u16,
}

/// What a capture left.
pub(crate) struct Outcome {
    pub(crate) section: Section,
    pub(crate) drops: Vec<Told>,
    pub(crate) statistics: Statistics,
    pub(crate) packets: usize,
}

impl Recorder {
    /// Starts it in a namespace; programs are attached when this returns.
    pub(crate) fn start(here: &Namespace, words: &[&str]) -> Self {
        let mut child = Command::new(tests::kflow::program())
            .args(["capture", "--quiet", "--until-stdin-closes", "-i", "any", "-w", "-", "--netns"])
            .arg(here.path())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, items) = channel();
        thread::spawn(move || {
            let mut reader = CaptureReader::new(stdout).unwrap();
            while let Some(item) = reader.next_item().unwrap() {
                if sender.send(item.into_owned()).is_err() {
                    return;
                }
            }
        });
        let mut recorder = Self { child, items, section: Section::default() };
        loop {
            match recorder.items.recv_timeout(TIMEOUT).unwrap() {
                Item::Section(section) => recorder.section = section,
                Item::Statistics(..) => return recorder,
                _ => {}
            }
        }
    }

    /// Ends it, and decodes what it told.
    pub(crate) fn stop(mut self) -> Outcome {
        drop(self.child.stdin.take());
        let mut outcome = Outcome {
            section: std::mem::take(&mut self.section),
            drops: Vec::new(),
            statistics: Statistics::default(),
            packets: 0,
        };
        // Interfaces that are described at the start are before the first statistics, and are not read here.
        let mut interfaces: Vec<(InterfaceId, Option<u64>)> = Vec::new();
        let mut unnamed = Vec::new();
        while let Ok(item) = self.items.recv_timeout(TIMEOUT) {
            match item {
                Item::Interface(id, interface) => {
                    interfaces.extend(is_interface(&interface.name).map(|foreign| (id, foreign)));
                }
                Item::Frame(frame) if frame.comment.is_some() => unnamed.push(frame),
                Item::Frame(_) => outcome.packets += 1,
                Item::Statistics(_, _, statistics) => outcome.statistics = statistics,
                _ => {}
            }
        }
        let foreign =
            |id| interfaces.iter().find(|(known, _)| *known == id).and_then(|(_, foreign)| *foreign);
        outcome.drops = unnamed.iter().map(|frame| told(frame, foreign(frame.interface))).collect();
        assert!(self.child.wait().unwrap().code().is_some_and(|code| code == 0 || code == 3));
        outcome
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    /// Drops of packets to a port, or of a protocol without ports.
    pub(crate) fn to(&self, protocol: Protocol, port: u16) -> Vec<&Told> {
        self.drops.iter().filter(|told| told.protocol == protocol && told.port == port).collect()
    }

    /// Drops that are more than the end of a packet's life.
    pub(crate) fn lost(&self) -> Vec<&Told> {
        self.drops.iter().filter(|told| told.nature != Nature::Benign).collect()
    }
}

fn told(frame: &Frame<'_>, foreign: Option<u64>) -> Told {
    let notice: Notice = frame.comment.as_ref().unwrap().parse().unwrap();
    let packet =
        Decoder::default().decode(LinkLayer::SyntheticEthernet, &frame.data, frame.original_len).unwrap();
    Told {
        nature: Nature::of(&notice, &packet),
        protocol: packet.flow.protocol,
        port: packet.flow.destination.port.0,
        direction: frame.direction,
        foreign,
        original_len: frame.original_len,
        segments: frame.gso.map_or(1, |gso| gso.segments),
        notice,
    }
}
