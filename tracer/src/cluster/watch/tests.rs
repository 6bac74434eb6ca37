//! Changes of a cluster, told by a server that a test holds in its hand.

use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::{Value, json};
use tracer_core::resolve::Party;

use super::super::state::tests::server::{Reply, Server, page, pod};
use super::super::state::{Directory, Wants};
use super::*;

/// Longer than anything here takes; what is waited for comes much earlier.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster with one pod, and the watches of pods that are begun, in their order, each with what was asked for.
struct Scene {
    server: Server,
    watches: Receiver<(String, Sender<Value>)>,
    updates: Updates,
}

impl Scene {
    fn new() -> Self {
        let (begun, watches) = channel();
        let lists = Mutex::new(0);
        let server = Server::start(move |target| {
            if target.contains("watch=true") {
                let (sender, lines) = channel();
                if target.starts_with("/api/v1/pods?") {
                    begun.send((target.to_owned(), sender)).unwrap();
                } else {
                    // The others stay silent.
                    std::mem::forget(sender);
                }
                return Reply::Stream(lines);
            }
            if !target.starts_with("/api/v1/pods?") {
                return page("5", None, &[]);
            }
            let mut lists = lists.lock().unwrap();
            *lists += 1;
            match *lists {
                1 => page("5", None, &[pod("n", "a", "10.0.0.1", "1")]),
                _ => page("90", None, &[pod("n", "c", "10.0.0.3", "88")]),
            }
        });
        let directory = Directory::list(&server.cluster, Wants::default()).unwrap();
        let updates = directory.watch(&server.cluster);
        Self { server, watches, updates }
    }

    fn begun(&self) -> (String, Sender<Value>) {
        self.watches.recv_timeout(PATIENCE).unwrap()
    }

    fn next(&mut self) -> Vec<String> {
        let state = self.updates.next(PATIENCE).expect("no update came");
        let found = |name: &&str| Party::resolve(name, "n", &state).is_ok();
        ["a", "b", "c"].iter().filter(|name| found(name)).map(|name| (*name).to_owned()).collect()
    }

    fn lists(&self) -> usize {
        let is_list =
            |target: &&String| target.starts_with("/api/v1/pods?") && !target.contains("watch=true");
        self.server.requests().iter().filter(is_list).count()
    }
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}

#[test]
fn what_comes_changes_and_goes_is_told_without_a_second_list() {
    let mut scene = Scene::new();
    let (target, events) = scene.begun();
    assert!(target.contains("resourceVersion=5") && target.contains("allowWatchBookmarks=true"), "{target}");
    events.send(event("ADDED", &pod("n", "b", "10.0.0.2", "6"))).unwrap();
    assert_eq!(scene.next(), ["a", "b"]);
    // The same once more, as a kubelet's heartbeat makes it: nothing to tell.
    events.send(event("MODIFIED", &pod("n", "b", "10.0.0.2", "7"))).unwrap();
    assert!(scene.updates.next(Duration::from_millis(500)).is_none());
    events.send(event("DELETED", &pod("n", "a", "10.0.0.1", "8"))).unwrap();
    assert_eq!(scene.next(), ["b"]);
    assert_eq!(scene.lists(), 1);
}

#[test]
fn a_watch_that_ends_goes_on_where_it_was() {
    let mut scene = Scene::new();
    let (_, events) = scene.begun();
    let bookmark = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": "12"}});
    events.send(event("BOOKMARK", &bookmark)).unwrap();
    drop(events);
    let (target, events) = scene.begun();
    assert!(target.contains("resourceVersion=12"), "{target}");
    events.send(event("ADDED", &pod("n", "b", "10.0.0.2", "13"))).unwrap();
    assert_eq!(scene.next(), ["a", "b"]);
    assert_eq!((scene.lists(), scene.updates.trouble()), (1, None));
}

#[test]
fn a_version_that_is_gone_is_listed_anew() {
    let mut scene = Scene::new();
    let (_, events) = scene.begun();
    events
        .send(event(
            "ERROR",
            &json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}),
        ))
        .unwrap();
    assert_eq!(scene.next(), ["c"], "what went in the meantime is gone");
    let (target, _events) = scene.begun();
    assert!(target.contains("resourceVersion=90"), "{target}");
    assert_eq!(scene.lists(), 2);
}

#[test]
fn changes_that_come_together_are_told_together() {
    let mut scene = Scene::new();
    let (_, events) = scene.begun();
    for number in 0..200 {
        let name = format!("p{number}");
        events.send(event("ADDED", &pod("n", &name, "10.0.1.1", &(100 + number).to_string()))).unwrap();
    }
    let mut told = 0;
    loop {
        let state = scene.updates.next(PATIENCE).expect("no update came");
        told += 1;
        if Party::resolve("p199", "n", &state).is_ok() {
            break;
        }
    }
    assert!(told < 20, "{told} updates of 200 changes");
}

#[test]
fn a_watch_that_stays_broken_is_told() {
    let scene = Scene::new();
    let (_, _events) = scene.begun();
    assert_eq!(scene.updates.trouble(), None);
    let since = Instant::now().checked_sub(TOLERANCE).unwrap();
    scene.updates.shared.troubles().insert(3, (since, "pods: cannot reach the cluster".to_owned()));
    assert_eq!(
        scene.updates.trouble().as_deref(),
        Some("changes in the cluster are not seen: pods: cannot reach the cluster")
    );
    scene.updates.shared.troubles().insert(4, (Instant::now(), "nodes: odd".to_owned()));
    assert!(scene.updates.trouble().unwrap().contains("pods"), "the oldest trouble is told");
}
