//! Ctrl-C while files are read: what was read so far is reported.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// SIGINT and SIGTERM; the first is noted, a second has its default action.
pub(super) struct Interrupt {
    mask: SigSet,
    signals: SignalFd,
    is_raised: Cell<bool>,
}

impl Interrupt {
    /// Takes the signals over.
    pub(super) fn new() -> io::Result<Rc<Self>> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGINT);
        mask.add(Signal::SIGTERM);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Rc::new(Self { mask, signals, is_raised: Cell::new(false) }))
    }

    /// Whether a signal came.
    pub(super) fn is_raised(&self) -> bool {
        if !self.is_raised.get() && matches!(self.signals.read_signal(), Ok(Some(_))) {
            self.is_raised.set(true);
            // Without it the second one would wait until the end, as the first did.
            let _ = self.mask.thread_unblock();
        }
        self.is_raised.get()
    }

    /// Waits until there is something to read; false where a signal came first.
    fn wait(&self, file: &File) -> io::Result<bool> {
        loop {
            let mut watched = [
                PollFd::new(file.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(_) if self.is_raised() => return Ok(false),
                Ok(_) => return Ok(true),
            }
        }
    }
}

/// A file or pipe that ends when a signal comes.
pub(super) struct Interruptible {
    file: File,
    interrupt: Rc<Interrupt>,
}

impl Interruptible {
    pub(super) fn new(file: File, interrupt: &Rc<Interrupt>) -> Self {
        Self { file, interrupt: Rc::clone(interrupt) }
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.wait(&self.file)? { self.file.read(buffer) } else { Ok(0) }
    }
}
