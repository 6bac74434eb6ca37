//! Surroundings that stand in the way: user namespaces, control groups, an empty `PATH`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::report::Report;
use crate::scene::kflow;

#[test]
fn user_namespace_has_capabilities_that_do_not_count() {
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--net"])
        .arg(tests::kflow::program())
        .args(["doctor", "--json"]);
    let report = Report::of(&command.output().unwrap());
    assert_eq!(report.state("cap_bpf"), "ok");
    assert_eq!(report.state("bpf_syscall"), "missing");
    assert!(report.remedy("bpf_syscall").contains("user namespace"), "{}", report.remedy("bpf_syscall"));
    assert_eq!(report.code, Some(4));
}

#[test]
fn programs_are_looked_for_where_path_tells() {
    let report = Report::of(&kflow(&["doctor", "--json"]).env("PATH", "/nowhere/at/all").output().unwrap());
    assert_eq!((report.state("wireshark"), report.state("tshark")), ("missing", "missing"));
    assert_eq!((report.code, report.blockers("capture_wireshark")), (Some(0), vec!["wireshark"]));

    let folder = std::env::temp_dir().join(format!("kd-path-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/bin/true", folder.join("wireshark")).unwrap();
    fs::write(folder.join("tshark"), "no program").unwrap();
    let report = Report::of(&kflow(&["doctor", "--json"]).env("PATH", &folder).output().unwrap());
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!((report.state("wireshark"), report.state("tshark")), ("ok", "missing"));
}

#[test]
fn limit_of_a_control_group_is_compared_with_the_buffer() {
    let group = Group::new(64 << 20);
    let table = [("1024", "ok", 0), ("32768", "degraded", 0), ("65536", "missing", 4)];
    for (kib, state, code) in table {
        let report = Report::of(&group.kflow(&["doctor", "--json", "-B", kib]).output().unwrap());
        assert_eq!(
            (report.state("cgroup_memory"), report.code),
            (state, Some(code)),
            "{kib}: {}",
            report.json
        );
        let found = report.check("cgroup_memory")["found"].as_str().unwrap();
        assert!(found.contains("64 MiB") && found.contains(&group.name()), "{found}");
    }
}

/// A control group with a limit on memory; it goes when this value goes.
struct Group(PathBuf);

impl Group {
    fn new(bytes: u64) -> Self {
        let (one, two) = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup");
        let (top, limit) = if fs::exists(one).unwrap() {
            (one, "memory.limit_in_bytes")
        } else {
            fs::write(format!("{two}/cgroup.subtree_control"), "+memory").unwrap();
            (two, "memory.max")
        };
        let group = Self(PathBuf::from(top).join(format!("kd-{}", std::process::id())));
        fs::create_dir(&group.0).unwrap();
        fs::write(group.0.join(limit), bytes.to_string()).unwrap();
        group
    }

    fn name(&self) -> String {
        self.0.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// `kflow` as a process of the group.
    fn kflow(&self, words: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        command.arg(tests::kflow::program()).args(words);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
