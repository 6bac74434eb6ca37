//! The streams of all nodes, made before they are played.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tests::cluster::Play;
use tests::synthetic::{Node, REQUESTS, SNAP, Schedule, Traffic};
use tokio::sync::watch;
use tracer_core::capture::{CaptureWriter, Frame, InterfaceId, Section, Statistics};
use tracer_core::units::Timestamp;
use zstd::stream::write::Encoder;

use crate::Failure;

/// When every stream begins, by its packets, in nanoseconds since the epoch.
pub(crate) const BEGIN: Timestamp = Timestamp(1_700_000_000_000_000_000);
/// What a node hands over at once, in nanoseconds.
const PART: u64 = 10_000_000;
/// How often a capture tells its counters, in parts.
const TELL: u64 = 25;
/// Connections that are open at the same time between two nodes.
const OPEN: u64 = 200;
/// As agents compress (`tracer/src/sink/compress.rs`).
const LEVEL: i32 = 1;

type Begin = watch::Receiver<Option<Instant>>;

pub(crate) struct Streams {
    plays: Vec<(String, Arc<Play>)>,
    observations: u64,
    bytes: u64,
}

impl Streams {
    /// Two streams for each pair.
    pub(crate) fn make(pairs: u8, rate: u64, seconds: u64, begin: &Begin) -> Result<Self, Failure> {
        let mut streams = Self { plays: Vec::new(), observations: 0, bytes: 0 };
        for pair in 0..pairs {
            let traffic = Traffic {
                pair,
                frames: 2 * rate * seconds,
                rate: 2 * rate,
                begin: BEGIN,
                requests: REQUESTS,
                open: Some(OPEN),
            };
            let mut schedule = Schedule::new(&traffic);
            let mut ends = [Recording::begin(Node::Clients, pair)?, Recording::begin(Node::Servers, pair)?];
            while let Some(frame) = schedule.next_frame() {
                let (node, interface) = Node::of(frame.interface);
                ends[usize::from(node == Node::Servers)].frame(&Frame { interface, ..frame })?;
            }
            streams.observations += schedule.made();
            for recording in ends {
                let name = recording.node.name(pair);
                let number = streams.plays.len() as u64;
                let (play, bytes) = recording.end(number * PART / (2 * u64::from(pairs)), begin)?;
                streams.bytes += bytes;
                streams.plays.push((name, Arc::new(play)));
            }
        }
        Ok(streams)
    }

    /// Names of nodes, and what they send.
    pub(crate) fn plays(&self) -> impl Iterator<Item = &(String, Arc<Play>)> {
        self.plays.iter()
    }

    pub(crate) fn observations(&self) -> u64 {
        self.observations
    }

    /// As they are sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn are_played(&self) -> bool {
        self.plays.iter().all(|(_, play)| play.is_played())
    }

    pub(crate) fn latest(&self) -> Duration {
        self.plays.iter().map(|(_, play)| play.latest()).max().unwrap_or_default()
    }
}

/// What one node records.
struct Recording {
    node: Node,
    writer: CaptureWriter<Vec<u8>>,
    packer: Encoder<'static, Vec<u8>>,
    head: Vec<u8>,
    parts: Vec<Vec<u8>>,
    counts: Vec<u64>,
}

impl Recording {
    fn begin(node: Node, pair: u8) -> Result<Self, Failure> {
        let section = Section {
            node: Some(node.name(pair)),
            application: Some("kflow nodes".to_owned()),
            ..Section::default()
        };
        let mut writer = CaptureWriter::new(Vec::new(), &section, SNAP)?;
        let interfaces = node.interfaces(pair);
        for interface in &interfaces {
            let id = writer.interface(interface)?;
            writer.statistics(id, time_of(node, 0), &Statistics::default())?;
        }
        let packer = Encoder::new(Vec::new(), LEVEL)?;
        let counts = vec![0; interfaces.len()];
        let mut recording = Self { node, writer, packer, head: Vec::new(), parts: Vec::new(), counts };
        recording.head = recording.pack()?;
        Ok(recording)
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        while frame.time > time_of(self.node, self.parts.len() as u64 + 1) {
            self.part()?;
        }
        self.counts[frame.interface.0 as usize] += 1;
        Ok(self.writer.frame(frame)?)
    }

    /// Ends a part.
    fn part(&mut self) -> Result<(), Failure> {
        let number = self.parts.len() as u64 + 1;
        if number.is_multiple_of(TELL) {
            self.tell(number)?;
        }
        let part = self.pack()?;
        self.parts.push(part);
        Ok(())
    }

    fn tell(&mut self, number: u64) -> Result<(), Failure> {
        for (id, count) in (0..).zip(&self.counts) {
            let statistics = Statistics { seen: *count, matched: *count, lost: 0, written: *count };
            self.writer.statistics(InterfaceId(id), time_of(self.node, number), &statistics)?;
        }
        Ok(())
    }

    fn pack(&mut self) -> Result<Vec<u8>, Failure> {
        use std::io::Write as _;
        self.packer.write_all(&mem::take(self.writer.get_mut()))?;
        self.packer.flush()?;
        Ok(mem::take(self.packer.get_mut()))
    }

    /// The stream, each part `offset` nanoseconds after its end, and its bytes. Its end has no packets: all captures have
    /// come past the time of every one.
    fn end(mut self, offset: u64, begin: &Begin) -> Result<(Play, u64), Failure> {
        /// As a live capture goes on without packets: to the end of the trace's window.
        const QUIET: u64 = 10;
        self.part()?;
        let busy = self.parts.len() as u64;
        for number in 1..=QUIET {
            self.tell(busy + number * TELL)?;
            let part = self.pack()?;
            self.parts.push(part);
        }
        let bytes = self.parts.iter().map(|part| part.len() as u64).sum();
        let due = |number: u64| {
            let parts = if number < busy { number + 1 } else { busy + (number + 1 - busy) * TELL };
            Duration::from_nanos(parts * PART + offset)
        };
        let parts = (0..).zip(self.parts).map(|(number, part)| (due(number), part)).collect();
        Ok((Play::new(self.head, parts, begin.clone()), bytes))
    }
}

/// The end of so many parts by the clock of a node.
fn time_of(node: Node, parts: u64) -> Timestamp {
    Timestamp(BEGIN.0 + parts * PART).offset(node.clock())
}
