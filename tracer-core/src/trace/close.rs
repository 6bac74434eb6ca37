//! Groups that close become journeys, and journeys are told.

use super::{IN_FLIGHT, IcmpMessage, TracedJourney, Tracer};
use crate::clock::Crossing;
use crate::correlate::{Correlator, Group, Piece, Split, elementary};
use crate::flow::FlowKey;
use crate::identity::SegmentKey;
use crate::journey::{Confidence, Journey, ObservationId};
use crate::loss::Cloud;
use crate::timeline::{Circumstances, Place, QuotedError};
use crate::units::Timestamp;

impl Tracer {
    /// Closes the groups whose windows all captures have delivered past.
    pub(super) fn close_until(&mut self, delivered: Timestamp) {
        self.learn_directions(delivered);
        loop {
            if self.are_pieces_next() {
                let Some(group) = self.pieces.as_mut().and_then(|pieces| pieces.closed(delivered)) else {
                    return;
                };
                self.close_pieces(&group, false);
            } else {
                let Some(group) = self.correlator.closed(delivered) else { return };
                self.close(group, false);
            }
        }
    }

    /// Whether the next group to close is one of pieces: both kinds close in the order of their times, so that a
    /// retransmission is told after what it repeats.
    fn are_pieces_next(&mut self) -> bool {
        let Some(pieces) = self.pieces.as_mut().and_then(Correlator::oldest_seen) else { return false };
        self.correlator.oldest_seen().is_none_or(|seen| pieces < seen)
    }

    /// Closes all groups that are left.
    pub(super) fn close_all(&mut self) {
        self.learn_directions(Timestamp(u64::MAX));
        loop {
            if self.are_pieces_next() {
                let Some(group) = self.pieces.as_mut().and_then(Correlator::take) else { return };
                self.close_pieces(&group, true);
            } else {
                let Some(group) = self.correlator.take() else { return };
                self.close(group, true);
            }
        }
    }

    /// The first observation of the oldest open group.
    pub(super) fn oldest(&self) -> Option<ObservationId> {
        let pieces = self.pieces.as_ref().and_then(Correlator::oldest);
        self.correlator.oldest().into_iter().chain(pieces).min()
    }

    /// Learns directions from all that is gathered before the first group closes: the first packets of a flow are
    /// then placed like those that follow.
    fn learn_directions(&mut self, delivered: Timestamp) {
        let oldest = self.correlator.oldest_seen();
        let is_due = oldest.is_some_and(|oldest| oldest <= delivered.before(self.options.window));
        if self.has_learnt || !is_due {
            return;
        }
        self.has_learnt = true;
        for group in self.correlator.open() {
            self.directions.learn(group, &self.headers, &self.points);
        }
    }

    fn close_pieces(&mut self, group: &Group<Piece>, is_end: bool) {
        for elementary in elementary(group) {
            self.close(elementary, is_end);
        }
    }

    fn close(&mut self, mut group: Group, is_end: bool) {
        let began_early = !self.options.is_merged && self.ready.is_none_or(|ready| group.seen < ready);
        let is_partial = began_early || group.is_cut_short;
        let seen = group.seen;
        let key = group.segment.key;
        let quotes = self.quotes_of(key);
        let heard = self.heard.take(group.segment.key);
        if group.segment.may_vanish {
            self.complete_fragments(&mut group);
        }
        self.directions.fill(&mut group, &self.headers, &self.points);
        let split = Split::of(group, &self.headers, &self.points, &self.clocks, &self.timeline);
        self.loss.ambiguous += split.ambiguous;
        let of_equals = self.doubts_of_equals(&split.journeys, seen, is_end);
        let drops = self.drops.take(key);
        let (claims, unclaimed) = self.claim(&split.journeys, drops);
        self.drops.put_back(key, unclaimed);
        for (mut journey, claim) in split.journeys.into_iter().zip(claims) {
            self.directions.fill_along(&mut journey.hops, &self.headers, &self.points);
            let (in_flight, clouded) = match &of_equals {
                Some(doubts) if journey.confidence != Confidence::Exact => doubts.clone(),
                _ => self.doubts(&journey, seen, is_end),
            };
            let is_dropped = self.is_proof(claim.as_ref());
            let is_at_edge = (is_partial || in_flight) && !is_dropped;
            let clouded = if is_dropped { Vec::new() } else { clouded };
            let crossings = self.crossings(&journey);
            let circumstances = Circumstances {
                is_at_edge,
                clouded: &clouded,
                crossings: &crossings,
                clock_steps: self.clocks.steps(),
                is_dropped,
            };
            let added = self.timeline.add(&journey, &mut self.headers, &self.names, &circumstances);
            if let Some(added) = &added {
                self.tell(added, &journey, is_at_edge || !clouded.is_empty());
                self.note_heard(added, heard.as_ref(), &journey);
                self.note_claim(added, claim.as_ref(), &journey);
                if self.options.keep_frames {
                    self.frames.note(&journey, added.flow, added.orientation, &self.headers);
                }
            }
            self.attach(&quotes, &journey);
            if self.options.keep_journeys {
                let flow = added.map(|added| added.flow);
                self.progress.journeys.push(TracedJourney { flow, journey });
            } else {
                self.correlator.recycle(journey.hops);
            }
        }
    }

    /// Gives a fragment's sightings the ports that others of them have: which capture tells of the first fragment first
    /// must not matter.
    fn complete_fragments(&mut self, group: &mut Group) {
        let flows: Vec<FlowKey> = group.members.iter().map(|hop| self.headers.flow(hop.headers)).collect();
        for (hop, own) in group.members.iter_mut().zip(&flows) {
            let is_same = |other: &&FlowKey| {
                other.has_ports() && (other.protocol, other.addresses()) == (own.protocol, own.addresses())
            };
            let whole = if own.has_ports() { None } else { flows.iter().find(is_same) };
            if let Some(headers) = whole.and_then(|whole| self.headers.with_flow(hop.headers, *whole)) {
                hop.headers = headers;
            }
        }
    }

    /// Whether a journey may have gone on after the captures ended, and why nodes may not have recorded it.
    fn doubts(&self, journey: &Journey, seen: Timestamp, is_end: bool) -> (bool, Vec<Cloud>) {
        (is_end && self.is_in_flight(journey), self.clouds(journey, seen))
    }

    /// The doubts about any of several equal packets: which of them is missing somewhere is not known, so what may
    /// have hidden one may have hidden another.
    fn doubts_of_equals(
        &self,
        journeys: &[Journey],
        seen: Timestamp,
        is_end: bool,
    ) -> Option<(bool, Vec<Cloud>)> {
        let equal = || journeys.iter().filter(|journey| journey.confidence != Confidence::Exact);
        let shortest = equal().map(|journey| journey.hops.len()).min()?;
        if equal().all(|journey| journey.hops.len() == shortest) {
            return None;
        }
        let mut all = (false, Vec::new());
        for journey in equal() {
            let (in_flight, clouds) = self.doubts(journey, seen, is_end);
            all.0 |= in_flight;
            all.1.extend(clouds);
        }
        all.1.sort_unstable();
        all.1.dedup();
        Some(all)
    }

    fn quotes_of(&mut self, key: SegmentKey) -> Vec<IcmpMessage> {
        if self.quotes.is_empty() { Vec::new() } else { self.quotes.remove(&key).unwrap_or_default() }
    }

    /// Attaches an ICMP error to the flow whose packet it quotes.
    fn attach(&mut self, quotes: &[IcmpMessage], journey: &Journey) {
        let flow_of = |IcmpMessage { observation, kind, code, quote }: &IcmpMessage| {
            // Errors about other flows may be alike but for what they quote.
            journey.hops.iter().find(|hop| hop.observation == *observation)?;
            let tuple = self.headers.known_tuple(quote.flow)?;
            Some((self.timeline.place(tuple)?, *kind, *code, quote.mtu))
        };
        let Some(((flow, direction), kind, code, mtu)) = quotes.iter().find_map(flow_of) else { return };
        let protocol = self.headers.flow(journey.first().headers).protocol;
        let first = journey.first();
        let source = self.headers.flow(first.headers).source.address;
        let place = Place::of(first);
        let error = QuotedError { protocol, kind, code, mtu, direction, source, place, count: 1 };
        let is_news = self.timeline.flow_mut(flow).is_some_and(|flow| flow.note_error(error));
        if is_news {
            self.tell_error(flow, &error, first.time);
        }
    }

    /// Whether a packet may have gone on after the captures ended.
    fn is_in_flight(&self, journey: &Journey) -> bool {
        let last = journey.last();
        let end = self.ends.get(&self.points.at(last.point.interface).node);
        end.is_none_or(|end| last.time > end.before(IN_FLIGHT))
    }

    /// The times of each step between nodes with clocks of their own.
    fn crossings(&mut self, journey: &Journey) -> Vec<Option<Crossing>> {
        let is_crossing = |pair: &[crate::journey::Sighting]| {
            !self.points.share_clock(pair[0].point.interface, pair[1].point.interface)
        };
        if journey.confidence != Confidence::Exact || !journey.hops.windows(2).any(is_crossing) {
            return Vec::new();
        }
        let mut crossings = Vec::with_capacity(journey.hops.len());
        for pair in journey.hops.windows(2) {
            let (from, to) = (pair[0].point.interface, pair[1].point.interface);
            crossings.push(if self.points.share_clock(from, to) {
                None
            } else {
                let (a, b) = (self.points.clock(from), self.points.clock(to));
                Some(self.clocks.note(a, b, pair[0].time, pair[1].time))
            });
        }
        crossings
    }
}
