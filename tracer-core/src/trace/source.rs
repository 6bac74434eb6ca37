//! One capture that a trace reads: its numbering of interfaces and its clock against the trace's own.
//!
//! A capture's times tell how far it has delivered. Its clock is compared with the trace's by the item that came
//! with the least delay: whatever a later one took longer, the stream lags behind. That needs no agreement of
//! clocks between nodes, and a stream that stalls holds back the verdict on packets that it may yet tell of.

use crate::capture::{Interface, InterfaceId, LinkLayer, Section};
use crate::point::{InterfaceIndex, Points};
use crate::units::Timestamp;

/// Number of a capture within one trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SourceId(pub(super) usize);

/// How fast a node's clock may drift against the trace's: the least delay is forgotten at this rate (500 ppm, the
/// most that NTP corrects by).
const DRIFT: i64 = 2000;

pub(super) struct Source {
    node: String,
    boot_id: Option<String>,
    interfaces: Vec<(InterfaceIndex, LinkLayer)>,
    clock: Option<Clock>,
    began: Option<Timestamp>,
    pub(super) is_attached: bool,
    pub(super) has_ended: bool,
}

/// What is known of a capture's clock.
#[derive(Clone, Copy)]
struct Clock {
    /// Smallest difference between arrival and time of an item, as of `updated`.
    least_delay: i64,
    /// When the least delay was brought up to date, by the trace's clock.
    updated: Timestamp,
    /// The latest time that an item had, by the capture's clock.
    delivered: Timestamp,
}

impl Source {
    pub(super) fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            boot_id: None,
            interfaces: Vec::new(),
            clock: None,
            began: None,
            is_attached: false,
            has_ended: false,
        }
    }

    pub(super) fn node_name(&self) -> &str {
        &self.node
    }

    pub(super) fn begin(&mut self, section: &Section, points: &mut Points, now: Timestamp) {
        self.began = Some(now);
        self.interfaces.clear();
        self.boot_id.clone_from(&section.boot_id);
        points.node(&self.node, section.boot_id.as_deref());
    }

    pub(super) fn describe(&mut self, interface: &Interface, points: &mut Points) {
        let node = interface.node.as_deref().unwrap_or(&self.node);
        let node = points.node(node, self.boot_id.as_deref());
        self.interfaces.push((points.interface(node, interface), interface.link));
    }

    pub(super) fn interface(&self, id: InterfaceId) -> Option<(InterfaceIndex, LinkLayer)> {
        self.interfaces.get(id.0 as usize).copied()
    }

    /// Notes an item's time and arrival. Returns its time by the trace's clock.
    pub(super) fn note(&mut self, time: Timestamp, now: Timestamp) -> Timestamp {
        let delay = now.since(time);
        let clock = self.clock.get_or_insert(Clock { least_delay: delay, updated: now, delivered: time });
        let drift = now.since(clock.updated) / DRIFT;
        if drift > 0 {
            clock.least_delay = clock.least_delay.saturating_add(drift);
            clock.updated = now;
        }
        clock.least_delay = clock.least_delay.min(delay);
        clock.delivered = clock.delivered.max(time);
        time.offset(clock.least_delay)
    }

    /// Whether it began before `since` and has nothing to observe: no interface will tell that it is attached.
    pub(super) fn is_empty(&self, since: Timestamp) -> bool {
        self.interfaces.is_empty() && self.began.is_some_and(|began| began <= since)
    }

    /// Up to when, by the trace's clock, it has delivered everything; absent before its first item.
    pub(super) fn delivered(&self) -> Option<Timestamp> {
        self.clock.map(|clock| clock.delivered.offset(clock.least_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_lags_has_not_delivered() {
        let mut source = Source::new("node");
        assert_eq!(source.delivered(), None);
        // Its clock is 1000 ns behind the trace's; the first item took 50 ns.
        assert_eq!(source.note(Timestamp(0), Timestamp(1050)), Timestamp(1050));
        // This one took 10 ns: the first was seen at 1010 rather.
        assert_eq!(source.note(Timestamp(100), Timestamp(1110)), Timestamp(1110));
        assert_eq!(source.delivered(), Some(Timestamp(1110)));
        // And this one 900 ns.
        assert_eq!(source.note(Timestamp(200), Timestamp(2100)), Timestamp(1210));
        assert_eq!(source.delivered(), Some(Timestamp(1210)));
    }

    #[test]
    fn a_clock_that_drifts_away_is_followed() {
        let mut source = Source::new("node");
        let second = 1_000_000_000;
        for n in 0..10_000 {
            // Slower than the trace's clock by 100 ppm.
            let now = Timestamp(n * second);
            source.note(Timestamp(n * (second - 100_000)), now);
            assert!(now.since(source.delivered().unwrap()) < 1_000_000);
        }
    }
}
