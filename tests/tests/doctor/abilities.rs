//! With every capability and without each: what doctor says is what capture does.

use std::process::Command;

use crate::report::Report;
use crate::scene::{Netns, kflow, kflow_without};

/// What a capture uses.
const USED: [&str; 7] =
    ["object", "bpf_syscall", "ring_buffer", "program_type", "programs", "tcx", "cap_net_admin"];

/// Capabilities taken away, and those that are missing then.
const CASES: [(&[&str], &[&str]); 8] = [
    (&[], &[]),
    (&["bpf"], &[]),
    (&["perfmon"], &[]),
    (&["net_admin"], &["cap_net_admin"]),
    (&["sys_admin"], &["cap_sys_admin"]),
    (&["sys_admin", "bpf"], &["cap_bpf", "cap_sys_admin"]),
    (&["sys_admin", "perfmon"], &["cap_perfmon", "cap_sys_admin"]),
    (
        &["sys_admin", "net_admin", "bpf", "perfmon"],
        &["cap_net_admin", "cap_bpf", "cap_perfmon", "cap_sys_admin"],
    ),
];

#[test]
fn everything_that_a_capture_uses_works_here() {
    let netns = Netns::new();
    let report = Report::inside(&netns, &mut kflow(&["doctor", "--json"]));
    assert_eq!(report.code, Some(0), "{}", report.json);
    for name in USED {
        assert_eq!(report.state(name), "ok", "{}", report.check(name));
    }
    assert!(report.works("capture") && report.works("trace_namespaces"), "{}", report.json);
}

#[test]
fn doctor_and_capture_agree_without_any_capability() {
    let netns = Netns::new();
    for (removed, missing) in CASES {
        let report = Report::inside(&netns, &mut kflow_without(removed, &["doctor", "--json"]));
        let words = ["capture", "-i", "lo", "-w", "/dev/null", "--duration", "0.01"];
        let capture = netns.run(&mut kflow_without(removed, &words));
        // Nothing passes: a capture that works is incomplete.
        let expected = if report.works("capture") { 3 } else { 4 };
        let stderr = String::from_utf8_lossy(&capture.stderr);
        assert_eq!(capture.status.code(), Some(expected), "without {removed:?}: {stderr}{}", report.json);
        assert_eq!(report.code, Some(if report.works("capture") { 0 } else { 4 }), "without {removed:?}");

        let all = report.names("checks");
        let named =
            all.into_iter().filter(|name| name.starts_with("cap_") && report.state(name) == "missing");
        assert_eq!(named.collect::<Vec<_>>(), missing, "without {removed:?}");
        let blockers: Vec<_> = missing.iter().copied().filter(|name| *name != "cap_sys_admin").collect();
        assert_eq!(report.blockers("capture"), blockers, "without {removed:?}");
    }
}

#[test]
fn doctor_and_netns_agree() {
    let (netns, other) = (Netns::new(), Netns::new());
    let path = other.path().display().to_string();
    for (removed, works) in [(&[][..], true), (&["sys_admin"], false)] {
        let report = Report::inside(&netns, &mut kflow_without(removed, &["doctor", "--json"]));
        assert_eq!(report.works("capture_namespace"), works, "{}", report.json);
        let words = ["capture", "-i", "lo", "-w", "/dev/null", "--duration", "0.01", "--netns", &path];
        let capture = netns.run(&mut kflow_without(removed, &words));
        assert_eq!(capture.status.code(), Some(if works { 3 } else { 4 }));
    }
}

#[test]
fn nothing_is_left_by_the_trials() {
    let netns = Netns::new();
    let traffic_control = || {
        let show = |words: &[&str]| netns.run(Command::new("tc").args(words)).stdout;
        (show(&["qdisc", "show"]), show(&["filter", "show", "dev", "lo", "ingress"]))
    };
    let programs = || netns.run(Command::new("ip").args(["-d", "link", "show"])).stdout;
    let before = (traffic_control(), programs());
    for removed in [&[][..], &["sys_admin"]] {
        Report::inside(&netns, &mut kflow_without(removed, &["doctor", "--json"]));
        assert_eq!((traffic_control(), programs()), before, "without {removed:?}");
    }
    let tcx = tcx_programs(&netns);
    assert_eq!(tcx, 0);
}

/// Programs on the loopback interface by TCX, both directions.
fn tcx_programs(netns: &Netns) -> usize {
    use aya::programs::{SchedClassifier, TcAttachType};
    let file = std::fs::File::open(netns.path()).unwrap();
    let count = || {
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let directions = [TcAttachType::Ingress, TcAttachType::Egress].into_iter();
        directions.map(|direction| SchedClassifier::query_tcx("lo", direction).unwrap().1.len()).sum()
    };
    std::thread::scope(|scope| scope.spawn(count).join()).unwrap()
}
