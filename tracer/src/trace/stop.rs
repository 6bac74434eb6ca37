//! When a trace ends.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

/// Packets on their way when the trace is asked to end get this long to arrive.
const SETTLE: Duration = Duration::from_millis(300);
/// Captures that have not ended by then are ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a trace goes over to its next phase.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Asked to end: what is on its way may arrive.
    Settle,
    /// The captures end.
    Drain,
    /// Captures that did not end are ended.
    Abandon,
}

/// When a trace ends: by signal or by time, in steps; a second signal takes the next step at once.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    due: Option<(Instant, Phase)>,
    duration: Option<Duration>,
}

impl Stop {
    pub(super) fn new(duration: Option<Duration>) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            due: None,
            duration,
        })
    }

    /// Begins to count the time after which the trace ends: when everything is watched.
    pub(super) fn begin(&mut self) {
        if let (None, Some(duration)) = (self.due, self.duration.take()) {
            self.due = Some((Instant::now() + duration, Phase::Settle));
        }
    }

    /// Waits for a signal, whatever the phase.
    pub(super) async fn interrupted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    pub(super) async fn next(&mut self) -> Phase {
        let (time, due) = self.due.unwrap_or((Instant::now(), Phase::Settle));
        let is_timed = self.due.is_some();
        tokio::select! {
            () = self.interrupted() => {}
            () = sleep_until(time), if is_timed => {}
        }
        self.due = match due {
            Phase::Settle => Some((Instant::now() + SETTLE, Phase::Drain)),
            Phase::Drain => Some((Instant::now() + PATIENCE, Phase::Abandon)),
            Phase::Abandon => None,
        };
        due
    }
}
