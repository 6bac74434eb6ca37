//! Unit and origin of timestamps.

use crate::units::Timestamp;

const NANOSECONDS: u64 = 1_000_000_000;

/// What an interface's timestamps count (`if_tsresol`, `if_tsoffset`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Resolution {
    /// Ticks per second.
    per_second: u64,
    /// Seconds to add.
    offset: i64,
}

impl Default for Resolution {
    /// Microseconds, where an interface does not tell.
    fn default() -> Self {
        Self { per_second: 1_000_000, offset: 0 }
    }
}

impl Resolution {
    /// By the value of `if_tsresol`: a power of ten, or of two where the top bit is set; nanoseconds where it makes
    /// no sense.
    pub(super) fn set(&mut self, value: u8) {
        let exponent = u32::from(value & 0x7f);
        let base: u64 = if value & 0x80 == 0 { 10 } else { 2 };
        self.per_second = base.checked_pow(exponent).unwrap_or(NANOSECONDS);
    }

    /// By the value of `if_tsoffset`.
    pub(super) fn set_offset(&mut self, seconds: i64) {
        self.offset = seconds;
    }

    /// The time after so many ticks; the nearest that there is where it is out of range.
    pub(super) fn time(self, ticks: u64) -> Timestamp {
        if (self.per_second, self.offset) == (NANOSECONDS, 0) {
            return Timestamp(ticks);
        }
        let nanoseconds = u128::from(ticks) * u128::from(NANOSECONDS) / u128::from(self.per_second);
        let offset = i128::from(self.offset) * i128::from(NANOSECONDS);
        let time = i128::try_from(nanoseconds).unwrap_or(i128::MAX).saturating_add(offset);
        Timestamp(u64::try_from(time.max(0)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolution(value: u8, offset: i64) -> Resolution {
        let mut resolution = Resolution::default();
        resolution.set(value);
        resolution.set_offset(offset);
        resolution
    }

    #[test]
    fn ticks_of_any_length() {
        for (resolution, ticks, nanoseconds) in [
            (Resolution::default(), 1_500_000, 1_500_000_000),
            (resolution(6, 0), 1_500_000, 1_500_000_000),
            (resolution(9, 0), 7, 7),
            (resolution(9, 2), 7, 2_000_000_007),
            (resolution(0, 0), 3, 3_000_000_000),
            (resolution(12, 0), 5000, 5),
            (resolution(0x8a, 2), 512, 2_500_000_000),
            (resolution(6, -1), 1_500_000, 500_000_000),
            (resolution(6, -2), 1_500_000, 0),
            (resolution(0, 0), u64::MAX, u64::MAX),
            (resolution(127, 0), 9, 9),
            (resolution(0xff, 0), 9, 9),
        ] {
            assert_eq!(resolution.time(ticks), Timestamp(nanoseconds), "{resolution:?}");
        }
    }
}
