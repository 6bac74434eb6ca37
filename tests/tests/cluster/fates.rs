//! A node that cannot be had is named with its reason within 10 s; the other one goes on.

use std::time::{Duration, Instant};

use tests::{
    cluster::Fate,
    lab::topology::{POD_DEST, POD_SRC},
};

use crate::support::{DEST, POD_TO_POD, Site, Test, list};

/// What the issue allows for naming a node.
const NAMED: Duration = Duration::from_secs(10);

#[test]
fn an_image_that_cannot_be_pulled() -> Test {
    check(Fate::ImagePull, &["registry.invalid"])
}

#[test]
fn an_image_that_is_not_there() -> Test {
    check(Fate::ImageNever, &["ErrImageNeverPull"])
}

#[test]
fn a_taint() -> Test {
    check(Fate::Tainted, &["taint"])
}

#[test]
fn a_quota() -> Test {
    check(Fate::Quota, &["exceeded quota"])
}

#[test]
fn a_kubelet_that_says_nothing() -> Test {
    check(Fate::Silent, &[])
}

#[test]
fn a_program_that_is_not_in_the_image() -> Test {
    check(Fate::NoProgram, &["no such file or directory"])
}

#[test]
fn an_agent_that_crashes() -> Test {
    check(Fate::Crashes(1), &["exit code 1"])
}

#[test]
fn missing_capabilities() -> Test {
    check(Fate::NoCapability, &["CAP_BPF"])
}

#[test]
fn an_old_kernel() -> Test {
    let words = "kflow: this kernel is 4.18, and kflow needs 5.8\n";
    check(Fate::Says(words.to_owned(), 4), &["4.18"])
}

#[test]
fn exec_that_is_refused() -> Test {
    check(Fate::ExecForbidden, &["refuses"])
}

#[test]
fn a_connection_that_breaks() -> Test {
    check(Fate::CutAfter(0), &["connection"])
}

/// The node of pod-dest has this fate, and pod-src is traced all the same.
fn check(fate: Fate, reasons: &[&str]) -> Test {
    let site = Site::with_fate(fate)?;
    let begin = Instant::now();
    let kflow = site.trace(POD_TO_POD)?;
    let waited = begin.elapsed();
    assert!(waited < NAMED, "nothing was traced within {waited:?}");
    site.get(DEST)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let told = outcome.told()?;
    let all = format!("{}{:#}", outcome.stderr, told.summary);
    for reason in [POD_DEST.node].iter().chain(reasons) {
        assert!(all.contains(reason), "{reason}: {all}");
    }
    let hops = list(&told.flows[0]["forward"]["hops"]);
    assert!(!hops.is_empty() && hops.iter().all(|hop| hop["node"] == POD_SRC.node), "{:#}", told.flows[0]);
    site.assert_nothing_left();
    Ok(())
}
