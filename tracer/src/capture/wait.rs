//! Waiting for whatever comes first.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::end::CaptureFailure;
use crate::interrupt::ending_signals;

/// The ring is looked into this often; a packet does not wake this process, a filling ring does.
pub(super) const TURN: Duration = Duration::from_millis(50);

const RING: u64 = 0;
const LINKS: u64 = 1;
const SIGNAL: u64 = 2;
const STDIN: u64 = 3;
const OUTPUT: u64 = 4;

/// What came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each came or did not, in any combination")]
pub(super) struct Ready {
    /// Interfaces changed.
    pub(super) links: bool,
    /// SIGINT, SIGTERM or SIGHUP.
    pub(super) signal: bool,
    /// Standard input ended.
    pub(super) stdin_ended: bool,
    /// The reader of the output is gone.
    pub(super) output_closed: bool,
}

/// Sources of events.
pub(super) struct Waiter {
    epoll: Epoll,
    signals: Rc<SignalFd>,
    stdin_ended: bool,
}

impl Waiter {
    /// Takes SIGINT, SIGTERM and SIGHUP over from their default action.
    pub(super) fn new() -> Result<Self, CaptureFailure> {
        let mask = ending_signals();
        mask.thread_block().map_err(CaptureFailure::system("block signals"))?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(CaptureFailure::system("take signals"))?;
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(CaptureFailure::system("make an epoll"))?;
        let waiter = Self { epoll, signals: Rc::new(signals), stdin_ended: false };
        waiter.add(waiter.signals.as_fd(), SIGNAL, EpollFlags::EPOLLIN)?;
        Ok(waiter)
    }

    pub(super) fn signals(&self) -> Rc<SignalFd> {
        Rc::clone(&self.signals)
    }

    /// Ends also with standard input, or with the parent process.
    pub(super) fn add_stdin(&mut self) -> Result<(), CaptureFailure> {
        set_pdeathsig(Signal::SIGTERM)
            .map_err(CaptureFailure::system("ask for the parent's death signal"))?;
        // A file or /dev/null is never waited for: it is at its end already.
        self.stdin_ended = !self.add(io::stdin().as_fd(), STDIN, EpollFlags::EPOLLIN)?;
        Ok(())
    }

    /// Tells of wake-ups only, not of packets that wait: those are collected for a turn.
    pub(super) fn add_ring(&self, ring: BorrowedFd<'_>) -> Result<(), CaptureFailure> {
        self.add(ring, RING, EpollFlags::EPOLLIN | EpollFlags::EPOLLET).map(drop)
    }

    pub(super) fn add_links(&self, watch: BorrowedFd<'_>) -> Result<(), CaptureFailure> {
        self.add(watch, LINKS, EpollFlags::EPOLLIN).map(drop)
    }

    /// Tells when the other end of a pipe is closed.
    pub(super) fn add_output(&self, output: BorrowedFd<'_>) -> Result<(), CaptureFailure> {
        self.add(output, OUTPUT, EpollFlags::empty()).map(drop)
    }

    /// Whether the descriptor is of a kind that can be waited for.
    fn add(&self, fd: BorrowedFd<'_>, token: u64, flags: EpollFlags) -> Result<bool, CaptureFailure> {
        match self.epoll.add(fd, EpollEvent::new(flags, token)) {
            Ok(()) => Ok(true),
            Err(Errno::EPERM) => Ok(false),
            Err(errno) => Err(CaptureFailure::system("wait for events")(errno)),
        }
    }

    /// Waits at most `timeout`, or until something comes that cannot wait for it.
    pub(super) fn wait(&mut self, timeout: Duration) -> Result<Ready, CaptureFailure> {
        let mut events = [EpollEvent::empty(); 8];
        // Rounded up: a wait that ends before its time would have to be repeated.
        let milliseconds = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(milliseconds)) {
            Err(Errno::EINTR) => 0,
            count => count.map_err(CaptureFailure::system("wait for events"))?,
        };
        let mut ready = Ready { stdin_ended: self.stdin_ended, ..Ready::default() };
        for event in &events[..count] {
            match event.data() {
                LINKS => ready.links = true,
                SIGNAL => ready.signal = true,
                STDIN => ready.stdin_ended |= stdin_ended(),
                OUTPUT => ready.output_closed = true,
                _ => {}
            }
        }
        Ok(ready)
    }
}

/// Reads what is there; only the end of it says anything.
fn stdin_ended() -> bool {
    match io::stdin().read(&mut [0; 256]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != io::ErrorKind::Interrupted,
    }
}
