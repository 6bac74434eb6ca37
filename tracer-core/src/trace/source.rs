//! One capture that a trace reads: its numbering of interfaces and its clock against the trace's own.
//!
//! A capture's times tell how far it has delivered. Its clock is compared with the trace's by the item that came
//! with the least delay: whatever a later one took longer, the stream lags behind. That needs no agreement of
//! clocks between nodes, and a stream that stalls holds back the verdict on packets that it may yet tell of.

use super::SourceSpec;
use crate::capture::{Interface, InterfaceId, LinkLayer, Section};
use crate::drops;
use crate::point::{InterfaceIndex, NodeId, Points};
use crate::units::Timestamp;

/// Number of a capture within one trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SourceId(pub(super) usize);

/// The least delay is that of the last one to two such times, in nanoseconds: clocks drift apart.
const MEMORY: i64 = 60_000_000_000;

/// A capture's items are in the order of their times but for less than this, in nanoseconds: where one is older, the clock
/// was set back.
const DISORDER: i64 = 1_000_000_000;

/// Where packets are from that are written under the name of drops.
#[derive(Clone, Debug)]
pub(super) struct DropsOf {
    pub(super) node: NodeId,
    /// The pod whose namespace the capture is in; absent in the node's own.
    pub(super) pod: Option<String>,
    /// The namespace, where it is another one than the capture's.
    pub(super) foreign: Option<u64>,
    pub(super) link: LinkLayer,
}

/// What a number of an interface stands for.
enum Described {
    Observed(InterfaceIndex, LinkLayer),
    Drops(DropsOf),
}

pub(super) struct Source {
    node: String,
    /// How much older than the latest one an item may be, in nanoseconds; absent where items do not arrive as they are
    /// captured, and their arrival tells nothing of the clock.
    disorder: Option<i64>,
    boot_id: Option<String>,
    netns: Option<u64>,
    interfaces: Vec<Described>,
    /// Whether it tells of drops in its own namespace, and then whether in those joined to it too.
    tells_drops: Option<bool>,
    /// By the number of the interface.
    has: Vec<bool>,
    nodes: Vec<NodeId>,
    clock: Option<Clock>,
    began: Option<Timestamp>,
    /// The first and the latest time of its items, by its own clock.
    span: Option<(Timestamp, Timestamp)>,
    /// Whether its counters tell how far it reaches; otherwise only its packets do.
    pub(super) tells_end: bool,
    pub(super) is_attached: bool,
    pub(super) has_ended: bool,
    /// When it was attached, by the trace's clock, if that was after the trace had begun.
    pub(super) joined: Option<Timestamp>,
    /// Up to when it had delivered everything, by the trace's clock, if it ended before its time.
    pub(super) broke: Option<Timestamp>,
}

/// What is known of a capture's clock.
#[derive(Clone, Copy)]
struct Clock {
    /// Smallest difference between arrival and time of an item, since `began` and in the [`MEMORY`] before that.
    least_delay: (i64, i64),
    /// By the trace's clock.
    began: Timestamp,
    /// The latest time that an item had, by the capture's clock.
    delivered: Timestamp,
}

impl Clock {
    fn least_delay(&self) -> i64 {
        self.least_delay.0.min(self.least_delay.1)
    }
}

impl Source {
    pub(super) fn new(spec: &SourceSpec, is_live: bool) -> Self {
        Self {
            node: spec.node.clone(),
            disorder: is_live.then_some(DISORDER),
            boot_id: None,
            netns: None,
            interfaces: Vec::new(),
            tells_drops: None,
            has: Vec::new(),
            nodes: Vec::new(),
            clock: None,
            began: None,
            span: None,
            tells_end: spec.tells_gso,
            is_attached: false,
            has_ended: false,
            joined: None,
            broke: None,
        }
    }

    pub(super) fn node_name(&self) -> &str {
        &self.node
    }

    pub(super) fn begin(&mut self, section: &Section, points: &mut Points, now: Timestamp) {
        self.began = Some(now);
        self.interfaces.clear();
        self.boot_id.clone_from(&section.boot_id);
        self.netns = section.netns;
        points.node(&self.node, section.boot_id.as_deref());
    }

    pub(super) fn describe(&mut self, interface: &Interface, points: &mut Points) {
        let node = interface.node.as_deref().unwrap_or(&self.node);
        let node = points.node(node, self.boot_id.as_deref());
        if let Some(foreign) = drops::is_interface(&interface.name) {
            self.describe_drops(node, foreign, interface);
            return;
        }
        let index = points.interface(node, interface);
        self.interfaces.push(Described::Observed(index, interface.link));
        let number = index.0 as usize;
        if self.has.len() <= number {
            self.has.resize(number + 1, false);
        }
        self.has[number] = true;
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
    }

    fn describe_drops(&mut self, node: NodeId, foreign: Option<u64>, interface: &Interface) {
        let (pod, link) = (interface.pod.clone(), interface.link);
        if foreign.is_none() {
            self.tells_drops = Some(pod.is_none());
        }
        self.interfaces.push(Described::Drops(DropsOf { node, pod, foreign, link }));
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
    }

    /// An interface that packets are observed on.
    pub(super) fn interface(&self, id: InterfaceId) -> Option<(InterfaceIndex, LinkLayer)> {
        match self.interfaces.get(id.0 as usize)? {
            Described::Observed(index, link) => Some((*index, *link)),
            Described::Drops(_) => None,
        }
    }

    /// An interface that stands for packets that the kernel dropped.
    pub(super) fn drops(&self, id: InterfaceId) -> Option<&DropsOf> {
        match self.interfaces.get(id.0 as usize)? {
            Described::Observed(..) => None,
            Described::Drops(drops) => Some(drops),
        }
    }

    /// The network namespace that it was started in.
    pub(super) fn netns(&self) -> Option<u64> {
        self.netns
    }

    /// Whether two captures are of one kernel.
    pub(super) fn shares_kernel(&self, other: &Self) -> bool {
        self.boot_id.is_some() && self.boot_id == other.boot_id
    }

    /// Whether it tells of drops in its namespace.
    pub(super) fn tells_drops(&self) -> bool {
        self.tells_drops.is_some()
    }

    /// Whether it tells of drops in the namespaces that are joined to its own too, as captures of nodes do.
    pub(super) fn tells_all_drops(&self) -> bool {
        self.tells_drops == Some(true)
    }

    /// Notes an item's time and arrival. Returns its time by the trace's clock.
    pub(super) fn note(&mut self, time: Timestamp, now: Timestamp) -> Timestamp {
        // A clock that is set back does not make a capture begin earlier.
        self.span = Some(self.span.map_or((time, time), |(first, last)| (first, last.max(time))));
        let delay = now.since(time);
        let first = Clock { least_delay: (delay, delay), began: now, delivered: time };
        let most = self.disorder.unwrap_or(i64::MAX);
        let is_set_back = |clock: &Clock| clock.delivered.since(time) > most;
        if self.clock.as_ref().is_some_and(is_set_back) {
            // The least delay was that of another clock.
            self.clock = None;
        }
        let clock = self.clock.get_or_insert(first);
        if now.since(clock.began) > MEMORY {
            clock.least_delay = (delay, clock.least_delay.0);
            clock.began = now;
        }
        clock.least_delay.0 = clock.least_delay.0.min(delay);
        clock.delivered = clock.delivered.max(time);
        time.offset(clock.least_delay())
    }

    /// The first and the latest time of its items, by its own clock; absent before its first one.
    pub(super) fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.span
    }

    /// A time of the trace's clock by its own; absent before its first item.
    pub(super) fn own_time(&self, time: Timestamp) -> Option<Timestamp> {
        self.clock.map(|clock| time.offset(-clock.least_delay()))
    }

    /// The nodes of its interfaces.
    pub(super) fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Whether it records an interface.
    pub(super) fn has(&self, interface: InterfaceIndex) -> bool {
        self.has.get(interface.0 as usize).copied().unwrap_or_default()
    }

    /// Whether it began before `since` and has nothing to observe: no interface will tell that it is attached.
    pub(super) fn is_empty(&self, since: Timestamp) -> bool {
        let is_observed = |described: &Described| matches!(described, Described::Observed(..));
        !self.interfaces.iter().any(is_observed) && self.began.is_some_and(|began| began <= since)
    }

    /// Up to when, by the trace's clock, it has delivered everything; absent before its first item.
    pub(super) fn delivered(&self) -> Option<Timestamp> {
        self.clock.map(|clock| clock.delivered.offset(clock.least_delay()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::new(&SourceSpec { node: "node".to_owned(), tells_gso: true }, true)
    }

    #[test]
    fn a_clock_that_is_set_holds_nothing_up() {
        let (second, hour) = (1_000_000_000, 3_600_000_000_000);
        let mut source = source();
        for (at, clock) in
            [(1, hour), (2, hour), (3, 2 * hour), (4, 2 * hour), (5, hour), (6, 0), (7, 0), (8, hour)]
        {
            let now = Timestamp(at * second);
            assert_eq!(source.note(Timestamp(clock + at * second), now), now, "at {at} s");
            assert_eq!(source.delivered(), Some(now), "at {at} s");
        }
    }

    #[test]
    fn a_stream_that_lags_has_not_delivered() {
        let mut source = source();
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
        let mut source = source();
        let second = 1_000_000_000;
        for n in 0..10_000 {
            // Slower than the trace's clock by 100 ppm.
            let now = Timestamp(n * second);
            source.note(Timestamp(n * (second - 100_000)), now);
            assert!(now.since(source.delivered().unwrap()) < 13_000_000);
        }
    }
}
