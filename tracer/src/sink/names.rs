//! Names of the files of a capture.

use std::path::{Path, PathBuf};

use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use tracer_core::units::Timestamp;

use super::FilePlan;

/// Makes names as `MakeFilename` of tcpdump does.
pub(super) struct Names {
    path: PathBuf,
    zone: TimeZone,
    /// The path is a format of strftime(3).
    is_format: bool,
    /// Digits of a number, so that the names of a ring sort; 0 without a ring.
    digits: usize,
}

impl Names {
    pub(super) fn new(plan: &FilePlan, zone: TimeZone) -> Self {
        // A ring of one file has no number, as there.
        let digits = match (plan.size, plan.count) {
            (Some(_), Some(count)) => {
                (count.saturating_sub(1)).checked_ilog10().map_or(0, |log| log as usize + 1)
            }
            _ => 0,
        };
        Self { path: plan.path.clone(), zone, is_format: plan.seconds.is_some(), digits }
    }

    /// The name of file `number` of the period that began at `period`.
    pub(super) fn name(&self, period: Timestamp, number: u32) -> PathBuf {
        let mut name = if self.is_format { self.format(period) } else { self.path.clone().into_os_string() };
        if number > 0 || self.digits > 0 {
            name.push(format!("{number:0digits$}", digits = self.digits));
        }
        PathBuf::from(name)
    }

    /// What is no conversion stays, as the C library does it. So does the path as a whole where the time is beyond
    /// what can be formatted. A slash that a conversion yields (`%D`) becomes `-`: files stay in the folders that the path
    /// names, which are formatted one by one.
    fn format(&self, period: Timestamp) -> std::ffi::OsString {
        let parts = text(&self.path);
        let parts: Option<Vec<_>> = parts.split('/').map(|part| self.part(part, period)).collect();
        parts.map_or_else(|| self.path.clone().into_os_string(), |parts| parts.join("/").into())
    }

    /// What stands between two slashes.
    fn part(&self, format: &str, period: Timestamp) -> Option<String> {
        let config = Config::new().lenient(true).custom(PosixCustom::new());
        let time = jiff::Timestamp::from_second(i64::try_from(seconds(period)).ok()?).ok()?;
        let mut name = String::new();
        BrokenDownTime::from(&time.to_zoned(self.zone.clone()))
            .format_with_config(&config, format.as_bytes(), &mut name)
            .ok()?;
        Some(name.replace('/', "-"))
    }
}

/// Whole seconds of a time: what `-G` counts by.
pub(super) const fn seconds(time: Timestamp) -> u64 {
    time.0 / 1_000_000_000
}

fn text(path: &Path) -> std::borrow::Cow<'_, str> {
    path.as_os_str().to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const TIME: Timestamp = Timestamp(1_700_000_000_999_999_999);

    fn names(path: &str, plan: (Option<u64>, Option<u32>, Option<u64>)) -> Names {
        let (size, count, seconds) = plan;
        let plan = FilePlan { size, count, seconds, ..FilePlan::single(path) };
        Names::new(&plan, TimeZone::UTC)
    }

    #[test]
    fn numbers_have_as_many_digits_as_the_ring_needs() {
        for (count, number, name) in [
            (None, 0, "f"),
            (None, 1, "f1"),
            (None, 12, "f12"),
            (Some(1), 0, "f"),
            (Some(2), 0, "f0"),
            (Some(2), 1, "f1"),
            (Some(10), 9, "f9"),
            (Some(11), 0, "f00"),
            (Some(11), 10, "f10"),
            (Some(100), 7, "f07"),
            (Some(101), 7, "f007"),
        ] {
            let made = names("f", (Some(1), count, None)).name(TIME, number);
            assert_eq!(made, Path::new(name), "{count:?} {number}");
        }
    }

    #[test]
    fn periods_are_formatted() {
        for (format, size, number, name) in [
            ("/d/%Y%m%d-%H%M%S.pcap", None, 0, "/d/20231114-221320.pcap"),
            ("%s", None, 0, "1700000000"),
            ("a%%b%", None, 0, "a%b%"),
            ("%F_%T", None, 0, "2023-11-14_22:13:20"),
            ("%c", None, 0, "Tue Nov 14 22:13:20 2023"),
            ("plain", None, 0, "plain"),
            ("/d/%D.pcap", None, 0, "/d/11-14-23.pcap"),
            ("../%Y/%D/x%%/f", None, 0, "../2023/11-14-23/x%/f"),
            ("%H-", Some(1), 0, "22-"),
            ("%H-", Some(1), 3, "22-3"),
        ] {
            assert_eq!(names(format, (size, None, Some(60))).name(TIME, number), Path::new(name), "{format}");
        }
        assert_eq!(names("%H", (None, None, None)).name(TIME, 0), Path::new("%H"));
    }

    #[test]
    fn the_last_time_of_a_capture_has_a_name() {
        let far = names("%Y", (None, None, Some(1))).name(Timestamp(u64::MAX), 0);
        assert_eq!(far, Path::new("2554"));
    }
}
