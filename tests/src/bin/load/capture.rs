//! A capture of either tool, and what it took.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike as _;
use nix::time::ClockId;
use nix::unistd::Pid;

use crate::{Failure, cores};

#[derive(Clone, Copy)]
pub(crate) enum Tool<'a> {
    Kflow(&'a Path),
    Tcpdump,
    /// `kflow trace`, which starts a capture.
    Trace(&'a Path),
}

impl Tool<'_> {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kflow(_) => "kflow",
            Self::Trace(_) => "kflow trace",
            Self::Tcpdump => "tcpdump",
        }
    }

    /// What it says when it captures.
    fn ready(self) -> &'static str {
        match self {
            Self::Kflow(_) => "capturing on",
            Self::Trace(_) => "tracing ",
            Self::Tcpdump => "listening on",
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Kflow(program) | Self::Trace(program) => {
                let mut command = Command::new(program);
                command.arg(if matches!(self, Self::Trace(_)) { "trace" } else { "capture" });
                command
            }
            Self::Tcpdump => {
                let mut command = Command::new("tcpdump");
                // It would otherwise give up root before it opens the file.
                command.args(["-Z", "root"]);
                command
            }
        }
    }
}

/// What is to be captured, and where to.
#[derive(Clone, Copy)]
pub(crate) struct Capture<'a> {
    pub(crate) tool: Tool<'a>,
    /// Bytes of a packet; 0 for all.
    pub(crate) snap: u32,
    pub(crate) filter: Option<&'a str>,
    pub(crate) file: &'a Path,
    /// Further interfaces, which kflow alone can have.
    pub(crate) beside: Option<&'a str>,
}

/// A capture that is ready.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// Seconds of the processor until it was ready.
    before: f64,
}

/// What a capture told at its end, and what it took from its readiness to there.
pub(crate) struct Told {
    pub(crate) captured: u64,
    pub(crate) received: u64,
    pub(crate) dropped: u64,
    /// Seconds, of user and system.
    pub(crate) processor: f64,
    /// Greatest resident memory, KiB.
    pub(crate) memory: u64,
}

impl Capture<'_> {
    /// Starts it on the last core, in the namespace of the calling thread, and waits until it captures.
    pub(crate) fn start(&self, interface: &str) -> Result<Running, String> {
        let mut command = self.tool.command();
        command.args(["-i", interface]);
        if matches!(self.tool, Tool::Kflow(_)) {
            // A pattern that nothing has is told of, and does no harm.
            command.args(self.beside.iter().flat_map(|pattern| ["-i", pattern]));
        }
        command.args(["-s", &self.snap.to_string(), "-w"]).arg(self.file);
        if let Some(filter) = self.filter {
            command.arg("--").arg(filter);
        }
        Running::start(&mut command, self.tool).map_err(|failure| failure.to_string())
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command, tool: Tool<'_>) -> Result<Self, Failure> {
        cores::last()?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut stderr = BufReader::new(child.stderr.take().ok_or("no pipe")?);
        let mut said = String::new();
        loop {
            let from = said.len();
            if stderr.read_line(&mut said)? == 0 {
                child.wait()?;
                return Err(format!("{} does not capture:\n{said}", tool.name()).into());
            }
            if said[from..].contains(tool.ready()) {
                break;
            }
        }
        let before = running_time(&child)?;
        Ok(Self { child, stderr, before })
    }

    /// The greatest resident memory so far of it and of what it has started, KiB.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        let mut memory = peak(self.child.id())?;
        let of_main = format!("/proc/{0}/task/{0}/children", self.child.id());
        for child in std::fs::read_to_string(of_main)?.split_whitespace() {
            memory += peak(child.parse()?)?;
        }
        Ok(memory)
    }

    /// Ends it by SIGINT; the seconds of the processor that it has taken in all.
    pub(crate) fn end(self) -> Result<f64, Failure> {
        self.finish().map(|(_, seconds)| seconds)
    }

    /// Ends it by SIGINT.
    pub(crate) fn stop(self) -> Result<Told, Failure> {
        let memory = peak(self.child.id())?;
        let started = self.before;
        let (said, whole) = self.finish()?;
        let count = |what: &str| {
            let line = said.lines().find(|line| line.contains(what));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.ok_or_else(|| format!("no line about {what} in:\n{said}"))
        };
        Ok(Told {
            captured: count("captured")?,
            received: count("received by filter")?,
            dropped: count("dropped by kernel")?,
            processor: whole - started,
            memory,
        })
    }

    /// What it says then, and the seconds of the processor that it has taken in all.
    fn finish(mut self) -> Result<(String, f64), Failure> {
        let children = UsageWho::RUSAGE_CHILDREN;
        let reaped = || getrusage(children).map(|usage| usage.user_time() + usage.system_time());
        let before = reaped()?;
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?;
        let mut said = String::new();
        self.stderr.read_to_string(&mut said)?;
        self.child.wait()?;
        Ok((said, (reaped()? - before).num_microseconds() as f64 / 1e6))
    }
}

/// Seconds that a process has run, with those of its threads that have ended: kflow's programs are loaded by two.
fn running_time(child: &Child) -> Result<f64, Failure> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(child.id().cast_signed()))?;
    Ok(clock.now()?.num_nanoseconds() as f64 / 1e9)
}

/// The greatest resident memory of a process so far, KiB (proc(5)).
fn peak(process: u32) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
