//! When a program that holds a lab is to end.

use std::{io, os::fd::AsFd as _};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::SignalFd,
    },
};

/// The signals that end a program, as something to wait for.
#[derive(Debug)]
pub struct Ending(SignalFd);

impl Ending {
    /// Takes them; before there are threads, so that no thread takes one.
    pub fn take() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        signals.extend([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        signals.thread_block()?;
        Ok(Self(SignalFd::new(&signals)?))
    }

    /// Until a signal comes or standard input ends.
    pub fn wait(&self) -> io::Result<()> {
        let stdin = io::stdin();
        loop {
            let mut waiting = [self.0.as_fd(), stdin.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            poll(&mut waiting, PollTimeout::NONE)?;
            let [signalled, typed] = waiting.map(|fd| fd.any().unwrap_or_default());
            if signalled || (typed && stdin.read_line(&mut String::new())? == 0) {
                return Ok(());
            }
        }
    }
}
