//! How far a capture has come, for a person at a terminal: one line that changes.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal as _, Stderr, Write};
use std::time::{Duration, Instant};

use super::Limits;

/// How often a person wants to know.
const PERIOD: Duration = Duration::from_millis(250);
/// Rates are those of this many periods: a second.
const PERIODS: usize = 4;
/// Carriage return, and erase to the end of the line (ECMA-48, CR and EL).
const CLEAR: &str = "\r\x1b[K";
/// The narrowest terminal there is, less the last column, where some of them already wrap: a line that has wrapped
/// cannot be cleared.
const WIDTH: usize = 79;

/// What has been done since the begin.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Numbers {
    /// Packets written.
    pub(crate) packets: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// Packets that matched and were lost.
    pub(crate) lost: u64,
}

/// The line, on a terminal. Anywhere else it does nothing.
#[derive(Debug)]
pub(crate) struct Progress<W: Write = Stderr> {
    out: W,
    is_shown: bool,
    limits: Limits,
    begin: Instant,
    /// When it is to be shown again.
    due: Instant,
    /// Whether there is a line on the terminal now.
    is_visible: bool,
    /// When how many packets had been written, oldest first.
    readings: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// On standard error, where that is a terminal and `is_wanted`: nothing else is printed there all the time.
    pub(crate) fn on_stderr(is_wanted: bool, limits: Limits, now: Instant) -> Self {
        let stderr = io::stderr();
        let is_shown = is_wanted && stderr.is_terminal();
        Self::new(stderr, is_shown, limits, now)
    }
}

impl<W: Write> Progress<W> {
    fn new(out: W, is_shown: bool, limits: Limits, now: Instant) -> Self {
        let readings = VecDeque::from([(now, 0)]);
        Self { out, is_shown, limits, begin: now, due: now + PERIOD, is_visible: false, readings }
    }

    /// Whether anything is shown at all. Without, numbers need not be gathered.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// Shows the numbers, unless it has just done so.
    pub(crate) fn update(&mut self, now: Instant, numbers: &Numbers) {
        if !self.is_shown || now < self.due {
            return;
        }
        self.due = now + PERIOD;
        self.readings.push_back((now, numbers.packets));
        if self.readings.len() > PERIODS + 1 {
            self.readings.pop_front();
        }
        let line = Line {
            numbers,
            limits: &self.limits,
            elapsed: now.saturating_duration_since(self.begin),
            rate: rate(&self.readings),
        };
        let line: String = line.to_string().chars().take(WIDTH).collect();
        self.put(&line);
        self.is_visible = true;
    }

    /// Takes the line away, so that others may print.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_visible) {
            self.put("");
        }
    }

    fn put(&mut self, line: &str) {
        // A terminal that is gone has nobody to tell of it.
        let _ = write!(self.out, "{CLEAR}{line}").and_then(|()| self.out.flush());
    }
}

impl<W: Write> Drop for Progress<W> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Packets a second between the oldest and the newest reading.
fn rate(readings: &VecDeque<(Instant, u64)>) -> u64 {
    let (Some((from, before)), Some((to, after))) = (readings.front(), readings.back()) else { return 0 };
    let milliseconds = to.saturating_duration_since(*from).as_millis().max(1);
    let rate = u128::from(after.saturating_sub(*before)) * 1000 / milliseconds;
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// What is shown at one time.
struct Line<'a> {
    numbers: &'a Numbers,
    limits: &'a Limits,
    elapsed: Duration,
    /// Packets a second.
    rate: u64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numbers, limits, .. } = self;
        write!(f, "{}", numbers.packets)?;
        if let Some(packets) = limits.packets {
            write!(f, " of {packets}")?;
        }
        write!(f, " packets, {}/s, {}", self.rate, Size(numbers.bytes))?;
        if let Some(bytes) = limits.bytes {
            write!(f, " of {}", Size(bytes))?;
        }
        if numbers.lost > 0 {
            write!(f, ", {} lost", numbers.lost)?;
        }
        match limits.duration {
            Some(duration) => write!(f, ", {} left", Clock(duration.saturating_sub(self.elapsed))),
            None => write!(f, ", {}", Clock(self.elapsed)),
        }
    }
}

/// Bytes in decimal units with three digits, as a disk's size is told.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] =
            [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
        let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(f, "{} B", self.0);
        };
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        match whole {
            0..10 => write!(f, "{whole}.{:02} {name}", rest / (unit / 100)),
            10..100 => write!(f, "{whole}.{} {name}", rest / (unit / 10)),
            _ => write!(f, "{whole} {name}"),
        }
    }
}

/// Hours, minutes and seconds; of a part of a second the next whole one, so that 0:00 is the end.
struct Clock(Duration);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
        if hours > 0 {
            write!(f, "{hours}:{minutes:02}:{seconds:02}")
        } else {
            write!(f, "{minutes}:{seconds:02}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMITS: Limits = Limits { duration: None, packets: None, bytes: None, stdin: false };

    fn progress(is_shown: bool, limits: Limits) -> (Progress<Vec<u8>>, Instant) {
        let now = Instant::now();
        (Progress::new(Vec::new(), is_shown, limits, now), now)
    }

    fn shown(progress: &Progress<Vec<u8>>) -> Vec<String> {
        let text = String::from_utf8(progress.out.clone()).unwrap();
        text.split(CLEAR).skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn line_tells_what_there_is_to_tell() {
        let numbers = |packets, bytes, lost| Numbers { packets, bytes, lost };
        let second = Duration::from_secs(1);
        let duration = Some(Duration::from_secs(90));
        let table = [
            (numbers(0, 0, 0), NO_LIMITS, "0 packets, 7/s, 0 B, 0:01"),
            (numbers(12, 999, 3), NO_LIMITS, "12 packets, 7/s, 999 B, 3 lost, 0:01"),
            (numbers(12, 1234, 0), Limits { duration, ..NO_LIMITS }, "12 packets, 7/s, 1.23 kB, 1:29 left"),
            (
                numbers(12, 56_789_000, 0),
                Limits {
                    packets: Some(100),
                    bytes: Some(2_000_000_000),
                    duration: None,
                    ..Limits::default()
                },
                "12 of 100 packets, 7/s, 56.7 MB of 2.00 GB, 0:01",
            ),
        ];
        for (numbers, limits, text) in table {
            let line = Line { numbers: &numbers, limits: &limits, elapsed: second, rate: 7 };
            assert_eq!(line.to_string(), text);
        }
    }

    #[test]
    fn sizes_and_clocks() {
        let sizes = [
            (999, "999 B"),
            (1000, "1.00 kB"),
            (99_999, "99.9 kB"),
            (999_999_999, "999 MB"),
            (3 << 42, "13.1 TB"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(Size(bytes).to_string(), text);
        }
        for (milliseconds, text) in [(0, "0:00"), (1, "0:01"), (59_999, "1:00"), (3_600_000, "1:00:00")] {
            assert_eq!(Clock(Duration::from_millis(milliseconds)).to_string(), text);
        }
    }

    #[test]
    fn four_times_a_second_and_the_rate_of_the_last_one() {
        let (mut progress, begin) = progress(true, NO_LIMITS);
        for tenth in 1..=20u64 {
            let packets = if tenth <= 10 { 100 * tenth } else { 1000 };
            progress.update(
                begin + Duration::from_millis(100 * tenth),
                &Numbers { packets, ..Numbers::default() },
            );
        }
        progress.clear();
        let lines = shown(&progress);
        // At 0.3, 0.6, 0.9, 1.2, 1.5 and 1.8 seconds, and then nothing.
        assert_eq!(lines.len(), 7);
        assert!(lines[0].starts_with("300 packets, 1000/s"), "{lines:?}");
        assert!(lines[5].starts_with("1000 packets, 333/s"), "{lines:?}");
        assert_eq!(lines[6], "");
    }

    #[test]
    fn nothing_where_there_is_no_terminal() {
        let (mut progress, begin) = progress(false, NO_LIMITS);
        progress.update(begin + Duration::from_secs(9), &Numbers::default());
        progress.clear();
        assert!(progress.out.is_empty() && !progress.is_shown());
    }

    #[test]
    fn clearing_writes_only_what_is_needed_and_long_lines_are_cut() {
        let limits = Limits {
            packets: Some(u64::MAX),
            bytes: Some(u64::MAX),
            duration: Some(Duration::MAX),
            ..Limits::default()
        };
        let (mut progress, begin) = progress(true, limits);
        progress.clear();
        assert!(progress.out.is_empty());
        let numbers = Numbers { packets: u64::MAX, bytes: u64::MAX, lost: u64::MAX };
        progress.update(begin + PERIOD, &numbers);
        assert_eq!(shown(&progress)[0].chars().count(), WIDTH);
        progress.clear();
        progress.clear();
        assert_eq!(shown(&progress).len(), 2);
    }
}
