//! From the boot clock, which the programs stamp with, to wall time.

use nix::time::{ClockId, clock_gettime};
use tracer_core::units::Timestamp;

/// How far wall time is ahead of the boot clock, as measured once.
///
/// Kept for the whole capture: a step of the wall clock in the middle must not reorder packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BootClock {
    /// Nanoseconds to add to a boot clock reading.
    offset: i64,
}

/// Readings of boot clock, wall clock, boot clock, in this order, in nanoseconds.
type Sample = (i64, i64, i64);

/// Enough that one of them was not interrupted.
const SAMPLES: usize = 64;

impl BootClock {
    /// Measures the offset.
    pub fn measure() -> nix::Result<Self> {
        let samples = (0..SAMPLES).map(|_| sample()).collect::<nix::Result<Vec<_>>>()?;
        Ok(Self { offset: offset(&samples) })
    }

    /// Wall time of a boot clock reading.
    pub fn wall(self, boot_ns: u64) -> Timestamp {
        Timestamp(boot_ns).offset(self.offset)
    }

    /// Wall time now.
    pub fn now(self) -> nix::Result<Timestamp> {
        Ok(self.wall(u64::try_from(read(ClockId::CLOCK_BOOTTIME)?).unwrap_or(0)))
    }
}

fn sample() -> nix::Result<Sample> {
    Ok((read(ClockId::CLOCK_BOOTTIME)?, read(ClockId::CLOCK_REALTIME)?, read(ClockId::CLOCK_BOOTTIME)?))
}

fn read(clock: ClockId) -> nix::Result<i64> {
    let time = clock_gettime(clock)?;
    Ok(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
}

/// The offset of the sample whose two boot clock readings are closest together.
fn offset(samples: &[Sample]) -> i64 {
    samples
        .iter()
        .min_by_key(|(before, _, after)| after - before)
        .map_or(0, |(before, wall, after)| wall - (before + (after - before) / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowest_sample_decides() {
        assert_eq!(offset(&[(100, 5_900, 1_100), (2_000, 7_010, 2_020), (3_000, 8_400, 3_500)]), 5_000);
        assert_eq!(offset(&[]), 0);
    }

    #[test]
    fn boot_time_becomes_wall_time() {
        let clock = BootClock { offset: 1_700_000_000_000_000_000 };
        assert_eq!(clock.wall(42), Timestamp(1_700_000_000_000_000_042));
    }
}
