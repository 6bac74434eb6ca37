//! A second process that takes away what a killed capture leaves: filters of clsact outlive who attached them.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::clsact;
use super::confine::{self, Confinement};
use super::netlink::NetlinkError;

/// Name of the hidden command that the second process runs.
pub const COMMAND: &str = "sweep-when-closed";

/// How often, and how long each time, the second process waits for the end of the first to be complete: 10 s.
const PATIENCE: u32 = 1000;
const TURN: Duration = Duration::from_millis(10);

/// The second process, which waits for the end of a pipe that this process holds.
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Starts it in the thread's network namespace and, so that Ctrl-C does not reach it, in a process group of its own.
    /// It watches over the filters with this name.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        Command::new(std::env::current_exe()?)
            .args([COMMAND, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.stdin = None;
        // It ends by itself; nothing more depends on it.
        let _ = self.0.wait();
    }
}

/// Takes away the filters of all processes that are gone, from the thread's network namespace. Returns how many there
/// were.
pub fn sweep() -> Result<usize, NetlinkError> {
    clsact::sweep()
}

/// Waits for the end of standard input, which comes with the process at the other end, and takes away the filters of all
/// processes that are gone: also of that one, whose filters have this name.
pub fn sweep_when_closed(name: &str) -> Result<usize, NetlinkError> {
    // It starts nothing, and filters are all that it takes away. Where that cannot be had it does its work all the same.
    let _ = confine::confine(Confinement::Full, confine::Needs::default());
    // An error is an end as well.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    // The kernel closes what a process has one by one: the pipe may go before what shows that the process is alive.
    for _ in 0..PATIENCE {
        if clsact::is_stale(name) {
            break;
        }
        thread::sleep(TURN);
    }
    clsact::sweep()
}
