//! Captures elsewhere, as this session sees them: the fleet's, or those of a test.

use std::io::Read;

use crate::cluster::fleet::{Fleet, Order};
use crate::cluster::remote::{Control, RemoteEnd};

/// A capture that runs elsewhere.
pub(super) struct Running {
    /// Its pcapng.
    pub(super) stdout: Box<dyn Read + Send>,
    /// Its words.
    pub(super) stderr: Box<dyn Read + Send>,
    /// How it is spoken to.
    pub(super) control: Box<dyn Steer>,
    /// Waits for its end, which comes after those of both streams.
    pub(super) end: Box<dyn FnOnce() -> RemoteEnd + Send>,
}

/// How a capture is spoken to.
pub(super) trait Steer {
    /// A line for its standard input.
    fn tell(&self, line: String);
    /// It is to drain its buffers, write its counters and end.
    fn stop(&self);
    /// Nothing of it is wanted any more.
    fn kill(&self);
}

/// Who starts captures.
pub(super) trait Agents {
    /// Starts one. What goes wrong is told by its end.
    fn capture(&mut self, order: Order) -> Running;
}

impl Steer for Control {
    fn tell(&self, line: String) {
        Self::tell(self, line);
    }

    fn stop(&self) {
        Self::stop(self);
    }

    fn kill(&self) {
        Self::kill(self);
    }
}

impl Agents for &Fleet {
    fn capture(&mut self, order: Order) -> Running {
        let remote = Fleet::capture(self, order);
        let end = remote.end;
        let cut = || RemoteEnd { code: None, reason: Some("its connection was dropped".to_owned()) };
        Running {
            stdout: remote.stdout,
            stderr: Box::new(remote.stderr),
            control: Box::new(remote.control),
            end: Box::new(move || end.blocking_recv().unwrap_or_else(|_| cut())),
        }
    }
}
