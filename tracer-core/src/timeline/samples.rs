//! Latency samples of one step between two hops, in bounded memory.

/// Samples kept at most.
const CAPACITY: usize = 4096;

/// Samples: all while few, every 2^n-th of them when many.
///
/// Thinning by a fixed stride needs no random numbers and keeps the samples spread over the whole flow.
#[derive(Clone, Debug)]
pub struct Samples<T> {
    kept: Vec<T>,
    greatest: Option<T>,
    stride_log2: u32,
    seen: u64,
}

impl<T> Default for Samples<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), greatest: None, stride_log2: 0, seen: 0 }
    }
}

impl<T: Copy + PartialOrd> Samples<T> {
    /// Adds a sample.
    pub fn add(&mut self, sample: T) {
        if self.greatest.is_none_or(|greatest| sample > greatest) {
            self.greatest = Some(sample);
        }
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
                self.kept.push(sample);
            }
        }
        self.seen += 1;
    }

    /// Takes over another's samples.
    pub fn merge(&mut self, other: &Self) {
        for sample in other.kept.iter().chain(&other.greatest) {
            self.add(*sample);
        }
    }

    /// The samples that are kept, in no order.
    pub fn kept(&self) -> &[T] {
        &self.kept
    }

    /// The greatest of all samples, kept or not.
    pub fn greatest(&self) -> Option<T> {
        self.greatest
    }
}

/// The value of sorted ones that `share` (0 to 1) of them do not exceed, by nearest rank; absent without values.
pub fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(samples: &Samples<i64>, share: f64) -> Option<i64> {
        let mut sorted = samples.kept().to_vec();
        sorted.sort_unstable();
        quantile(&sorted, share)
    }

    #[test]
    fn quantiles_by_nearest_rank() {
        let mut samples = Samples::default();
        assert_eq!(at(&samples, 0.5), None);
        for value in 1..=100 {
            samples.add(value);
        }
        assert_eq!(at(&samples, 0.5), Some(50));
        assert_eq!(at(&samples, 0.99), Some(99));
        assert_eq!(at(&samples, 1.0), Some(100));
        assert_eq!(at(&samples, 0.0), Some(1));
    }

    #[test]
    fn memory_is_bounded_the_median_stays_and_the_greatest_is_kept() {
        let mut samples = Samples::default();
        for value in 0..1_000_000 {
            samples.add(if value == 777_777 { 5_000_000 } else { value });
        }
        assert!(samples.kept.len() <= CAPACITY);
        let median = at(&samples, 0.5).unwrap();
        assert!((490_000..510_000).contains(&median), "{median}");
        assert_eq!(samples.greatest(), Some(5_000_000));
    }
}
