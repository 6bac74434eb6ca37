//! Process 1 of an agent's pod: it keeps the container alive while captures come and go in it, and nothing else.

mod beside;

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use thiserror::Error;

use self::beside::Beside;
use crate::error::{Exit, ExitStatus};
use crate::interrupt::ending_signals;
use crate::kernel::watchdog;

/// How often it is looked for captures at least.
const TURN: Duration = Duration::from_secs(1);
/// Captures that end with it get so long to take away what they attached.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why an agent cannot wait.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The system refused an ordinary call.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl AgentError {
    fn system<E: Into<io::Error>>(operation: &'static str) -> impl Fn(E) -> Self {
        move |source| Self::System { operation, source: source.into() }
    }
}

impl ExitStatus for AgentError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Waits for a signal, or, where `idle` says so, until nobody was there for that long.
pub fn run(idle: Option<Duration>) -> Result<(), AgentError> {
    let mut mask = ending_signals();
    let endings = mask;
    mask.add(Signal::SIGCHLD);
    mask.thread_block().map_err(AgentError::system("block signals"))?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&mask, flags).map_err(AgentError::system("take signals"))?;
    let mut agent = Agent { signals, endings, beside: Beside::of_this_process(), lately: 0 };
    agent.wait(idle)?;
    agent.end();
    Ok(())
}

struct Agent {
    signals: SignalFd,
    endings: SigSet,
    beside: Beside,
    /// Processes that were there the last time.
    lately: usize,
}

impl Agent {
    fn wait(&mut self, idle: Option<Duration>) -> Result<(), AgentError> {
        let mut last_seen = Instant::now();
        loop {
            reap();
            if self.count()? > 0 {
                last_seen = Instant::now();
            }
            let left = idle.map(|idle| idle.saturating_sub(last_seen.elapsed()));
            if left == Some(Duration::ZERO) {
                say!("kflow: no capture for {} s: ending", idle.unwrap_or_default().as_secs_f64());
                return Ok(());
            }
            if self.is_ended(left.map_or(TURN, |left| left.min(TURN)))? {
                return Ok(());
            }
        }
    }

    /// Processes beside this one. Where there are fewer than before, a capture may have been killed: what it attached
    /// by clsact is taken away, as far as that is permitted.
    fn count(&mut self) -> Result<usize, AgentError> {
        let count = self.beside.count().map_err(AgentError::system("look for other processes"))?;
        if count < std::mem::replace(&mut self.lately, count) {
            let _ = watchdog::sweep();
        }
        Ok(count)
    }

    /// Waits at most so long for a signal. Returns whether one came that ends it.
    fn is_ended(&self, timeout: Duration) -> Result<bool, AgentError> {
        let timeout = PollTimeout::try_from(timeout.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => return Ok(false),
            ready => ready.map_err(AgentError::system("wait for signals"))?,
        };
        let failed = AgentError::system("read a signal");
        while let Some(signal) = self.signals.read_signal().map_err(&failed)? {
            let signal =
                i32::try_from(signal.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok());
            if signal.is_some_and(|signal| self.endings.contains(signal)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// With process 1 the kernel kills all others of its namespace at once: they are asked to end before.
    fn end(&mut self) {
        const ALL: Pid = Pid::from_raw(-1);
        if Pid::this().as_raw() != 1 || self.beside.count().unwrap_or(0) == 0 {
            return;
        }
        let _ = kill(ALL, Signal::SIGTERM);
        let end = Instant::now() + PATIENCE;
        while self.beside.count().unwrap_or(0) > 0 && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            reap();
        }
    }
}

/// Takes the ends of all processes that came to be this one's children.
fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(_) | Ok(WaitStatus::StillAlive) => return,
            Ok(_) => {}
        }
    }
}
