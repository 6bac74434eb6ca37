//! Our own recorder on one node.

use std::collections::BTreeMap;

use tracer_core::capture::{CaptureWriter, Frame, InterfaceId, Section, Statistics};

use super::Story;
use super::recording::frame;
use super::sight::Sight;

/// How often it writes its counters, in nanoseconds.
const STATISTICS: usize = 250_000_000;

pub(super) struct Recorder<'a> {
    story: &'a Story,
    node: &'a str,
    writer: CaptureWriter<Vec<u8>>,
    interfaces: BTreeMap<String, InterfaceId>,
    counters: BTreeMap<String, Statistics>,
    /// What it has yet to lose, by interface, with the time from which on.
    losses: BTreeMap<String, (u64, u64)>,
}

/// What it writes once all is described.
enum Entry<'a> {
    Packet(&'a Sight),
    Counters(String),
}

impl<'a> Recorder<'a> {
    /// The bytes of its capture, and the true time of each of its blocks.
    pub(super) fn record(story: &'a Story, node: &'a str) -> (Vec<u8>, Vec<u64>) {
        let mut recorder = Self::begin(story, node);
        let mut times = vec![0; 1 + recorder.interfaces.len()];
        for (time, entry) in recorder.entries() {
            times.push(time);
            match entry {
                Entry::Packet(sight) => recorder.packet(sight),
                Entry::Counters(interface) => recorder.counters(&interface, time),
            }
        }
        (recorder.writer.into_inner(), times)
    }

    fn begin(story: &'a Story, node: &'a str) -> Self {
        let boot_id = if story.clocks.contains_key(node) { node } else { "shared" };
        let section = Section { boot_id: Some(boot_id.to_owned()), ..Section::default() };
        let mut writer = CaptureWriter::new(Vec::new(), &section, story.snap()).unwrap();
        let mut interfaces = BTreeMap::new();
        for name in story.interfaces(node) {
            let id = writer.interface(&story.interface(node, &name)).unwrap();
            interfaces.insert(name, id);
        }
        let here = story.lost.iter().filter(|((at, _), _)| at == node);
        let losses = here.map(|((_, interface), loss)| (interface.clone(), *loss)).collect();
        Self { story, node, writer, interfaces, counters: BTreeMap::new(), losses }
    }

    /// Packets and counters in the order of their times.
    fn entries(&self) -> Vec<(u64, Entry<'a>)> {
        let here = self.story.sights.iter().filter(|sight| sight.node == self.node);
        let mut entries: Vec<(u64, Entry<'_>)> =
            here.map(|sight| (sight.time, Entry::Packet(sight))).collect();
        for name in self.interfaces.keys() {
            let (from, to) = self.story.span(self.node, name);
            let times = (from..to).step_by(STATISTICS).chain([to]);
            entries.extend(times.map(|time| (time, Entry::Counters(name.clone()))));
        }
        entries.sort_by_key(|(time, _)| *time);
        entries
    }

    fn packet(&mut self, sight: &Sight) {
        let lost_before = self.lose(&sight.interface, sight.time);
        let counters = self.counters.entry(sight.interface.clone()).or_default();
        counters.written += 1;
        let stamp = self.story.stamp(self.node, sight.time);
        let frame = Frame {
            direction: Some(sight.direction),
            gso: sight.gso,
            lost_before,
            ..frame(self.interfaces[&sight.interface], stamp, sight.bytes())
        };
        self.writer.frame(&frame).unwrap();
    }

    fn counters(&mut self, interface: &str, time: u64) {
        self.lose(interface, time);
        let counters = self.counters.entry(interface.to_owned()).or_default();
        counters.matched = counters.written + counters.lost;
        counters.seen = counters.matched;
        let stamp = self.story.stamp(self.node, time);
        self.writer.statistics(self.interfaces[interface], stamp, counters).unwrap();
    }

    /// Loses what is due: what is lost at a time is counted after it.
    fn lose(&mut self, interface: &str, time: u64) -> u64 {
        let Some((_, count)) = self.losses.get(interface).copied().filter(|(at, _)| *at < time) else {
            return 0;
        };
        self.losses.remove(interface);
        self.counters.entry(interface.to_owned()).or_default().lost += count;
        count
    }
}
