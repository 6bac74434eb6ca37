//! Facts to findings.

use std::path::PathBuf;

use super::facts::{Facts, Settings, Trials};
use super::{Report, State, Style};
use crate::kernel::memory::MemoryLimit;
use crate::kernel::probe::trial::Trial;
use crate::kernel::probe::{Capability, CapabilitySet, Privileges};

const ALL: [Capability; 4] =
    [Capability::NetAdmin, Capability::SysAdmin, Capability::Perfmon, Capability::Bpf];

/// A machine on which everything works.
fn healthy() -> Facts {
    let all = CapabilitySet::from_iter(ALL);
    Facts {
        release: "6.12.1".to_owned(),
        program: "/usr/bin/kflow".to_owned(),
        buffer: 8 << 20,
        has_object: true,
        privileges: Some(Privileges { effective: all, bounding: all, ..Privileges::default() }),
        is_user_namespace: false,
        trials: Trials {
            map: Trial::Works,
            ring_buffer: Trial::Works,
            classifier: Trial::Works,
            programs: Trial::Works,
            tcx: Trial::Works,
            clsact: Trial::Works,
            drops: Trial::Works,
            netns: Trial::Works,
        },
        memlock: None,
        memory: None,
        lacks_of_drops: None,
        settings: Settings {
            btf: Some(5 << 20),
            jit: Some(1),
            unprivileged_bpf: Some(2),
            clock: Some("tsc".to_owned()),
            conntrack: Some((10, 1000)),
            ..Settings::default()
        },
        libpcap: Ok("1.10.3".to_owned()),
        wireshark: Some(PathBuf::from("/usr/bin/wireshark")),
        tshark: Some(PathBuf::from("/usr/bin/tshark")),
    }
}

/// A healthy machine, changed.
fn with(change: impl FnOnce(&mut Facts)) -> Report {
    let mut facts = healthy();
    change(&mut facts);
    Report::of(&facts)
}

fn privileges(facts: &mut Facts) -> &mut Privileges {
    facts.privileges.as_mut().unwrap()
}

fn verdict(report: &Report) -> String {
    let mut text = Vec::new();
    report.write_text(&mut text, Style::Plain).unwrap();
    String::from_utf8(text).unwrap().lines().last().unwrap().to_owned()
}

fn check<'a>(report: &'a Report, name: &str) -> &'a super::Check {
    report.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no check {name}"))
}

#[test]
fn healthy_machine_has_no_complaint() {
    let report = Report::of(&healthy());
    let complaints: Vec<_> = report.checks.iter().filter(|check| check.state != State::Ok).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(report.can_capture());
    assert_eq!(verdict(&report), "kflow capture and kflow trace work here, in other network namespaces too");
}

/// What is changed, every check that is not as it should be then, and whether a capture still works.
type Case = (fn(&mut Facts), &'static [(&'static str, State)], bool);

const CASES: &[Case] = &[
    (|f| f.has_object = false, &[("object", State::Missing)], false),
    (|f| f.release = "5.4.0".to_owned(), &[], true),
    (
        |f| {
            f.release = "5.4.0".to_owned();
            f.trials.ring_buffer = Trial::Absent;
        },
        &[("kernel", State::Missing), ("ring_buffer", State::Missing)],
        false,
    ),
    (|f| f.release = "custom".to_owned(), &[("kernel", State::Unknown)], true),
    (|f| f.trials.map = Trial::NotPermitted, &[("bpf_syscall", State::Missing)], false),
    (|f| f.trials.ring_buffer = Trial::Absent, &[("ring_buffer", State::Missing)], false),
    (|f| f.trials.classifier = Trial::Absent, &[("program_type", State::Missing)], false),
    (|f| f.trials.programs = Trial::Failed("refused".to_owned()), &[("programs", State::Missing)], false),
    (|f| f.trials.tcx = Trial::Absent, &[("tcx", State::Degraded)], true),
    (|f| f.trials.clsact = Trial::Absent, &[("clsact", State::Degraded)], true),
    (|f| f.trials.drops = Trial::Failed("no types".to_owned()), &[("drops", State::Degraded)], true),
    (|f| f.trials.drops = Trial::Untried("no program"), &[("drops", State::Unknown)], true),
    (
        |f| f.lacks_of_drops = Some(("drop reasons".to_owned(), "an old kernel".to_owned())),
        &[("drops", State::Degraded)],
        true,
    ),
    (|f| f.trials.clsact = Trial::Untried("alone"), &[("clsact", State::Unknown)], true),
    (
        |f| {
            f.trials.tcx = Trial::Absent;
            f.trials.clsact = Trial::Absent;
        },
        &[("tcx", State::Missing), ("clsact", State::Missing)],
        false,
    ),
    (|f| f.trials.netns = Trial::NotPermitted, &[("netns", State::Missing)], true),
    (|f| f.memlock = Some(64 << 10), &[], true),
    (|f| old_kernel(f, 64 << 10, &ALL), &[("memlock", State::Missing)], false),
    (|f| old_kernel(f, 64 << 20, &ALL), &[], true),
    (
        |f| old_kernel(f, 64 << 10, &[Capability::NetAdmin, Capability::SysAdmin, Capability::SysResource]),
        &[],
        true,
    ),
    (|f| f.memory = limit(8 << 20), &[("cgroup_memory", State::Missing)], false),
    (|f| f.memory = limit(32 << 20), &[("cgroup_memory", State::Degraded)], true),
    (|f| f.memory = limit(256 << 20), &[], true),
    (|f| f.settings.jit = Some(0), &[("jit", State::Degraded)], true),
    (|f| f.settings.jit = None, &[("jit", State::Unknown)], true),
    (|f| f.settings.btf = None, &[("btf", State::Degraded)], true),
    (|f| f.settings.lockdown = Some("none integrity [confidentiality]".to_owned()), &[], true),
    (|f| f.settings.clock = Some("hpet".to_owned()), &[("clock", State::Degraded)], true),
    (|f| f.settings.clock = None, &[("clock", State::Unknown)], true),
    (|f| f.settings.conntrack = Some((990, 1000)), &[("conntrack", State::Degraded)], true),
    (|f| f.settings.conntrack = None, &[], true),
    (|f| f.libpcap = Err("no libpcap".to_owned()), &[("libpcap", State::Missing)], true),
    (|f| f.wireshark = None, &[("wireshark", State::Missing)], true),
    (|f| f.tshark = None, &[("tshark", State::Missing)], true),
    (
        |f| f.privileges = None,
        &[
            ("cap_net_admin", State::Unknown),
            ("cap_bpf", State::Unknown),
            ("cap_perfmon", State::Unknown),
            ("cap_sys_admin", State::Unknown),
        ],
        true,
    ),
];

/// A kernel on which maps count against the limit on locked memory.
fn old_kernel(facts: &mut Facts, memlock: u64, effective: &[Capability]) {
    facts.release = "5.10.0".to_owned();
    facts.memlock = Some(memlock);
    privileges(facts).effective = effective.iter().copied().collect();
}

#[expect(clippy::unnecessary_wraps, reason = "a fact is an option")]
fn limit(bytes: u64) -> Option<MemoryLimit> {
    Some(MemoryLimit { bytes, file: PathBuf::from("/sys/fs/cgroup/memory.max") })
}

#[test]
fn each_fact_has_its_own_complaint() {
    for (number, (change, expected, works)) in CASES.iter().enumerate() {
        let report = with(change);
        let complaints: Vec<_> = report
            .checks
            .iter()
            .filter(|check| check.state != State::Ok)
            .map(|check| (check.name, check.state))
            .collect();
        assert_eq!(complaints, *expected, "case {number}");
        assert_eq!(report.can_capture(), *works, "case {number}");
    }
}

#[test]
fn missing_capabilities_are_named_with_who_can_give_them() {
    for capability in ALL {
        let rest = ALL.into_iter().filter(|other| *other != capability);
        let report = with(|facts| privileges(facts).effective = rest.collect());
        let found = check(&report, capability.name());
        // CAP_SYS_ADMIN implies these two.
        let is_implied = matches!(capability, Capability::Bpf | Capability::Perfmon);
        assert_eq!(found.state == State::Ok, is_implied, "{found:?}");
        assert_eq!(report.can_capture(), capability != Capability::NetAdmin);
    }
    let report = with(|facts| privileges(facts).effective = CapabilitySet::default());
    let remedy = check(&report, "cap_bpf").remedy.as_deref().unwrap();
    assert!(remedy.contains("sudo setcap cap_bpf,cap_net_admin,cap_perfmon+ep /usr/bin/kflow"), "{remedy}");
    assert!(verdict(&report).ends_with("does not work here: it needs CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON"));
    let report = with(|facts| *privileges(facts) = Privileges::default());
    let remedy = check(&report, "cap_bpf").remedy.as_deref().unwrap();
    assert!(!remedy.contains("sudo") && remedy.contains("add: [BPF]"), "{remedy}");
}

#[test]
fn refusals_are_laid_at_the_right_door() {
    let door = |change: fn(&mut Facts)| {
        let report = with(|facts| {
            facts.trials.map = Trial::NotPermitted;
            change(facts);
        });
        check(&report, "bpf_syscall").remedy.clone().unwrap()
    };
    assert!(door(|_| ()).contains("security module"));
    assert!(door(|facts| facts.is_user_namespace = true).contains("user namespace"));
    assert!(door(|facts| privileges(facts).is_filtered = true).contains("seccomp"));
}

#[test]
fn features_that_could_not_be_tried_are_not_called_missing() {
    let report = with(|facts| {
        privileges(facts).effective = CapabilitySet::default();
        facts.trials.map = Trial::NotPermitted;
        facts.trials.netns = Trial::NotPermitted;
        facts.trials.tcx = Trial::Untried("there is nothing to attach");
    });
    for name in ["bpf_syscall", "netns", "tcx"] {
        assert_eq!(check(&report, name).state, State::Unknown, "{name}");
    }
    assert!(!report.can_capture());
}

#[test]
fn verdict_says_what_else_does_not_work() {
    let report = with(|facts| {
        facts.libpcap = Err(String::new());
        privileges(facts).effective =
            [Capability::NetAdmin, Capability::Perfmon, Capability::Bpf].into_iter().collect();
    });
    assert_eq!(
        verdict(&report),
        "kflow capture works here; a filter expression (-f) needs libpcap; kflow capture --netns needs \
         CAP_SYS_ADMIN; kflow trace across namespaces needs CAP_SYS_ADMIN"
    );
}

#[test]
fn text_is_coloured_for_terminals_and_never_driven_from_outside() {
    let report = with(|facts| facts.wireshark = Some(PathBuf::from("/bin/\x1b[31mwireshark")));
    let text = |style| {
        let mut text = Vec::new();
        report.write_text(&mut text, style).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert!(!text(Style::Plain).contains('\x1b'));
    assert!(
        text(Style::Colour).contains("\x1b[32mok      \x1b[0m") && !text(Style::Colour).contains("\x1b[31mw")
    );
}
