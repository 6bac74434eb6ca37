//! The limit of memory that this process is under by its control groups: version 1, version 2, and both at once.
//!
//! Kernel: `Documentation/admin-guide/cgroup-v1/memory.rst`, `cgroup-v2.rst`; cgroups(7); proc(5) for `mountinfo`.

use std::fs;
use std::path::{Path, PathBuf};

/// What version 1 writes for "no limit" is the greatest number of whole pages, whatever their size.
const UNLIMITED: u64 = 1 << 62;

/// A limit on memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MemoryLimit {
    /// Bytes.
    pub(crate) bytes: u64,
    /// The file that says so.
    pub(crate) file: PathBuf,
}

/// Where the files of one hierarchy are.
#[derive(Debug, Eq, PartialEq)]
struct Hierarchy {
    /// The mount.
    top: PathBuf,
    /// The group of this process.
    group: PathBuf,
    /// The file that has the limit.
    limit: &'static str,
}

/// The least limit of the groups that this process is in and of those above them; absent where there is none.
pub(crate) fn limit_here() -> Option<MemoryLimit> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let read = |path: &Path| fs::read_to_string(path).ok();
    limit(&text("/proc/self/cgroup")?, &text("/proc/self/mountinfo")?, read)
}

/// `cgroup` and `mountinfo` are the files of these names in `/proc/self`; `read` reads a file of a group.
fn limit(cgroup: &str, mountinfo: &str, read: impl Fn(&Path) -> Option<String>) -> Option<MemoryLimit> {
    let of_group = |group: &Path, name| {
        let file = group.join(name);
        let bytes = read(&file)?.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)?;
        Some(MemoryLimit { bytes, file })
    };
    let hierarchies: Vec<_> = mountinfo.lines().filter_map(|line| hierarchy(line, cgroup)).collect();
    hierarchies
        .iter()
        .flat_map(|hierarchy| {
            let groups = hierarchy.group.ancestors().take_while(|group| group.starts_with(&hierarchy.top));
            groups.filter_map(|group| of_group(group, hierarchy.limit)).collect::<Vec<_>>()
        })
        .min_by_key(|limit| limit.bytes)
}

/// A line of `mountinfo`: id, parent, device, root, mount point, options, tags, `-`, type, source, super options.
fn hierarchy(line: &str, cgroup: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, top) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, options) = (filesystem.next()?, filesystem.nth(1)?);
    let has_memory = |controllers: &str| controllers.split(',').any(|controller| controller == "memory");
    let (path, limit) = match kind {
        "cgroup" if has_memory(options) => (group(cgroup, has_memory)?, "memory.limit_in_bytes"),
        "cgroup2" => (group(cgroup, str::is_empty)?, "memory.max"),
        _ => return None,
    };
    // Inside a container the mount shows only a part of the tree, perhaps that of another namespace.
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    Some(Hierarchy { top: top.into(), group: Path::new(top).join(below), limit })
}

/// The path in the line `number:controllers:path` whose controllers are those.
fn group(cgroup: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        is_wanted(controllers).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "14 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
                      15 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
    const V2: &str = "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const UNIFIED: &str = "20 41 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const CONTAINER: &str = "30 25 0:26 /kubepods/pod1 /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";

    /// The limit with these files.
    fn of(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Option<(u64, String)> {
        let read = |path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        };
        let limit = limit(cgroup, mountinfo, read)?;
        Some((limit.bytes, limit.file.display().to_string()))
    }

    #[test]
    fn least_limit_on_the_way_up_counts() {
        let v1 = "9:name=systemd:/x\n4:memory:/a/b\n0::/\n";
        let memory = "/sys/fs/cgroup/memory";
        let (own, parent) =
            (format!("{memory}/a/b/memory.limit_in_bytes"), format!("{memory}/a/memory.limit_in_bytes"));
        let none = "9223372036854771712\n";
        assert_eq!(of(v1, V1, &[(&own, "300\n"), (&parent, none)]), Some((300, own.clone())));
        assert_eq!(of(v1, V1, &[(&own, none), (&parent, "200\n")]), Some((200, parent.clone())));
        assert_eq!(of(v1, V1, &[(&own, none), (&parent, none)]), None);

        let file = "/sys/fs/cgroup/system.slice/memory.max";
        let v2 = "0::/system.slice/x.service\n";
        assert_eq!(of(v2, V2, &[(file, "1048576\n")]), Some((1_048_576, file.to_owned())));
        assert_eq!(of(v2, V2, &[(file, "max\n")]), None);
        assert_eq!(of(v2, V2, &[("/sys/fs/memory.max", "1\n")]), None, "above the mount is no group");
    }

    #[test]
    fn both_versions_at_once() {
        let cgroup = "4:memory:/a\n0::/u\n";
        let (one, two) =
            ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "/sys/fs/cgroup/unified/u/memory.max");
        let mounts = format!("{V1}{UNIFIED}");
        assert_eq!(of(cgroup, &mounts, &[(one, "500"), (two, "400")]), Some((400, two.to_owned())));
        assert_eq!(of(cgroup, &mounts, &[(one, "500")]), Some((500, one.to_owned())));
    }

    #[test]
    fn mount_of_a_container_shows_its_own_part() {
        let file = [("/sys/fs/cgroup/c1/memory.max", "7")];
        assert_eq!(of("0::/kubepods/pod1/c1", CONTAINER, &file).unwrap().0, 7);
        // With a namespace of control groups the own group is the root, and the mount's root is outside of it.
        assert_eq!(of("0::/", CONTAINER, &[("/sys/fs/cgroup/memory.max", "8")]).unwrap().0, 8);
    }

    #[test]
    fn damaged_files_have_no_limit() {
        for (cgroup, mountinfo) in
            [("", V2), ("0", V2), ("0::/", ""), ("0::/", "a - cgroup2"), ("0::/", " - ")]
        {
            assert_eq!(of(cgroup, mountinfo, &[("/sys/fs/cgroup/memory.max", "8")]), None);
        }
    }
}
