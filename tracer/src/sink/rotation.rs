//! When the next file begins.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use tracer_core::units::Timestamp;

use super::FilePlan;
use super::names::{Names, seconds};

/// What comes before a packet is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// The file stays.
    Stay,
    /// This one follows.
    Next(PathBuf),
    /// There are as many as there may be: the packet is not written.
    End,
}

/// The file being written, as far as its successor depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    /// Bytes that it has.
    pub(super) size: u64,
    /// It has a packet.
    pub(super) has_packets: bool,
}

/// Decides as `dump_packet_and_trunc` of tcpdump does:
///
/// 1. A packet `-G` seconds or more after the beginning of the period begins another one, at its own time.
///    1. The period that would be one too many ends the capture, unless there is `-C`.
///    2. The numbers of `-C` begin anew.
/// 2. A packet that finds its file larger than `-C` goes to the next number.
///    1. After the last number of a ring comes the first.
///
/// A file has at least one packet before 2 applies, however much its descriptions of interfaces take.
pub(super) struct Rotation {
    names: Names,
    size: u64,
    /// Files of a ring; absent without `-C` or `-W`.
    ring: Option<u32>,
    /// Periods that there may be; absent with `-C`.
    periods_limit: Option<u32>,
    period_seconds: u64,
    period: Timestamp,
    periods: u32,
    number: u32,
}

impl Rotation {
    pub(super) fn new(plan: &FilePlan, begin: Timestamp, zone: TimeZone) -> Self {
        // As there, 0 is no limit.
        let count = plan.count.filter(|count| *count > 0);
        Self {
            names: Names::new(plan, zone),
            size: plan.size.unwrap_or(u64::MAX),
            ring: count.filter(|_| plan.size.is_some()),
            periods_limit: count.filter(|_| plan.size.is_none()),
            period_seconds: plan.seconds.unwrap_or(u64::MAX),
            period: begin,
            periods: 0,
            number: 0,
        }
    }

    /// The name of the file being written.
    pub(super) fn name(&self) -> PathBuf {
        self.names.name(self.period, self.number)
    }

    /// What to do before a packet of this time.
    pub(super) fn turn(&mut self, time: Timestamp, current: Current) -> Turn {
        if seconds(time) >= seconds(self.period).saturating_add(self.period_seconds) {
            if self.periods_limit.is_some_and(|limit| self.periods + 1 >= limit) {
                return Turn::End;
            }
            self.period = time;
            self.periods = self.periods.saturating_add(1);
            self.number = 0;
        } else if current.size > self.size && current.has_packets {
            self.number = match self.ring {
                Some(ring) => (self.number + 1) % ring,
                None => self.number.saturating_add(1),
            };
        } else {
            return Turn::Stay;
        }
        Turn::Next(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_700_000_000;

    fn rotation(size: Option<u64>, count: Option<u32>, seconds: Option<u64>) -> Rotation {
        let path = if seconds.is_some() { "%s-" } else { "f" };
        let plan = FilePlan { size, count, seconds, ..FilePlan::single(path) };
        Rotation::new(&plan, at(BEGIN), TimeZone::UTC)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000_000)
    }

    fn next(name: &str) -> Turn {
        Turn::Next(PathBuf::from(name))
    }

    fn of_size(size: u64) -> Current {
        Current { size, has_packets: true }
    }

    #[test]
    fn a_file_that_is_larger_is_followed() {
        let mut plain = rotation(Some(100), None, None);
        assert_eq!(plain.name(), PathBuf::from("f"));
        assert_eq!(plain.turn(at(BEGIN), of_size(100)), Turn::Stay);
        assert_eq!(plain.turn(at(BEGIN), of_size(101)), next("f1"));
        assert_eq!(plain.turn(at(BEGIN), Current { size: 101, has_packets: false }), Turn::Stay);
        assert_eq!(plain.turn(at(BEGIN), of_size(101)), next("f2"));
    }

    #[test]
    fn a_ring_goes_round() {
        let mut ring = rotation(Some(1), Some(3), None);
        assert_eq!(ring.name(), PathBuf::from("f0"));
        let names = [1, 2, 0, 1].map(|_| ring.turn(at(0), of_size(2)));
        assert_eq!(names, ["f1", "f2", "f0", "f1"].map(next));
    }

    #[test]
    fn a_period_begins_with_its_first_packet() {
        let mut periods = rotation(None, None, Some(10));
        assert_eq!(periods.turn(at(BEGIN - 100), of_size(0)), Turn::Stay);
        assert_eq!(periods.turn(Timestamp((BEGIN + 10) * 1_000_000_000 - 1), of_size(0)), Turn::Stay);
        assert_eq!(periods.turn(at(BEGIN + 25), of_size(0)), next("1700000025-"));
        assert_eq!(periods.turn(at(BEGIN + 34), of_size(0)), Turn::Stay);
        assert_eq!(periods.turn(at(BEGIN + 35), of_size(0)), next("1700000035-"));
    }

    #[test]
    fn as_many_periods_as_there_may_be() {
        let mut periods = rotation(None, Some(2), Some(10));
        assert_eq!(periods.turn(at(BEGIN + 10), of_size(0)), next("1700000010-"));
        assert_eq!(periods.turn(at(BEGIN + 20), of_size(0)), Turn::End);
        assert_eq!(rotation(None, Some(1), Some(10)).turn(at(BEGIN + 10), of_size(0)), Turn::End);
    }

    #[test]
    fn numbers_begin_anew_with_a_period_and_count_is_for_the_ring() {
        let mut both = rotation(Some(100), Some(2), Some(10));
        assert_eq!(both.name(), PathBuf::from("1700000000-0"));
        assert_eq!(both.turn(at(BEGIN), of_size(101)), next("1700000000-1"));
        // Both at once: the time comes first, and cancels the size.
        assert_eq!(both.turn(at(BEGIN + 10), of_size(101)), next("1700000010-0"));
        assert_eq!(both.turn(at(BEGIN + 20), of_size(101)), next("1700000020-0"));
        assert_eq!(both.turn(at(BEGIN + 20), of_size(101)), next("1700000020-1"));
        assert_eq!(both.turn(at(BEGIN + 20), of_size(101)), next("1700000020-0"));
    }
}
