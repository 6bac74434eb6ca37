//! What a process gives up once its programs are attached: capabilities(7), new privileges, and system calls that
//! watching does not take (seccomp(2)).
//!
//! Packets are bytes of strangers. Whoever finds a fault in what decodes them has the process, and then has no more than
//! is left here: it can start no program, open no connection, and load nothing into the kernel.

mod syscalls;

use std::io;
use std::str::FromStr;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use thiserror::Error;

/// Name of the variable of the environment that says the same as `--confine`.
pub const VARIABLE: &str = "KFLOW_CONFINE";

/// How much is given up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Confinement {
    /// Everything that is not needed any more. A system call that is not on the list fails with `EPERM`.
    #[default]
    Full,
    /// The same, but a system call that is not on the list is noted in the kernel's log and goes on.
    Log,
    /// Nothing.
    Off,
}

impl FromStr for Confinement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "full" => Ok(Self::Full),
            "log" => Ok(Self::Log),
            "off" => Ok(Self::Off),
            _ => Err("expected full, log or off".to_owned()),
        }
    }
}

/// What the rest of the run takes, besides reading what the programs record and following the interfaces.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// Other network namespaces are looked into when pods come (setns(2)), where that was permitted.
    pub namespaces: bool,
    /// Files are made, maybe in folders of others: what root may because it is root.
    pub files: bool,
    /// Programs of the user are started, which are to have what they would have had.
    pub programs: bool,
}

impl Needs {
    /// Attaching to an interface that comes later takes `CAP_NET_ADMIN` and, like reading maps before Linux 5.19,
    /// `CAP_BPF`; taking away a filter of clsact takes `CAP_NET_ADMIN`.
    fn capabilities(self) -> CapabilitySet {
        let namespaces = if self.namespaces { CapabilitySet::SYS_ADMIN } else { CapabilitySet::empty() };
        let files = if self.files { CapabilitySet::DAC_OVERRIDE } else { CapabilitySet::empty() };
        CapabilitySet::NET_ADMIN.union(CapabilitySet::BPF).union(namespaces).union(files)
    }
}

/// Why a process keeps what it does not need.
#[derive(Debug, Error)]
pub enum ConfineError {
    /// The kernel refused, or has no such thing.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// No list of system calls is known for this architecture.
    #[error("no filter of system calls can be made for this machine")]
    Filter(#[source] Box<seccompiler::BackendError>),
    /// A thread has another filter already.
    #[error("the thread {0} has a filter of system calls of its own")]
    Thread(i64),
}

fn failed<E: Into<io::Error>>(operation: &'static str) -> impl Fn(E) -> ConfineError {
    move |source| ConfineError::System { operation, source: source.into() }
}

/// Gives up what the rest of the run does not need: capabilities in all sets of the calling thread; new privileges and
/// system calls in all threads of the process. Threads that were there before give up their own by [`forsake`].
///
/// Where programs of the user are started, only capabilities are: a filter and the bounding set would go over to them.
pub fn confine(how: Confinement, needs: Needs) -> Result<(), ConfineError> {
    if how == Confinement::Off {
        return Ok(());
    }
    keep(needs.capabilities(), needs.programs)?;
    if needs.programs {
        return Ok(());
    }
    set_no_new_privs(true).map_err(failed("renounce new privileges"))?;
    syscalls::filter(how, needs)
}

/// Gives up all capabilities of the calling thread, which needs none from the beginning.
pub fn forsake(how: Confinement) -> Result<(), ConfineError> {
    if how == Confinement::Off { Ok(()) } else { keep(CapabilitySet::empty(), false) }
}

/// Keeps of the capabilities of this thread those of a set that it has.
fn keep(needed: CapabilitySet, is_bounding_left: bool) -> Result<(), ConfineError> {
    let had = capabilities(None).map_err(failed("look at the capabilities"))?;
    let kept = had.permitted.intersection(needed);
    if !is_bounding_left && had.effective.contains(CapabilitySet::SETPCAP) {
        bound(kept)?;
    }
    // Kernels before 4.3 have no ambient set.
    let _ = clear_ambient_capability_set();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(failed("give up capabilities"))
}

/// Takes the others out of the bounding set, up to the last one that this kernel knows.
fn bound(kept: CapabilitySet) -> Result<(), ConfineError> {
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(one) {
            Ok(true) if !kept.contains(one) => {
                remove_capability_from_bounding_set(one).map_err(failed("narrow the bounding set"))?;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_by_name() {
        assert_eq!("log".parse(), Ok(Confinement::Log));
        assert_eq!(Confinement::default(), Confinement::Full);
        assert!("kill".parse::<Confinement>().is_err());
    }

    #[test]
    fn only_what_is_asked_for_is_kept() {
        let least = CapabilitySet::NET_ADMIN.union(CapabilitySet::BPF);
        assert_eq!(Needs::default().capabilities(), least);
        let files = Needs { files: true, ..Needs::default() };
        assert_eq!(files.capabilities(), least.union(CapabilitySet::DAC_OVERRIDE));
        let namespaces = Needs { namespaces: true, ..Needs::default() };
        assert_eq!(namespaces.capabilities(), least.union(CapabilitySet::SYS_ADMIN));
    }
}
