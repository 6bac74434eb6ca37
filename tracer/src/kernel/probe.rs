//! What this process may do and what this kernel can do, asked before anything fails half-way.

use std::fs;
use std::io;

use aya::maps::MapType;
use aya::sys::is_map_supported;
use thiserror::Error;

use crate::error::{Exit, ExitStatus};

/// Capabilities that observing packets needs (capabilities(7)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Capability {
    /// Attach programs to interfaces.
    NetAdmin,
    /// Enter a network namespace.
    SysAdmin,
    /// Load programs with pointer arithmetic.
    Perfmon,
    /// Load programs and make maps.
    Bpf,
}

impl Capability {
    const fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::SysAdmin => 21,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }

    /// Name as `setcap` takes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "cap_net_admin",
            Self::SysAdmin => "cap_sys_admin",
            Self::Perfmon => "cap_perfmon",
            Self::Bpf => "cap_bpf",
        }
    }
}

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
    const STATUS: &str = "/proc/self/status";
    let status = fs::read_to_string(STATUS).map_err(|source| ProbeError::Proc { path: STATUS, source })?;
    let effective = effective(&status);
    let mut needed = vec![Capability::Bpf, Capability::NetAdmin, Capability::Perfmon];
    if enter_netns {
        needed.push(Capability::SysAdmin);
    }
    let missing: Vec<_> =
        needed.iter().copied().filter(|capability| !holds(effective, *capability)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let program =
        std::env::current_exe().map_or_else(|_| "kflow".to_owned(), |path| path.display().to_string());
    Err(ProbeError::Capabilities { missing, needed, program })
}

/// Fails on a kernel without the ring buffer, the floor of what kflow works with.
pub fn ring_buffer() -> Result<(), ProbeError> {
    // An error of the probe itself is for the real load to report, with its cause.
    if is_map_supported(MapType::RingBuf).unwrap_or(true) {
        return Ok(());
    }
    let release = nix::sys::utsname::uname()
        .map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned());
    Err(ProbeError::NoRingBuffer { release })
}

/// Lifts the limit on locked memory, which maps counted against before Linux 5.11. Without the privilege to do
/// so the limit stays, and making the maps tells whether it is enough.
pub fn lift_memory_limit() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

/// Before Linux 5.8 split them off, `CAP_SYS_ADMIN` was what BPF needed, and it still implies the new ones.
fn holds(effective: u64, capability: Capability) -> bool {
    let has = |capability: Capability| effective & (1 << capability.bit()) != 0;
    match capability {
        Capability::Bpf | Capability::Perfmon => has(capability) || has(Capability::SysAdmin),
        Capability::NetAdmin | Capability::SysAdmin => has(capability),
    }
}

/// The `CapEff` line of `/proc/PID/status`; none when it is not there.
fn effective(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

fn names(capabilities: &[Capability]) -> String {
    capabilities.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_set_is_read_from_the_status_file() {
        let status = "Name:\tkflow\nCapPrm:\t0000000000000000\nCapEff:\t000000c000001000\n";
        let effective = effective(status);
        assert!(holds(effective, Capability::Bpf) && holds(effective, Capability::Perfmon));
        assert!(holds(effective, Capability::NetAdmin) && !holds(effective, Capability::SysAdmin));
        assert_eq!(super::effective("nothing"), 0);
    }

    #[test]
    fn sys_admin_implies_the_bpf_capabilities_but_not_net_admin() {
        let effective = 1 << Capability::SysAdmin.bit();
        assert!(holds(effective, Capability::Bpf) && holds(effective, Capability::Perfmon));
        assert!(!holds(effective, Capability::NetAdmin));
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
