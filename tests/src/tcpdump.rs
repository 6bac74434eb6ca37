//! tcpdump beside kflow, on the same interface at the same time.

use std::{
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use thiserror::Error;

use crate::{Lab, Namespace, NamespaceError};

/// How long tcpdump may take to write what the kernel has handed it.
const DRAIN: Duration = Duration::from_secs(5);

/// The kernel's room for packets. In immediate mode it is cut into slots of the snap length.
const BUFFER_KIB: &str = "8192";
/// What tcpdump takes for "no snap length".
const WHOLE: u32 = 0;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A capture that could not be made.
#[derive(Debug, Error)]
pub enum TcpdumpError {
    /// tcpdump could not be started in the namespace.
    #[error(transparent)]
    Start(#[from] NamespaceError),
    /// tcpdump ended or said something else where it should have said this.
    #[error("tcpdump on {interface} did not say \"{expected}\" but: {said}")]
    Unexpected {
        /// The interface.
        interface: String,
        /// What was waited for.
        expected: &'static str,
        /// All that it said instead.
        said: String,
    },
    /// A signal or its output did not get through.
    #[error("cannot {operation} tcpdump on {interface}")]
    Control {
        /// What was tried.
        operation: &'static str,
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel had no room for some packets, or tcpdump did not come to write them: the file is not the
    /// whole truth.
    #[error("tcpdump on {interface} lost {packets} packets")]
    Lost {
        /// The interface.
        interface: String,
        /// How many.
        packets: u64,
    },
}

/// A running tcpdump; dropped without [`Tcpdump::stop`] it is killed.
#[derive(Debug)]
pub struct Tcpdump {
    child: Child,
    stderr: BufReader<ChildStderr>,
    interface: String,
    path: PathBuf,
}

impl Lab {
    /// Starts tcpdump on `interface` in `ns`, with the words of `filter`; it is capturing when this returns.
    ///
    /// It takes whole packets, of which the kernel has room for about a hundred: for bulk transfers there is
    /// [`Lab::tcpdump_snapped`].
    pub fn tcpdump(&self, ns: &Namespace, interface: &str, filter: &str) -> Result<Tcpdump, TcpdumpError> {
        self.tcpdump_snapped(ns, interface, filter, WHOLE)
    }

    /// As [`Lab::tcpdump`], with the first `snap_len` bytes of each packet.
    pub fn tcpdump_snapped(
        &self,
        ns: &Namespace,
        interface: &str,
        filter: &str,
        snap_len: u32,
    ) -> Result<Tcpdump, TcpdumpError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.directory().join(format!("{number}-{}-{interface}.pcap", ns.name()));
        Tcpdump::start(ns, interface, filter, snap_len, path)
    }
}

impl Tcpdump {
    fn start(
        ns: &Namespace,
        interface: &str,
        filter: &str,
        snap_len: u32,
        path: PathBuf,
    ) -> Result<Self, TcpdumpError> {
        let mut command = Command::new("tcpdump");
        // It would otherwise give up root before it opens the file.
        command.args(["-Z", "root", "-n", "-U", "--immediate-mode", "-B", BUFFER_KIB]);
        command.arg("-s").arg(snap_len.to_string());
        command.args(["-i", interface, "-w"]).arg(&path).args(filter.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ns.spawn(&mut command)?;
        let Some(stderr) = child.stderr.take() else { unreachable!("the pipe was asked for") };
        let mut tcpdump =
            Self { child, stderr: BufReader::new(stderr), interface: interface.to_owned(), path };
        tcpdump.wait_for("listening on")?;
        Ok(tcpdump)
    }

    /// The file it writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until every packet that the kernel has seen is in the file, ends tcpdump, and names the file.
    pub fn stop(mut self) -> Result<PathBuf, TcpdumpError> {
        let deadline = Instant::now() + DRAIN;
        loop {
            let counts = self.counts()?;
            let missing = counts.received.saturating_sub(counts.captured);
            if counts.dropped > 0 || (missing > 0 && Instant::now() > deadline) {
                return Err(TcpdumpError::Lost {
                    interface: self.interface.clone(),
                    packets: missing.max(counts.dropped),
                });
            }
            if missing == 0 {
                break;
            }
        }
        self.signal(Signal::SIGTERM)?;
        self.child.wait().map_err(|source| self.control("wait for", source))?;
        Ok(self.path.clone())
    }

    /// tcpdump answers SIGUSR1 with its counts, on one line.
    fn counts(&mut self) -> Result<Counts, TcpdumpError> {
        self.signal(Signal::SIGUSR1)?;
        let line = self.wait_for("dropped by kernel")?;
        Counts::parse(&line).ok_or_else(|| self.unexpected("packets captured", line))
    }

    /// Reads what it says until the line that has `expected` in it.
    fn wait_for(&mut self, expected: &'static str) -> Result<String, TcpdumpError> {
        let mut said = String::new();
        loop {
            let begin = said.len();
            let read =
                self.stderr.read_line(&mut said).map_err(|source| self.control("listen to", source))?;
            if read == 0 {
                return Err(self.unexpected(expected, said));
            }
            if said[begin..].contains(expected) {
                return Ok(said.split_off(begin));
            }
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), TcpdumpError> {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).map_err(|errno| self.control("signal", errno.into()))
    }

    fn unexpected(&self, expected: &'static str, said: String) -> TcpdumpError {
        TcpdumpError::Unexpected { interface: self.interface.clone(), expected, said }
    }

    fn control(&self, operation: &'static str, source: io::Error) -> TcpdumpError {
        TcpdumpError::Control { operation, interface: self.interface.clone(), source }
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // Both fail where it was stopped before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    /// Packets in the file.
    captured: u64,
    /// Packets that passed the filter in the kernel, those without room included.
    received: u64,
    /// Packets without room.
    dropped: u64,
}

impl Counts {
    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
        Some(Self { captured: numbers.next()?, received: numbers.next()?, dropped: numbers.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn counts_are_read_from_one_line() {
        let line =
            "tcpdump: 10 packets captured, 12 packets received by filter, 2 packets dropped by kernel\n";
        assert_eq!(Counts::parse(line), Some(Counts { captured: 10, received: 12, dropped: 2 }));
        assert_eq!(Counts::parse("tcpdump: listening on eth0\n"), None);
    }
}
