//! The greatest samples with their times: outliers are told one by one.

use crate::units::Timestamp;

/// Samples kept at most.
const CAPACITY: usize = 8;

/// The greatest samples, and when each was taken.
#[derive(Clone, Debug)]
pub struct Peaks<T> {
    /// Greatest first.
    kept: Vec<(T, Timestamp)>,
}

impl<T> Default for Peaks<T> {
    fn default() -> Self {
        Self { kept: Vec::new() }
    }
}

impl<T: Copy + PartialOrd> Peaks<T> {
    /// Adds a sample; of equal ones the first stays in front.
    pub fn add(&mut self, sample: T, time: Timestamp) {
        if self.kept.len() == CAPACITY && self.kept.last().is_some_and(|(least, _)| sample <= *least) {
            return;
        }
        let place = self.kept.partition_point(|(greater, _)| *greater >= sample);
        self.kept.insert(place, (sample, time));
        self.kept.truncate(CAPACITY);
    }

    /// Takes over another's samples.
    pub fn merge(&mut self, other: &Self) {
        for (sample, time) in &other.kept {
            self.add(*sample, *time);
        }
    }

    /// The samples, greatest first.
    pub fn kept(&self) -> &[(T, Timestamp)] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_are_kept_with_their_times() {
        let mut peaks = Peaks::default();
        for time in 0..1000_u64 {
            peaks.add((time * 7919) % 1000, Timestamp(time));
        }
        let mut expected: Vec<_> =
            (0..1000_u64).map(|time| ((time * 7919) % 1000, Timestamp(time))).collect();
        expected.sort_by(|a, b| b.cmp(a));
        assert_eq!(peaks.kept(), &expected[..CAPACITY]);
        let mut other = Peaks::default();
        other.add(5000, Timestamp(3));
        other.merge(&peaks);
        assert_eq!(other.kept()[..2], [(5000, Timestamp(3)), expected[0]]);
    }
}
