//! What is on interfaces while a capture runs, after it, and after its violent end.

use crate::pair::{FAR, NEAR_INTERFACE, Pair};
use crate::process::Capture;
use crate::{PORT, assert_adds_up, near};
use aya::programs::tc::{NlOptions, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};
use tracer::kernel::object::{self, RingSize, Settings};
use tracer_core::units::{Direction, SnapLength};

/// Our programs on the near interface by TCX, both directions.
pub(crate) fn tcx_programs(pair: &Pair) -> usize {
    pair.in_near(|| {
        [TcAttachType::Ingress, TcAttachType::Egress]
            .into_iter()
            .map(|direction| SchedClassifier::query_tcx(NEAR_INTERFACE, direction).unwrap().1.len())
            .sum()
    })
}

/// Our filters on the near interface by clsact, both directions.
pub(crate) fn filters(pair: &Pair) -> usize {
    filters_on(pair, NEAR_INTERFACE)
}

fn filters_on(pair: &Pair, interface: &str) -> usize {
    let show = |direction| {
        let mut tc = Command::new("tc");
        tc.args(["filter", "show", "dev", interface, direction]);
        let output = pair.in_near(|| tc.output()).unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().matches("kflow-").count()
    };
    show("ingress") + show("egress")
}

#[test]
fn nothing_stays_after_sigkill_with_tcx() {
    let pair = Pair::new();
    let capture = Capture::start(&pair, &near(&["--attach", "tcx"]));
    assert_eq!(tcx_programs(&pair), 2);
    capture.signal(Signal::SIGKILL);
    assert_eq!(capture.wait().code(), None);
    assert_eq!(tcx_programs(&pair), 0);
}

/// The process that watches over a capture's filters.
fn watchdog(capture: &Capture) -> Pid {
    let path = format!("/proc/{0}/task/{0}/children", capture.pid());
    let children = fs::read_to_string(path).unwrap();
    Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
fn filters_go_after_sigkill_by_the_process_that_watches() {
    let pair = Pair::new();
    let killed = Capture::start(&pair, &near(&["--attach", "clsact"]));
    let other = Capture::start(&pair, &near(&["--attach", "clsact"]));
    assert_eq!(filters(&pair), 4);
    let watchdog = Path::new("/proc").join(watchdog(&killed).to_string());
    killed.signal(Signal::SIGKILL);
    assert_eq!(killed.wait().code(), None);
    // It is nobody's child now: its end cannot be waited for, but seen.
    while watchdog.exists() {
        thread::yield_now();
    }
    assert_eq!(filters(&pair), 2, "those of a live process stay");
    assert_eq!(other.stop().code(), Some(3));
    assert_eq!(filters(&pair), 0);
}

#[test]
fn filters_go_at_the_end_and_stale_ones_at_the_next_start() {
    let pair = Pair::new();
    let killed = Capture::start(&pair, &near(&["--attach", "clsact"]));
    let other = Capture::start(&pair, &near(&["--attach", "clsact"]));
    assert_eq!(filters(&pair), 4);
    kill(watchdog(&killed), Signal::SIGKILL).unwrap();
    killed.signal(Signal::SIGKILL);
    killed.wait();
    assert_eq!(filters(&pair), 4, "without a process nobody can take them away");
    // The next start of either kind does, and leaves those of a live process alone.
    let next = Capture::start(&pair, &near(&["--attach", "tcx"]));
    assert_eq!(filters(&pair), 2);
    pair.udp(FAR, PORT, 1, 30);
    assert_eq!(next.stop().statistics(NEAR_INTERFACE).written, 2);
    let outcome = other.stop();
    assert_eq!(outcome.statistics(NEAR_INTERFACE).written, 2);
    assert_adds_up(&outcome, NEAR_INTERFACE);
    assert_eq!(filters(&pair), 0);
}

/// TCX programs take the kernel long to attach; on an interface where others are before all filters it has to be.
#[test]
fn many_interfaces_get_filters_unless_somebody_else_uses_tcx() {
    let pair = Pair::new();
    for number in 1..=16 {
        pair.link(&format!("near{number}"), &format!("far{number}"));
    }
    let single = Capture::start(&pair, &near(&["--attach", "tcx"]));
    let capture = Capture::start(&pair, &["-i", "near*"]);
    assert_eq!((tcx_programs(&pair), filters(&pair)), (4, 0));
    assert_eq!((filters_on(&pair, "near1"), filters_on(&pair, "near16")), (2, 2));
    pair.udp(FAR, PORT, 5, 30);
    for outcome in [single.stop(), capture.stop()] {
        assert_eq!(outcome.statistics(NEAR_INTERFACE).written, 10);
    }
    assert_eq!((tcx_programs(&pair), filters_on(&pair, "near1")), (0, 0));
}

#[test]
fn filters_of_others_stay_and_are_told_of_where_they_come_first() {
    let settings = Settings {
        snap: SnapLength(128),
        ring: RingSize::at_least(64, SnapLength(128)),
        interfaces: 1,
        vxlan_port: None,
        by_address: false,
        filter: None,
        samples: false,
        wake_each: false,
        debug: false,
        drops: Vec::new(),
    };
    for (priority, warned) in [(7, false), (1, true)] {
        let pair = Pair::new();
        let mut other = object::load(&settings).unwrap();
        pair.in_near(|| {
            qdisc_add_clsact(NEAR_INTERFACE).unwrap();
            let options = TcAttachOptions::Netlink(NlOptions { priority, ..NlOptions::default() });
            let program = other.programs.get(Direction::Ingress).unwrap();
            program.attach_with_options(NEAR_INTERFACE, TcAttachType::Ingress, options).unwrap();
        });
        let capture = Capture::start(&pair, &near(&["--attach", "clsact"]));
        pair.udp(FAR, PORT, 5, 30);
        let outcome = capture.stop();
        assert_eq!(outcome.statistics(NEAR_INTERFACE).written, 10);
        assert_eq!(
            outcome.stderr.contains("a program of another owner runs first"),
            warned,
            "{}",
            outcome.stderr
        );
        let mut show = Command::new("tc");
        show.args(["filter", "show", "dev", NEAR_INTERFACE, "ingress"]);
        let left = String::from_utf8(pair.in_near(|| show.output()).unwrap().stdout).unwrap();
        assert!(left.contains("kflow_ingress") && !left.contains("kflow-"), "{left}");
    }
}
