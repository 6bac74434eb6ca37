//! The captures of a trace: processes that somebody else has to wait for.

use std::{fs, io, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{KflowError, control};

/// How long a capture may take to end when its trace is gone.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// One capture, held by a descriptor, so that no other process can be taken for it.
#[derive(Debug)]
pub struct Capture {
    id: u32,
    process: OwnedFd,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Capture {
    /// All children of a process.
    pub(super) fn of(parent: u32) -> io::Result<Vec<Self>> {
        let mut captures = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // Processes come and go meanwhile.
            if parent_of(id) == Some(parent)
                && let Ok(capture) = Self::open(id)
            {
                captures.push(capture);
            }
        }
        Ok(captures)
    }

    /// Whether it watches a node's own namespace.
    pub fn is_of_node(&self, node: &str) -> bool {
        let names_node = self.arguments.windows(2).any(|words| words[0] == "--node" && words[1] == node);
        names_node && !self.arguments.iter().any(|word| word == "--pod")
    }

    /// Ends it without a chance to clean up.
    pub fn kill(&self) -> Result<(), KflowError> {
        pidfd_send_signal(&self.process, Signal::KILL)
            .map_err(|errno| control("kill a capture of")(errno.into()))
    }

    /// Waits until it has ended: the kernel has taken back all that it held.
    pub fn wait(&self) -> Result<(), KflowError> {
        let mut ended = [PollFd::new(&self.process, PollFlags::IN)];
        match poll(&mut ended, Some(&PATIENCE)) {
            Ok(0) => Err(KflowError::Alive(self.id)),
            Ok(_) => Ok(()),
            Err(errno) => Err(control("wait for a capture of")(errno.into())),
        }
    }

    fn open(id: u32) -> io::Result<Self> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let line = fs::read(format!("/proc/{id}/cmdline"))?;
        let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        Ok(Self { id, process, arguments: words.collect() })
    }
}

fn parent_of(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}
