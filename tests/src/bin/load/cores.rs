//! Who runs where: the load on the first core, what captures on the last.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Moves the calling thread, and what it starts from now on, to the first core that this process may use.
pub(crate) fn first() -> nix::Result<()> {
    stay(|allowed| allowed.first().copied())
}

/// As [`first`], to the last one.
pub(crate) fn last() -> nix::Result<()> {
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
    Ok(())
}
