//! Latency samples of one step between two hops, in bounded memory.

/// Samples kept at most.
const CAPACITY: usize = 4096;

/// Differences of two times in nanoseconds: exact while few, every 2^n-th of them when many.
///
/// Thinning by a fixed stride needs no random numbers and keeps the samples spread over the whole flow.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: Vec<i64>,
    stride_log2: u32,
    seen: u64,
}

impl Samples {
    /// Adds a difference.
    pub fn add(&mut self, nanoseconds: i64) {
        if self.seen.is_multiple_of(1 << self.stride_log2) {
            if self.kept.len() == CAPACITY {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride_log2 += 1;
            }
            if self.seen.is_multiple_of(1 << self.stride_log2) {
                self.kept.push(nanoseconds);
            }
        }
        self.seen += 1;
    }

    /// Takes over another's samples.
    pub fn merge(&mut self, other: &Self) {
        for nanoseconds in &other.kept {
            self.add(*nanoseconds);
        }
    }

    /// The value that `share` (0 to 1) of the samples do not exceed, by nearest rank; absent without samples.
    pub fn quantile(&self, share: f64) -> Option<i64> {
        let mut sorted = self.kept.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "the rank of at most CAPACITY samples"
        )]
        let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1).min(last)).copied()
    }

    /// The smallest sample that is kept.
    pub fn min(&self) -> Option<i64> {
        self.kept.iter().copied().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_nearest_rank() {
        let mut samples = Samples::default();
        assert_eq!(samples.quantile(0.5), None);
        for value in 1..=100 {
            samples.add(value);
        }
        assert_eq!(samples.quantile(0.5), Some(50));
        assert_eq!(samples.quantile(0.99), Some(99));
        assert_eq!(samples.quantile(1.0), Some(100));
        assert_eq!(samples.quantile(0.0), Some(1));
    }

    #[test]
    fn memory_is_bounded_and_the_median_stays() {
        let mut samples = Samples::default();
        for value in 0..1_000_000 {
            samples.add(value);
        }
        assert!(samples.kept.len() <= CAPACITY);
        let median = samples.quantile(0.5).unwrap();
        assert!((490_000..510_000).contains(&median), "{median}");
    }
}
