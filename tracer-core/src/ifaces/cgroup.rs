//! Whose a process is, by its control groups (cgroups(7)).
//!
//! A kubelet names the groups of pods after their identifiers, container runtimes those of containers after theirs:
//! `/kubepods/besteffort/podUID/ID` by themselves, `kubepods-besteffort-podUID.slice/cri-containerd-ID.scope` by systemd.

use serde::{Deserialize, Serialize};

/// A container.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Container {
    /// Its identifier: 64 hexadecimal digits.
    pub id: String,
    /// Who made it, in the word that systemd's groups begin with (`docker`, `crio`); absent where the path does not tell.
    pub runtime: Option<String>,
}

/// What the control groups of a process tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Owned {
    /// The innermost container that it is in.
    pub container: Option<Container>,
    /// Identifier of the innermost pod that it is of.
    pub pod_uid: Option<String>,
}

/// Digits of a container's identifier.
const ID_LEN: usize = 64;

/// Reads `/proc/PID/cgroup`: lines of hierarchy, controllers and path.
pub fn owned(text: &str) -> Owned {
    let mut owned = Owned::default();
    for path in text.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
        // `kubepods-...slice:cri-containerd:ID` is what containerd makes of a path that systemd would not take.
        for part in path.split(['/', ':']) {
            owned.pod_uid = pod(part).or(owned.pod_uid);
            owned.container = container(part).or(owned.container);
        }
        if owned.container.is_some() {
            break;
        }
    }
    owned
}

fn pod(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    // Behind the last hyphen that systemd puts between a group and the one that it is in.
    let uid = name.strip_prefix("pod").or_else(|| name.rsplit_once("-pod").map(|(_, uid)| uid))?;
    let uid = uid.replace('_', "-");
    let digits = uid.chars().filter(char::is_ascii_hexdigit).count();
    let is_uid = digits == 32 && uid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    is_uid.then_some(uid)
}

fn container(part: &str) -> Option<Container> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (runtime, id) = match name.rsplit_once('-') {
        Some((runtime, id)) => (Some(runtime), id),
        None => (None, name),
    };
    let is_id = id.len() == ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A process that watches over a container is in none.
    let is_watcher = runtime.is_some_and(|runtime| runtime.ends_with("conmon"));
    (is_id && !is_watcher).then(|| Container { id: id.to_owned(), runtime: runtime.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "8dd1b1a4-5c0a-4f5c-9c2b-0a1b2c3d4e5f";

    #[test]
    fn groups_of_every_maker() {
        let under = UID.replace('-', "_");
        let table = [
            (format!("0::/kubepods/besteffort/pod{UID}/{ID}"), Some(UID), None),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                Some(UID),
                Some("cri-containerd"),
            ),
            (
                format!("12:pids:/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope/container"),
                Some(UID),
                Some("crio"),
            ),
            (format!("3:cpu,cpuacct:/system.slice/docker-{ID}.scope"), None, Some("docker")),
            (format!("3:cpu:/docker/{ID}"), None, None),
            (
                format!(
                    "0::/docker/{ID}/kubelet.slice/kubelet-kubepods-pod{under}.slice:cri-containerd:{ID}"
                ),
                Some(UID),
                None,
            ),
        ];
        for (line, uid, runtime) in table {
            let found = owned(&format!("{line}\n1:name=systemd:/\n"));
            let container = found.container.unwrap_or_else(|| panic!("no container in {line}"));
            assert_eq!((container.id.as_str(), container.runtime.as_deref()), (ID, runtime), "{line}");
            assert_eq!(found.pod_uid.as_deref(), uid, "{line}");
        }
    }

    #[test]
    fn pods_of_files_have_identifiers_without_hyphens() {
        let uid = "0123456789abcdef0123456789abcdef";
        assert_eq!(owned(&format!("0::/kubepods/pod{uid}")).pod_uid.as_deref(), Some(uid));
    }

    #[test]
    fn other_groups_tell_nothing() {
        let conmon = format!("0::/machine.slice/crio-conmon-{ID}.scope");
        for text in [
            "",
            "0::/",
            "0::/user.slice/user-0.slice/session-1.scope",
            "0::/podman-1/poda",
            "broken",
            &conmon,
        ] {
            assert_eq!(owned(text), Owned::default(), "{text}");
        }
    }
}
