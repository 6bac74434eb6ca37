//! When lines come, and how old what they tell is by then.

use std::io::{self, Read};
use std::process::ChildStdout;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use serde_json::Value;

use crate::streams::BEGIN;

/// Bytes read at once: as many as a pipe holds.
const READ: usize = 1 << 16;
const DAY: f64 = 86_400.0;

/// How lines tell their times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `HH:MM:SS.ffffff ` at their beginning.
    Lines,
    /// JSON with `time_ns`.
    Events,
}

/// Packets of so many seconds before the end have no age: nodes that are to be silent tell their counters, which the other
/// nodes' packets wait for, four times a second.
const END: f64 = 0.3;

/// What was heard.
pub(crate) struct Heard {
    pub(crate) lines: u64,
    /// Up to which packet there are ages, in seconds from the beginning of the streams.
    until: f64,
    /// Age in seconds of the oldest line of each piece that was read, and how many lines that piece had.
    ages: Vec<(f64, u64)>,
    pub(crate) summary: Option<Value>,
}

impl Heard {
    /// Reads to the end. What comes before it is known when the packets began has no age. They come for so many seconds.
    pub(crate) fn listen(
        mut stdout: ChildStdout,
        form: Form,
        begin: &Receiver<Instant>,
        seconds: f64,
    ) -> io::Result<Self> {
        let mut heard = Self { lines: 0, until: seconds - END, ages: Vec::new(), summary: None };
        let mut origin = None;
        let mut bytes = Vec::new();
        let mut piece = vec![0; READ];
        loop {
            let count = stdout.read(&mut piece)?;
            if count == 0 {
                return Ok(heard);
            }
            let now = Instant::now();
            origin = origin.or_else(|| begin.try_recv().ok());
            bytes.extend_from_slice(&piece[..count]);
            let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') else { continue };
            let age = |time: f64| origin.map(|origin| now.duration_since(origin).as_secs_f64() - time);
            heard.take(&bytes[..=end], form, age);
            bytes.drain(..=end);
        }
    }

    fn take(&mut self, text: &[u8], form: Form, age: impl Fn(f64) -> Option<f64>) {
        let count = text.split(|byte| *byte == b'\n').skip(1).count() as u64;
        self.lines += count;
        match form {
            // The first is the oldest: lines are in the order of their times.
            Form::Lines => {
                let time = clock(text).filter(|time| *time < self.until);
                self.ages.extend(time.and_then(age).map(|age| (age, count)));
            }
            Form::Events => {
                for line in text.split(|byte| *byte == b'\n') {
                    let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
                    match line["type"].as_str() {
                        Some("event") => {
                            let time = line["time_ns"].as_u64().map(|time| time.saturating_sub(BEGIN.0));
                            let seconds = time.map(|time| time as f64 / 1e9);
                            self.ages.extend(seconds.and_then(&age).map(|age| (age, 1)));
                        }
                        Some("summary") => self.summary = Some(line),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Median, 99 in 100, greatest, in seconds; absent where no line has an age.
    pub(crate) fn latency(mut self) -> Option<[f64; 3]> {
        self.ages.sort_by(|one, other| one.0.total_cmp(&other.0));
        let total: u64 = self.ages.iter().map(|(_, count)| count).sum();
        let at = |part: f64| {
            let mut before = 0;
            let is_reached = |(_, count): &&(f64, u64)| {
                before += count;
                before as f64 >= part * total as f64
            };
            self.ages.iter().find(is_reached).map(|(age, _)| *age)
        };
        Some([at(0.5)?, at(0.99)?, self.ages.last()?.0])
    }
}

/// Seconds from the beginning of the streams to the time that a line begins with.
fn clock(line: &[u8]) -> Option<f64> {
    let word = line.split(|byte| *byte == b' ').next()?;
    let [hours, minutes, seconds] =
        std::str::from_utf8(word).ok()?.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (hours, minutes): (f64, f64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds: f64 = seconds.parse().ok()?;
    let begin = (BEGIN.0 / 1_000_000_000) as f64 % DAY;
    Some(hours * 3600.0 + minutes * 60.0 + seconds - begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_weighed_by_lines() {
        let mut heard = Heard { lines: 0, until: 3.0, ages: Vec::new(), summary: None };
        heard.take(b"22:13:21.500000 eth0 In IP\n22:13:22.0 x\n", Form::Lines, |time| Some(2.0 - time));
        let event = br#"{"type":"event","time_ns":1700000001000000000}"#;
        heard.take(&[&event[..], b"\n{\"type\":\"summary\"}\n"].concat(), Form::Events, |time| {
            Some(9.0 - time)
        });
        heard.take(b"22:13:23.000000 eth0 In IP\n", Form::Lines, Some);
        assert_eq!((heard.lines, heard.summary.is_some()), (5, true));
        assert_eq!(heard.latency(), Some([0.5, 8.0, 8.0]));
    }

    #[test]
    fn what_has_no_time_has_no_age() {
        assert_eq!(clock(b"IP 10.0.0.1"), None);
        assert_eq!(clock(b"22:13:20.25 lo"), Some(0.25));
    }
}
