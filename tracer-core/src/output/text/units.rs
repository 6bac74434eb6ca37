//! Numbers as people read them.

use crate::units::Timestamp;

const NANOSECONDS_A_DAY: u64 = 86_400 * 1_000_000_000;

/// A duration in nanoseconds with three significant digits.
pub(super) fn duration(nanoseconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| nanoseconds >= *unit) else {
        return format!("{nanoseconds} ns");
    };
    scaled(nanoseconds, unit, name)
}

/// A number of bytes with three significant digits, in powers of 1000.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match UNITS.into_iter().find(|(unit, _)| count >= *unit) {
        Some((unit, name)) => scaled(count, unit, name),
        None => format!("{count} B"),
    }
}

fn scaled(value: u64, unit: u64, name: &str) -> String {
    let (whole, rest) = (value / unit, value % unit);
    match whole {
        0..10 => format!("{whole}.{:02} {name}", rest * 100 / unit),
        10..100 => format!("{whole}.{} {name}", rest * 10 / unit),
        _ => format!("{whole} {name}"),
    }
}

/// Time of day in UTC with microseconds.
pub(super) fn clock_time(time: Timestamp) -> String {
    let microseconds = time.0 % NANOSECONDS_A_DAY / 1000;
    let (seconds, fraction) = (microseconds / 1_000_000, microseconds % 1_000_000);
    format!("{:02}:{:02}:{:02}.{fraction:06}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_significant_digits() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1234, "1.23 µs"),
            (56_789, "56.7 µs"),
            (999_999, "999 µs"),
            (12_345_678_901, "12.3 s"),
        ];
        for (value, text) in cases {
            assert_eq!(duration(value), text);
        }
        assert_eq!(bytes(78), "78 B");
        assert_eq!(bytes(1234), "1.23 kB");
    }

    #[test]
    fn time_of_day() {
        assert_eq!(clock_time(Timestamp(1_700_000_000_123_456_789)), "22:13:20.123456Z");
    }
}
