//! tcpdump beside kflow, on the same interface at the same time.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use thiserror::Error;

use crate::{Lab, Namespace, NamespaceError};

/// How long tcpdump may take to write what the kernel has handed it.
const DRAIN: Duration = Duration::from_secs(20);

/// The kernel's room for packets. In immediate mode it is cut into slots of the snap length.
const BUFFER_KIB: u32 = 8192;
/// What tcpdump takes for "no snap length".
const WHOLE: u32 = 0;

/// Words of expressions that libpcap asks packets of itself: a loop the kernel does not take. Of the first packet behind
/// a filter libpcap cannot know whether it came before the filter, so it asks it again, by an interpreter that knows
/// neither direction nor interface: that packet never matches.
const IN_USER_SPACE: [&str; 3] = ["protochain", "bound", "ifindex"];

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
    /// libpcap leaves out some that the kernel hands it and counts: of the two copies on loopback the one that is sent,
    /// the other direction where one is asked for, and what [`IN_USER_SPACE`] is about.
    is_choosy: bool,
}

/// What to capture, and to where.
#[derive(Clone, Copy, Debug)]
pub struct TcpdumpOptions<'a> {
    /// The interface.
    pub interface: &'a str,
    /// The filter expression; empty for every packet.
    pub filter: &'a str,
    /// Bytes of each packet; 0 for all.
    pub snap_len: u32,
    /// The kernel's room for packets, which is cut into slots of the snap length.
    pub buffer_kib: u32,
    /// Further flags.
    pub flags: &'a [&'a str],
    /// The file that it writes.
    pub path: &'a Path,
}

impl<'a> TcpdumpOptions<'a> {
    /// Whole packets, all of them.
    pub fn new(interface: &'a str, path: &'a Path) -> Self {
        Self { interface, filter: "", snap_len: WHOLE, buffer_kib: BUFFER_KIB, flags: &[], path }
    }
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
        Tcpdump::start(ns, &TcpdumpOptions { filter, snap_len, ..TcpdumpOptions::new(interface, &path) })
    }
}

impl Tcpdump {
    /// Starts tcpdump in `ns`; it is capturing when this returns.
    pub fn start(ns: &Namespace, options: &TcpdumpOptions<'_>) -> Result<Self, TcpdumpError> {
        let mut tcpdump = Self::spawn(ns, options)?;
        tcpdump.wait_until_ready()?;
        Ok(tcpdump)
    }

    /// Starts tcpdump in `ns`, and does not wait: see [`Tcpdump::wait_until_ready`].
    pub fn spawn(ns: &Namespace, options: &TcpdumpOptions<'_>) -> Result<Self, TcpdumpError> {
        let mut command = Command::new("tcpdump");
        // It would otherwise give up root before it opens the file.
        command.args(["-Z", "root", "-n", "-U", "--immediate-mode"]);
        command.args(["-B", &options.buffer_kib.to_string(), "-s", &options.snap_len.to_string()]);
        command.args(["-i", options.interface]).args(options.flags);
        command.arg("-w").arg(options.path).args(["--", options.filter]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = ns.spawn(&mut command)?;
        let Some(stderr) = child.stderr.take() else { unreachable!("the pipe was asked for") };
        let (interface, path) = (options.interface.to_owned(), options.path.to_owned());
        let is_choosy = interface == "lo"
            || options.flags.contains(&"-Q")
            || IN_USER_SPACE.iter().any(|word| options.filter.contains(word));
        Ok(Self { child, stderr: BufReader::new(stderr), interface, path, is_choosy })
    }

    /// Waits until it is capturing.
    pub fn wait_until_ready(&mut self) -> Result<(), TcpdumpError> {
        self.wait_for("listening on")
    }

    /// The file it writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until every packet that the kernel has seen is in the file, ends tcpdump, and names the file.
    ///
    /// Not by SIGUSR1, which tells how many that are: where tcpdump waits for packets, its answer leaves an error number
    /// behind that ends it.
    pub fn stop(mut self) -> Result<PathBuf, TcpdumpError> {
        let deadline = Instant::now() + DRAIN;
        while !self.is_waiting()? && Instant::now() < deadline {
            thread::yield_now();
        }
        self.signal(Signal::SIGINT)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).map_err(|source| self.control("listen to", source))?;
        self.child.wait().map_err(|source| self.control("wait for", source))?;
        let Some(counts) = Counts::parse(&said) else {
            return Err(self.unexpected("packets captured", said));
        };
        let missing = if self.is_choosy { 0 } else { counts.received.saturating_sub(counts.captured) };
        match missing.max(counts.dropped) {
            0 => Ok(self.path.clone()),
            packets => Err(TcpdumpError::Lost { interface: self.interface.clone(), packets }),
        }
    }

    /// Whether it sleeps, which in immediate mode it does only when the kernel has no packet for it.
    fn is_waiting(&self) -> Result<bool, TcpdumpError> {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let status = status.map_err(|source| self.control("look at", source))?;
        // The state follows the name, which is in parentheses and may have some itself (proc_pid_stat(5)).
        Ok(status.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S')))
    }

    /// Reads what it says, to the line that has `expected` in it.
    fn wait_for(&mut self, expected: &'static str) -> Result<(), TcpdumpError> {
        let mut said = String::new();
        loop {
            let begin = said.len();
            let read =
                self.stderr.read_line(&mut said).map_err(|source| self.control("listen to", source))?;
            if read == 0 {
                return Err(self.unexpected(expected, said));
            }
            if said[begin..].contains(expected) {
                return Ok(());
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
    /// From its last words.
    fn parse(said: &str) -> Option<Self> {
        let count = |what: &str| {
            let line = said.lines().find(|line| line.ends_with(what))?;
            line.split(' ').next()?.parse().ok()
        };
        Some(Self {
            // `1 packet captured`.
            captured: count(" captured")?,
            received: count(" received by filter")?,
            dropped: count(" dropped by kernel")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn counts_are_read_from_the_last_words() {
        let said = "\n1 packet captured\n12 packets received by filter\n2 packets dropped by kernel\n";
        assert_eq!(Counts::parse(said), Some(Counts { captured: 1, received: 12, dropped: 2 }));
        assert_eq!(Counts::parse("tcpdump: listening on eth0\n"), None);
    }
}
