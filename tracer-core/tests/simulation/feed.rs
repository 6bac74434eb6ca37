//! Recordings to the tracer: merged as files are read, or as live streams that lag behind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tracer_core::capture::{Frame, Item};
use tracer_core::identity::HashKey;
use tracer_core::journey::Journey;
use tracer_core::packet::Decoder;
use tracer_core::report::Report;
use tracer_core::resolve::{ClusterState, Names};
use tracer_core::trace::{Budget, Progress, SourceId, SourceSpec, Taken, TraceOptions, Tracer};
use tracer_core::units::Timestamp;

use crate::clock::EPOCH;
use crate::emission::Segment;
use crate::network::{cluster, node_name};
use crate::plan::{Plan, SECOND};
use crate::recorder::{Entry, Recording, Seen};
use crate::world::History;

/// Items between two calls that ask for what is certain.
const BATCH: usize = 256;
/// First bytes of a datagram that tell it from others.
const ENOUGH: usize = 32;

/// How a recording is given to the tracer.
#[derive(Clone, Debug)]
pub(crate) enum Feed {
    /// As files are read: in the order of the times that they hold.
    Merged,
    /// As streams arrive: each capture hands over what it has whenever so many nanoseconds are over, in turn.
    Live(Vec<u64>),
}

/// What the tracer told.
pub(crate) struct Told {
    pub(crate) report: Report,
    pub(crate) journeys: Vec<Journey>,
    /// Which observation of the history has which number in the trace.
    pub(crate) numbered: Vec<Followed>,
}

/// An observation that the tracer follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Followed {
    pub(crate) seen: Seen,
    /// Wire segments of it that can be recognised: of a UDP super-packet only those of which something was captured.
    pub(crate) parts: usize,
}

/// An item that is due.
struct Due {
    now: Timestamp,
    capture: usize,
    entry: usize,
}

/// Has a recording traced.
pub(crate) fn trace(
    plan: &Plan,
    history: &History,
    recording: &Recording,
    feed: &Feed,
    budget: Budget,
) -> Told {
    let state = ClusterState::from_json(cluster(plan).to_string().as_bytes()).unwrap();
    let options = TraceOptions {
        window: match feed {
            Feed::Merged => Duration::from_secs(30),
            Feed::Live(_) => Duration::from_secs(1),
        },
        hash_key: HashKey([7; 16]),
        decoder: Decoder::default(),
        keep_frames: false,
        keep_journeys: true,
        is_merged: matches!(feed, Feed::Merged),
        budget,
    };
    let mut tracer = Tracer::new(options, None, Names::of(&state));
    let sources: Vec<SourceId> = recording
        .captures
        .iter()
        .map(|capture| tracer.source(&SourceSpec { node: node_name(capture.node), tells_gso: true }))
        .collect();
    let mut told = Vec::new();
    let mut numbered = Vec::new();
    let mut keep =
        |progress: Progress| told.extend(progress.journeys.into_iter().map(|traced| traced.journey));
    let due = match feed {
        Feed::Merged => merged(plan, recording),
        Feed::Live(periods) => live(recording, periods),
    };
    for (count, Due { now, capture: number, entry }) in due.into_iter().enumerate() {
        let capture = &recording.captures[number];
        let item = capture.item(plan, history, capture.entries[entry]);
        let taken = tracer.take(sources[number], &item, now);
        if let (Taken::Followed, Item::Frame(frame), (_, Entry::Frame { seen, .. })) =
            (taken, &item, capture.entries[entry])
        {
            numbered.push(Followed { seen, parts: recognisable(history, seen, frame) });
        }
        if entry + 1 == capture.entries.len() {
            tracer.ended(sources[number], now);
        }
        if count % BATCH == 0 {
            keep(tracer.advance(now));
        }
    }
    let (report, progress, _) = tracer.finish();
    keep(progress);
    Told { report, journeys: told, numbered }
}

/// Wire segments of a packet that can be recognised by what was captured: TCP's all, since its header tells.
fn recognisable(history: &History, seen: Seen, frame: &Frame<'_>) -> usize {
    let parts = &history.observations[seen.0].parts;
    let lens: Vec<usize> = parts
        .iter()
        .map_while(|part| match history.emissions[part.index()].segment {
            Segment::Udp { len, .. } => Some(len as usize),
            _ => None,
        })
        .collect();
    if lens.len() < 2 {
        return parts.len();
    }
    let payload: usize = lens.iter().sum();
    let captured = (frame.data.len() + payload).saturating_sub(frame.original_len as usize);
    (0..lens.len()).take_while(|index| captured >= lens[0] * index + lens[*index].min(ENOUGH)).count()
}

/// Always the capture whose next item has the earliest time goes first.
fn merged(plan: &Plan, recording: &Recording) -> Vec<Due> {
    let shows = |capture: usize, entry: usize| {
        let capture = &recording.captures[capture];
        capture.entries.get(entry).map(|(time, _)| capture.shows(plan, *time))
    };
    let mut queue: BinaryHeap<Reverse<(Timestamp, usize, usize)>> = BinaryHeap::new();
    let push = |queue: &mut BinaryHeap<_>, capture, entry| {
        queue.extend(shows(capture, entry).map(|time| Reverse((time, capture, entry))));
    };
    for capture in 0..recording.captures.len() {
        push(&mut queue, capture, 0);
    }
    let mut due = Vec::new();
    let mut now = Timestamp(0);
    while let Some(Reverse((time, capture, entry))) = queue.pop() {
        now = now.max(time);
        due.push(Due { now, capture, entry });
        push(&mut queue, capture, entry + 1);
    }
    due
}

fn live(recording: &Recording, periods: &[u64]) -> Vec<Due> {
    let mut due = Vec::new();
    for (number, (capture, period)) in recording.captures.iter().zip(periods.iter().cycle()).enumerate() {
        let first = capture.entries[0].0;
        for (entry, (time, _)) in capture.entries.iter().enumerate() {
            // What is said at the beginning is said at once.
            let is_late = *time > first && *period > 0;
            let arrival = if is_late { (time / period + 1) * period } else { *time };
            due.push(Due { now: Timestamp(EPOCH + SECOND + arrival), capture: number, entry });
        }
    }
    due.sort_by_key(|due| (due.now, due.capture, due.entry));
    due
}
