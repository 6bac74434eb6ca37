//! Recordings fed to the engine, and what their payloads say beside it.

use std::{fs::File, io::BufReader, time::Duration};

use tracer_core::{
    capture::{CaptureReader, Frame, Interface, Item, Section},
    identity::HashKey,
    journey::Confidence,
    packet::Decoder,
    report::Report,
    resolve::Names,
    trace::{Budget, Progress, SourceId, SourceSpec, TraceOptions, Tracer},
    units::Timestamp,
};

use super::{
    TruthError,
    clocks::{self, Clock, Clocks},
    recorder::Recording,
    seen::{Place, Seen},
};

/// The window of a trace of files: longer than clocks differ.
const WINDOW: Duration = Duration::from_secs(30);
/// Items between two looks at what the engine has finished.
const TURN: u64 = 4096;

/// What the engine made of some recordings, and what their payloads say.
#[derive(Debug)]
pub struct Replay {
    /// What the payloads say.
    pub seen: Seen,
    /// What the engine says of single packets.
    pub journeys: Vec<Told>,
    /// What the engine says of all.
    pub report: Report,
}

/// A journey as the engine tells it.
#[derive(Clone, Debug)]
pub struct Told {
    /// Its hops: wire segments by their number in [`Seen`]; absent where the engine names one that is not there.
    pub hops: Vec<Option<u32>>,
    /// How sure it is.
    pub confidence: Confidence,
}

/// Feeds the recordings to the engine in the order of their times, as `kflow trace -r` does.
///
/// Each node is told to be a machine with a clock of its own, though in the lab they share one: the engine must not
/// rely on that.
pub fn replay(recordings: &[Recording], names: Names, clocks: Clocks) -> Result<Replay, TruthError> {
    let options = TraceOptions {
        window: WINDOW,
        hash_key: HashKey([0x5e; 16]),
        decoder: Decoder::default(),
        keep_frames: false,
        keep_journeys: true,
        is_merged: true,
        budget: Budget::default(),
    };
    let mut tracer = Tracer::new(options, None, names);
    let span = clocks::span(recordings)?;
    let open = |recording: &Recording| Source::open(recording, clocks.of(recording.node, span), &mut tracer);
    let mut sources: Vec<Source> = recordings.iter().map(open).collect::<Result<_, _>>()?;
    let mut state =
        State { tracer, seen: Seen::default(), journeys: Vec::new(), now: Timestamp(0), turns: 0 };
    while let Some(number) = earliest(&sources) {
        sources[number].feed(&mut state)?;
    }
    for source in &sources {
        state.tracer.ended(source.id, state.now);
    }
    let State { tracer, seen, mut journeys, .. } = state;
    let (report, progress, _) = tracer.finish();
    collect(&seen, progress, &mut journeys);
    Ok(Replay { seen, journeys, report })
}

struct State {
    tracer: Tracer,
    seen: Seen,
    journeys: Vec<Told>,
    /// The largest time so far.
    now: Timestamp,
    turns: u64,
}

impl State {
    fn turn(&mut self) {
        self.turns += 1;
        if self.turns.is_multiple_of(TURN) {
            let progress = self.tracer.advance(self.now);
            collect(&self.seen, progress, &mut self.journeys);
        }
    }
}

fn collect(seen: &Seen, progress: Progress, journeys: &mut Vec<Told>) {
    for traced in progress.journeys {
        let hops = traced.journey.hops.iter().map(|hop| seen.number(hop.observation.0, hop.part));
        journeys.push(Told { hops: hops.collect(), confidence: traced.journey.confidence });
    }
}

/// The source whose next item is the earliest; one whose next item has no time comes first.
fn earliest(sources: &[Source]) -> Option<usize> {
    let waiting = sources.iter().enumerate().filter(|(_, source)| source.next.is_some());
    waiting.min_by_key(|(_, source)| source.time()).map(|(number, _)| number)
}

fn time(item: &Item<'_>) -> Option<Timestamp> {
    match item {
        Item::Frame(frame) => Some(frame.time),
        Item::Statistics(_, time, _) => Some(*time),
        Item::Section(_) | Item::Interface(..) | Item::Other(_) => None,
    }
}

struct Source {
    id: SourceId,
    node: &'static str,
    reader: CaptureReader<BufReader<File>>,
    clock: Clock,
    next: Option<Item<'static>>,
    interfaces: Vec<Interface>,
}

impl Source {
    fn open(recording: &Recording, clock: Clock, tracer: &mut Tracer) -> Result<Self, TruthError> {
        let file = File::open(&recording.path).map_err(TruthError::Recorder)?;
        let reader = CaptureReader::new(BufReader::new(file)).map_err(TruthError::Unread)?;
        let id = tracer.source(&SourceSpec { node: recording.node.to_owned(), tells_gso: true });
        let mut source = Self { id, node: recording.node, reader, clock, next: None, interfaces: Vec::new() };
        source.read()?;
        Ok(source)
    }

    fn read(&mut self) -> Result<(), TruthError> {
        let item = self.reader.next_item().map_err(TruthError::Unread)?;
        self.next = item.map(|item| told(self.node, item).into_owned());
        Ok(())
    }

    fn feed(&mut self, state: &mut State) -> Result<(), TruthError> {
        let Some(item) = self.next.take() else { return Ok(()) };
        match &item {
            Item::Interface(_, interface) => self.interfaces.push(interface.clone()),
            Item::Frame(frame) => self.look(frame, &mut state.seen),
            Item::Section(_) | Item::Statistics(..) | Item::Other(_) => {}
        }
        let item = self.by_clock(item);
        state.now = state.now.max(time(&item).unwrap_or_default());
        state.tracer.take(self.id, &item, state.now);
        state.turn();
        self.read()
    }

    /// When the next item was seen, by the node's clock; absent where it has no time, or there is none.
    fn time(&self) -> Option<Timestamp> {
        Some(self.clock.shows(time(self.next.as_ref()?)?))
    }

    /// The item as of the node's clock.
    fn by_clock<'a>(&self, item: Item<'a>) -> Item<'a> {
        match item {
            Item::Frame(frame) => Item::Frame(Frame { time: self.clock.shows(frame.time), ..frame }),
            Item::Statistics(id, time, statistics) => {
                Item::Statistics(id, self.clock.shows(time), statistics)
            }
            other => other,
        }
    }

    fn look(&self, frame: &Frame<'_>, seen: &mut Seen) {
        let Some(interface) = self.interfaces.get(frame.interface.0 as usize) else { return };
        let pod = interface.pod.as_deref().map(|pod| pod.rsplit('/').next().unwrap_or(pod));
        let host = pod.unwrap_or_else(|| interface.node.as_deref().unwrap_or(self.node));
        seen.frame(&Place::new(host, &interface.name, frame.direction), frame);
    }
}

/// The item with a clock of its own for each node.
fn told<'a>(node: &str, item: Item<'a>) -> Item<'a> {
    match item {
        Item::Section(section) => Item::Section(Section { boot_id: Some(node.to_owned()), ..section }),
        other => other,
    }
}
