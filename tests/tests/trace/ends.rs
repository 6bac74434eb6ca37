//! Ends that nobody asked for.

use std::{
    error::Error,
    panic,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{
    Lab, Overlay, attached,
    lab::topology::{K8S_NODE1, NODES, PODS},
};

use crate::support::{JSON, POD_TO_POD, POD_TO_SERVICE, SERVICE, Site, Test, list, place};

/// Processes of a trace of the lab: a capture and a witness for each namespace.
const CAPTURES: usize = 2 * (NODES.len() + PODS.len());

#[test]
fn nothing_stays_attached_after_sigkill() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    let before = attached(&site.lab)?;
    for how in ["auto", "clsact"] {
        let kflow = site.trace(POD_TO_SERVICE.into_iter().chain(["--attach", how]))?;
        let captures = kflow.captures()?;
        assert_eq!(captures.len(), CAPTURES, "{captures:?}");
        let during = attached(&site.lab)?;
        assert!(during.len() > before.len(), "{how}: {during:#?}");
        let ended = with_traffic(&site, || {
            kflow.end(Signal::SIGKILL)?;
            captures.iter().try_for_each(tests::kflow::Capture::wait)
        })?;
        ended?;
        assert_eq!(attached(&site.lab)?, before, "{how}");
    }
    Ok(())
}

#[test]
fn a_capture_that_is_killed_is_named_and_the_others_go_on() -> Test {
    let site = Site::up(Overlay::Ipip)?;
    for words in [&JSON[..], &[]] {
        let kflow = site.trace(POD_TO_POD.into_iter().chain(words.iter().copied()))?;
        let captures = kflow.captures()?;
        let victim = captures.iter().find(|capture| capture.is_of_node(K8S_NODE1.name));
        let victim = victim.ok_or("no capture of k8s-node1")?;
        victim.kill()?;
        victim.wait()?;
        site.get(crate::support::DEST, 64)?;
        let outcome = kflow.stop()?;

        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        if words.is_empty() {
            assert!(outcome.stdout.contains("this trace is incomplete"), "{}", outcome.stdout);
            assert!(outcome.stdout.contains("capture ended early: k8s-node1"), "{}", outcome.stdout);
            continue;
        }
        let told = outcome.told()?;
        assert_eq!(told.summary["complete"], false);
        let broken = list(&told.summary["loss"]["broken_streams"]);
        assert!(matches!(broken, [stream] if stream["node"] == "k8s-node1"), "{broken:?}");
        let [flow] = &told.flows[..] else { panic!("{outcome:?}") };
        let places: Vec<String> = list(&flow["forward"]["hops"]).iter().map(place).collect();
        let left = [
            "pod-src:eth0",
            "k8s-node2:calib8c6d5407e3",
            "k8s-node2:tunl0",
            "k8s-node2:eth0",
            "pod-dest:eth0",
        ];
        assert_eq!(places, left);
        assert_eq!(flow["forward"]["stopped"], Value::Array(Vec::new()), "a hole is no loss");
    }
    Ok(())
}

/// Runs `work` while pod-src sends one request after the other, each of which has to be answered.
fn with_traffic<T>(site: &Site, work: impl FnOnce() -> T) -> Result<T, Box<dyn Error>> {
    let is_over = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let requests = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                site.get(SERVICE, 100_000).map_err(|error| error.to_string())?;
                // Nobody listens any more after the first one.
                let _ = sender.send(());
            }
            Ok::<(), String>(())
        });
        let began = receiver.recv();
        let done = began.is_ok().then(work);
        is_over.store(true, Ordering::Release);
        requests.join().unwrap_or_else(|payload| panic::resume_unwind(payload))?;
        done.ok_or_else(|| "no request was answered".into())
    })
}

/// A line per program on any interface of the lab.
fn attached(lab: &Lab) -> Result<Vec<String>, Box<dyn Error>> {
    let names = NODES.iter().map(|node| node.name).chain(PODS.iter().map(|pod| pod.name));
    Ok(attached::within_all(names.map(|name| lab.of(name)))?)
}
