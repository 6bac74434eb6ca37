//! A story through the core.

use std::collections::VecDeque;
use std::time::Duration;

use tracer_core::capture::{Frame, Item};
use tracer_core::identity::HashKey;
use tracer_core::output::json;
use tracer_core::output::text::{self, Colour};
use tracer_core::packet::Decoder;
use tracer_core::report::Report;
use tracer_core::resolve::{Names, Party, Scope};
use tracer_core::trace::{Budget, Event, Progress, SourceId, SourceSpec, TraceOptions, Tracer};
use tracer_core::units::Timestamp;

use super::Story;
use super::recording::EPOCH;

/// Window of a trace that runs while packets go.
const LIVE: Duration = Duration::from_secs(1);
/// Window of a trace of files: clocks may be off by seconds.
const OFFLINE: Duration = Duration::from_secs(30);

/// What is told of a story.
pub(crate) struct Told {
    pub(crate) report: Report,
    events: Vec<Event>,
}

impl Told {
    /// The report as people read it.
    pub(crate) fn report(&self) -> String {
        written(&self.report)
    }

    /// The events, a line each.
    pub(crate) fn events(&self) -> String {
        let mut told = Vec::new();
        for event in &self.events {
            text::event(&mut told, event, Colour::Never).unwrap();
        }
        String::from_utf8(told).unwrap()
    }

    /// Events and report as JSON Lines.
    pub(crate) fn json(&self) -> String {
        let mut told = Vec::new();
        self.events.iter().for_each(|event| json::event(&mut told, event).unwrap());
        json::report(&mut told, &self.report).unwrap();
        String::from_utf8(told).unwrap()
    }

    /// The report less what captures of other tools cannot tell: what the recorders counted, and latencies between
    /// nodes, which nothing says to have one clock.
    pub(crate) fn normal(&self) -> String {
        let mut report = self.report.clone();
        report.loss.interfaces.clear();
        for flow in &mut report.flows {
            for lane in [&mut flow.forward, &mut flow.reply] {
                let mut before = String::new();
                for hop in &mut lane.hops {
                    if hop.node != before {
                        hop.latency = None;
                    }
                    before.clone_from(&hop.node);
                }
            }
        }
        written(&report)
    }
}

fn written(report: &Report) -> String {
    let mut told = Vec::new();
    text::report(&mut told, report, Colour::Never).unwrap();
    String::from_utf8(told).unwrap()
}

impl Story {
    /// What our own captures tell that lag behind by these times in turn, once they are attached.
    pub(crate) fn tell(&self, lags: &[Duration]) -> Told {
        let mut tracer = self.tracer(LIVE, false);
        let mut arrivals: Vec<(Timestamp, usize, Option<Item<'_>>)> = Vec::new();
        let mut captures: Vec<(String, Option<SourceId>)> = Vec::new();
        for (number, (recording, lag)) in self.own().into_iter().zip(lags.iter().cycle()).enumerate() {
            let (joins, breaks) = self.presence.get(&recording.node).copied().unwrap_or((0, u64::MAX));
            let id = (joins == 0).then(|| tracer.source(&spec(&recording.node)));
            captures.push((recording.node, id));
            // The marks that all is attached are in time: by the first of them the clocks are compared.
            let is_timed = |item: &Item<'_>| matches!(item, Item::Statistics(..) | Item::Frame(_));
            let attached =
                recording.items.iter().find(|(_, item)| is_timed(item)).map(|(time, _)| joins.max(*time));
            let arrival = |time: u64| {
                let is_late = attached.is_some_and(|attached| time > attached);
                let lag = if is_late { u64::try_from(lag.as_nanos()).unwrap() } else { 0 };
                Timestamp(EPOCH + time + lag)
            };
            let mut latest = joins;
            let is_there = |(time, item): &(u64, Item<'_>)| match item {
                Item::Frame(_) => (joins..breaks).contains(time),
                _ => *time < breaks,
            };
            for (time, item) in recording.items.into_iter().filter(is_there) {
                latest = latest.max(time);
                arrivals.push((arrival(latest), number, Some(item)));
            }
            arrivals.push((arrival(latest), number, None));
        }
        arrivals.sort_by_key(|(arrival, _, _)| *arrival);
        let mut events = Vec::new();
        for (now, number, item) in arrivals {
            let (node, id) = &mut captures[number];
            let id = *id.get_or_insert_with(|| tracer.source(&spec(node)));
            match item {
                Some(item) => {
                    tracer.take(id, &item, now);
                }
                None if self.presence.get(node).is_some_and(|(_, breaks)| *breaks != u64::MAX) => {
                    tracer.broken(id, "the connection broke", now);
                }
                None => tracer.ended(id, now),
            }
            events.extend(tracer.advance(now).events);
        }
        finish(tracer, events)
    }

    /// What captures of other tools tell, read from files: merged by the times that stand in them.
    pub(crate) fn tell_foreign(&self) -> Told {
        let mut tracer = self.tracer(OFFLINE, true);
        let mut files: Vec<(SourceId, VecDeque<Item<'_>>)> = Vec::new();
        for recording in self.foreign() {
            let id = tracer.source(&SourceSpec { node: recording.node, tells_gso: false });
            files.push((id, recording.items.into_iter().map(|(_, item)| item).collect()));
        }
        let mut now = Timestamp::default();
        let mut events = Vec::new();
        let next = |files: &[(SourceId, VecDeque<Item<'_>>)]| {
            let times =
                files.iter().enumerate().filter_map(|(file, (_, items))| Some((time(items.front()?), file)));
            times.min().map(|(_, file)| file)
        };
        while let Some(file) = next(&files) {
            let (id, items) = &mut files[file];
            let item = items.pop_front().unwrap();
            now = now.max(time(&item));
            tracer.take(*id, &item, now);
            if items.is_empty() {
                tracer.ended(*id, now);
            }
            events.extend(tracer.advance(now).events);
        }
        finish(tracer, events)
    }

    fn tracer(&self, window: Duration, is_merged: bool) -> Tracer {
        let state = self.cluster.state();
        let party = |word: &String| Party::resolve(word, "default", &state).unwrap();
        let scope = self
            .ends
            .first()
            .map(|source| Scope { source: party(source), destination: self.ends.get(1).map(party) });
        let options = TraceOptions {
            window,
            hash_key: HashKey([3; 16]),
            decoder: Decoder::default(),
            keep_frames: false,
            keep_journeys: false,
            is_merged,
            budget: Budget::default(),
        };
        Tracer::new(options, scope, Names::of(&state))
    }
}

fn spec(node: &str) -> SourceSpec {
    SourceSpec { node: node.to_owned(), tells_gso: true }
}

/// The time that stands in a capture; an item without one comes first.
fn time(item: &Item<'_>) -> Timestamp {
    match item {
        Item::Frame(Frame { time, .. }) => *time,
        _ => Timestamp::default(),
    }
}

fn finish(tracer: Tracer, mut events: Vec<Event>) -> Told {
    let (report, Progress { events: last, .. }, _) = tracer.finish();
    events.extend(last);
    Told { report, events }
}
