//! Which lab a namespace and a directory belong to, and whether its owner still lives.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::namespace::{self, DIRECTORY};

const PREFIX: &str = "kflow";

static SWEPT: Once = Once::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// One lab of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LabId {
    pid: u32,
    number: u32,
}

impl LabId {
    /// The next of this process.
    pub(super) fn next() -> Self {
        Self { pid: process::id(), number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// The name of the lab's namespace for `what`.
    pub(super) fn namespace(self, what: &str) -> String {
        format!("{PREFIX}-{}-{}-{what}", self.pid, self.number)
    }

    /// The lab's own directory.
    pub(super) fn directory(self) -> PathBuf {
        env::temp_dir().join(format!("{PREFIX}-{}-{}", self.pid, self.number))
    }

    /// Reads both kinds of name.
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(4, '-');
        if parts.next()? != PREFIX {
            return None;
        }
        Some(Self { pid: parts.next()?.parse().ok()?, number: parts.next()?.parse().ok()? })
    }

    fn is_stale(self) -> bool {
        self.pid != process::id() && !Path::new("/proc").join(self.pid.to_string()).exists()
    }
}

/// Removes what labs left whose processes are gone; returns how many namespaces that were.
pub(super) fn sweep_stale() -> io::Result<usize> {
    // Before this process has labs, what bears its number is of one before it.
    let mut first = Ok(0);
    SWEPT.call_once(|| first = sweep(|id| id.pid == process::id()));
    Ok(first? + sweep(LabId::is_stale)?)
}

/// Removes every lab of this process, used or not.
pub(super) fn remove_own() -> io::Result<usize> {
    sweep(|id| id.pid == process::id())
}

fn sweep(is_stale: impl Fn(LabId) -> bool) -> io::Result<usize> {
    let stale_in = |directory: &Path| -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let stale = names.filter(|name| name.to_str().and_then(LabId::parse).is_some_and(&is_stale));
        Ok(stale.map(|name| directory.join(name)).collect())
    };
    let namespaces = stale_in(Path::new(DIRECTORY))?;
    let paths: Vec<&Path> = namespaces.iter().map(PathBuf::as_path).collect();
    if !paths.is_empty() {
        namespace::kill_processes(&paths);
    }
    for path in &paths {
        namespace::remove(path);
    }
    for directory in stale_in(&env::temp_dir())? {
        // Another process may sweep at the same time.
        let _ = fs::remove_dir_all(directory);
    }
    Ok(namespaces.len())
}

#[cfg(test)]
mod tests {
    use super::LabId;

    #[test]
    fn names_tell_their_lab() {
        let id = LabId { pid: 4711, number: 2 };
        assert_eq!(LabId::parse(&id.namespace("k8s-node1")), Some(id));
        assert_eq!(id.directory().file_name().and_then(|name| LabId::parse(name.to_str()?)), Some(id));
        for other in ["kflow", "kflow-x-2-k8s-node1", "calico-1-2-3", ""] {
            assert_eq!(LabId::parse(other), None, "{other}");
        }
    }
}
