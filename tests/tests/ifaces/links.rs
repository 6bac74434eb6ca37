//! Links, addresses, tunnels, neighbours and forwarding entries.

use std::net::UdpSocket;
use std::os::linux::fs::MetadataExt as _;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracer_core::evidence::{Link, NeighbourState, Snapshot};

use crate::scene::{Scene, assert_same, ip, json, run, word, write};

fn link<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Link {
    snapshot.link_named(name).unwrap_or_else(|| panic!("no link {name}"))
}

fn many_kinds() -> Scene {
    let scene = Scene::new();
    for words in [
        "link add br0 type bridge",
        "link add port0 mtu 1400 type veth peer name port1",
        "link set port0 master br0",
        "link add link cali1 name mac0 type macvlan mode bridge",
        "link add vxlan.calico type vxlan id 4096 local 10.7.0.1 dev cali1 dstport 4789 nolearning df set ttl 9",
        "link add vxlan1 type vxlan id 5 remote 10.7.0.2 dstport 8472",
        "tuntap add mode tap name tap0",
        "tuntap add mode tun name tun0",
        "link set br0 up",
        "link set port0 up",
        "addr add 10.9.0.1 peer 10.9.0.2 dev tun0",
        "addr add 10.8.0.1/16 dev br0",
    ] {
        ip(&scene.near, words);
    }
    scene
}

#[test]
fn links_are_those_of_ip() {
    let scene = many_kinds();
    let snapshot = scene.snapshot();
    let theirs = json(&scene.near, "ip", "-j -d link");
    let flag = |one: &Value, name: &str| one["flags"].as_array().unwrap().iter().any(|flag| flag == name);
    let kind = |one: &Value| {
        let info = &one["linkinfo"];
        match (word(&info["info_kind"]), word(&info["info_data"]["type"])) {
            (kind, mode) if kind == "tun" && mode == "tap" => mode,
            (kind, _) if kind.is_empty() => "loopback".to_owned(),
            (kind, _) => kind,
        }
    };
    assert_same(
        snapshot.links.iter().map(|one| {
            let master = one.master.and_then(|index| snapshot.link(index)).map(|link| link.name.clone());
            let (index, mtu) = (u64::from(one.index.0), u64::from(one.mtu));
            let qdisc = one.qdisc.clone().unwrap_or_default();
            (index, one.name.clone(), one.kind.0.clone(), mtu, one.is_up, one.has_carrier, master, qdisc)
        }),
        theirs.iter().map(|one| {
            let number = |name: &str| one[name].as_u64().unwrap();
            let master = one["master"].as_str().map(str::to_owned);
            let (up, carrier) = (flag(one, "UP"), flag(one, "LOWER_UP"));
            let (name, qdisc) = (word(&one["ifname"]), word(&one["qdisc"]));
            (number("ifindex"), name, kind(one), number("mtu"), up, carrier, master, qdisc)
        }),
    );
    assert_same(
        snapshot.links.iter().filter_map(|one| one.mac.clone()),
        theirs.iter().map(|one| word(&one["address"])).filter(|mac| mac.len() == 17),
    );
}

#[test]
fn counters_of_links_are_those_of_ip() {
    let scene = Scene::new();
    let client = scene.near.run(|| UdpSocket::bind("10.7.0.1:0")).unwrap().unwrap();
    for _ in 0..7 {
        client.send_to(&[0; 100], "10.7.0.2:9").unwrap();
    }
    // What passes meanwhile counts for one of them only.
    let read = || json(&scene.near, "ip", "-j -s link");
    let (before, snapshot, after) = (read(), scene.snapshot(), read());
    for (before, after) in before.iter().zip(&after) {
        let counters = link(&snapshot, &word(&before["ifname"])).counters;
        for (way, name, found) in [
            ("rx", "packets", counters.rx_packets),
            ("tx", "packets", counters.tx_packets),
            ("rx", "errors", counters.rx_errors),
            ("tx", "errors", counters.tx_errors),
            ("rx", "dropped", counters.rx_dropped),
            ("tx", "dropped", counters.tx_dropped),
        ] {
            let number = |one: &Value| one["stats64"][way][name].as_u64().unwrap();
            let expected = number(before)..=number(after);
            assert!(expected.contains(&found), "{way} {name} of {}: {found}, {expected:?}", before["ifname"]);
        }
    }
    assert!(link(&snapshot, "cali1").counters.tx_packets >= 7);
}

#[test]
fn far_ends_are_found() {
    let scene = many_kinds();
    let snapshot = scene.snapshot();
    let far = std::fs::metadata(scene.far.path()).unwrap().st_ino();
    let cali = link(&snapshot, "cali1");
    assert_eq!((cali.is_peer_elsewhere, cali.peer_netns), (true, Some(far)));
    let eth0 = json(&scene.far, "ip", "-j link show eth0");
    assert_eq!(cali.peer.map(|index| u64::from(index.0)), eth0[0]["ifindex"].as_u64());
    let port = link(&snapshot, "port0");
    assert_eq!((port.peer, port.is_peer_elsewhere), (Some(link(&snapshot, "port1").index), false));
    assert_eq!(link(&snapshot, "mac0").peer, Some(cali.index), "the link below");
    assert_eq!(snapshot.netns, std::fs::metadata(scene.near.path()).unwrap().st_ino());
}

#[test]
fn addresses_are_those_of_ip() {
    let scene = many_kinds();
    write(&scene.near, "net/ipv6/conf/br0/disable_ipv6", "0");
    ip(&scene.near, "addr add fd00::1/64 dev br0 nodad");
    let snapshot = scene.snapshot();
    let theirs = json(&scene.near, "ip", "-j addr");
    assert_same(
        snapshot.links.iter().flat_map(|link| {
            link.addresses
                .iter()
                .map(|own| (link.name.clone(), own.address.to_string(), u64::from(own.prefix)))
        }),
        theirs.iter().flat_map(|link| {
            let addresses = link["addr_info"].as_array().unwrap();
            addresses
                .iter()
                .map(|own| (word(&link["ifname"]), word(&own["local"]), own["prefixlen"].as_u64().unwrap()))
        }),
    );
    assert!(snapshot.owns("fd00::1".parse().unwrap()) && snapshot.owns("10.9.0.1".parse().unwrap()));
    assert!(!snapshot.owns("10.9.0.2".parse().unwrap()), "the other end of a point-to-point link");
}

#[test]
fn address_that_another_has_is_a_duplicate() {
    let scene = Scene::new();
    for (namespace, link) in [(&scene.near, "cali1"), (&scene.far, "eth0")] {
        write(namespace, &format!("net/ipv6/conf/{link}/disable_ipv6"), "0");
    }
    ip(&scene.far, "addr add fd00::7/64 dev eth0 nodad");
    ip(&scene.near, "addr add fd00::7/64 dev cali1");
    let end = Instant::now() + Duration::from_secs(10);
    let own = "fd00::7".parse().unwrap();
    while !scene.snapshot().owner(own).is_some_and(|(_, address)| address.is_duplicate) {
        assert!(Instant::now() < end, "{}", run(&scene.near, "ip", "-6 addr"));
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn tunnels_are_told_with_their_parameters() {
    let scene = many_kinds();
    let snapshot = scene.snapshot();
    for one in
        json(&scene.near, "ip", "-j -d link").iter().filter(|one| one["linkinfo"]["info_kind"] == "vxlan")
    {
        let data = &one["linkinfo"]["info_data"];
        let tunnel = link(&snapshot, &word(&one["ifname"])).tunnel.clone().unwrap();
        let told = |address: Option<std::net::IpAddr>| {
            address.map(|address| address.to_string()).unwrap_or_default()
        };
        assert_eq!((told(tunnel.local), told(tunnel.remote)), (word(&data["local"]), word(&data["remote"])));
        assert_eq!(tunnel.vni.map(u64::from), data["id"].as_u64());
        assert_eq!(tunnel.port.map(u64::from), data["port"].as_u64());
        assert_eq!(tunnel.vxlan.map(|vxlan| vxlan.is_learning), data["learning"].as_bool());
        assert_eq!(tunnel.ttl.unwrap_or(0), u8::try_from(data["ttl"].as_u64().unwrap_or(0)).unwrap());
    }
    assert_eq!(link(&snapshot, "vxlan.calico").tunnel.as_ref().unwrap().dont_fragment, Some(true));
    assert_eq!(link(&snapshot, "vxlan1").tunnel.as_ref().unwrap().dont_fragment, Some(false));
    assert_eq!(link(&snapshot, "cali1").tunnel, None);
}

#[test]
fn neighbours_are_those_of_ip() {
    let scene = Scene::new();
    for words in [
        "neigh add 10.7.0.9 lladdr 02:00:00:00:00:09 dev cali1 nud permanent",
        "neigh add proxy 10.7.0.77 dev cali1",
    ] {
        ip(&scene.near, words);
    }
    // Of two neighbours one is there.
    scene
        .near
        .run(|| {
            let socket = UdpSocket::bind("10.7.0.1:0").unwrap();
            socket.send_to(b"x", "10.7.0.2:9").unwrap();
            socket.send_to(b"x", "10.7.0.3:9").unwrap();
        })
        .unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let state = |snapshot: &Snapshot, address: &str| {
        let address: std::net::IpAddr = address.parse().unwrap();
        let found = snapshot.neighbours.iter().find(|one| one.address == address && !one.is_proxy);
        found.map(|one| one.state)
    };
    assert_eq!(state(&scene.snapshot(), "10.7.0.3"), Some(NeighbourState::Incomplete));
    while state(&scene.snapshot(), "10.7.0.3") != Some(NeighbourState::Failed) {
        assert!(Instant::now() < end, "{}", run(&scene.near, "ip", "neigh"));
        thread::sleep(Duration::from_millis(50));
    }
    let snapshot = scene.snapshot();
    assert_eq!(state(&snapshot, "10.7.0.2"), Some(NeighbourState::Known));
    assert_eq!(state(&snapshot, "10.7.0.9"), Some(NeighbourState::Permanent));
    let theirs = json(&scene.near, "ip", "-j neigh");
    assert_same(
        snapshot
            .neighbours
            .iter()
            .filter(|one| !one.is_proxy)
            .map(|one| (one.address.to_string(), one.mac.clone())),
        theirs.iter().map(|one| (word(&one["dst"]), one["lladdr"].as_str().map(str::to_owned))),
    );
    assert_same(
        snapshot.neighbours.iter().filter(|one| one.is_proxy).map(|one| one.address.to_string()),
        json(&scene.near, "ip", "-j neigh show proxy").iter().map(|one| word(&one["dst"])),
    );
}

#[test]
fn forwarding_entries_are_those_of_bridge() {
    let scene = many_kinds();
    for words in [
        "fdb append 00:00:00:00:00:00 dev vxlan.calico dst 10.7.0.2",
        "fdb append 00:00:00:00:00:00 dev vxlan.calico dst 10.7.0.3",
        "fdb add 66:10:f4:00:00:02 dev vxlan.calico dst 10.7.0.2 vni 77",
        "fdb add 02:00:00:00:00:55 dev port0 master static",
    ] {
        run(&scene.near, "bridge", words);
    }
    let snapshot = scene.snapshot();
    let name = |index| snapshot.link(index).map(|link| link.name.clone()).unwrap_or_default();
    assert_same(
        snapshot.fdb.iter().map(|one| {
            let master = one.master.map(name);
            (
                one.mac.clone(),
                name(one.link),
                master,
                one.remote.map(|remote| remote.to_string()),
                one.vni.map(u64::from),
            )
        }),
        json(&scene.near, "bridge", "-j fdb").iter().map(|one| {
            let text = |name: &str| one[name].as_str().map(str::to_owned);
            (word(&one["mac"]), word(&one["ifname"]), text("master"), text("dst"), one["vni"].as_u64())
        }),
    );
    assert_eq!(
        snapshot.fdb.iter().filter(|one| one.mac == "00:00:00:00:00:00").count(),
        3,
        "vxlan1 has one as well"
    );
    assert!(snapshot.fdb.iter().any(|one| one.mac == "02:00:00:00:00:55" && one.is_permanent));
}
