//! A namespace with links of many kinds, and one behind a veth pair.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::Namespace;
use tests::kflow::Outcome;
use tests::{Kflow, kflow};
use tracer::kernel::node::{self, NodeOptions};
use tracer_core::evidence::Snapshot;

/// The two namespaces; they go when this value goes.
pub(crate) struct Scene {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Scene {
    /// `cali1` here and `eth0` there are a pair: 10.7.0.1/24 and 10.7.0.2/24; nothing sends of itself.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let make = |end| Namespace::create(format!("kif-{}-{number}-{end}", std::process::id())).unwrap();
        let scene = Self { near: make("near"), far: make("far") };
        for namespace in [&scene.near, &scene.far] {
            write(namespace, "net/ipv6/conf/default/disable_ipv6", "1");
            ip(namespace, "link set lo up");
        }
        let far = scene.far.name();
        ip(&scene.near, &format!("link add cali1 type veth peer name eth0 netns {far}"));
        for (namespace, link, address) in
            [(&scene.near, "cali1", "10.7.0.1/24"), (&scene.far, "eth0", "10.7.0.2/24")]
        {
            ip(namespace, &format!("addr add {address} dev {link}"));
            ip(namespace, &format!("link set {link} up"));
        }
        for (namespace, link) in [(&scene.near, "cali1"), (&scene.far, "eth0")] {
            wait_until_up(namespace, link);
        }
        scene
    }

    /// What kflow reads of the near end.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let options = NodeOptions { peers: true, ..NodeOptions::default() };
        let snapshot = self.near.run(|| node::read(&options)).unwrap();
        assert_eq!(snapshot.missing, []);
        snapshot
    }
}

/// A link has its carrier at once and takes packets a little later.
fn wait_until_up(namespace: &Namespace, link: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    while json(namespace, "ip", &format!("-j link show {link}"))[0]["operstate"] != "UP" {
        assert!(Instant::now() < end, "{link} does not come up");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Writes a setting of a namespace.
pub(crate) fn write(namespace: &Namespace, name: &str, value: &str) {
    let path = Path::new("/proc/sys").join(name);
    namespace.run(|| std::fs::write(path, value)).unwrap().unwrap();
}

/// Runs a program inside, which must succeed.
pub(crate) fn run(namespace: &Namespace, program: &str, words: &str) -> String {
    tests::run(namespace, program, &words.split(' ').collect::<Vec<_>>(), "").unwrap()
}

pub(crate) fn ip(namespace: &Namespace, words: &str) {
    run(namespace, "ip", words);
}

/// What a program prints as JSON: the elements of its array.
pub(crate) fn json(namespace: &Namespace, program: &str, words: &str) -> Vec<Value> {
    let text = run(namespace, program, words);
    let text = if text.trim().is_empty() { "[]" } else { &text };
    match serde_json::from_str(text).unwrap() {
        Value::Array(all) => {
            all.into_iter().filter(|one| one.as_object().is_none_or(|one| !one.is_empty())).collect()
        }
        other => vec![other],
    }
}

pub(crate) fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Compares sets, and shows what only one of them has.
#[track_caller]
pub(crate) fn assert_same<T: Clone + Ord + std::fmt::Debug>(
    ours: impl IntoIterator<Item = T>,
    theirs: impl IntoIterator<Item = T>,
) {
    let (ours, theirs): (BTreeSet<T>, BTreeSet<T>) =
        (ours.into_iter().collect(), theirs.into_iter().collect());
    let only_ours: Vec<_> = ours.difference(&theirs).collect();
    let only_theirs: Vec<_> = theirs.difference(&ours).collect();
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "only ours: {only_ours:#?}\nonly theirs: {only_theirs:#?}"
    );
    assert!(!ours.is_empty(), "there is nothing to compare");
}

/// `kflow ifaces` with these words, run to its end.
pub(crate) fn ifaces(words: &[&str]) -> Outcome {
    without_strangers(Kflow::run(&kflow::program(), [&["ifaces"], words].concat()).unwrap())
}

/// Where these tests run as root without `CAP_SYS_PTRACE`, some processes of the machine cannot be looked at: that is
/// told, and none of the tests' business.
fn without_strangers(outcome: Outcome) -> Outcome {
    let is_of_tests = |line: &&str| !line.starts_with("kflow: processes: of ");
    let stderr = outcome.stderr.split_inclusive('\n').filter(is_of_tests).collect();
    Outcome { stderr, ..outcome }
}

/// The same without capabilities, however they could be had.
pub(crate) fn ifaces_without(capabilities: &str, words: &[&str]) -> Outcome {
    let mut command = Command::new("setpriv");
    command.args([format!("--inh-caps=-{capabilities}"), format!("--bounding-set=-{capabilities}")]);
    let output = command.arg(kflow::program()).arg("ifaces").args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
