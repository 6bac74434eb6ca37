//! Clocks that are wrong.

use tracer_core::units::Timestamp;

use crate::plan::Clock;

/// When simulations take place.
pub(crate) const EPOCH: u64 = 1_700_000_000_000_000_000;

impl Clock {
    /// What it shows at a true time after the beginning.
    pub(crate) fn shows(&self, time: u64) -> Timestamp {
        let stepped: i64 = self.steps.iter().filter(|(at, _)| *at <= time).map(|(_, by)| by).sum();
        let drift = i64::try_from(time).unwrap() / 1000 * self.skew_ppm / 1000;
        Timestamp(EPOCH + time).offset(self.offset + drift + stepped)
    }

    /// Whether it shows the true time.
    pub(crate) fn is_true(&self) -> bool {
        self.offset == 0 && self.skew_ppm == 0 && self.steps.is_empty()
    }
}
