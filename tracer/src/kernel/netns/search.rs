//! The network namespace that has an address.

use std::collections::HashSet;
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::NetnsError;
use crate::kernel::{inventory, namespaces};

/// Looks into every namespace that has a file in sight, those with names first, and after those of processes too.
///
/// Where several have the address, as pods of several clusters on one machine may, it is the one that this namespace has a
/// link to.
pub(super) fn find(address: IpAddr) -> Result<PathBuf, NetnsError> {
    let mut search = Search { address, seen: HashSet::new(), found: Vec::new(), looked: 0, closed: 0 };
    search.through(namespaces::named().map(|(_, path)| path));
    if search.found.is_empty() {
        search.through(namespaces::processes().into_iter().map(namespaces::of_process));
    }
    let Search { mut found, looked, closed, .. } = search;
    if found.len() > 1 {
        let near =
            found.iter().filter(|path| File::open(path).is_ok_and(|file| inventory::is_neighbour(&file)));
        if let [only] = near.collect::<Vec<_>>()[..] {
            return Ok(only.clone());
        }
    }
    match found.len() {
        0 => Err(NetnsError::NoAddress { address, looked, closed }),
        1 => Ok(found.remove(0)),
        _ => Err(NetnsError::Ambiguous { address, paths: found }),
    }
}

struct Search {
    address: IpAddr,
    /// Device and inode, which tell a namespace whatever its file is called.
    seen: HashSet<(u64, u64)>,
    found: Vec<PathBuf>,
    looked: usize,
    closed: usize,
}

impl Search {
    fn through(&mut self, paths: impl Iterator<Item = PathBuf>) {
        for path in paths {
            // A process, or a pod, may be gone by now.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if !self.seen.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            match File::open(&path).ok().and_then(|file| has_address(&file, self.address)) {
                None => self.closed += 1,
                Some(has_it) => {
                    self.looked += 1;
                    if has_it {
                        self.found.push(path);
                    }
                }
            }
        }
    }
}

/// Goes in on a thread of its own; absent where that is not possible.
fn has_address(file: &File, address: IpAddr) -> Option<bool> {
    let look = || {
        setns(file, CloneFlags::CLONE_NEWNET).ok()?;
        inventory::own_addresses().ok().map(|own| own.contains(&address))
    };
    thread::scope(|scope| scope.spawn(look).join()).ok().flatten()
}
