//! A script through the whole of a trace.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use tracer_core::capture::{Frame, Interface, InterfaceId, Item, LinkLayer, Section, Statistics};
use tracer_core::clock::Latency;
use tracer_core::identity::HashKey;
use tracer_core::packet::Decoder;
use tracer_core::report::Report;
use tracer_core::resolve::Names;
use tracer_core::trace::{Budget, Progress, SourceId, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::{Direction, Gso, Timestamp};

use crate::capture::tell;
use crate::frame;
use crate::script::{Action, Script, Settings, Step};

const NODES: [&str; 4] = ["a", "b", "c", "d"];
const INTERFACES: [&str; 4] = ["eth0", "tunl0", "cali1", "eth0"];
/// The one that is inside a pod's namespace.
const OF_POD: u32 = 3;
/// Far enough from the epoch for every clock of a script.
const BEGIN: u64 = 1_700_000_000_000_000_000;

/// Plays a script; what comes out agrees with what went in.
pub fn correlate(data: &[u8]) {
    tell(&report(&Script::parse(data)));
}

/// What a trace tells of a script.
pub(crate) fn report(script: &Script) -> Report {
    let mut run = Run::new(script.settings);
    for step in &script.steps {
        run.step(step);
    }
    run.finish()
}

struct Run {
    tracer: Tracer,
    sources: [SourceId; NODES.len()],
    ended: [bool; NODES.len()],
    now: Timestamp,
    outcome: Outcome,
}

/// What went in, as far as what comes out must agree with it.
#[derive(Default)]
struct Outcome {
    /// Time by the clocks of the captures: the earliest and the latest.
    times: Option<(Timestamp, Timestamp)>,
    frames: u64,
    /// Parts of frames that are in a journey.
    seen: HashSet<(u64, u64)>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        let tables = usize::from(settings.tables) + 1;
        let sightings = (usize::from(settings.sightings) + 1) * 10;
        let options = TraceOptions {
            window: Duration::from_millis(u64::from(settings.window) + 1),
            hash_key: HashKey([7; 16]),
            decoder: Decoder::default(),
            keep_frames: settings.flags & 2 != 0,
            keep_journeys: true,
            is_merged: settings.flags & 1 != 0,
            budget: Budget { sightings, headers: tables, flows: tables },
        };
        let mut tracer = Tracer::new(options, None, Names::default());
        let foreign = NODES[usize::from(settings.flags >> 2 & 3)];
        let has_foreign = settings.flags & 0x10 != 0;
        let sources = NODES.map(|node| {
            let tells_gso = !(has_foreign && node == foreign);
            tracer.source(&SourceSpec { node: node.to_owned(), tells_gso })
        });
        let now = Timestamp(BEGIN);
        let mut run = Self { tracer, sources, ended: [false; 4], now, outcome: Outcome::default() };
        for number in 0..NODES.len() {
            run.begin(number);
        }
        run
    }

    fn begin(&mut self, number: usize) {
        let boot_id = (number < 2).then(|| "shared".to_owned());
        let section = Section { boot_id, ..Section::default() };
        self.tracer.take(self.sources[number], &Item::Section(section), self.now);
        for (id, name) in (0..).zip(INTERFACES) {
            let interface = Interface {
                name: name.to_owned(),
                node: Some(NODES[number].to_owned()),
                pod: (id == OF_POD).then(|| format!("default/{}", NODES[number])),
                ifindex: Some(id),
                link: LinkLayer::Ethernet,
                mac: None,
            };
            self.tracer.take(self.sources[number], &Item::Interface(InterfaceId(id), interface), self.now);
        }
        let statistics = Item::Statistics(InterfaceId(0), self.now, Statistics::default());
        self.tracer.take(self.sources[number], &statistics, self.now);
    }

    fn step(&mut self, step: &Step) {
        self.now = Timestamp(self.now.0 + u64::from(step.delay) * 1000);
        let number = usize::from(step.place.source) % NODES.len();
        let source = self.sources[number];
        match step.action {
            _ if self.ended[number] => {}
            Action::See => self.see(source, step),
            Action::Count(lost) => {
                let lost = u64::from(lost);
                let statistics = Statistics { seen: 100, matched: 100, lost, written: 100 - lost };
                let interface = InterfaceId(u32::from(step.place.interface));
                self.tracer.take(source, &Item::Statistics(interface, self.now, statistics), self.now);
            }
            Action::Begin => self.begin(number),
            Action::End => {
                self.ended[number] = true;
                self.tracer.ended(source, self.now);
            }
            Action::Break => {
                self.ended[number] = true;
                self.tracer.broken(source, "cut", self.now);
            }
        }
        let progress = self.tracer.advance(self.now);
        self.outcome.check(&progress);
    }

    fn see(&mut self, source: SourceId, step: &Step) {
        let bytes = frame::bytes(step.packet);
        let time = self.now.offset(i64::from(step.clock) * 10_000);
        let (earliest, latest) = self.outcome.times.unwrap_or((time, time));
        self.outcome.times = Some((earliest.min(time), latest.max(time)));
        let size = u16::from(step.packet.segment) * 10;
        let frame = Frame {
            interface: InterfaceId(u32::from(step.place.interface)),
            time,
            direction: match step.place.direction {
                1 => Some(Direction::Ingress),
                2 => Some(Direction::Egress),
                _ => None,
            },
            original_len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            data: Cow::Owned(bytes),
            gso: (size > 0).then_some(Gso { size, segments: 0 }),
            mark: 0,
            lost_before: 0,
            comment: None,
        };
        self.outcome.frames += 1;
        self.tracer.take(source, &Item::Frame(frame), self.now);
    }

    fn finish(mut self) -> Report {
        for number in 0..NODES.len() {
            if !self.ended[number] {
                self.tracer.ended(self.sources[number], self.now);
            }
        }
        let last = self.tracer.advance(self.now);
        let Self { tracer, mut outcome, .. } = self;
        outcome.check(&last);
        let (report, progress, _) = tracer.finish();
        outcome.check(&progress);
        outcome.check_report(&report);
        report
    }
}

impl Outcome {
    /// A wire segment that was seen once belongs to one packet.
    fn check(&mut self, progress: &Progress) {
        for traced in &progress.journeys {
            assert!(!traced.journey.hops.is_empty(), "a journey without a hop");
            for hop in &traced.journey.hops {
                assert!(hop.observation.0 < self.frames, "a hop that was not observed");
                let is_new = self.seen.insert((hop.observation.0, hop.part.into()));
                assert!(is_new, "part {} of frame {} is in two journeys", hop.part, hop.observation.0);
            }
        }
        for frame in &progress.frames {
            assert!((1..=frame.note.hops).contains(&frame.note.hop), "a hop beyond the journey's end");
        }
    }

    /// Packets are counted once, and took no longer than all of it.
    fn check_report(&self, report: &Report) {
        let span = self.times.map_or(0, |(earliest, latest)| latest.0 - earliest.0);
        for flow in &report.flows {
            for lane in [&flow.forward, &flow.reply] {
                let stopped: u64 = lane.stopped.iter().map(|stop| stop.packets).sum();
                assert!(lane.delivered + lane.unknown + stopped <= lane.packets, "more fates than packets");
                let latencies = lane.hops.iter().filter_map(|hop| hop.latency.as_ref());
                for latency in latencies.flat_map(|latency| [latency.p50, latency.p99]) {
                    let (Latency::Exact(value) | Latency::Below(value) | Latency::Within(value, _)) = latency;
                    assert!(value <= 2 * span, "{value} ns of {span} ns");
                }
            }
        }
    }
}
