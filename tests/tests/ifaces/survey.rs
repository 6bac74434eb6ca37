//! `kflow ifaces` on this machine.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::process::{Child, Command};

use serde_json::Value;

use crate::scene::{Scene, ifaces, ifaces_without, ip, run, word};

/// A process that ends with this value.
struct Sleeper(Child);

impl Sleeper {
    fn inside(namespace: &tests::Namespace) -> Self {
        let child = namespace.spawn(Command::new("sleep").arg("600")).unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        while fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            std::thread::yield_now();
        }
        Self(child)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The survey, which has to be complete.
fn survey(words: &[&str]) -> Value {
    let outcome = ifaces(&[words, &["-o", "json", "--local"]].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn room<'a>(survey: &'a Value, name: &str) -> &'a Value {
    let rooms = survey["namespaces"].as_array().unwrap();
    rooms
        .iter()
        .find(|room| room["names"] == serde_json::json!([name]))
        .unwrap_or_else(|| panic!("no {name}"))
}

fn interface<'a>(room: &'a Value, name: &str) -> &'a Value {
    let all = room["interfaces"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("no {name} in {room:#}"))
}

#[test]
fn everything_in_sight_is_told() {
    let scene = Scene::new();
    let sleeper = Sleeper::inside(&scene.far);
    run(&scene.near, "tc", "qdisc add dev cali1 clsact");
    let drop =
        ["filter", "add", "dev", "cali1", "ingress", "pref", "3", "bpf", "da", "bytecode", "1,6 0 0 2"];
    tests::run(&scene.near, "tc", &drop, "").unwrap();
    let survey = survey(&[]);
    let (near, far) = (room(&survey, scene.near.name()), room(&survey, scene.far.name()));
    for (room, namespace) in [(near, &scene.near), (far, &scene.far)] {
        assert_eq!(room["netns"].as_u64().unwrap(), fs::metadata(namespace.path()).unwrap().st_ino());
        assert_eq!(room["is_own"], false);
    }
    assert_eq!((&near["process_count"], &far["process_count"]), (&Value::from(0), &Value::from(1)));
    assert_eq!(far["processes"], serde_json::json!([{"pid": sleeper.0.id(), "name": "sleep"}]));
    let (cali, eth0) = (interface(near, "cali1"), interface(far, "eth0"));
    assert_eq!((word(&cali["peer_name"]), &cali["peer_netns"]), ("eth0".to_owned(), &far["netns"]));
    assert_eq!((word(&eth0["peer_name"]), &eth0["peer_netns"]), ("cali1".to_owned(), &near["netns"]));
    assert_eq!(eth0["addresses"][0]["address"], "10.7.0.2");
    assert_eq!((&cali["programs"][0]["kind"], &cali["programs"][0]["priority"]), (&"bpf".into(), &3.into()));
    let own: Vec<_> =
        survey["namespaces"].as_array().unwrap().iter().filter(|room| room["is_own"] == true).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["netns"].as_u64().unwrap(), fs::metadata("/proc/self/ns/net").unwrap().st_ino());
    assert_eq!(survey["namespaces"][0]["is_own"], true, "it comes first");
}

#[test]
fn one_namespace_and_those_that_its_links_lead_to() {
    let scene = Scene::new();
    let other = Scene::new();
    let path = scene.near.path().to_str().unwrap().to_owned();
    let survey = survey(&["--netns", &path]);
    assert_eq!(survey["namespaces"].as_array().unwrap().len(), 2);
    assert_eq!(survey["namespaces"][0]["names"], serde_json::json!([scene.near.name()]));
    room(&survey, scene.far.name());
    drop(other);
}

#[test]
fn table_has_a_line_for_each_interface() {
    let scene = Scene::new();
    let sleeper = Sleeper::inside(&scene.far);
    ip(&scene.near, "link add vxlan.calico type vxlan id 4096 local 10.7.0.1 dstport 4789");
    let path = scene.near.path().to_str().unwrap();
    let outcome = ifaces(&["--netns", path, "--local"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 1 + 3 + 2, "{}", outcome.stdout);
    for title in ["NETNS", "INODE", "INTERFACE", "KIND", "MTU", "ADDRESSES", "PROCESSES"] {
        assert!(lines[0].contains(title), "{}", lines[0]);
    }
    assert!(!lines[0].contains("POD"), "nobody fills that column: {}", lines[0]);
    let line = |word: &str| *lines.iter().find(|line| line.contains(word)).unwrap();
    let (near, far) = (scene.near.name(), scene.far.name());
    assert!(line("cali1 ").contains(&format!("eth0 in {far}")), "{}", outcome.stdout);
    assert!(
        line(&format!("cali1 in {near}")).contains(&format!("{} sleep", sleeper.0.id())),
        "{}",
        outcome.stdout
    );
    assert!(line("vxlan.calico").contains("vni 4096 local 10.7.0.1 port 4789"), "{}", outcome.stdout);
}

#[test]
fn without_the_privilege_the_result_is_incomplete() {
    let scene = Scene::new();
    let outcome = ifaces_without("sys_admin", &["--local", "-o", "json"]);
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("cannot be entered, which takes CAP_SYS_ADMIN"), "{}", outcome.stderr);
    let survey: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let rooms = survey["namespaces"].as_array().unwrap();
    assert_eq!((rooms.len(), &rooms[0]["is_own"]), (1, &Value::Bool(true)));
    drop(scene);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (words, code, said) in [
        (&["web"][..], 2, "\"web\" is no node: expected node/NAME"),
        (&["pod/web"], 2, "\"pod/web\" is no node: expected node/NAME"),
        (&["node/a", "--state", "x"], 2, "cannot be used with"),
        (&["--netns", "/nowhere/at/all", "--local"], 1, "there is no network namespace /nowhere/at/all"),
        (&["--state", "/nowhere/at/all"], 1, "cannot read the cluster state /nowhere/at/all"),
        (&["node/a", "--kubeconfig", "/nowhere/at/all"], 4, "cannot read the kubeconfig /nowhere/at/all"),
    ] {
        let outcome = ifaces(words);
        assert_eq!(outcome.code, Some(code), "{words:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(said), "{words:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn cluster_that_does_not_answer_costs_the_names_only() {
    let scene = Scene::new();
    let path = scene.near.path().to_str().unwrap();
    let outcome = ifaces(&["--netns", path, "--kubeconfig", "/nowhere/at/all", "-o", "json"]);
    assert_eq!(outcome.code, Some(3));
    assert!(
        outcome.stderr.starts_with("kflow: names of pods: cannot read the kubeconfig"),
        "{}",
        outcome.stderr
    );
    let survey: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(survey["namespaces"].as_array().unwrap().len(), 2);
}
