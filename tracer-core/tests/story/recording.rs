//! What a story's recorders write: our own, one per node, or those of other tools, one per interface.

use tracer_core::capture::{
    CaptureReader, CaptureWriter, Frame, Interface, InterfaceId, Item, LinkLayer, Section,
};
use tracer_core::units::{SnapLength, Timestamp};

use super::recorder::Recorder;
use super::{Story, bytes};

/// When the stories take place.
pub(super) const EPOCH: u64 = 1_700_000_000_000_000_000;
/// How long after the last packet the captures end.
const SETTLE: u64 = 1_000_000_000;
const SNAP: u32 = 192;

/// A capture: its items, each with the true time at which it was written.
pub(super) struct Recording {
    pub(super) node: String,
    pub(super) items: Vec<(u64, Item<'static>)>,
}

impl Story {
    /// The captures of our own recorder: the marks that all is attached, packets, counters.
    pub(super) fn own(&self) -> Vec<Recording> {
        self.cluster.nodes.iter().map(|node| self.own_capture(node)).collect()
    }

    /// The captures that another tool writes, one per interface: neither directions nor offloads nor losses. Each
    /// begins and ends with a packet that is none of the story, so that they tell when they were made.
    pub(super) fn foreign(&self) -> Vec<Recording> {
        let places = self.cluster.nodes.iter().flat_map(|node| {
            self.interfaces(node).into_iter().map(move |interface| (node.clone(), interface))
        });
        places.map(|(node, interface)| self.foreign_capture(&node, &interface)).collect()
    }

    fn own_capture(&self, node: &str) -> Recording {
        let (bytes, times) = Recorder::record(self, node);
        Recording { node: node.to_owned(), items: times.into_iter().zip(items(&bytes)).collect() }
    }

    fn foreign_capture(&self, node: &str, name: &str) -> Recording {
        let mut writer = CaptureWriter::new(Vec::new(), &Section::default(), self.snap()).unwrap();
        let id = writer.interface(&self.interface(node, name)).unwrap();
        let here = self.sights.iter().filter(|sight| sight.node == node && sight.interface == name);
        let (from, to) = self.span(node, name);
        let mut frames: Vec<(u64, Vec<u8>)> = vec![(from, bytes::arp())];
        frames.extend(here.map(|sight| (sight.time, sight.bytes())));
        frames.push((to, bytes::arp()));
        for (time, bytes) in &frames {
            let stamp = self.stamp(node, *time).offset(self.clock(node).stepped(*time));
            writer.frame(&frame(id, stamp, bytes.clone())).unwrap();
        }
        let times = [0, 0].into_iter().chain(frames.into_iter().map(|(time, _)| time));
        Recording { node: node.to_owned(), items: times.zip(items(&writer.into_inner())).collect() }
    }

    /// Names of the interfaces of a node, in the order of their first packets.
    pub(super) fn interfaces(&self, node: &str) -> Vec<String> {
        let seen = self.sights.iter().map(|sight| (&sight.node, &sight.interface));
        let mut names: Vec<String> = Vec::new();
        for (at, name) in seen.chain(self.spans.keys().map(|(node, name)| (node, name))) {
            if at == node && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    pub(super) fn interface(&self, node: &str, name: &str) -> Interface {
        let (pod, name) = self.cluster.interface(name);
        Interface {
            name: name.to_owned(),
            node: Some(node.to_owned()),
            pod,
            ifindex: None,
            link: LinkLayer::Ethernet,
            mac: None,
        }
    }

    /// From when to when an interface is recorded.
    pub(super) fn span(&self, node: &str, interface: &str) -> (u64, u64) {
        let last = self.sights.last().map_or(0, |sight| sight.time);
        let place = (node.to_owned(), interface.to_owned());
        self.spans.get(&place).copied().unwrap_or((0, last + SETTLE))
    }

    /// A true time as our recorder on a node stamps it.
    pub(super) fn stamp(&self, node: &str, time: u64) -> Timestamp {
        Timestamp(EPOCH + time).offset(self.clock(node).ahead(time))
    }

    pub(super) fn snap(&self) -> SnapLength {
        SnapLength(self.snap.unwrap_or(SNAP))
    }
}

/// A packet of which nothing is told besides its bytes.
pub(super) fn frame(interface: InterfaceId, time: Timestamp, bytes: Vec<u8>) -> Frame<'static> {
    Frame {
        interface,
        time,
        direction: None,
        original_len: u32::try_from(bytes.len()).unwrap(),
        data: bytes.into(),
        gso: None,
        mark: 0,
        lost_before: 0,
        comment: None,
    }
}

fn items(capture: &[u8]) -> Vec<Item<'static>> {
    let mut reader = CaptureReader::new(capture).unwrap();
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        items.push(item.into_owned());
    }
    items
}
