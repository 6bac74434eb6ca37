//! `kflow capture` on a cluster: packets of pods on several nodes as one capture.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use tests::{
    cluster::Fate,
    kflow::Outcome,
    lab::topology::{K8S_NODE1, K8S_NODE2, POD_DEST, POD_SRC},
};
use tracer_core::capture::{CaptureReader, Item};

use crate::support::{BOUND, DEST, Failure, Site, Test};

/// Both ends of a request, and what it is asked for.
const PODS: [&str; 2] = [POD_SRC.name, POD_DEST.name];

/// Captures while requests are sent, until the capture ends by itself.
fn capture(site: &Site, words: &[&str]) -> Result<Outcome, Failure> {
    thread::scope(|scope| {
        let running = scope.spawn(|| site.run("capture", words.iter().copied()));
        let end = Instant::now() + BOUND;
        while !running.is_finished() {
            assert!(Instant::now() < end, "the capture did not end");
            site.get(DEST)?;
            thread::sleep(Duration::from_millis(10));
        }
        Ok(running.join().expect("the capture's thread")?)
    })
}

#[test]
fn pods_on_two_nodes_become_one_file() -> Test {
    let site = Site::up()?;
    let path = site.lab.directory().join("two.pcapng");
    let file = path.to_string_lossy();
    let words = [&PODS[..], &["-w", &file, "--duration", "2", "--", "tcp", "port", "8080"]].concat();
    let outcome = capture(&site, &words)?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for node in [K8S_NODE1.name, K8S_NODE2.name] {
        assert!(outcome.stderr.contains(&format!("{node}: ")), "{outcome:?}");
    }
    let bytes = fs::read(&path)?;
    let mut reader = CaptureReader::new(bytes.as_slice())?;
    let (mut nodes, mut times, mut counted) = (BTreeSet::new(), Vec::new(), 0);
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Interface(_, interface) => drop(nodes.insert(interface.node.unwrap_or_default())),
            Item::Frame(frame) => {
                assert!(frame.data.len() <= 128, "the snap length of a cluster");
                times.push(frame.time);
            }
            Item::Statistics(_, _, statistics) => counted += statistics.written,
            _ => {}
        }
    }
    assert_eq!(nodes.iter().map(String::as_str).collect::<Vec<_>>(), [K8S_NODE1.name, K8S_NODE2.name]);
    assert!(times.len() > 40, "requests were sent all the time: {}", times.len());
    assert_eq!(times.len() as u64, counted);
    assert!(outcome.stderr.contains(&format!("\n{counted} packets captured\n")), "{outcome:?}");
    let breaks: Vec<_> = times
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[1] < pair[0])
        .map(|(at, pair)| (at, pair[0].0 - pair[1].0))
        .collect();
    assert!(
        breaks.is_empty(),
        "{} packets, out of order at (index, ns back) {breaks:?}: {outcome:?}",
        times.len()
    );
    let text = String::from_utf8_lossy(&bytes);
    for name in PODS {
        assert!(text.contains(&format!("peer=default/{name} ")), "the pod behind an interface");
    }
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn lines_tell_node_interface_and_pod() -> Test {
    let site = Site::up()?;
    let words =
        [&PODS[..], &["--duration", "2", "--max-packets", "100000", "--", "tcp", "port", "8080"]].concat();
    let outcome = capture(&site, &words)?;
    let place = format!(" {} calia5814ebbae9(default/{}) ", K8S_NODE1.name, POD_DEST.name);
    assert!(outcome.stdout.contains(&place), "{outcome:?}");
    let place = format!(" {} calib8c6d5407e3(default/{}) ", K8S_NODE2.name, POD_SRC.name);
    assert!(outcome.stdout.contains(&place), "{outcome:?}");
    Ok(())
}

#[test]
fn a_node_that_cannot_be_had_is_named() -> Test {
    let site = Site::with_fate(Fate::ImagePull)?;
    let outcome = capture(&site, &[&PODS[..], &["--duration", "1"]].concat())?;
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("{} is missing: ", POD_DEST.node)), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("{}: ", POD_SRC.node)), "the rest goes on: {outcome:?}");
    site.assert_nothing_left();
    Ok(())
}

#[test]
fn a_dry_run_makes_nothing() -> Test {
    let site = Site::up()?;
    let outcome = site.run("capture", [POD_SRC.name, "node/k8s-node1", "--dry-run"])?;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for line in [
        "node k8s-node1\n  interfaces: any\n  filter: not (tcp port ",
        "  interfaces: the host interfaces of these pods\n  filter: packets from or to these pods\n",
    ] {
        assert!(outcome.stdout.contains(line), "{outcome:?}");
    }
    assert!(site.agents().is_empty());
    assert!(site.double.objects("Namespace").iter().all(|each| each["metadata"]["name"] != "kflow"));
    Ok(())
}

#[test]
fn a_word_that_is_no_pod_is_refused() -> Test {
    let site = Site::up()?;
    let outcome = site.run("capture", ["pod-scr"])?;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("did you mean default/pod-src"), "{outcome:?}");
    let outcome = site.run("capture", ["tcp", "port", "80"])?;
    assert!(outcome.stderr.contains("it is put after `--`"), "{outcome:?}");
    Ok(())
}
