//! Latencies that stand out from the flow's own distribution, round trips, and throughput.
//!
//! A sample stands out if it is beyond the upper outer fence (J. W. Tukey, Exploratory Data Analysis, 1977: the third
//! quartile and three times the distance of the quartiles) and beyond twice the median: where all take about the same, a
//! microsecond more is nothing.

use serde::Serialize;

use super::Reporter;
use super::hops::StepLatency;
use crate::clock::{Crossing, Latency, Offset};
use crate::timeline::{Lane, Place, StepSamples, quantile};
use crate::trace::PlaceName;
use crate::units::Timestamp;

/// With fewer samples there is no distribution to stand out from.
const MIN_SAMPLES: usize = 20;

/// Latencies of one kind that stand out.
#[derive(Clone, Debug, Serialize)]
pub struct Outliers {
    /// The hop at whose end they were measured; absent for round trips.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<PlaceName>,
    /// Samples beyond the fence, of those that are kept.
    pub samples: u64,
    /// Samples that are kept.
    pub of: u64,
    /// The fence, in nanoseconds.
    pub fence_ns: u64,
    /// The longest, at most eight, longest first.
    pub longest: Vec<Outlier>,
}

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Outlier {
    /// When the packet was at the hop before, in nanoseconds since the epoch.
    pub time_ns: Timestamp,
    /// How long it took, in nanoseconds.
    pub latency_ns: u64,
}

/// How long after packets their answers were back where the packets were seen first.
#[derive(Clone, Debug, Serialize)]
pub struct RoundTrip {
    /// Their distribution.
    #[serde(flatten)]
    pub latency: StepLatency,
    /// Samples that it is of.
    pub samples: u64,
    /// Those that stand out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outliers: Option<Outliers>,
}

impl Reporter<'_> {
    /// Steps of the main path on which packets took longer than others.
    pub(super) fn outliers(&self, lane: &Lane, path: &[Place]) -> Vec<Outliers> {
        let step = |pair: &[Place]| {
            let samples = lane.step(pair[0], pair[1])?;
            let (values, peaks) = self.differences(pair[0], pair[1], samples);
            stand_out(values, &peaks, Some(PlaceName::of(self.points, pair[1])))
        };
        path.windows(2).filter_map(step).collect()
    }

    /// Round trips of the packets of one direction; absent where none was measured.
    pub(super) fn round_trip(lane: &Lane) -> Option<RoundTrip> {
        let trips = lane.round_trips();
        let mut sorted = trips.samples().kept().to_vec();
        sorted.sort_unstable();
        let of = |difference| Latency::of(difference, Offset::NONE);
        let latency = StepLatency {
            p50: of(quantile(&sorted, 0.5)?),
            p99: of(quantile(&sorted, 0.99)?),
            max: of(trips.samples().greatest()?),
        };
        let samples = sorted.len() as u64;
        Some(RoundTrip { latency, samples, outliers: stand_out(sorted, trips.peaks().kept(), None) })
    }

    /// What a step took, and the longest with their times; between two clocks as well as their offset is known.
    fn differences(
        &self,
        from: Place,
        to: Place,
        samples: &StepSamples,
    ) -> (Vec<i64>, Vec<(i64, Timestamp)>) {
        let (first, second) = (from.point.interface, to.point.interface);
        if self.points.share_clock(first, second) {
            return (samples.local.kept().to_vec(), samples.local_peaks.kept().to_vec());
        }
        let (from, to) = (self.points.clock(first), self.points.clock(second));
        let of = |crossing: &Crossing| {
            let offset = self.offsets.between(from, to, crossing)?;
            Some(crossing.difference.saturating_sub(offset.offset))
        };
        let peaks = samples.between_peaks.kept().iter();
        let mut peaks: Vec<_> = peaks.filter_map(|(crossing, time)| Some((of(crossing)?, *time))).collect();
        peaks.sort_unstable_by(|a, b| b.cmp(a));
        (samples.between.kept().iter().filter_map(of).collect(), peaks)
    }
}

/// Those of the values that stand out; absent where none does.
fn stand_out(mut values: Vec<i64>, peaks: &[(i64, Timestamp)], at: Option<PlaceName>) -> Option<Outliers> {
    if values.len() < MIN_SAMPLES {
        return None;
    }
    values.sort_unstable();
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| quantile(&values, share));
    let (lower, median, upper) = (lower?, median?, upper?);
    let spread = upper.saturating_sub(lower);
    let fence = upper.saturating_add(spread.saturating_mul(3)).max(median.saturating_mul(2)).max(0);
    let longest: Vec<Outlier> = (peaks.iter().filter(|(value, _)| *value > fence))
        .filter_map(|(value, time)| Some(Outlier { time_ns: *time, latency_ns: u64::try_from(*value).ok()? }))
        .collect();
    if longest.is_empty() {
        return None;
    }
    let beyond = values.len() - values.partition_point(|value| *value <= fence);
    Some(Outliers {
        at,
        samples: beyond as u64,
        of: values.len() as u64,
        fence_ns: u64::try_from(fence).unwrap_or_default(),
        longest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[i64]) -> Option<Outliers> {
        let mut peaks: Vec<(i64, Timestamp)> =
            values.iter().zip(0..).map(|(value, time)| (*value, Timestamp(time))).collect();
        peaks.sort_unstable_by(|a, b| b.cmp(a));
        peaks.truncate(8);
        stand_out(values.to_vec(), &peaks, None)
    }

    #[test]
    fn one_of_many_stands_out_with_its_time() {
        let mut values: Vec<i64> = (0..100).map(|number| 1000 + number % 10).collect();
        values[42] = 50_000;
        let outliers = told(&values).unwrap();
        assert_eq!((outliers.samples, outliers.of), (1, 100));
        assert_eq!(outliers.longest, [Outlier { time_ns: Timestamp(42), latency_ns: 50_000 }]);
        assert_eq!(outliers.fence_ns, 2010);
    }

    #[test]
    fn where_all_are_alike_or_spread_or_few_none_does() {
        // A microsecond more than none at all is less than twice the median.
        let mut alike = vec![1000; 100];
        alike[3] = 1900;
        assert!(told(&alike).is_none());
        assert!(told(&(0..100).map(|number| number * number).collect::<Vec<_>>()).is_none());
        assert!(told(&[1, 1, 1, 1, 1_000_000]).is_none());
        // Offsets between clocks may make a latency look negative.
        assert!(told(&[-5; 100]).is_none());
    }
}
