//! What there is to know about this machine, gathered without a judgement.

use std::fs;
use std::path::PathBuf;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::error::chain;
use crate::kernel::drops;
use crate::kernel::memory::{self, MemoryLimit};
use crate::kernel::object;
use crate::kernel::probe::trial::{self, Trial};
use crate::kernel::probe::{self, Privileges};
use crate::libpcap::{Libpcap, LibpcapError};

/// Everything that the checks look at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Facts {
    /// As `uname -r` prints it.
    pub(super) release: String,
    /// Path of this program.
    pub(super) program: String,
    /// Size of the buffer in bytes.
    pub(super) buffer: u64,
    /// Whether the eBPF object is in this program.
    pub(super) has_object: bool,
    /// Absent where `/proc` does not tell.
    pub(super) privileges: Option<Privileges>,
    /// Whether this is a user namespace other than the first.
    pub(super) is_user_namespace: bool,
    /// What came of trying.
    pub(super) trials: Trials,
    /// Bytes; absent for no limit.
    pub(super) memlock: Option<u64>,
    /// Absent for no limit.
    pub(super) memory: Option<MemoryLimit>,
    /// What the kernel does not tell of packets that it drops, and why; absent where it tells all.
    pub(super) lacks_of_drops: Option<(String, String)>,
    /// What the kernel's files say.
    pub(super) settings: Settings,
    /// Version of libpcap, or why there is none.
    pub(super) libpcap: Result<String, String>,
    /// Where they are.
    pub(super) wireshark: Option<PathBuf>,
    pub(super) tshark: Option<PathBuf>,
}

/// What came of trying features.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Trials {
    pub(super) map: Trial,
    pub(super) ring_buffer: Trial,
    pub(super) classifier: Trial,
    pub(super) programs: Trial,
    pub(super) tcx: Trial,
    pub(super) clsact: Trial,
    pub(super) drops: Trial,
    pub(super) netns: Trial,
}

/// What files of `/proc/sys` and `/sys` say; absent where one is not there or may not be read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Settings {
    /// Bytes of `/sys/kernel/btf/vmlinux`.
    pub(super) btf: Option<u64>,
    /// Modules with types of their own.
    pub(super) module_btf: usize,
    /// `kernel.unprivileged_bpf_disabled`.
    pub(super) unprivileged_bpf: Option<u64>,
    /// `net.core.bpf_jit_enable`.
    pub(super) jit: Option<u64>,
    /// The line with the choices, the present one in brackets.
    pub(super) lockdown: Option<String>,
    /// Connections that are tracked, and how many can be.
    pub(super) conntrack: Option<(u64, u64)>,
    /// The kernel's source of time.
    pub(super) clock: Option<String>,
}

impl Facts {
    /// Gathers all. Trials leave nothing behind; the limit on locked memory of this process is lifted for them, as a
    /// capture does.
    pub(super) fn gather(buffer_kib: u32) -> Self {
        // Before it is lifted.
        let memlock = memlock();
        probe::lift_memory_limit();
        Self {
            release: probe::release(),
            program: probe::program(),
            buffer: u64::from(buffer_kib) << 10,
            has_object: object::is_embedded().is_ok(),
            privileges: probe::privileges().ok(),
            is_user_namespace: text("/proc/self/uid_map").is_some_and(|map| !is_first_namespace(&map)),
            trials: Trials::run(),
            memlock,
            memory: memory::limit_here(),
            lacks_of_drops: drops::missing().map(|missing| (missing.what, missing.why)),
            settings: Settings::read(),
            libpcap: libpcap(),
            wireshark: find_program("wireshark"),
            tshark: find_program("tshark"),
        }
    }
}

impl Trials {
    fn run() -> Self {
        const NO_PROGRAM: Trial = Trial::Untried("there is no loaded program to attach");
        let (programs, mut loaded) = trial::programs();
        let mut attach = |how: fn(&mut object::Programs) -> Trial| {
            loaded.as_mut().map_or(NO_PROGRAM, |loaded| how(&mut loaded.programs))
        };
        Self {
            tcx: attach(trial::tcx),
            clsact: attach(trial::clsact),
            drops: attach(trial::drops),
            programs,
            map: trial::map(),
            ring_buffer: trial::ring_buffer(),
            classifier: trial::classifier(),
            netns: trial::enter_netns(),
        }
    }
}

impl Settings {
    fn read() -> Self {
        const CONNTRACK: &str = "/proc/sys/net/netfilter/nf_conntrack";
        let conntrack = number(&format!("{CONNTRACK}_count")).zip(number(&format!("{CONNTRACK}_max")));
        Self {
            btf: fs::metadata("/sys/kernel/btf/vmlinux").ok().map(|file| file.len()),
            module_btf: fs::read_dir("/sys/kernel/btf").map_or(0, |files| files.count().saturating_sub(1)),
            unprivileged_bpf: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
            jit: number("/proc/sys/net/core/bpf_jit_enable"),
            lockdown: text("/sys/kernel/security/lockdown"),
            conntrack,
            clock: text("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        }
    }
}

/// Bytes; absent for no limit.
fn memlock() -> Option<u64> {
    getrlimit(Resource::RLIMIT_MEMLOCK).ok().map(|(soft, _)| soft).filter(|soft| *soft != RLIM_INFINITY)
}

/// The first user namespace maps every number to itself (`user_namespaces(7)`).
fn is_first_namespace(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The first program of this name on the way that `PATH` tells.
fn find_program(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let is_executable = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(is_executable)
}

/// Its version; else what the loader says.
fn libpcap() -> Result<String, String> {
    Libpcap::load().map(|libpcap| libpcap.version()).map_err(|error| match error {
        // Its words for people are those of the remedy.
        LibpcapError::NotFound(cause) => cause.to_string(),
        error @ LibpcapError::NoFunction { .. } => chain(&error),
    })
}

fn number(file: &str) -> Option<u64> {
    text(file)?.parse().ok()
}

/// A file's text less its final line feed.
fn text(file: &str) -> Option<String> {
    fs::read_to_string(file).ok().map(|text| text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_user_namespace_maps_everything() {
        assert!(is_first_namespace("         0          0 4294967295"));
        assert!(!is_first_namespace("         0       1000          1"));
        assert!(!is_first_namespace("         0     100000      65536"));
    }

    #[test]
    fn programs_are_files_that_can_be_executed() {
        assert!(find_program("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
