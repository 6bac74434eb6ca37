//! What has to be true after a fault, whatever it was: nothing attached, nothing running, nothing left in the kernel.

use std::{
    ffi::OsStr,
    fs,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{CommandError, Namespace, attached, process::Held};

/// The variable by which a process is known for one of a test's, and so are those that it starts.
const MARK: &str = "KFLOW_TEST_MARK";
/// How long what is left may take to go: the kernel frees programs when no processor can be in them any more, and the
/// process that takes filters away waits for the end of the one that it watches.
const PATIENCE: Duration = Duration::from_mins(2);
const TURN: Duration = Duration::from_millis(10);

/// What was there before, and what the processes of a test were seen to hold.
#[derive(Debug)]
pub struct Aftermath<'a> {
    mark: String,
    namespaces: Vec<&'a Namespace>,
    before: Vec<String>,
    held: Held,
}

impl<'a> Aftermath<'a> {
    /// To be called before the first process is started; what is attached in these namespaces now is somebody else's.
    pub fn of(namespaces: impl IntoIterator<Item = &'a Namespace>) -> Result<Self, CommandError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let namespaces: Vec<_> = namespaces.into_iter().collect();
        Ok(Self {
            mark: format!("{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)),
            before: attached::within_all(namespaces.iter().copied())?,
            namespaces,
            held: Held::default(),
        })
    }

    /// `program`, which is one of the test's processes when it runs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        self.claim(&mut command);
        command
    }

    /// Makes a command that somebody else began one of the test's processes.
    pub fn claim<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(MARK, &self.mark)
    }

    /// The test's processes that have not ended, with their children and those whose parents are gone.
    pub fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.mark);
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        // A process that has ended and is waited for has no environment any more.
        let is_marked = |id: &u32| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|word| word == mark.as_bytes())
        };
        ids.filter(is_marked).collect()
    }

    /// Remembers what the test's processes hold now: all of it has to go.
    pub fn look(&mut self) {
        for held in self.processes().into_iter().flat_map(Held::of) {
            self.held.remember(&held);
        }
    }

    /// How many maps, programs and links were seen.
    pub fn seen(&self) -> [usize; 3] {
        self.held.objects()
    }

    /// Waits until nothing is left, and tells what is where that does not come.
    pub fn check(&self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = self.left().map_err(|error| error.to_string())?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(format!("left behind: {left:#?}"));
            }
            thread::sleep(TURN);
        }
    }

    fn left(&self) -> Result<Vec<String>, CommandError> {
        let processes: Vec<String> =
            self.processes().into_iter().map(|id| format!("process {id}: {}", command_line(id))).collect();
        if !processes.is_empty() {
            return Ok(processes);
        }
        let objects = self.held.left();
        if !objects.is_empty() {
            return Ok(objects);
        }
        let now = attached::within_all(self.namespaces.iter().copied())?;
        Ok(now.into_iter().filter(|line| !self.before.contains(line)).collect())
    }
}

impl Drop for Aftermath<'_> {
    fn drop(&mut self) {
        // After a check there is none; where a test fails none may go on.
        for id in self.processes() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(id.cast_signed()),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
    }
}

fn command_line(id: u32) -> String {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}
