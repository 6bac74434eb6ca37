//! What changes the whole process, in a process of its own: this program again, with one of the tests below.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tracer::sink::{FilePlan, Format, Recorder, SinkError, Target, drop_privileges};

use super::support::{at, eth0, files, frame, packet, record, set_mode, setup};

/// Runs a test of this module and returns how it ended.
pub(super) fn run(name: &str, variables: &[(&str, &OsStr)]) -> Output {
    command(name, variables).output().unwrap()
}

pub(super) fn command(name: &str, variables: &[(&str, &OsStr)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("children::{name}"), "--ignored", "--nocapture"]);
    command.envs(variables.iter().copied());
    command
}

fn path() -> PathBuf {
    std::env::var_os("KFLOW_PATH").unwrap().into()
}

#[test]
#[ignore = "run by another test, in a time zone"]
fn names() {
    let plan = FilePlan { seconds: Some(1), ..FilePlan::single(path()) };
    record(files(plan, Format::Pcapng), 1).unwrap();
}

/// Shows packets in whatever `wireshark` the path has.
#[test]
#[ignore = "run by another test, with a wireshark of its own"]
fn wireshark() {
    match record(setup(Target::Wireshark, Format::Pcapng), 1000) {
        Ok(written) => assert_eq!((written.packets, written.last), (1000, None)),
        Err(SinkError::Wireshark(error)) => fs::write(path(), error.kind().to_string()).unwrap(),
        Err(error) => panic!("{error}"),
    }
}

/// Standard output is a file on a disk that becomes full; the process ends here, as the harness would write there.
#[test]
#[ignore = "run by another test, with a full disk"]
fn stdout() {
    let ended = record(setup(Target::Stdout, Format::Pcapng), 100_000);
    let told = match &ended {
        Err(error @ SinkError::Cut { .. }) => format!("{error} {}", error.is_partial()),
        ended => format!("{ended:?}"),
    };
    fs::write(path(), told).unwrap();
    std::process::exit(0);
}

/// Drops everything, then shows what is left: to this process, and to what it starts.
#[test]
#[ignore = "run by another test, as it cannot be taken back"]
fn privileges() {
    let directory = path();
    drop_privileges("nobody").unwrap();
    assert_eq!(File::open("/etc/shadow").unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
    let denied = Recorder::open(files(FilePlan::single("/root/f"), Format::Pcapng), None);
    assert!(matches!(denied.err(), Some(SinkError::Create { .. })));
    fs::copy("/proc/thread-self/status", directory.join("status")).unwrap();
    let plan = FilePlan {
        size: Some(500),
        postrotate: Some(directory.join("command").into()),
        ..FilePlan::single(directory.join("f"))
    };
    let mut recorder = Recorder::open(files(plan, Format::Pcapng), None).unwrap();
    recorder.interface(&eth0()).unwrap();
    for number in 0..10 {
        recorder
            .frame(&tracer_core::capture::Frame { time: at(0), ..frame(number, &packet(number)) })
            .unwrap();
    }
    let written = recorder.finish().unwrap();
    assert!(written.failed_commands.is_empty(), "{:?}", written.failed_commands);
}

fn field(status: &Path, name: &str) -> String {
    let status = fs::read_to_string(status).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn another_user_has_what_a_capture_needs_and_no_more() {
    /// `CAP_NET_ADMIN`, `CAP_SYS_ADMIN`, `CAP_PERFMON`, `CAP_BPF` (linux/capability.h).
    const KEPT: u64 = 1 << 12 | 1 << 21 | 1 << 38 | 1 << 39;
    let directory = super::support::Scratch::new();
    let command = directory.join("command");
    fs::write(&command, format!("#!/bin/sh\ncat /proc/self/status > {}/child\n", directory.path().display()))
        .unwrap();
    set_mode(&command, 0o755);
    set_mode(directory.path(), 0o777);
    let ended = run("privileges", &[("KFLOW_PATH", directory.path().as_os_str())]);
    assert!(ended.status.success(), "{ended:?}");
    let had = u64::from_str_radix(&field(Path::new("/proc/self/status"), "CapPrm"), 16).unwrap();
    let [process, child] = ["status", "child"].map(|name| directory.join(name));
    for sets in ["CapPrm", "CapEff"] {
        let set = |file| u64::from_str_radix(&field(file, sets), 16).unwrap();
        assert_eq!(set(&process), had & KEPT, "{sets}");
        assert_eq!(set(&child), 0, "{sets}");
    }
    for file in [&process, &child] {
        assert_eq!(field(file, "CapInh"), "0000000000000000");
        assert_eq!(field(file, "Uid"), "65534 65534 65534 65534");
        assert_eq!(field(file, "Gid"), "65534 65534 65534 65534");
        assert_eq!(field(file, "Groups"), "65534");
    }
}

#[test]
fn unknown_users_are_told_and_root_stays_root() {
    let unknown = drop_privileges("no-such-user").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no user no-such-user");
    let before = field(Path::new("/proc/thread-self/status"), "CapEff");
    drop_privileges("root").unwrap();
    assert_eq!(field(Path::new("/proc/thread-self/status"), "CapEff"), before);
}
