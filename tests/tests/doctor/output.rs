//! The two outputs: names that programs rely on, text for people.

use std::io;
use std::process::{Command, Stdio};

use crate::report::Report;
use crate::scene::kflow;

/// In the order of the output; documented, so that removing or renaming one is a break.
const CHECKS: [&str; 27] = [
    "object",
    "kernel",
    "cap_net_admin",
    "cap_bpf",
    "cap_perfmon",
    "cap_sys_admin",
    "bpf_syscall",
    "ring_buffer",
    "program_type",
    "programs",
    "tcx",
    "clsact",
    "drops",
    "netns",
    "memlock",
    "cgroup_memory",
    "lockdown",
    "unprivileged_bpf",
    "jit",
    "btf",
    "module_btf",
    "clock",
    "conntrack",
    "af_packet",
    "libpcap",
    "wireshark",
    "tshark",
];
const ABILITIES: [&str; 6] =
    ["capture", "capture_filter", "capture_namespace", "capture_wireshark", "trace", "trace_namespaces"];
const STATES: [&str; 4] = ["ok", "degraded", "missing", "unknown"];

#[test]
fn json_has_the_documented_names() {
    let report = Report::of(&kflow(&["doctor", "--json"]).output().unwrap());
    assert_eq!(report.names("checks"), CHECKS);
    assert_eq!(report.names("abilities"), ABILITIES);
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(&report.json), ["abilities", "checks", "kernel", "verdict", "version"]);
    for name in CHECKS {
        let check = report.check(name);
        assert_eq!(keys(check), ["found", "meaning", "name", "remedy", "state"]);
        let state = report.state(name);
        assert!(STATES.contains(&state), "{check}");
        assert_eq!(check["remedy"].is_string(), ["missing", "degraded"].contains(&state), "{check}");
        assert!(["found", "meaning"].iter().all(|key| !check[key].as_str().unwrap().is_empty()), "{check}");
    }
    let release = nix::sys::utsname::uname().unwrap();
    assert_eq!(report.json["kernel"], release.release().to_str().unwrap());
}

#[test]
fn text_and_json_say_the_same() {
    let text = String::from_utf8(kflow(&["doctor"]).output().unwrap().stdout).unwrap();
    let report = Report::of(&kflow(&["doctor", "--json"]).output().unwrap());
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    for (line, name) in lines.iter().zip(CHECKS) {
        let mut words = line.split_whitespace();
        assert_eq!((words.next(), words.next()), (Some(report.state(name)), Some(name)), "{text}");
    }
    assert_eq!(*lines.last().unwrap(), report.json["verdict"]);
    for name in CHECKS.into_iter().filter(|name| report.state(name) == "missing") {
        assert!(text.contains(report.remedy(name)), "{name}: {text}");
    }
}

#[test]
fn colour_is_for_terminals_without_no_color() {
    let on_terminal = |no_color: &str| {
        let program = tests::kflow::program();
        let words = format!("{} doctor", program.display());
        let mut script = Command::new("script");
        script.args(["-qec", &words, "/dev/null"]).env("NO_COLOR", no_color).stdin(Stdio::null());
        String::from_utf8(script.output().unwrap().stdout).unwrap()
    };
    assert!(on_terminal("").contains("\x1b[32mok"));
    let plain = on_terminal("1");
    assert!(plain.contains("cap_net_admin") && !plain.contains('\x1b'), "{plain}");
    let piped = kflow(&["doctor"]).env("NO_COLOR", "").output().unwrap().stdout;
    assert!(!piped.contains(&0x1b));
}

#[test]
fn reader_that_has_seen_enough_is_no_failure() {
    for words in [&["doctor"][..], &["doctor", "--json"], &["capture", "-D"]] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = kflow(words).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
