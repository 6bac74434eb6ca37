//! How long packets took from one hop to the next.

use super::peaks::Peaks;
use super::samples::Samples;
use crate::clock::Crossing;
use crate::journey::Sighting;

/// Times of one step.
#[derive(Clone, Debug, Default)]
pub struct StepSamples {
    /// By one clock, in nanoseconds.
    pub local: Samples<i64>,
    /// By two clocks.
    pub between: Samples<Crossing>,
    /// The longest by one clock, and when their packets were at the first of the two hops.
    pub local_peaks: Peaks<i64>,
    /// The same by two clocks.
    pub between_peaks: Peaks<Crossing>,
}

impl StepSamples {
    /// Adds the times of one packet at both hops; by two clocks if there is a crossing.
    pub(super) fn note(&mut self, from: &Sighting, to: &Sighting, crossing: Option<Crossing>) {
        if let Some(crossing) = crossing {
            self.between.add(crossing);
            self.between_peaks.add(crossing, from.time);
        } else {
            let difference = to.time.since(from.time);
            self.local.add(difference);
            self.local_peaks.add(difference, from.time);
        }
    }

    /// Adds the times of another lane's step.
    pub(super) fn merge(&mut self, other: &Self) {
        self.local.merge(&other.local);
        self.between.merge(&other.between);
        self.local_peaks.merge(&other.local_peaks);
        self.between_peaks.merge(&other.between_peaks);
    }
}
