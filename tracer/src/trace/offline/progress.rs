//! How far reading has come, for a person at a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often a person wants to know.
const PERIOD: Duration = Duration::from_millis(250);
/// Carriage return, and erase to the end of the line (ECMA-48, CR and EL).
const CLEAR: &str = "\r\x1b[K";

/// One line on standard error that changes; nothing where that is no terminal.
pub(super) struct Meter {
    begin: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), shown: None, is_terminal: io::stderr().is_terminal() }
    }

    /// Shows the count of packets read, unless it did just before.
    pub(super) fn show(&mut self, packets: u64) {
        if !self.is_terminal || self.shown.unwrap_or(self.begin).elapsed() < PERIOD {
            return;
        }
        self.shown = Some(Instant::now());
        let milliseconds = self.begin.elapsed().as_millis().max(1);
        let rate = u128::from(packets) * 1000 / milliseconds;
        eprint!("{CLEAR}{packets} packets read, {rate} packets/s");
        // A terminal that is gone is told of by whoever writes the results.
        let _ = io::stderr().flush();
    }

    /// Clears the line, so that others may write.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            eprint!("{CLEAR}");
        }
        self.shown = self.is_terminal.then(Instant::now);
    }
}
