//! The interfaces being observed.

use std::collections::BTreeMap;
use std::fmt;

use tracer_common::counters::Counters;
use tracer_core::capture::{InterfaceId, Statistics};

use crate::kernel::attach::Attachment;
use crate::kernel::interfaces::{IfIndex, Link};

/// One interface with programs on it.
pub(super) struct Point {
    pub(super) link: Link,
    /// Its number in the file; absent until it is described there.
    pub(super) id: Option<InterfaceId>,
    /// Absent once detached.
    pub(super) attachment: Option<Attachment>,
    /// What was counted before it was described under its present name.
    pub(super) base: Counters,
    /// Records read from the ring since it was attached.
    pub(super) read: u64,
    /// Packets written under its present name.
    pub(super) written: u64,
    /// Packets read from the ring for which the output had no room any more.
    pub(super) discarded: u64,
    /// Losses that the statistics in the file tell of.
    pub(super) told_lost: u64,
    /// Losses that records told of: each of those before it on the same processor.
    lost_by_records: u64,
    /// Losses that packets in the file tell of.
    lost_by_packets: u64,
}

impl Point {
    pub(super) fn new(link: Link, attachment: Attachment) -> Self {
        Self {
            link,
            id: None,
            attachment: Some(attachment),
            base: Counters::default(),
            read: 0,
            written: 0,
            discarded: 0,
            told_lost: 0,
            lost_by_records: 0,
            lost_by_packets: 0,
        }
    }

    /// Packets lost before the next one in the file that none in it tells of, given what its record says.
    ///
    /// A processor whose packets were lost may have no packet any more: then the statistics knew of the loss first,
    /// and the next packet of any processor tells it.
    pub(super) fn lost_before(&mut self, by_record: u64) -> u64 {
        self.lost_by_records += by_record;
        let known = self.lost_by_records.max(self.told_lost);
        let before = known.saturating_sub(self.lost_by_packets);
        self.lost_by_packets += before;
        before
    }

    /// Begins anew under another name.
    pub(super) fn restart(&mut self, link: Link, counters: Counters) -> Link {
        self.base = counters;
        self.written = 0;
        (self.told_lost, self.lost_by_records, self.lost_by_packets) = (0, 0, 0);
        std::mem::replace(&mut self.link, link)
    }

    /// The statistics under its present name, from the counters since it was attached.
    pub(super) fn statistics(&self, counters: &Counters) -> Statistics {
        let counters = counters.since(&self.base);
        Statistics {
            seen: counters.seen,
            matched: counters.matched(),
            lost: counters.lost() + self.discarded,
            written: self.written,
        }
    }
}

/// All interfaces being observed, and what is left of those that were.
#[derive(Default)]
pub(super) struct Points {
    current: BTreeMap<IfIndex, Point>,
    names: Vec<String>,
    finished: Vec<(String, Statistics)>,
}

impl Points {
    pub(super) fn insert(&mut self, point: Point) {
        self.note_name(&point.link.name);
        self.current.insert(point.link.index, point);
    }

    pub(super) fn note_name(&mut self, name: &str) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    pub(super) fn get(&self, index: IfIndex) -> Option<&Point> {
        self.current.get(&index)
    }

    pub(super) fn get_mut(&mut self, index: IfIndex) -> Option<&mut Point> {
        self.current.get_mut(&index)
    }

    pub(super) fn remove(&mut self, index: IfIndex) {
        self.current.remove(&index);
    }

    pub(super) fn indices(&self) -> Vec<IfIndex> {
        self.current.keys().copied().collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        self.current.values_mut()
    }

    /// Keeps the final statistics of an interface's name.
    pub(super) fn finish(&mut self, name: &str, statistics: &Statistics) {
        self.finished.push((name.to_owned(), *statistics));
    }

    /// Packets lost so far, as far as it was told.
    pub(super) fn lost(&self) -> u64 {
        let finished: u64 = self.finished.iter().map(|(_, statistics)| statistics.lost).sum();
        finished + self.current.values().map(|point| point.told_lost).sum::<u64>()
    }

    /// The statistics of every name in the order of their ends, and every name there was.
    pub(super) fn into_total(self) -> (Vec<(String, Statistics)>, Vec<String>) {
        (self.finished, self.names)
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.current.values().map(|point| point.link.name.as_str()).collect();
        f.write_str(if names.is_empty() { "no interface yet" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}
