//! The other processes of a container.

use std::fs;
use std::io;

use nix::unistd::Pid;

/// Tells which processes count.
pub(super) struct Beside {
    own: u32,
    /// The control groups that they are in too; absent for process 1, whose namespace is the container's.
    groups: Option<String>,
}

impl Beside {
    /// Of the container that this process is in. Where it shares the namespace of its processes with others (`hostPID`),
    /// control groups tell them apart.
    pub(super) fn of_this_process() -> Self {
        let own = Pid::this().as_raw().cast_unsigned();
        let groups = (own != 1).then(|| fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        Self { own, groups }
    }

    /// How many there are.
    pub(super) fn count(&self) -> io::Result<usize> {
        let ids =
            fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(ids.filter(|id| *id != self.own && self.counts(*id)).count())
    }

    /// A process that has ended and waits for its parent does not count.
    fn counts(&self, id: u32) -> bool {
        let is_alive = fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| is_alive(&stat));
        let is_here = |own: &String| {
            fs::read_to_string(format!("/proc/{id}/cgroup")).is_ok_and(|groups| groups == *own)
        };
        is_alive && self.groups.as_ref().is_none_or(is_here)
    }
}

/// The state follows the name, which may have parentheses in it (proc(5)).
fn is_alive(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zombies_are_no_processes() {
        assert!(is_alive("7 (kflow) S 1 7 7 0"));
        assert!(is_alive("7 (a) Z (b) R 1 7 7 0"));
        assert!(!is_alive("7 (kflow) Z 1 7 7 0"));
        assert!(!is_alive(""));
    }

    #[test]
    fn own_process_does_not_count_and_a_child_does() {
        let beside = Beside::of_this_process();
        let before = beside.counts(std::process::id());
        assert!(before, "it is told apart by its number alone");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(beside.counts(child.id()) && beside.count().unwrap() >= 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!beside.counts(child.id()));
    }
}
