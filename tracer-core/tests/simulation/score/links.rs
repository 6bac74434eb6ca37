//! Journeys hop by hop.

use tracer_core::journey::{Confidence, Journey, Sighting};

use super::Score;
use crate::emission::EmissionId;
use crate::truth::Truth;

impl Score {
    pub(super) fn links(&mut self, truth: &Truth<'_>, journeys: &[Journey]) {
        for emission in (0..).map(EmissionId).take(truth.history.emissions.len()) {
            let places = truth.places(emission);
            self.counts.links += places.windows(2).map(|pair| pair[0].1.min(pair[1].1) as u64).sum::<u64>();
        }
        for journey in journeys {
            let mut is_disordered = false;
            for pair in journey.hops.windows(2) {
                is_disordered |= self.link(truth, journey, pair[0], pair[1]);
            }
            self.counts.disordered += u64::from(is_disordered);
        }
    }

    /// Scores one link; true if it goes back on the way of the packet.
    fn link(&mut self, truth: &Truth<'_>, journey: &Journey, from: Sighting, to: Sighting) -> bool {
        let resolve = |hop: Sighting| truth.resolve(hop.observation.0, hop.part);
        let (Some((first, before)), Some((second, after))) = (resolve(from), resolve(to)) else {
            self.counts.wrong += 1;
            self.note(|| format!("no such sighting: {from:?} -> {to:?}"));
            return false;
        };
        let is_back = first == second && after <= before;
        let is_sure = matches!(journey.confidence, Confidence::Exact | Confidence::Ordinal);
        if first == second && truth.next_place(first, before) == Some(after) {
            self.counts.found += 1;
            self.counts.sure += u64::from(is_sure);
        } else {
            self.counts.wrong += 1;
            let is_exact = journey.confidence == Confidence::Exact;
            self.counts.wrong_exact += u64::from(is_exact);
            self.counts.mixed_exact += u64::from(is_exact && first != second);
            let emission = |id: EmissionId| &truth.history.emissions[id.index()];
            self.note(|| {
                format!(
                    "{:?} link, station {before} -> {after}, {} ns: {first:?} {:?} -> {second:?} {:?}",
                    journey.confidence,
                    to.time.since(from.time),
                    emission(first),
                    emission(second)
                )
            });
        }
        if is_back {
            self.note(|| format!("{:?} journey goes back, station {before} -> {after}", journey.confidence));
        }
        is_back
    }
}
