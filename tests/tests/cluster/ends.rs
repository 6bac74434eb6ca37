//! However the client ends, no pod and no program stays.

use std::time::Duration;

use nix::sys::signal::Signal;
use tests::{cluster::Fate, lab::topology::POD_DEST};

use crate::support::{DEST, POD_TO_POD, Site, Test, within};

/// What the issue allows.
const GONE: Duration = Duration::from_mins(1);

#[test]
fn ctrl_c() -> Test {
    let site = Site::up()?;
    let outcome = site.trace(POD_TO_POD)?.stop()?;
    assert!(matches!(outcome.code, Some(0 | 3)), "{outcome:?}");
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn sigkill() -> Test {
    let site = Site::up()?;
    let kflow = site.trace(POD_TO_POD)?;
    site.get(DEST)?;
    assert_eq!(site.agents().len(), 2);
    let outcome = kflow.end(Signal::SIGKILL)?;
    assert_eq!(outcome.code, None);
    within(GONE, "no pod is left", || site.agents().is_empty());
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn a_frozen_connection_does_not_keep_a_capture_alive() -> Test {
    let site = Site::with_fate(Fate::FrozenAfter(0))?;
    let kflow = site.trace(POD_TO_POD)?;
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains(POD_DEST.node) || outcome.stdout.contains(POD_DEST.node), "{outcome:?}");
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn a_server_that_is_gone_does_not_keep_the_client() -> Test {
    let site = Site::up()?;
    let kflow = site.trace(POD_TO_POD)?;
    site.double.set_deaf(true);
    site.double.cut_connections();
    let outcome = kflow.stop()?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    site.double.set_deaf(false);
    // The agents' own idle time and deadline are all that is left to end them; here their captures have ended.
    Ok(())
}
