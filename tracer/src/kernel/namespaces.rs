//! The network namespaces of this machine that something in sight leads to: files with names, and processes.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Where namespaces have names: those of `ip netns`, containerd and CRI-O; those of Docker.
const DIRECTORIES: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// A network namespace.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Namespace {
    /// Its inode, by which the kernel tells namespaces apart.
    pub inode: u64,
    /// A file that stands for it.
    pub path: PathBuf,
    /// What its files are called where such files are kept; none for one that only processes are in.
    pub names: Vec<String>,
    /// The processes in it, those that were started first first.
    pub processes: Vec<u32>,
}

impl Namespace {
    /// Its file, which keeps it alive.
    pub(super) fn open(&self) -> io::Result<File> {
        let file = File::open(&self.path)?;
        // A process may have ended, and its number be another's by now.
        if file.metadata()?.ino() != self.inode {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    /// Runs something in it, on a thread of its own. Entering takes `CAP_SYS_ADMIN`.
    pub fn inside<T: Send>(&self, run: impl FnOnce() -> T + Send) -> io::Result<T> {
        let file = self.open()?;
        let enter = || setns(&file, CloneFlags::CLONE_NEWNET).map(|()| run()).map_err(io::Error::from);
        thread::scope(|scope| scope.spawn(enter).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace failed")))
    }
}

/// All namespaces in sight, with their processes: those with names first, each once.
///
/// `closed` counts processes whose namespace may not be read, which takes `CAP_SYS_PTRACE`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sight {
    /// What was found.
    pub namespaces: Vec<Namespace>,
    /// Processes that could not be looked at.
    pub closed: usize,
}

/// Looks around. Costs a system call for each process of the machine.
pub fn look() -> Sight {
    let mut sight = Sight::default();
    let mut places = HashMap::new();
    for (name, path) in named() {
        if let Some(place) = fs::metadata(&path).ok().and_then(|file| sight.place(&mut places, &file, &path))
        {
            sight.namespaces[place].names.push(name);
        }
    }
    for pid in processes() {
        let path = of_process(pid);
        match fs::metadata(&path) {
            Ok(file) => {
                if let Some(place) = sight.place(&mut places, &file, &path) {
                    sight.namespaces[place].processes.push(pid);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => sight.closed += 1,
            // It ended meanwhile, or is a zombie.
            Err(_) => {}
        }
    }
    sight
}

impl Sight {
    /// Where the namespace is in the list; absent for files of other kinds.
    fn place(&mut self, places: &mut HashMap<u64, usize>, file: &fs::Metadata, path: &Path) -> Option<usize> {
        (file.dev() == device()?).then_some(())?;
        let inode = file.ino();
        Some(*places.entry(inode).or_insert_with(|| {
            self.namespaces.push(Namespace { inode, path: path.to_owned(), ..Namespace::default() });
            self.namespaces.len() - 1
        }))
    }
}

/// The device of the file system of namespaces (nsfs): a file of another one is no namespace, but left over.
fn device() -> Option<u64> {
    fs::metadata("/proc/thread-self/ns/net").ok().map(|file| file.dev())
}

/// A file for each namespace, and its inode; those with names first, and some more than once.
pub(super) fn in_sight() -> impl Iterator<Item = (u64, File)> {
    let paths = named().map(|(_, path)| path).chain(processes().into_iter().map(of_process));
    let mut seen = BTreeSet::new();
    paths.filter_map(move |path| {
        let inode = fs::metadata(&path).ok()?.ino();
        seen.insert(inode).then(|| File::open(&path).ok()).flatten().map(|file| (inode, file))
    })
}

/// Those with names, and their files. A name may stand for something else by now, or twice for one namespace.
pub(super) fn named() -> impl Iterator<Item = (String, PathBuf)> {
    DIRECTORIES.iter().flat_map(fs::read_dir).flatten().flatten().map(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        (name, file.path())
    })
}

/// All processes, in the order of their numbers.
pub(super) fn processes() -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())).collect()
}

/// The file of a process's namespace.
pub(super) fn of_process(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/ns/net"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_namespace_is_in_sight_with_this_process() {
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        let sight = look();
        let found: Vec<_> = sight.namespaces.iter().filter(|one| one.inode == own).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].processes.contains(&std::process::id()));
        assert!(in_sight().any(|(inode, _)| inode == own));
    }

    #[test]
    fn another_one_at_the_same_path_is_not_entered() {
        let path = PathBuf::from("/proc/self/ns/net");
        let gone = Namespace { inode: 1, path, ..Namespace::default() };
        assert_eq!(gone.inside(|| ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
