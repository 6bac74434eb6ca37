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
/// As an agent does it (`tracer/src/capture/session/lead.rs`), a node hands over what it has so many nanoseconds after it
/// did the last time,
const TURN: u64 = 50_000_000;
/// and before that when it has so many bytes (`tracer/src/sink/recorder.rs`).
const BUFFER: usize = 64 << 10;
/// How often a capture tells its counters, in nanoseconds.
const TELL: u64 = 250_000_000;
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
                let (play, bytes) = recording.end(number * TURN / (2 * u64::from(pairs)), begin)?;
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
    /// With the nanoseconds from the beginning to their ends.
    parts: Vec<(u64, Vec<u8>)>,
    /// When counters were told last.
    told: u64,
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
        let mut packer = Encoder::new(Vec::new(), LEVEL)?;
        packer.include_checksum(true)?;
        let counts = vec![0; interfaces.len()];
        let (head, parts) = (Vec::new(), Vec::new());
        let mut recording = Self { node, writer, packer, head, parts, told: 0, counts };
        recording.head = recording.pack()?;
        Ok(recording)
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        while frame.time > time_of(self.node, self.last() + TURN) {
            self.part(self.last() + TURN)?;
        }
        self.counts[frame.interface.0 as usize] += 1;
        self.writer.frame(frame)?;
        if self.writer.get_mut().len() >= BUFFER {
            self.part(frame.time.0.saturating_sub(time_of(self.node, 0).0))?;
        }
        Ok(())
    }

    /// When the last part ended.
    fn last(&self) -> u64 {
        self.parts.last().map_or(0, |(end, _)| *end)
    }

    /// Ends a part.
    fn part(&mut self, end: u64) -> Result<(), Failure> {
        if end >= self.told + TELL {
            self.tell(end)?;
        }
        let part = self.pack()?;
        self.parts.push((end, part));
        Ok(())
    }

    fn tell(&mut self, at: u64) -> Result<(), Failure> {
        self.told = at;
        for (id, count) in (0..).zip(&self.counts) {
            let statistics = Statistics { seen: *count, matched: *count, lost: 0, written: *count };
            self.writer.statistics(InterfaceId(id), time_of(self.node, at), &statistics)?;
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
        self.part(self.last() + TURN)?;
        for _ in 0..QUIET {
            self.part(self.last() + TELL)?;
        }
        let at = self.last() + TELL;
        self.parts.push((at, self.packer.finish()?));
        let bytes = self.parts.iter().map(|(_, part)| part.len() as u64).sum();
        let due = |(end, part)| (Duration::from_nanos(end + offset), part);
        let parts = self.parts.into_iter().map(due).collect();
        Ok((Play::new(self.head, parts, begin.clone()), bytes))
    }
}

/// So many nanoseconds after the beginning, by the clock of a node.
fn time_of(node: Node, nanoseconds: u64) -> Timestamp {
    Timestamp(BEGIN.0 + nanoseconds).offset(node.clock())
}
