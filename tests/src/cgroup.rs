//! A control group with little memory: of version 1 where that has the controller, else of version 2.
//!
//! Kernel: `Documentation/admin-guide/cgroup-v1/memory.rst`, `cgroup-v2.rst`.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

/// Where systemd, and this suite's users, have them.
const V1: &str = "/sys/fs/cgroup/memory";
const V2: &str = "/sys/fs/cgroup";

/// The names of the files of a version.
#[derive(Clone, Copy, Debug)]
struct Version {
    limit: &'static str,
    /// The most that was in use at once, bytes: kernel memory, and pages of files, included.
    peak: &'static str,
    /// Has a line `oom_kill N`.
    events: &'static str,
}

/// A group; it goes with this value, once no process is in it.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    version: Version,
}

impl Cgroup {
    /// A new group whose processes get so many bytes together.
    pub fn with_memory(bytes: u64) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kflow-test-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let is_v1 = Path::new(V1).join("memory.limit_in_bytes").exists();
        let (top, version) = if is_v1 {
            let (limit, peak) = ("memory.limit_in_bytes", "memory.max_usage_in_bytes");
            (V1, Version { limit, peak, events: "memory.oom_control" })
        } else {
            // Refused where it is on already and has groups below.
            let _ = fs::write(Path::new(V2).join("cgroup.subtree_control"), "+memory");
            (V2, Version { limit: "memory.max", peak: "memory.peak", events: "memory.events" })
        };
        let group = Self { path: Path::new(top).join(name), version };
        fs::create_dir(&group.path)?;
        fs::write(group.path.join(version.limit), bytes.to_string())?;
        Ok(group)
    }

    /// A command that enters the group and then becomes `program`; a shell, to which arguments are given as to it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("sh");
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.path.display());
        command.arg("-c").arg(script).arg(program);
        command
    }

    /// The most that was in use, bytes; absent on kernels that do not tell.
    pub fn peak(&self) -> Option<u64> {
        fs::read_to_string(self.path.join(self.version.peak)).ok()?.trim().parse().ok()
    }

    /// How many processes were killed for want of memory.
    pub fn kills(&self) -> io::Result<u64> {
        let events = fs::read_to_string(self.path.join(self.version.events))?;
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok());
        count.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Refused while a process is in it: then a test has failed.
        let _ = fs::remove_dir(&self.path);
    }
}
