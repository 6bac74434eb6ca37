//! Whether a figure grew.

use crate::watched::Sample;

/// The least growth that is found, MiB of resident memory an hour. At 50,000 packets a second it is one byte for every 172
/// packets: the allocator's smallest piece, of 16 bytes, left behind by every 2,750th packet.
const LEAST_SLOPE: f64 = 1.0;
/// What the allocator and the kernel move about without a leak, MiB; in a short run this is the bound.
const NOISE: f64 = 0.5;

/// Straight line through resident memory after the first tenth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    /// MiB an hour.
    pub(crate) found: f64,
    /// The most that counts as flat, MiB an hour.
    pub(crate) bound: f64,
}

impl Slope {
    /// By least squares.
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let settled = settled(samples);
        let points: Vec<(f64, f64)> =
            settled.iter().map(|one| (one.at / 3600.0, one.held.resident as f64 / 1024.0)).collect();
        let hours = points.last().zip(points.first()).map_or(0.0, |(last, first)| last.0 - first.0);
        let bound = if hours > 0.0 { LEAST_SLOPE.max(NOISE / hours) } else { LEAST_SLOPE };
        Self { found: least_squares(&points), bound }
    }

    pub(crate) fn is_flat(self) -> bool {
        self.found <= self.bound
    }
}

/// Samples without the first tenth, in which buffers and pages are touched for the first time.
pub(crate) fn settled(samples: &[Sample]) -> &[Sample] {
    &samples[samples.len() / 10..]
}

/// The slope of the line with the least squared distances; 0 where there are no two places.
fn least_squares(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if spread > 0.0 { together / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(growth: f64) -> Vec<Sample> {
        let sample = |number: u32| {
            let mut sample = Sample { at: f64::from(number) * 10.0, ..Sample::default() };
            // Ten MiB at once in the beginning, a page more or less now and then.
            let first = if number == 0 { 10_000.0 } else { 20_000.0 };
            let resident = first + f64::from(number % 3) * 4.0 + growth * f64::from(number) / 360.0;
            sample.held.resident = resident as u64;
            sample
        };
        (0..=360).map(sample).collect()
    }

    #[test]
    fn growth_is_found_and_noise_is_none() {
        for (kibibytes_an_hour, is_flat) in [(0.0, true), (900.0, true), (1200.0, false), (20_000.0, false)] {
            let slope = Slope::of(&hour(kibibytes_an_hour));
            assert_eq!(slope.is_flat(), is_flat, "{kibibytes_an_hour}: {slope:?}");
            assert!((slope.found - kibibytes_an_hour / 1024.0).abs() < 0.05, "{slope:?}");
        }
    }

    #[test]
    fn a_short_run_has_a_wider_bound() {
        let minute: Vec<Sample> = hour(0.0).into_iter().take(7).collect();
        assert!((Slope::of(&minute).bound - 30.0).abs() < 1.0, "{:?}", Slope::of(&minute));
        assert_eq!(Slope::of(&[]), Slope { found: 0.0, bound: 1.0 });
    }
}
