//! Counters and settings of the namespace that the thread is in.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use serde_json::Value;

use crate::scene::{Scene, json, write};

#[test]
fn counters_are_those_of_nstat() {
    let scene = Scene::new();
    let before = scene.snapshot();
    // Nobody listens there, and the last goes nowhere.
    scene
        .near
        .run(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..3 {
                let _ = socket.send_to(b"x", "127.0.0.1:9");
            }
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            assert!(socket.send_to(b"x", "192.0.2.1:9").is_err());
        })
        .unwrap();
    let after = scene.snapshot();
    assert_eq!(after.counters.rose(&before.counters, "UdpNoPorts"), 3);
    assert_eq!(after.counters.rose(&before.counters, "IpOutNoRoutes"), 1);
    assert_eq!(after.counters.rose(&before.counters, "NoSuchCounter"), 0);
    let theirs = &json(&scene.near, "nstat", "-asz --json")[0]["kernel"];
    let theirs: BTreeMap<String, u64> = serde_json::from_value(theirs.clone()).unwrap();
    let ours = &after.counters.protocols;
    for (name, value) in &theirs {
        // nstat(8) leaves out what is no counter, and makes up names for ICMP types.
        if let Some(found) = ours.get(name) {
            assert_eq!(found, value, "{name}");
        }
    }
    let unknown: Vec<_> = theirs.keys().filter(|name| !ours.contains_key(*name)).collect();
    assert!(theirs.len() > 200 && unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_setting_is_what_its_file_says() {
    let scene = Scene::new();
    // Each another value, so that none is taken for another.
    for (name, value) in [
        ("rp_filter", "2"),
        ("accept_local", "1"),
        ("arp_ignore", "3"),
        ("arp_announce", "2"),
        ("arp_filter", "1"),
        ("route_localnet", "1"),
        ("src_valid_mark", "1"),
    ] {
        write(&scene.near, &format!("net/ipv4/conf/cali1/{name}"), value);
    }
    write(&scene.near, "net/ipv6/conf/cali1/proxy_ndp", "1");
    write(&scene.near, "net/ipv6/conf/cali1/accept_dad", "2");
    let snapshot = scene.snapshot();
    let of_link = snapshot.sysctls.keys().filter(|name| name.contains("/conf/cali1/")).count();
    assert!(of_link >= 13, "{of_link}");
    for (name, value) in &snapshot.sysctls {
        let path = format!("/proc/sys/{name}");
        let file = scene.near.run(|| std::fs::read_to_string(path)).unwrap().unwrap();
        // What counts while it is read aside.
        if name != "net/netfilter/nf_conntrack_count" {
            assert_eq!(file.trim_end(), value, "{name}");
        }
    }
}

#[test]
fn settings_are_those_of_the_namespace() {
    let scene = Scene::new();
    for (name, value) in [
        ("net/ipv4/conf/cali1/rp_filter", "1"),
        ("net/ipv4/conf/all/rp_filter", "2"),
        ("net/ipv4/conf/cali1/forwarding", "1"),
        ("net/ipv4/conf/cali1/proxy_arp", "1"),
        ("net/core/somaxconn", "77"),
        ("net/ipv4/tcp_max_syn_backlog", "33"),
    ] {
        write(&scene.near, name, value);
    }
    let snapshot = scene.snapshot();
    assert_eq!((snapshot.rp_filter("cali1"), snapshot.rp_filter("lo")), (Some(2), Some(2)));
    assert_eq!(
        (snapshot.forwards("cali1", false), snapshot.forwards("lo", false)),
        (Some(true), Some(false))
    );
    assert_eq!(
        (snapshot.number("net/core/somaxconn"), snapshot.sysctl("net/ipv4/conf/cali1/proxy_arp")),
        (Some(77), Some("1"))
    );
    assert_eq!(snapshot.number("net/ipv4/tcp_max_syn_backlog"), Some(33));
    write(&scene.near, "net/ipv4/ip_forward", "1");
    let snapshot = scene.snapshot();
    assert_eq!(
        (snapshot.sysctl("net/ipv4/ip_forward"), snapshot.forwards("lo", false)),
        (Some("1"), Some(true))
    );
    let far =
        scene.far.run(|| tracer::kernel::node::read(&tracer::kernel::node::NodeOptions::default())).unwrap();
    assert_eq!(
        (far.sysctl("net/ipv4/ip_forward"), far.number("net/core/somaxconn")),
        (Some("0"), Some(4096))
    );
    let json: Value = serde_json::to_value(&snapshot).unwrap();
    let again: tracer_core::evidence::Snapshot = serde_json::from_value(json).unwrap();
    assert_eq!(again, snapshot, "a snapshot travels as JSON");
}
