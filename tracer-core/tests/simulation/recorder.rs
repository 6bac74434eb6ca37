//! What recorders write of a history: captures, one for each network namespace, as items in the order of true time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tracer_core::capture::{Frame, Interface, InterfaceId, Item, Section, Statistics};
use tracer_core::units::Timestamp;

use crate::bytes;
use crate::emission::gso;
use crate::network::{node_name, pod_name};
use crate::plan::{MS, Plan};
use crate::random::Random;
use crate::world::{History, Observation};

/// How often a quiet interface tells its counters.
const STATISTICS: u64 = 250 * MS;

/// Number of an observation in the history.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Seen(pub(crate) usize);

/// The captures of all network namespaces.
pub(crate) struct Recording {
    pub(crate) captures: Vec<Capture>,
    /// For each observation of the history whether it was written.
    pub(crate) is_written: Vec<bool>,
    /// When all recorders were at work, and when they stopped.
    pub(crate) span: (u64, u64),
    /// Observations that the recorders lost.
    pub(crate) lost: u64,
}

/// The capture of one network namespace.
pub(crate) struct Capture {
    pub(crate) node: usize,
    /// Numbers of its interfaces in the network, in the order of their descriptions.
    interfaces: Vec<usize>,
    /// With the true time of each.
    pub(crate) entries: Vec<(u64, Entry)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Begin,
    Describe(usize),
    Frame { interface: u32, seen: Seen, lost_before: u64 },
    Count { interface: u32, counters: Statistics },
}

struct Counter {
    counters: Statistics,
    lost_before: u64,
}

/// Records a history.
pub(crate) fn record(plan: &Plan, history: &History) -> Recording {
    let mut random = Random::new(plan.seed ^ 0x5eed);
    let mut captures: BTreeMap<(usize, Option<usize>), Capture> = BTreeMap::new();
    for (number, interface) in history.network.interfaces.iter().enumerate() {
        if interface.is_recorded {
            let place = (interface.node, interface.pod);
            let new = || Capture { node: place.0, interfaces: Vec::new(), entries: Vec::new() };
            captures.entry(place).or_insert_with(new).interfaces.push(number);
        }
    }
    let end = history.end + plan.recorder.settle;
    let mut recording = Recording {
        captures: Vec::new(),
        is_written: vec![false; history.observations.len()],
        span: (0, end),
        lost: 0,
    };
    let mut seen_at: BTreeMap<usize, Vec<Seen>> = BTreeMap::new();
    for (number, observation) in history.observations.iter().enumerate() {
        seen_at.entry(interface_of(history, observation)).or_default().push(Seen(number));
    }
    for (_, mut capture) in captures {
        // One process after another is started.
        let start = plan.recorder.start + random.below(5 * MS);
        recording.span.0 = recording.span.0.max(start);
        capture.record(plan, history, &seen_at, (start, end), &mut random, &mut recording);
        recording.captures.push(capture);
    }
    recording
}

fn interface_of(history: &History, observation: &Observation) -> usize {
    history.network.ways[observation.lane.0][observation.station].interface
}

impl Capture {
    fn record(
        &mut self,
        plan: &Plan,
        history: &History,
        seen_at: &BTreeMap<usize, Vec<Seen>>,
        (start, end): (u64, u64),
        random: &mut Random,
        recording: &mut Recording,
    ) {
        let mut counters: Vec<Counter> = Vec::new();
        let mut seen: Vec<(Seen, usize)> = Vec::new();
        self.entries.push((start, Entry::Begin));
        for (local, interface) in self.interfaces.iter().enumerate() {
            counters.push(Counter { counters: Statistics::default(), lost_before: 0 });
            self.entries.push((start, Entry::Describe(*interface)));
            seen.extend(seen_at.get(interface).into_iter().flatten().map(|seen| (*seen, local)));
        }
        self.count(start, &counters);
        seen.sort_unstable();
        let overflows: Vec<_> =
            plan.recorder.overflows.iter().filter(|overflow| overflow.node == self.node).collect();
        let mut next_count = start + STATISTICS;
        for (number, local) in seen {
            let time = history.observations[number.0].time;
            if time < start {
                continue;
            }
            while next_count < time {
                self.count(next_count, &counters);
                next_count += STATISTICS;
            }
            let counter = &mut counters[local];
            counter.counters.seen += 1;
            counter.counters.matched += 1;
            let is_lost = overflows.iter().any(|overflow| {
                (overflow.from..overflow.until).contains(&time) && random.happens(overflow.share)
            });
            if is_lost {
                counter.counters.lost += 1;
                counter.lost_before += 1;
                recording.lost += 1;
                continue;
            }
            counter.counters.written += 1;
            recording.is_written[number.0] = true;
            let lost_before = std::mem::take(&mut counter.lost_before);
            let interface = u32::try_from(local).unwrap();
            self.entries.push((time, Entry::Frame { interface, seen: number, lost_before }));
        }
        while next_count < end {
            self.count(next_count, &counters);
            next_count += STATISTICS;
        }
        self.count(end, &counters);
    }

    fn count(&mut self, time: u64, counters: &[Counter]) {
        for (interface, counter) in (0..).zip(counters) {
            self.entries.push((time, Entry::Count { interface, counters: counter.counters }));
        }
    }

    /// An entry as the item that a reader makes of it.
    pub(crate) fn item(&self, plan: &Plan, history: &History, (time, entry): (u64, Entry)) -> Item<'static> {
        let time = self.shows(plan, time);
        match entry {
            Entry::Begin => {
                let is_shared = plan.nodes[self.node].is_true();
                let boot = if is_shared { "shared".to_owned() } else { node_name(self.node) };
                Item::Section(Section {
                    node: Some(node_name(self.node)),
                    boot_id: Some(boot),
                    ..Section::default()
                })
            }
            Entry::Describe(number) => {
                let interface = &history.network.interfaces[number];
                let local = self.interfaces.iter().position(|known| *known == number).unwrap();
                Item::Interface(
                    InterfaceId(u32::try_from(local).unwrap()),
                    Interface {
                        name: interface.name.clone(),
                        node: Some(node_name(interface.node)),
                        pod: interface.pod.map(pod_name),
                        ifindex: Some(u32::try_from(number + 2).unwrap()),
                        link: interface.link,
                        mac: None,
                    },
                )
            }
            Entry::Count { interface, counters } => Item::Statistics(InterfaceId(interface), time, counters),
            Entry::Frame { interface, seen, lost_before } => {
                let observation = &history.observations[seen.0];
                let station = &history.network.ways[observation.lane.0][observation.station];
                let captured =
                    bytes::capture(&observation.parts, &history.emissions, station, plan.recorder.snap);
                Item::Frame(Frame {
                    interface: InterfaceId(interface),
                    time,
                    direction: Some(station.direction),
                    original_len: captured.original_len,
                    data: Cow::Owned(captured.data),
                    gso: gso(&observation.parts, &history.emissions),
                    mark: 0,
                    lost_before,
                    comment: None,
                })
            }
        }
    }

    /// A true time by the clock of its node.
    pub(crate) fn shows(&self, plan: &Plan, time: u64) -> Timestamp {
        plan.nodes[self.node].shows(time)
    }
}
