//! A network namespace of one's own, under a name that `ip netns` knows.
//!
//! Code enters it on a thread, never through `ip netns exec`: that makes a mount namespace too and so hides
//! bpffs and the cgroup mounts.

use std::{
    fs::{self, File},
    io,
    os::linux::fs::MetadataExt as _,
    panic,
    path::{Path, PathBuf},
    process::{Child, Command},
    thread::{self, JoinHandle},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use thiserror::Error;

/// Where `ip netns` keeps its names.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// Something about a namespace that the kernel refused.
#[derive(Debug, Error)]
#[error("cannot {operation} the network namespace {name}")]
pub struct NamespaceError {
    operation: &'static str,
    name: String,
    source: io::Error,
}

/// A named network namespace that goes when this value goes.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    path: PathBuf,
}

impl Namespace {
    /// A new namespace in which only `lo` is, and is down.
    pub fn create(name: String) -> Result<Self, NamespaceError> {
        let path = Path::new(DIRECTORY).join(&name);
        let created = make_name(&path).and_then(|()| {
            let made = thread::scope(|scope| join(scope.spawn(|| bind_new(&path))));
            if made.is_err() {
                let _ = fs::remove_file(&path);
            }
            made
        });
        match created {
            Ok(()) => Ok(Self { name, path }),
            Err(source) => Err(NamespaceError { operation: "create", name, source }),
        }
    }

    /// The name, as in `ip netns exec NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` on a thread inside, and waits for it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        let handle = self.open()?;
        let entered = thread::scope(|scope| {
            join(scope.spawn(move || {
                setns(handle, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            }))
        });
        entered.map_err(|source| self.error("enter", source))
    }

    /// Starts `work` on a thread inside, once that thread is in.
    pub fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, NamespaceError> {
        // A thread starts in the namespace of the one that makes it.
        self.run(|| thread::spawn(work))
    }

    /// Starts a process inside; it is the caller's to wait for, and is killed with the lab.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, NamespaceError> {
        self.run(|| command.spawn())?.map_err(|source| self.error("start a process in", source))
    }

    fn open(&self) -> Result<File, NamespaceError> {
        File::open(&self.path).map_err(|source| self.error("open", source))
    }

    fn error(&self, operation: &'static str, source: io::Error) -> NamespaceError {
        NamespaceError { operation, name: self.name.clone(), source }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Takes the name away; the namespace ends with the last process and descriptor that is in it.
pub(crate) fn remove(path: &Path) {
    // Where somebody else removed it first there is nothing left to do.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// Kills every process whose main thread is in one of the namespaces, this process excepted.
pub(crate) fn kill_processes(paths: &[&Path]) {
    let inside: Vec<_> = paths.iter().filter_map(|path| identity(path)).collect();
    let Ok(entries) = fs::read_dir("/proc") else { return };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let of_lab = identity(&entry.path().join("ns/net")).is_some_and(|id| inside.contains(&id));
        if of_lab && pid != Pid::this().as_raw() {
            // It may have ended by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Device and inode, which the file of a namespace and every `ns/net` link to it share.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.st_dev(), metadata.st_ino()))
}

fn make_name(path: &Path) -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    File::create_new(path).map(drop)
}

/// Moves the calling thread into a new namespace and gives that a name.
fn bind_new(path: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    Ok(())
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload))
}
