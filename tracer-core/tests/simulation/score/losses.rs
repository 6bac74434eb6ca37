//! Where packets are told to be lost.

use std::collections::HashMap;

use tracer_core::flow::FlowKey;
use tracer_core::report::Report;

use super::Score;
use crate::truth::{Lost, Point, Truth, tuple};

/// What packets wore at the last hop that saw them, that hop, and the next one; absent ones are not known.
type Interval = (FlowKey, Option<Point>, Option<Point>);

impl Score {
    pub(super) fn losses(&mut self, truth: &Truth<'_>, report: &Report) {
        self.counts.unseen = truth.unseen();
        let claims = self.claims(truth, report);
        for ((tuple, after), intervals) in &truth.losses {
            for (before, lost) in intervals {
                self.counts.lost += lost.wholly;
                let claimed =
                    |before| claims.get(&(*tuple, Some(*after), before)).copied().unwrap_or_default();
                let told = claimed(Some(*before)) + claimed(None);
                if told < lost.wholly {
                    let (after, before) = (truth.name(*after), truth.name(*before));
                    let lost = lost.wholly;
                    self.note(|| format!("{tuple}: {told} lost from {after} to {before}, of {lost}"));
                }
            }
        }
        for ((tuple, after, before), count) in claims {
            let there = after.and_then(|after| truth.losses.get(&(tuple, after)));
            let lost = there.and_then(|intervals| match before {
                Some(before) => intervals.get(&before).copied(),
                // "After that hop" is where it was, whatever came next.
                None => intervals.values().copied().next(),
            });
            let Lost { wholly, at_most } = lost.unwrap_or_default();
            self.counts.located += count.min(wholly);
            self.counts.false_lost += count.saturating_sub(at_most);
            if count > at_most {
                self.note(|| {
                    let name = |point: Option<Point>| point.map_or("?".to_owned(), |point| truth.name(point));
                    let (after, before) = (name(after), name(before));
                    format!("{tuple}: {count} told to be lost from {after} to {before}, but {at_most} were")
                });
            }
        }
    }

    /// Certain claims, those of one place together.
    fn claims(&mut self, truth: &Truth<'_>, report: &Report) -> HashMap<Interval, u64> {
        let mut claims: HashMap<Interval, u64> = HashMap::new();
        for flow in &report.flows {
            for lane in [&flow.forward, &flow.reply] {
                self.counts.unknown += lane.unknown;
                for stop in &lane.stopped {
                    if stop.uncertain.is_some() {
                        self.counts.unknown += stop.packets;
                        continue;
                    }
                    let after = truth.point(&stop.after);
                    let before = stop.before.as_ref().and_then(|before| {
                        let station = |hop| truth.station(hop, flow.protocol);
                        match (station(&stop.after), station(before)) {
                            (Some((lane, after)), Some((same, before))) if lane == same && after < before => {
                                Some(truth.first_before(lane, after, before))
                            }
                            _ => truth.point(before),
                        }
                    });
                    let tuple = truth.known_by(tuple(&stop.after, flow.protocol));
                    *claims.entry((tuple, after, before)).or_default() += stop.packets;
                }
            }
        }
        claims
    }
}
