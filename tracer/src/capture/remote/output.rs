//! What comes of the merged streams: one capture with an interface for each node and name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use tracer_core::capture::{Frame, Interface, InterfaceId, LinkLayer, Statistics};
use tracer_core::units::Timestamp;

use super::merge::{StreamId, Taker};
use super::peer;
use super::place::Place;
use super::queue::Note;
use crate::capture::pipeline::Pipeline;
use crate::sink::SinkError;

/// `LINKTYPE_RAW`: packets begin with an IP header (tcpdump.org/linktypes.html).
const LINKTYPE_RAW: u32 = 101;
/// The Ethernet header that was put before packets without one.
const SYNTHETIC: usize = 14;
/// Packets by which the pod behind an interface may be told.
const TRIES: u8 = 32;

/// The output of a capture on a cluster.
pub(super) struct Output {
    pipeline: Pipeline,
    streams: Vec<Stream>,
    true_link_types: bool,
    packet_buffered: bool,
    /// Packets that may still be written.
    remaining: u64,
    packets: u64,
    /// Why nothing more is written.
    failed: Option<SinkError>,
    /// Streams that ended since it was last asked for, and why not all of one could be read.
    ended: Vec<(StreamId, Option<String>)>,
}

/// One stream: a capture on a node.
pub(super) struct Stream {
    pub(super) node: String,
    /// Pods whose host interfaces it captures; absent where it captures others as well.
    links: Option<Place>,
    pub(super) has_begun: bool,
    pub(super) interfaces: Vec<Seen>,
    /// Of the same interfaces, what is looked at for each packet: many nodes have thousands of them.
    at_hand: Vec<AtHand>,
}

#[derive(Clone, Copy)]
struct AtHand {
    /// Its number in the output; absent until something is said of it.
    id: Option<InterfaceId>,
    /// Packets that were looked at for the pod behind it.
    tries: u8,
    /// Whether the header before its packets is none of theirs.
    is_raw: bool,
    /// Packets of it in the output.
    written: u64,
}

impl Stream {
    /// The interfaces with their counters, of which `written` are the packets in the output.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&Seen, Statistics)> {
        let written = self.at_hand.iter().map(|at_hand| at_hand.written);
        self.interfaces
            .iter()
            .zip(written)
            .map(|(seen, written)| (seen, Statistics { written, ..seen.statistics }))
    }
}

/// An interface of a stream.
pub(super) struct Seen {
    pub(super) interface: Interface,
    /// The pod behind it.
    pub(super) peer: Option<String>,
    /// What its capture counted.
    statistics: Statistics,
    told: Option<Timestamp>,
}

/// How the output behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) true_link_types: bool,
    pub(super) packet_buffered: bool,
    /// Packets after which it takes no more.
    pub(super) packets: Option<u64>,
}

impl Output {
    pub(super) fn new(pipeline: Pipeline, manner: Manner) -> Self {
        Self {
            pipeline,
            streams: Vec::new(),
            true_link_types: manner.true_link_types,
            packet_buffered: manner.packet_buffered,
            remaining: manner.packets.unwrap_or(u64::MAX),
            packets: 0,
            failed: None,
            ended: Vec::new(),
        }
    }

    /// A further stream, in the order of their numbers. `links` are the pods whose host interfaces it captures, and
    /// nothing else.
    pub(super) fn add(&mut self, node: &str, links: Option<Place>) {
        self.streams.push(Stream {
            node: node.to_owned(),
            links,
            has_begun: false,
            interfaces: Vec::new(),
            at_hand: Vec::new(),
        });
    }

    /// Other pods are behind the interfaces of a stream from now on.
    pub(super) fn set_links(&mut self, stream: StreamId, links: Place) {
        if let Some(stream) = self.streams.get_mut(stream.0) {
            stream.links = Some(links);
            for at_hand in &mut stream.at_hand {
                at_hand.tries = 0;
            }
        }
    }

    pub(super) fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// Names of addresses, those known already included.
    pub(super) fn names(&mut self, names: &BTreeMap<IpAddr, Vec<String>>) {
        let written = self.pipeline.names(names);
        self.unless_failed(written);
    }

    pub(super) fn take_ended(&mut self) -> Vec<(StreamId, Option<String>)> {
        std::mem::take(&mut self.ended)
    }

    /// Packets written so far.
    pub(super) const fn packets(&self) -> u64 {
        self.packets
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pipeline.bytes()
    }

    /// Packets lost so far, as far as it was told.
    pub(super) fn lost(&self) -> u64 {
        self.streams.iter().flat_map(|stream| &stream.interfaces).map(|seen| seen.statistics.lost).sum()
    }

    pub(super) const fn has_enough_packets(&self) -> bool {
        self.remaining == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.pipeline.is_full()
    }

    pub(super) const fn failed(&self) -> Option<&SinkError> {
        self.failed.as_ref()
    }

    /// What can be waited on for a reader that goes away.
    pub(super) fn reader(&self) -> Option<BorrowedFd<'_>> {
        self.pipeline.stream()
    }

    pub(super) fn flush(&mut self) {
        if self.failed.is_none() {
            let flushed = self.pipeline.flush();
            self.unless_failed(flushed);
        }
    }

    /// Writes the counters of every interface and closes the output. Returns the streams, the packets that the output
    /// has, and what failed before, or failed now.
    pub(super) fn finish(mut self) -> (Vec<Stream>, u64, Option<SinkError>) {
        let mut streams = std::mem::take(&mut self.streams);
        for stream in &mut streams {
            for (seen, at_hand) in stream.interfaces.iter().zip(&mut stream.at_hand) {
                self.tell(seen, at_hand);
            }
        }
        let packets = self.pipeline.packets();
        let failed_now = self.pipeline.finish().err();
        (streams, packets, self.failed.or(failed_now))
    }

    /// Counters of an interface as they were last known; nothing where a capture never told any.
    fn tell(&mut self, seen: &Seen, at_hand: &mut AtHand) {
        let Some(time) = seen.told.filter(|_| self.failed.is_none()) else { return };
        if let Some(id) = self.described(seen, at_hand) {
            let statistics = Statistics { written: at_hand.written, ..seen.statistics };
            let written = self.pipeline.statistics(id, time, &statistics);
            self.unless_failed(written);
        }
    }

    /// The number of an interface in the output, which describes it now at the latest.
    fn described(&mut self, seen: &Seen, at_hand: &mut AtHand) -> Option<InterfaceId> {
        if at_hand.id.is_none() {
            let described = self.pipeline.interface_of(&seen.interface, seen.peer.as_deref());
            at_hand.id = self.unless_failed(described);
        }
        at_hand.id
    }

    /// An output that takes no more ends the capture in order.
    fn unless_failed<T>(&mut self, result: Result<T, SinkError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    fn write(&mut self, at_hand: &mut AtHand, id: InterfaceId, frame: &Frame<'_>) {
        let cut = if at_hand.is_raw { SYNTHETIC.min(frame.data.len()) } else { 0 };
        let frame = Frame {
            interface: id,
            data: Cow::Borrowed(&frame.data[cut..]),
            original_len: frame.original_len.saturating_sub(u32::try_from(cut).unwrap_or(0)),
            comment: None,
            ..*frame
        };
        let written = self.pipeline.frame(&frame);
        if self.unless_failed(written) == Some(true) {
            at_hand.written += 1;
            self.packets += 1;
            self.remaining -= 1;
            if self.packet_buffered {
                self.flush();
            }
        }
    }

    fn describe(&mut self, stream: StreamId, mut interface: Interface) {
        let Some(stream) = self.streams.get_mut(stream.0) else { return };
        interface.node = Some(stream.node.clone());
        if self.true_link_types && interface.link == LinkLayer::SyntheticEthernet {
            interface.link = LinkLayer::Other(LINKTYPE_RAW);
        }
        let is_raw = self.true_link_types && interface.link == LinkLayer::Other(LINKTYPE_RAW);
        stream.at_hand.push(AtHand { id: None, tries: 0, is_raw, written: 0 });
        stream.interfaces.push(Seen { interface, peer: None, statistics: Statistics::default(), told: None });
    }

    fn count(&mut self, stream: StreamId, id: InterfaceId, time: Timestamp, statistics: Statistics) {
        let Some(stream) = self.streams.get_mut(stream.0) else { return };
        let number = id.0 as usize;
        let (Some(seen), Some(at_hand)) = (stream.interfaces.get_mut(number), stream.at_hand.get(number))
        else {
            return;
        };
        let has_lost = statistics.lost > seen.statistics.lost;
        seen.statistics = statistics;
        seen.told = Some(time);
        let Some(id) = at_hand.id.filter(|_| self.failed.is_none()) else { return };
        let statistics = Statistics { written: at_hand.written, ..statistics };
        if has_lost {
            let written = self.pipeline.statistics(id, time, &statistics);
            self.unless_failed(written);
        } else if self.pipeline.is_rotating() {
            self.pipeline.remember(id, time, &statistics);
        }
    }
}

impl Taker for Output {
    fn frame(&mut self, stream: StreamId, frame: &Frame<'_>) {
        if self.remaining == 0 || self.failed.is_some() || self.pipeline.is_full() {
            return;
        }
        let Some(known) = self.streams.get_mut(stream.0) else { return };
        let number = frame.interface.0 as usize;
        let Some(mut at_hand) = known.at_hand.get(number).copied() else { return };
        if let Some(links) = &known.links
            && at_hand.tries < TRIES
        {
            at_hand.tries += 1;
            let pod = peer::address(frame).and_then(|address| links.pod_at(address));
            if let Some(pod) = pod {
                let seen = &mut known.interfaces[number];
                at_hand.tries = TRIES;
                if seen.peer.as_deref() != Some(pod) {
                    seen.peer = Some(pod.to_owned());
                    if let Some(before) = at_hand.id.take() {
                        self.pipeline.retire(before);
                    }
                }
            }
        }
        if at_hand.id.is_none() {
            // Taken out, as the output is written to with them.
            let interfaces = std::mem::take(&mut known.interfaces);
            self.described(&interfaces[number], &mut at_hand);
            self.streams[stream.0].interfaces = interfaces;
        }
        if let Some(id) = at_hand.id {
            self.write(&mut at_hand, id, frame);
        }
        self.streams[stream.0].at_hand[number] = at_hand;
    }

    fn note(&mut self, stream: StreamId, note: Note) {
        match note {
            Note::Began => {
                if let Some(stream) = self.streams.get_mut(stream.0) {
                    stream.has_begun = true;
                }
            }
            Note::Interface(interface) => self.describe(stream, *interface),
            Note::Statistics(id, time, statistics) => self.count(stream, id, time, statistics),
            Note::Ended(reason) => self.ended.push((stream, reason)),
        }
    }
}
