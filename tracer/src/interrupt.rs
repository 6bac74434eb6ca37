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

/// The signals that end a run in good order: SIGINT, SIGTERM, and SIGHUP of a terminal that is closed, unless it is
/// ignored, as nohup(1) has it.
pub(crate) fn ending_signals() -> SigSet {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGTERM);
    if !is_hangup_ignored() {
        mask.add(Signal::SIGHUP);
    }
    mask
}

/// A signal that is blocked is kept even where it is ignored, so the kernel has to be asked (`SigIgn`, proc(5)).
fn is_hangup_ignored() -> bool {
    const HANGUP: u64 = 1 << (Signal::SIGHUP as u64 - 1);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

/// Ending signals; the first is noted, a second has its default action.
pub(crate) struct Interrupt {
    mask: SigSet,
    signals: Rc<SignalFd>,
    is_raised: Cell<bool>,
}

impl Interrupt {
    /// Takes the signals over.
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        let mask = ending_signals();
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let signals = Rc::new(signals);
        Ok(Rc::new(Self { mask, signals, is_raised: Cell::new(false) }))
    }

    /// Whether a signal came.
    pub(crate) fn is_raised(&self) -> bool {
        if !self.is_raised.get() && matches!(self.signals.read_signal(), Ok(Some(_))) {
            self.is_raised.set(true);
            // Without it the second one would wait until the end, as the first did.
            let _ = self.mask.thread_unblock();
        }
        self.is_raised.get()
    }

    /// Becomes readable when a signal comes.
    pub(crate) fn signals(&self) -> Rc<SignalFd> {
        Rc::clone(&self.signals)
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
pub(crate) struct Interruptible {
    file: File,
    interrupt: Rc<Interrupt>,
}

impl Interruptible {
    pub(crate) fn new(file: File, interrupt: &Rc<Interrupt>) -> Self {
        Self { file, interrupt: Rc::clone(interrupt) }
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.wait(&self.file)? { self.file.read(buffer) } else { Ok(0) }
    }
}
