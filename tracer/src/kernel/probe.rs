//! What this process may do and what this kernel can do, asked before anything fails half-way.

mod capability;
pub mod trial;

use std::error::Error;
use std::fs;
use std::io;

use aya::maps::MapType;
use aya::sys::is_map_supported;
use thiserror::Error;

pub use capability::{Capability, CapabilitySet, Privileges};

use crate::error::{Exit, ExitStatus, chain};

/// What the environment lacks.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The process has not the capabilities.
    #[error(
        "this needs the capabilit{} {}: run it with sudo, or give them once with `sudo setcap {}+ep {program}`",
        if missing.len() == 1 { "y" } else { "ies" },
        names(missing).to_uppercase(),
        names(needed)
    )]
    Capabilities {
        /// Those that are missing.
        missing: Vec<Capability>,
        /// Those to give.
        needed: Vec<Capability>,
        /// Path of this program.
        program: String,
    },
    /// Linux before 5.8.
    #[error("this kernel ({release}) has no BPF ring buffer: Linux 5.8 or later is needed")]
    NoRingBuffer {
        /// `uname -r`.
        release: String,
    },
    /// `/proc` says nothing.
    #[error("cannot read {path}")]
    Proc {
        /// The file.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl ExitStatus for ProbeError {
    fn exit(&self) -> Exit {
        Exit::Environment
    }
}

/// Fails when the process may not observe packets, or (`enter_netns`) not enter a network namespace.
pub fn capabilities(enter_netns: bool) -> Result<(), ProbeError> {
    let effective = privileges()?.effective;
    let mut needed = vec![Capability::Bpf, Capability::NetAdmin, Capability::Perfmon];
    if enter_netns {
        needed.push(Capability::SysAdmin);
    }
    let missing: Vec<_> = needed.iter().copied().filter(|capability| !effective.holds(*capability)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ProbeError::Capabilities { missing, needed, program: program() })
}

/// What this process is permitted, as `/proc/self/status` tells it.
pub fn privileges() -> Result<Privileges, ProbeError> {
    const STATUS: &str = "/proc/self/status";
    let status = fs::read_to_string(STATUS).map_err(|source| ProbeError::Proc { path: STATUS, source })?;
    Ok(Privileges::parse(&status))
}

/// What was refused in words, with its causes and, where the kernel did not permit it, the capability that it takes:
/// the kernel's configuration is told to those with `CAP_NET_ADMIN` only.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> String {
    let words = chain(error);
    let has = || privileges().is_ok_and(|privileges| privileges.effective.has(Capability::NetAdmin));
    if is_not_permitted(error) && !has() {
        return format!("{words}: that takes CAP_NET_ADMIN");
    }
    words
}

/// Whether `EPERM` is the error, or one of its causes.
fn is_not_permitted(error: &(dyn Error + 'static)) -> bool {
    let of_system = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
    of_system == Some(nix::libc::EPERM) || error.source().is_some_and(is_not_permitted)
}

/// Path of this program, for commands to be typed; its name where the path cannot be told.
pub fn program() -> String {
    std::env::current_exe().map_or_else(|_| "kflow".to_owned(), |path| path.display().to_string())
}

/// Fails on a kernel without the ring buffer, the floor of what kflow works with.
pub fn ring_buffer() -> Result<(), ProbeError> {
    // An error of the probe itself is for the real load to report, with its cause.
    if is_map_supported(MapType::RingBuf).unwrap_or(true) {
        return Ok(());
    }
    Err(ProbeError::NoRingBuffer { release: release() })
}

/// The kernel's release, as `uname -r` prints it; `unknown` where the kernel does not tell.
pub fn release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned())
}

/// Lifts the limit on locked memory, which maps counted against before Linux 5.11. Without the privilege to do
/// so the limit stays, and making the maps tells whether it is enough.
pub fn lift_memory_limit() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

fn names(capabilities: &[Capability]) -> String {
    capabilities.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_permitted_is_found_below_other_errors() {
        let refused =
            |number| ProbeError::Proc { path: "/proc", source: io::Error::from_raw_os_error(number) };
        assert!(is_not_permitted(&refused(nix::libc::EPERM)));
        assert!(!is_not_permitted(&refused(nix::libc::ENOENT)));
    }

    #[test]
    fn error_says_which_capability_and_how_to_give_it() {
        let error = ProbeError::Capabilities {
            missing: vec![Capability::NetAdmin],
            needed: vec![Capability::Bpf, Capability::NetAdmin, Capability::Perfmon],
            program: "/usr/bin/kflow".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "this needs the capability CAP_NET_ADMIN: run it with sudo, or give them once with \
             `sudo setcap cap_bpf,cap_net_admin,cap_perfmon+ep /usr/bin/kflow`"
        );
    }
}
