//! Packets that kernels dropped: joined to journeys by their keys, else to flows by what they wore.

use super::source::DropsOf;
use super::{SourceId, Taken, Tracer};
use crate::capture::Frame;
use crate::drops::{Dropped, Kind, Nature, Notice, Past, Whereabouts};
use crate::flow::Protocol;
use crate::identity::{is_cut, segments, unidentified};
use crate::journey::Journey;
use crate::packet::{Packet, TcpFlags};
use crate::resolve::Owner;
use crate::timeline::{Added, FlowDrop, FlowId, Orientation, Place};
use crate::trace::event::EventKind;
use crate::units::{Direction, Timestamp};

/// A drop that a journey claimed, and the last hop before it.
type Claim = (Dropped, Place);

impl Tracer {
    /// Takes one packet that a kernel says it dropped.
    pub(super) fn note_drop(
        &mut self,
        source: SourceId,
        place: &DropsOf,
        frame: &Frame<'_>,
        now: Timestamp,
    ) -> Taken {
        let noted = self.sources[source.0].note(frame.time, now);
        let seen = if self.options.is_merged { frame.time } else { noted };
        let notice = frame.comment.as_ref().and_then(|comment| comment.parse::<Notice>().ok());
        let Some(notice) = notice else { return Taken::Nothing };
        let packet = match self.decode(place.link, frame) {
            Ok(packet) => packet,
            Err(taken) => return taken,
        };
        let Some(whereabouts) = self.whereabouts(source, place, frame.direction, &packet, seen) else {
            return Taken::Nothing;
        };
        let is_clone = notice.is_clone;
        let Some(kind) = self.drops.number(Kind::of(notice, &packet, whereabouts)) else {
            return Taken::Nothing;
        };
        let dropped = Dropped::of(kind, &packet, is_clone, frame.time, seen);
        if is_cut(&packet) {
            self.drops.push(None, dropped);
            return Taken::Nothing;
        }
        let mut identified = 0;
        for segment in segments(&packet, frame.gso, &self.options.hash_key) {
            identified += 1;
            self.drops.push(Some(segment.key), dropped);
        }
        for _ in 0..unidentified(&packet, frame.gso, identified) {
            self.drops.push(None, dropped);
        }
        Taken::Nothing
    }

    /// Where a packet was dropped; absent if another capture of the same kernel tells of it, or if it cannot be said whose
    /// namespace that was.
    ///
    /// A namespace that no capture was started in is told by the end that is in it: the sender of what was made there, the
    /// receiver of what came in. It counts if that is a pod of this node.
    fn whereabouts(
        &mut self,
        source: SourceId,
        place: &DropsOf,
        direction: Option<Direction>,
        packet: &Packet<'_>,
        seen: Timestamp,
    ) -> Option<Whereabouts> {
        let own = self.sources[source.0].netns();
        let Some(netns) = place.foreign else {
            let is_told = own.is_some_and(|netns| self.is_told_elsewhere(source, netns, true, seen));
            let pod = place.pod.clone();
            return (!is_told).then_some(Whereabouts { node: place.node, pod, netns: own, direction });
        };
        let is_early = !self.options.is_merged && self.ready.is_none();
        if is_early || self.is_told_elsewhere(source, netns, false, seen) {
            return None;
        }
        let outermost = packet.tunnels.first().map(|tunnel| (tunnel.source, tunnel.destination));
        let (from, to) = outermost.unwrap_or((packet.flow.source.address, packet.flow.destination.address));
        let end = if direction? == Direction::Egress { from } else { to };
        let mut owners = self.names.owners(end).filter_map(|owner| match owner {
            Owner::Pod { name, node: Some(home) } => Some((name, home)),
            _ => None,
        });
        let (pod, home) = owners.next().filter(|_| owners.next().is_none())?;
        let is_home = self.points.node_at(place.node).name == *home;
        is_home.then(|| Whereabouts {
            node: place.node,
            pod: Some(pod.clone()),
            netns: Some(netns),
            direction,
        })
    }

    /// Whether another capture of the same kernel tells of drops in a namespace: the one that was started in it, and the first
    /// of those that were started in the same one.
    fn is_told_elsewhere(&self, source: SourceId, netns: u64, is_own: bool, seen: Timestamp) -> bool {
        let this = &self.sources[source.0];
        let own = this.netns();
        let others = self.sources.iter().enumerate();
        let mut others = others.filter(|(number, other)| *number != source.0 && other.shares_kernel(this));
        others.any(|(number, other)| {
            let has_broken = other.broke.is_some_and(|broke| broke <= seen);
            let is_there = other.netns() == Some(netns) && other.tells_drops();
            let is_first = number < source.0;
            let is_beside = other.netns() == own && own.is_some() && other.tells_all_drops();
            !has_broken && if is_own { is_there && is_first } else { is_there || (is_beside && is_first) }
        })
    }

    /// Lets journeys with the same key claim drops, by these rules for each drop:
    ///
    /// 1. A journey that was seen by the drop's clock went as far as before the drop, and not on: it is the one that was
    ///    dropped; of several, the one that was seen last.
    /// 2. None was, but one was seen by other clocks only: that one.
    /// 3. A journey went on and others had the packet as well: what was dropped was a copy, which is of no interest.
    ///
    /// What is left was seen nowhere before it was dropped. Each journey claims one.
    pub(super) fn claim(
        &self,
        journeys: &[Journey],
        drops: Vec<Dropped>,
    ) -> (Vec<Option<Claim>>, Vec<Dropped>) {
        let mut claims: Vec<Option<Claim>> = vec![None; journeys.len()];
        let mut rest = Vec::new();
        for dropped in drops {
            let clock = self.points.clock_of(self.drops.kind(dropped.kind).node);
            let mut best: Option<(bool, Timestamp, usize)> = None;
            let mut is_copy = false;
            for (number, journey) in journeys.iter().enumerate() {
                let mut here = journey
                    .hops
                    .iter()
                    .filter(|hop| self.points.clock(hop.point.interface) == clock)
                    .peekable();
                let is_seen_here = here.peek().is_some();
                let goes_on = here.any(|hop| hop.time > dropped.time);
                is_copy |= goes_on && dropped.is_clone;
                let last = journey.last();
                if !goes_on && claims[number].is_none() {
                    best = best.max(Some((is_seen_here, last.time, number)));
                }
            }
            match best {
                Some((_, _, number)) => claims[number] = Some((dropped, Place::of(journeys[number].last()))),
                None if is_copy => {}
                None => rest.push(dropped),
            }
        }
        (claims, rest)
    }

    /// Whether a claim proves that its journey ended there.
    pub(super) fn is_proof(&self, claim: Option<&Claim>) -> bool {
        claim.is_some_and(|(dropped, _)| {
            !dropped.is_clone && self.drops.kind(dropped.kind).nature == Nature::Lost
        })
    }

    /// Notes the drop of a journey with its flow, and remembers how the journey ended for a drop that comes late.
    pub(super) fn note_claim(&mut self, added: &Added, claim: Option<&Claim>, journey: &Journey) {
        let past = Past { flow: added.flow, orientation: added.orientation, last: *journey.last() };
        match claim {
            None => self.drops.remember(journey.segment.key, past),
            Some((dropped, after)) => {
                let (flow, orientation) = self.quoted(dropped).unwrap_or((added.flow, added.orientation));
                self.note(flow, orientation, dropped, Some(*after));
            }
        }
    }

    /// Gives drops that no journey claimed by `until` to their flows.
    pub(super) fn settle_drops(&mut self, until: Timestamp) {
        while let Some((dropped, past)) = self.drops.unclaimed(until) {
            self.adopt(&dropped, past);
        }
    }

    /// The flow of an unclaimed drop is that of the packet that it quotes, or of the journey that ended with the same key
    /// before, or the one that wears its tuple, or a new one if the trace is about it and something was lost.
    fn adopt(&mut self, dropped: &Dropped, past: Option<Past>) {
        if let Some((flow, orientation)) = self.quoted(dropped) {
            self.note(flow, orientation, dropped, None);
            return;
        }
        let kind = self.drops.kind(dropped.kind);
        let (tuple, nature, clock) = (kind.tuple, kind.nature, self.points.clock_of(kind.node));
        if let Some(past) = past {
            let here = self.points.clock(past.last.point.interface) == clock;
            let is_before = !here || past.last.time <= dropped.time;
            let after = is_before.then(|| Place::of(&past.last));
            self.note(self.timeline.current(past.flow), past.orientation, dropped, after);
            return;
        }
        let known = self.headers.known_tuple(tuple).and_then(|tuple| self.timeline.place(tuple));
        if let Some((flow, orientation)) = known {
            self.note(flow, orientation, dropped, None);
        } else if nature != Nature::Benign && self.scope.as_ref().is_none_or(|scope| scope.contains(&[tuple]))
        {
            self.open_unseen(dropped);
        }
    }

    /// A flow of which nothing was seen but that it was dropped.
    fn open_unseen(&mut self, dropped: &Dropped) {
        let tuple = self.drops.kind(dropped.kind).tuple;
        let is_answer = dropped.flags.any(TcpFlags::SYN) && !dropped.flags.is_open();
        let opened =
            self.timeline.open_unseen(tuple, is_answer, dropped.time, &mut self.headers, &self.names);
        let Some((flow, orientation)) = opened else { return };
        if let Some(flow) = self.timeline.flow_mut(flow) {
            flow.tcp.opened |= dropped.flags.is_open();
        }
        self.note(flow, orientation, dropped, None);
        if let Some((_, true)) = self.number(flow) {
            let opened = (tuple.protocol == Protocol::TCP).then_some(dropped.flags.is_open());
            self.push_event(flow, dropped.time, EventKind::Appeared { opened });
        }
    }

    fn quoted(&self, dropped: &Dropped) -> Option<(FlowId, Orientation)> {
        self.timeline.place(self.headers.known_tuple(dropped.quote?.flow)?)
    }

    fn note(&mut self, flow: FlowId, direction: Orientation, dropped: &Dropped, after: Option<Place>) {
        let drop = FlowDrop { kind: dropped.kind, direction, after, first: dropped.time, packets: 1 };
        let is_kept = self.timeline.flow_mut(flow).is_none_or(|flow| flow.note_drop(drop));
        self.loss.overflow += u64::from(!is_kept);
    }
}

#[cfg(test)]
mod tests;
