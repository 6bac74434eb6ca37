//! The processes of a namespace, and the containers and pods that they are of.

use std::collections::BTreeSet;
use std::fs;

use tracer_core::ifaces::{Container, Process, owned};

use crate::kernel::namespaces::Namespace;

/// Processes that are told by name.
const MAX_NAMED: usize = 8;
/// Containers and pods that are told of one namespace; on the host's network of a node there may be many.
const MAX_OWNERS: usize = 64;

/// How processes are looked at.
#[derive(Debug, Default)]
pub(super) struct Processes {
    /// Whether those in sight are not those of the machine.
    pub(super) are_unseen: bool,
}

/// What is told of the processes of a namespace.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) processes: Vec<Process>,
    pub(super) count: Option<usize>,
    pub(super) containers: Vec<Container>,
    pub(super) pod_uids: Vec<String>,
}

impl Processes {
    pub(super) fn of(&self, namespace: &Namespace) -> Told {
        if self.are_unseen {
            return Told::default();
        }
        let (mut containers, mut pods) = (BTreeSet::new(), BTreeSet::new());
        let is_meant = |pid: &u32| *pid != std::process::id() && !is_of_kernel(*pid);
        let own: Vec<u32> = namespace.processes.iter().copied().filter(is_meant).collect();
        for pid in &own {
            // It may have ended meanwhile.
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { continue };
            let found = owned(&text);
            containers.extend(found.container);
            pods.extend(found.pod_uid);
        }
        Told {
            processes: own.iter().take(MAX_NAMED).map(|pid| process(*pid)).collect(),
            count: Some(own.len()),
            containers: containers.into_iter().take(MAX_OWNERS).collect(),
            pod_uids: pods.into_iter().take(MAX_OWNERS).collect(),
        }
    }
}

/// Whether it is a thread of the kernel (`PF_KTHREAD` in the ninth field of `/proc/PID/stat`, proc(5)).
fn is_of_kernel(pid: u32) -> bool {
    const PF_KTHREAD: u32 = 0x0020_0000;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The second field is a name in parentheses, in which anything may be.
    let flags =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u32>().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}

fn process(pid: u32) -> Process {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Process { pid, name: name.trim_end().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_but_this_one() {
        let pid = std::os::unix::process::parent_id();
        assert!(!is_of_kernel(pid));
        let namespace = Namespace { processes: vec![pid, std::process::id()], ..Namespace::default() };
        let told = Processes::default().of(&namespace);
        assert_eq!((told.count, told.processes.len(), told.processes[0].pid), (Some(1), 1, pid));
    }
}
