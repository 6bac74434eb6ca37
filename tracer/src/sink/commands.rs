//! `-z`: a program for each file that another one follows.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open, setpriority_process};

/// The lowest priority (setpriority(2)), as tcpdump gives it.
const NICE: i32 = 19;

/// The programs that were started.
pub(super) struct Commands {
    program: Option<OsString>,
    running: Vec<Running>,
    failed: Vec<String>,
}

struct Running {
    child: Child,
    /// As in a shell.
    line: String,
}

impl Commands {
    pub(super) const fn new(program: Option<OsString>) -> Self {
        Self { program, running: Vec::new(), failed: Vec::new() }
    }

    /// Starts the program beside the capture, out of reach of the terminal's Ctrl-C.
    pub(super) fn run(&mut self, file: &Path) {
        self.collect();
        let Some(program) = &self.program else { return };
        let line = line(program, file);
        let child = Command::new(program).arg(file).stdin(Stdio::null()).process_group(0).spawn();
        match child {
            Ok(child) => {
                let _ = pid(&child).map(|pid| setpriority_process(Some(pid), NICE));
                self.running.push(Running { child, line });
            }
            Err(error) => self.fail(&line, &format!("cannot be started: {error}")),
        }
    }

    /// Waits for those that still run, until a signal comes; they run on then. Those that failed are named.
    pub(super) fn finish(mut self, signals: Option<&SignalFd>) -> Vec<String> {
        if !self.running.is_empty() {
            // The signal that ended the capture is still there.
            signals.into_iter().for_each(forget);
        }
        let mut interrupted = false;
        for mut running in std::mem::take(&mut self.running) {
            interrupted = interrupted || !wait(&running.child, signals).unwrap_or(true);
            let ended = if interrupted { running.child.try_wait() } else { running.child.wait().map(Some) };
            match ended {
                Ok(Some(status)) if status.success() => {}
                Ok(Some(status)) => self.fail(&running.line, &status.to_string()),
                Ok(None) => say!("kflow: `{}` still runs", running.line),
                Err(error) => self.fail(&running.line, &error.to_string()),
            }
        }
        self.failed
    }

    /// Takes those that ended.
    fn collect(&mut self) {
        for mut running in std::mem::take(&mut self.running) {
            match running.child.try_wait() {
                Ok(None) => self.running.push(running),
                Ok(Some(status)) if status.success() => {}
                Ok(Some(status)) => self.fail(&running.line, &status.to_string()),
                Err(error) => self.fail(&running.line, &error.to_string()),
            }
        }
    }

    fn fail(&mut self, line: &str, why: &str) {
        let failure = format!("`{line}` failed: {why}");
        say!("kflow: {failure}");
        self.failed.push(failure);
    }
}

fn line(program: &OsStr, file: &Path) -> String {
    format!("{} {}", program.to_string_lossy(), file.display())
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(child.id().cast_signed())
}

fn forget(signals: &SignalFd) {
    let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    while matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1)) && matches!(signals.read_signal(), Ok(Some(_))) {
    }
}

/// Whether the process ended, and no signal came before.
fn wait(child: &Child, signals: Option<&SignalFd>) -> io::Result<bool> {
    let (Some(signals), Some(pid)) = (signals, pid(child)) else { return Ok(true) };
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let mut fds =
        [PollFd::new(process.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::NONE)?;
    Ok(fds[1].any() != Some(true))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
    use nix::sys::signalfd::SfdFlags;
    use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
    use nix::time::ClockId;
    use nix::unistd::gettid;

    use super::*;

    fn commands(program: &str) -> Commands {
        Commands::new(Some(program.into()))
    }

    #[test]
    fn failures_are_named() {
        let mut commands = commands("false");
        commands.run(Path::new("a.pcap"));
        assert_eq!(commands.finish(None), ["`false a.pcap` failed: exit status: 1"]);
        let mut missing = self::commands("/no/such/program");
        missing.run(Path::new("b"));
        let failed = missing.finish(None);
        assert!(failed[0].starts_with("`/no/such/program b` failed: cannot be started: "), "{failed:?}");
    }

    #[test]
    fn success_says_nothing() {
        let mut commands = commands("true");
        commands.run(Path::new("a"));
        commands.run(Path::new("b"));
        assert!(commands.finish(None).is_empty());
        let mut none = Commands::new(None);
        none.run(Path::new("a"));
        assert!(none.running.is_empty());
    }

    /// The program would run for hours.
    #[test]
    fn a_further_signal_ends_the_wait() {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGUSR1);
        mask.thread_block().unwrap();
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK).unwrap();
        let mut commands = commands("sleep");
        commands.run(Path::new("10000"));
        let sleeping = pid(&commands.running[0].child).unwrap();
        let notify =
            SigevNotify::SigevThreadId { signal: Signal::SIGUSR1, thread_id: gettid().as_raw(), si_value: 0 };
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify)).unwrap();
        let again = Expiration::Interval(Duration::from_millis(5).into());
        timer.set(again, TimerSetTimeFlags::empty()).unwrap();
        assert!(commands.finish(Some(&signals)).is_empty());
        rustix::process::kill_process(sleeping, rustix::process::Signal::KILL).unwrap();
    }
}
