//! Routes, routing rules, and the way that both make.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tracer_core::evidence::{Lookup, Route, RouteAnswer, RouteKind, Snapshot};

use crate::scene::{Scene, assert_same, ip, json, run, word, write};

const LOCAL: u32 = 255;

/// A node's: pods, blocks of other nodes, what is refused, several ways, other tables.
fn routed() -> Scene {
    let scene = Scene::new();
    ip(&scene.near, "link add eth1 type veth peer name eth1 netns 1");
    ip(&scene.near, "link del eth1");
    for words in [
        "link add up0 type veth peer name up1",
        "addr add 172.18.0.2/24 dev up0",
        "link set up0 up",
        "link set up1 up",
        "route add default via 172.18.0.1 dev up0",
        "route add 10.244.1.5 dev cali1 scope link src 172.18.0.2",
        "route add 10.244.2.0/24 via 10.7.0.2 dev cali1 onlink proto 80 mtu 1400",
        "route add blackhole 10.244.3.0/26 proto 80",
        "route add unreachable 10.244.4.0/24",
        "route add prohibit 10.244.5.0/24",
        "route add throw 10.244.6.0/24",
        "route add 10.244.7.0/24 metric 200 via 172.18.0.7 dev up0",
        "route add 10.244.7.0/24 metric 100 via 172.18.0.8 dev up0",
        "route add 10.244.8.0/24 nexthop via 10.7.0.2 weight 1 nexthop via 172.18.0.9 weight 2",
        "route add 10.250.0.0/16 via 10.7.0.2 table 1000",
        "route add default via 10.7.0.2 table 7",
        "rule add fwmark 0x40/0xff table 7 priority 50",
        "rule add from 10.5.0.0/16 to 10.6.0.0/16 table 1000 priority 60",
        "rule add iif cali1 to 10.250.0.0/16 table 1000 priority 70",
        "rule add not fwmark 0x0/0x80 prohibit priority 80",
        "rule add table main suppress_prefixlength 0 priority 90",
        "rule add to 198.51.100.0/24 ipproto tcp dport 80 table 7 priority 95",
        "-6 rule add from fd00::/64 blackhole priority 40",
    ] {
        ip(&scene.near, words);
    }
    scene
}

/// `10.0.0.0/8`, `10.0.0.1`, `default`.
fn network(text: &str, is_ipv6: bool) -> (String, u64) {
    let whole = if is_ipv6 { 128 } else { 32 };
    match text.split_once('/') {
        Some((address, length)) => (address.to_owned(), length.parse().unwrap()),
        None if text == "default" => (if is_ipv6 { "::" } else { "0.0.0.0" }.to_owned(), 0),
        None => (text.to_owned(), whole),
    }
}

type Row = (u64, String, u64, String, Option<String>, Option<String>, u64, u64);

fn theirs(scene: &Scene, family: &str) -> Vec<Row> {
    let is_ipv6 = family == "-6";
    // Tables and protocols as numbers, kinds as words: the order is the same.
    let routes = |how: &str| json(&scene.near, "ip", &format!("{family} {how} -d route show table all"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let rows = |(route, named): (&Value, &Value)| -> Vec<Row> {
        let (address, length) = network(&word(&route["dst"]), is_ipv6);
        let table = number(&route["table"]).unwrap_or(254);
        let kind = match word(&named["type"]).as_str() {
            "" => "unicast".to_owned(),
            "broadcast" | "anycast" | "multicast" => "group".to_owned(),
            kind => kind.to_owned(),
        };
        let hops = route["nexthops"].as_array().cloned().unwrap_or_else(|| vec![route.clone()]);
        hops.iter()
            .map(|hop| {
                let (gateway, device) = (text(&hop["gateway"]), text(&hop["dev"]));
                let metric = number(&route["metric"]).unwrap_or(0);
                let protocol = number(&route["protocol"]).unwrap_or(0);
                (table, address.clone(), length, kind.clone(), gateway, device, metric, protocol)
            })
            .collect()
    };
    let (numbered, named) = (routes("-j -N"), routes("-j"));
    assert_eq!(numbered.len(), named.len());
    numbered.iter().zip(&named).flat_map(rows).collect()
}

fn ours(snapshot: &Snapshot, route: &Route) -> Row {
    let device = route.link.map(|index| snapshot.link(index).unwrap().name.clone());
    let kind = serde_json::to_value(route.kind).unwrap().as_str().unwrap().to_owned();
    let gateway = route.gateway.map(|gateway| gateway.to_string());
    let (table, length) = (route.table.into(), route.prefix.into());
    (
        table,
        route.destination.to_string(),
        length,
        kind,
        gateway,
        device,
        route.priority.into(),
        route.protocol.into(),
    )
}

#[test]
fn routes_are_those_of_ip() {
    let scene = routed();
    let snapshot = scene.snapshot();
    assert_same(
        snapshot.routes.iter().map(|route| ours(&snapshot, route)),
        theirs(&scene, "-4").into_iter().chain(theirs(&scene, "-6")),
    );
    let find = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        snapshot.routes.iter().find(|route| route.destination == address && route.table != LOCAL).unwrap()
    };
    assert_eq!((find("10.244.2.0").is_onlink, find("10.244.2.0").mtu), (true, Some(1400)));
    assert_eq!(find("10.244.1.5").source, Some("172.18.0.2".parse().unwrap()));
    assert!(!find("10.244.1.5").is_dead);
}

#[test]
fn routes_of_links_without_carrier_are_dead_where_the_kernel_passes_them() {
    let scene = routed();
    let default = |snapshot: &Snapshot| {
        let up0 = snapshot.link_named("up0").map(|link| link.index);
        let route = snapshot.routes.iter().find(|route| route.link == up0 && route.prefix == 0).unwrap();
        let lookup = Lookup { destination: "8.8.8.8".parse().unwrap(), source: None, mark: 0, input: None };
        (route.is_dead, snapshot.route_to(lookup) == RouteAnswer::Route(route))
    };
    ip(&scene.near, "link set up1 down");
    // The kernel tells it a little later (`linkwatch`).
    let is_told = || run(&scene.near, "ip", "route show default").contains("linkdown");
    let end = Instant::now() + Duration::from_secs(10);
    while !is_told() {
        assert!(Instant::now() < end, "the kernel does not see that the carrier is lost");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(default(&scene.snapshot()), (false, true));
    assert!(asked(&scene, "8.8.8.8").starts_with("up0"));
    write(&scene.near, "net/ipv4/conf/up0/ignore_routes_with_linkdown", "1");
    assert_eq!(default(&scene.snapshot()), (true, false));
    assert!(asked(&scene, "8.8.8.8").contains("Network is unreachable"));
}

#[test]
fn rules_are_those_of_ip() {
    let scene = routed();
    let snapshot = scene.snapshot();
    for (family, is_ipv6) in [("-4", false), ("-6", true)] {
        let theirs = json(&scene.near, "ip", &format!("{family} -j -N rule"));
        let network = |one: &Value, name: &str| {
            let length = one[format!("{name}len")].as_u64();
            let address = one[name].as_str().filter(|text| *text != "all")?.to_owned();
            Some((address, length.unwrap_or(if is_ipv6 { 128 } else { 32 })))
        };
        assert_same(
            snapshot.rules.iter().filter(|rule| rule.is_ipv6 == is_ipv6).map(|rule| {
                let network = |one: Option<(IpAddr, u8)>| {
                    one.map(|(address, length)| (address.to_string(), u64::from(length)))
                };
                let kind =
                    if rule.kind == RouteKind::Unicast { None } else { serde_json::to_value(rule.kind).ok() };
                (
                    rule.priority,
                    network(rule.source),
                    network(rule.destination),
                    rule.table.map(|table| table.to_string()),
                    rule.input.clone(),
                    kind.map(|kind| word(&kind)),
                    (rule.is_inverted, rule.suppress_prefix),
                    rule.mark.map(|(value, _)| value),
                )
            }),
            theirs.iter().map(|one| {
                let mark = one["fwmark"]
                    .as_str()
                    .map(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap());
                let suppress =
                    one["suppress_prefixlen"].as_u64().map(|length| u32::try_from(length).unwrap());
                (
                    u32::try_from(one["priority"].as_u64().unwrap()).unwrap(),
                    network(one, "src"),
                    network(one, "dst"),
                    one["table"].as_str().map(str::to_owned),
                    one["iif"].as_str().map(str::to_owned),
                    // As numbers: `FR_ACT_*` (`linux/fib_rules.h`).
                    one["action"]
                        .as_str()
                        .map(|action| if action == "8" { "prohibit" } else { "blackhole" }.to_owned()),
                    (one.get("not").is_some(), suppress),
                    mark,
                )
            }),
        );
    }
    let conditions = snapshot.rules.iter().find(|rule| rule.priority == 95).unwrap();
    assert_eq!(conditions.others, ["ipproto 6", "dport 80-80"]);
}

/// What `ip route get` says: the link and the gateway, or why not.
fn asked(scene: &Scene, words: &str) -> String {
    let found = scene.near.run(|| {
        let output = std::process::Command::new("ip")
            .args(["-j", "route", "get"])
            .args(words.split(' '))
            .output()
            .unwrap();
        if output.status.success() { output.stdout } else { output.stderr }
    });
    let text = String::from_utf8(found.unwrap()).unwrap();
    let Ok(all) = serde_json::from_str::<Vec<Value>>(&text) else { return text };
    format!("{} {}", word(&all[0]["dev"]), word(&all[0]["gateway"]))
}

#[test]
fn ways_are_those_of_the_kernel() {
    let scene = routed();
    // Not to be answered by what was learned of other ways.
    let snapshot = scene.snapshot();
    let told = |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let after = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
        let mark = after("mark").map_or(0, |mark| u32::from_str_radix(&mark[2..], 16).unwrap());
        let source: Option<IpAddr> = after("from").map(|text| text.parse().unwrap());
        let lookup = Lookup { destination: words[0].parse().unwrap(), source, mark, input: after("iif") };
        match snapshot.route_to(lookup) {
            RouteAnswer::Route(route) => match route.kind {
                RouteKind::Unicast => {
                    let link = route.link.and_then(|index| snapshot.link(index)).unwrap().name.clone();
                    format!("{link} {}", route.gateway.map(|gateway| gateway.to_string()).unwrap_or_default())
                }
                RouteKind::Local => "lo ".to_owned(),
                kind => refusal(kind).to_owned(),
            },
            RouteAnswer::Refused(kind) => refusal(kind).to_owned(),
            RouteAnswer::None => "Network is unreachable".to_owned(),
            RouteAnswer::Unknown => "unknown".to_owned(),
        }
    };
    let mut kinds = BTreeSet::new();
    for words in [
        "10.7.0.2",
        "10.7.0.1",
        "10.244.1.5",
        "10.244.2.9",
        "10.244.3.1",
        "10.244.4.1",
        "10.244.5.1",
        "10.244.6.1",
        "10.244.7.1",
        "8.8.8.8",
        "8.8.8.8 mark 0x40",
        "8.8.8.8 mark 0x140",
        "8.8.8.8 mark 0x41",
        "8.8.8.8 mark 0x80",
        "192.0.2.1 mark 0x7f",
        "10.250.0.1",
    ] {
        let expected = asked(&scene, words);
        let found = told(words);
        assert!(expected.contains(&found), "{words}: we say {found:?}, the kernel {expected:?}");
        kinds.insert(found);
    }
    assert!(kinds.len() >= 7, "{kinds:?}");
    run(&scene.near, "sysctl", "-qw net.ipv4.conf.all.forwarding=1");
    run(&scene.near, "sysctl", "-qw net.ipv4.conf.cali1.rp_filter=0");
    for words in ["10.250.0.1 from 10.7.0.2 iif cali1", "10.244.7.1 from 10.7.0.2 iif cali1"] {
        assert_eq!(asked(&scene, words), told(words), "{words}");
    }
    assert_eq!(told("198.51.100.7"), "unknown", "it depends on protocol and port");
}

/// In the words of the kernel.
fn refusal(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Blackhole => "Invalid argument",
        RouteKind::Unreachable => "No route to host",
        RouteKind::Prohibit => "Permission denied",
        _ => "something else",
    }
}

#[test]
fn path_mtus_that_were_learned_are_kept_apart() {
    let scene = Scene::new();
    let before = scene.snapshot();
    ip(&scene.near, "route add 10.99.0.0/24 via 10.7.0.2");
    // The far end forwards into a narrow link and says that a packet is too long.
    for words in [
        "link add narrow type veth peer name end",
        "link set narrow mtu 1300 up",
        "link set end up",
        "addr add 10.99.0.1/24 dev narrow",
    ] {
        ip(&scene.far, words);
    }
    run(&scene.far, "sysctl", "-qw net.ipv4.ip_forward=1");
    // Who is behind it need not be there.
    ip(&scene.far, "neigh add 10.99.0.9 lladdr 02:00:00:00:00:09 dev narrow nud permanent");
    scene
        .near
        .run(|| {
            let _ = std::process::Command::new("ping")
                .args(["-M", "do", "-s", "1400", "-c", "3", "-i", "0.2", "-W", "1", "10.99.0.9"])
                .output();
        })
        .unwrap();
    let snapshot = scene.snapshot();
    assert_eq!(before.exceptions, []);
    let learned =
        snapshot.exceptions.iter().find(|one| one.destination == IpAddr::from([10, 99, 0, 9])).unwrap();
    assert_eq!((learned.mtu, learned.prefix), (Some(1300), 32));
    assert!(!snapshot.routes.iter().any(|route| route.destination == learned.destination));
}

#[test]
fn ten_thousand_routes_and_a_hundred_links() {
    let scene = Scene::new();
    let links = (0..100).map(|number| format!("link add link cali1 name v{number} type macvlan mode bridge"));
    let routes =
        (0..10_000).map(|number| format!("route add 10.100.{}.{} dev cali1", number / 250, number % 250));
    let batch = links.chain(routes).collect::<Vec<_>>().join("\n");
    tests::run(&scene.near, "ip", &["-batch", "-"], &batch).unwrap();
    let snapshot = scene.snapshot();
    assert_eq!(snapshot.links.len(), 102);
    let single = snapshot.routes.iter().filter(|route| route.prefix == 32 && route.table == 254);
    assert_eq!(single.count(), 10_000);
}
