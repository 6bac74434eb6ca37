//! Waking who merges, when something came that it waits for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signalfd::SignalFd;

/// What streams wake the merging thread by: a system call only where it sleeps.
#[derive(Debug)]
pub(super) struct Wake {
    event: EventFd,
    is_asleep: AtomicBool,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { event, is_asleep: AtomicBool::new(false) })
    }

    /// Tells that something came.
    pub(super) fn wake(&self) {
        if self.is_asleep.swap(false, Ordering::SeqCst) {
            // The counter of an event cannot be full: it is written once for each sleep.
            let _ = self.event.write(1);
        }
    }

    /// From now on whoever brings something wakes. What came before has to be looked for once more.
    pub(super) fn fall_asleep(&self) {
        self.is_asleep.store(true, Ordering::SeqCst);
    }

    /// Sleeps until something comes, at most `timeout`.
    pub(super) fn sleep(
        &self,
        timeout: Duration,
        signals: Option<&Rc<SignalFd>>,
        output: Option<BorrowedFd<'_>>,
    ) -> io::Result<Came> {
        let mut watched = vec![PollFd::new(self.event.as_fd(), PollFlags::POLLIN)];
        watched.extend(signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        let before_output = watched.len();
        // Nothing is asked for: only an end that went away is told.
        watched.extend(output.map(|output| PollFd::new(output, PollFlags::empty())));
        let milliseconds = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match poll(&mut watched, PollTimeout::from(milliseconds)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.is_asleep.store(false, Ordering::SeqCst);
        let is_closed = watched.get(before_output).and_then(PollFd::any) == Some(true);
        drop(watched);
        // Not readable is what it is most of the time.
        let _ = self.event.read();
        Ok(Came { is_closed })
    }
}

/// What a sleep ended with, besides what streams brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Came {
    /// The reader of the output is gone.
    pub(super) is_closed: bool,
}
