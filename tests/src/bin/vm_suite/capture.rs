//! A `kflow capture` in a network namespace, from the line that says that it is ready to its end.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::Ipv4Addr,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{Namespace, run, traffic::Ping};

use crate::found::Failure;

const READY: &str = "kflow: capturing on ";
const ENDED: &str = " packets captured";
/// How long what is behind a packet may take, on a machine that is emulated.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running capture; dropped without [`Capture::stop`] it is killed.
pub(crate) struct Capture {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

/// What came of a capture.
pub(crate) enum Started {
    /// It captures.
    Running(Capture),
    /// It ended at once.
    Refused(Ended),
}

/// A program that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; absent where a signal ended it.
    pub(crate) code: Option<i32>,
    /// All that it said on standard error.
    pub(crate) said: String,
}

impl Capture {
    /// Starts one in a namespace, with these words.
    pub(crate) fn start(kflow: &Path, ns: &Namespace, words: &[&str]) -> Result<Started, Failure> {
        let mut child = Command::new(kflow)
            .args(["capture", "--netns"])
            .arg(ns.path())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no pipe")?);
        let mut said = String::new();
        loop {
            let from = said.len();
            if stderr.read_line(&mut said)? == 0 {
                return Ok(Started::Refused(Ended { code: child.wait()?.code(), said }));
            }
            if said[from..].contains(READY) {
                return Ok(Started::Running(Self { child, stderr }));
            }
        }
    }

    /// As [`Capture::start`]; it has to capture.
    pub(crate) fn running(kflow: &Path, ns: &Namespace, words: &[&str]) -> Result<Self, Failure> {
        match Self::start(kflow, ns, words)? {
            Started::Running(capture) => Ok(capture),
            Started::Refused(Ended { code, said }) => {
                Err(format!("`capture {}` ended with {code:?}: {}", words.join(" "), said.trim()).into())
            }
        }
    }

    /// Ctrl-C, and what it says then.
    pub(crate) fn stop(mut self) -> Result<Ended, Failure> {
        kill(self.pid(), Signal::SIGINT)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        Ok(Ended { code: self.child.wait()?.code(), said })
    }

    /// Ends it without a chance to clean up.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // After `stop` both find nothing left to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// How many packets it says that it captured.
    pub(crate) fn packets(&self) -> Option<u64> {
        let line = self.said.lines().find(|line| line.ends_with(ENDED))?;
        let words = line.trim_end_matches(ENDED);
        words.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    }

    /// The line that says what is wrong.
    pub(crate) fn last(&self) -> &str {
        self.said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default()
    }
}

/// A namespace of this name, its loopback up.
pub(crate) fn quiet(name: &str) -> Result<Namespace, Failure> {
    let ns = Namespace::create(format!("vm-suite-{}-{name}", std::process::id()))?;
    run(&ns, "ip", &["link", "set", "lo", "up"], "")?;
    let ranges = "/proc/sys/net/ipv4/ping_group_range";
    ns.run(|| std::fs::write(ranges, "0 2147483647"))??;
    Ok(ns)
}

/// Echo requests of a namespace to itself: so many, and as many answers.
pub(crate) fn ping(ns: &Namespace, count: u16) -> Result<(), Failure> {
    let report = Ping { count, ..Ping::new(Ipv4Addr::LOCALHOST) }.send(ns)?;
    let answers = report.round_trips.len();
    if answers == usize::from(count) { Ok(()) } else { Err(format!("{answers} answers").into()) }
}

/// Waits until a condition holds; whether it came to that.
pub(crate) fn comes<E>(mut holds: impl FnMut() -> Result<bool, E>) -> Result<bool, E> {
    let end = Instant::now() + PATIENCE;
    loop {
        if holds()? {
            return Ok(true);
        }
        if Instant::now() > end {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
