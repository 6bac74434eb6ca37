//! Queueing disciplines, filters and programs, and what they dropped.

use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tests::kflow;
use tracer_core::evidence::{LinkCounters, ProgramHook, Snapshot};

use crate::scene::{Scene, ip, json, run, word};

/// A pair whose near end need not ask for the far one.
fn known() -> Scene {
    let scene = Scene::new();
    let mac = word(&json(&scene.far, "ip", "-j link show eth0")[0]["address"]);
    ip(&scene.near, &format!("neigh replace 10.7.0.2 lladdr {mac} dev cali1 nud permanent"));
    scene
}

/// So many datagrams from the near end to the far one.
fn send(scene: &Scene, count: usize) {
    scene
        .near
        .run(|| {
            let socket = UdpSocket::bind("10.7.0.1:0").unwrap();
            for _ in 0..count {
                let _ = socket.send_to(&[0; 1000], "10.7.0.2:9");
            }
        })
        .unwrap();
}

fn filters(snapshot: &Snapshot, link: &str) -> Vec<(ProgramHook, String, Option<u32>)> {
    let index = snapshot.link_named(link).unwrap().index;
    let of_link = snapshot.programs.iter().filter(|one| one.link == index);
    of_link.map(|one| (one.hook, one.kind.clone(), one.priority)).collect()
}

#[test]
fn full_queue_is_counted() {
    let scene = known();
    run(&scene.near, "tc", "qdisc add dev cali1 root tbf rate 8kbit burst 2000 limit 3000");
    send(&scene, 20);
    let snapshot = scene.snapshot();
    let link = snapshot.link_named("cali1").unwrap();
    let theirs = json(&scene.near, "tc", "-j -s qdisc show dev cali1");
    assert_eq!(Some(link.qdisc_drops), theirs[0]["drops"].as_u64());
    assert!(link.qdisc_drops > 10 && link.clsact_drops == 0, "{link:?}");
    assert_eq!(link.qdisc.as_deref(), Some("tbf"));
}

#[test]
fn filters_and_what_they_drop() {
    let scene = known();
    run(&scene.near, "tc", "qdisc add dev cali1 clsact");
    // A program of the classic kind that drops (`TC_ACT_SHOT`), one that says nothing and redirects, a table.
    let filter = |rest: &[&str]| {
        tests::run(&scene.near, "tc", &[&["filter", "add", "dev", "cali1"], rest].concat(), "").unwrap();
    };
    let redirect = ["action", "mirred", "egress", "redirect", "dev", "lo"];
    filter(&["egress", "pref", "7", "bpf", "da", "bytecode", "1,6 0 0 2"]);
    filter(&[&["egress", "pref", "9", "bpf", "bytecode", "1,6 0 0 4294967295"][..], &redirect].concat());
    filter(
        &[&["ingress", "pref", "3", "protocol", "ip", "u32", "match", "u32", "0", "0"][..], &redirect]
            .concat(),
    );
    let before = scene.snapshot();
    send(&scene, 5);
    let after = scene.snapshot();
    let counted = |snapshot: &Snapshot| {
        let link = snapshot.link_named("cali1").unwrap();
        (link.clsact_drops, link.counters)
    };
    let ((before_drops, before), (drops, counters)) = (counted(&before), counted(&after));
    assert_eq!(drops - before_drops, 5);
    assert_eq!(counters.since(&before).tx_packets, 0);
    let lo = after.link_named("lo").unwrap().index.0;
    let redirect = |kind| format!("{kind} mirred egress redirect to index {lo}");
    assert_eq!(
        filters(&after, "cali1"),
        [
            (ProgramHook::TcIngress, redirect("u32"), Some(3)),
            (ProgramHook::TcEgress, "bpf".to_owned(), Some(7)),
            (ProgramHook::TcEgress, redirect("bpf"), Some(9)),
        ]
    );
    assert_eq!(filters(&after, "lo"), []);
}

#[test]
fn link_made_anew_does_not_count_backwards() {
    let scene = known();
    send(&scene, 3);
    let before = scene.snapshot().link_named("cali1").unwrap().counters;
    assert!(before.tx_packets >= 3);
    assert_eq!(LinkCounters::default().since(&before), LinkCounters::default());
}

/// A capture of the near end, with its programs attached by TCX.
struct Capturing(Child);

impl Capturing {
    fn on(scene: &Scene, link: &str) -> Self {
        let mut command = Command::new(kflow::program());
        command.args(["capture", "-i", link, "-w", "/dev/null"]).stderr(Stdio::null());
        let capture = Self(scene.near.spawn(&mut command).unwrap());
        let end = Instant::now() + Duration::from_secs(20);
        while scene.snapshot().programs.len() < 2 {
            assert!(Instant::now() < end, "nothing is attached");
            thread::sleep(Duration::from_millis(20));
        }
        capture
    }
}

impl Drop for Capturing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn programs_that_were_attached_by_tcx() {
    let scene = known();
    let capture = Capturing::on(&scene, "cali1");
    let snapshot = scene.snapshot();
    let index = snapshot.link_named("cali1").unwrap().index;
    let mut found: Vec<_> =
        snapshot.programs.iter().map(|one| (one.link, one.hook, one.name.as_deref(), one.is_own)).collect();
    found.sort_by_key(|(_, hook, ..)| *hook == ProgramHook::TcxEgress);
    let expected = [
        (index, ProgramHook::TcxIngress, Some("kflow_ingress"), true),
        (index, ProgramHook::TcxEgress, Some("kflow_egress"), true),
    ];
    assert_eq!(found, expected);
    // Without the privilege to ask who they are it is known that somebody is there.
    let mut command = Command::new("setpriv");
    command.args(["--inh-caps=-sys_admin", "--bounding-set=-sys_admin"]).arg(kflow::program());
    command.args(["ifaces", "--here", "-o", "json"]);
    let output = scene.near.run(|| command.output()).unwrap().unwrap();
    let survey: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let links = survey["namespaces"][0]["interfaces"].as_array().unwrap();
    let cali = links.iter().find(|one| one["name"] == "cali1").unwrap();
    let hooks: Vec<_> = cali["programs"].as_array().unwrap().iter().map(|one| word(&one["hook"])).collect();
    assert_eq!(hooks, ["tcx-ingress", "tcx-egress"]);
    assert!(cali["programs"][0]["name"].is_null());
    let unseen = survey["unseen"].as_array().unwrap().iter();
    let unseen: Vec<_> = unseen.map(|one| word(&one["what"])).collect();
    assert!(unseen.contains(&"names of programs".to_owned()), "{unseen:?}");
    assert_eq!((output.status.code(), &survey["missing"]), (Some(0), &serde_json::json!([])));
    drop(capture);
}
