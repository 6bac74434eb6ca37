//! Who runs where: the load on the first core, what captures on the last.

use std::sync::Once;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Moves the calling thread, and what it starts from now on, to the first core that this process may use.
pub fn first() -> nix::Result<()> {
    stay(|allowed| allowed.first().copied())
}

/// As [`first`], to the last one.
pub fn last() -> nix::Result<()> {
    stay(|allowed| allowed.last().copied())
}

fn stay(choose: impl Fn(&[usize]) -> Option<usize>) -> nix::Result<()> {
    let this = Pid::from_raw(0);
    let set = sched_getaffinity(this)?;
    let allowed: Vec<_> = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect();
    let mut one = CpuSet::new();
    one.set(choose(&allowed).unwrap_or_default())?;
    sched_setaffinity(this, &one)?;
    // What others do on the machine is not to be measured. Who may not, measures with them.
    let _ = rustix::process::setpriority_process(None, -20);
    prefer_session();
    Ok(())
}

/// Before other sessions: each has the same share by itself, whatever the priorities of its processes (sched(7),
/// "The autogroup feature"). The session is one of this process alone, so that a shell does not keep it.
fn prefer_session() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustix::process::setsid().is_ok() {
            // Kernels without the feature have no such file.
            let _ = std::fs::write("/proc/self/autogroup", "-10");
        }
    });
}
