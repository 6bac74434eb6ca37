//! `kflow capture -D` as a table, and what `ip` says of the same interfaces.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::scene::{Netns, kflow, kflow_without};

/// The cells of a row, by the titles of their columns; absent columns are empty.
pub(crate) struct Row(BTreeMap<String, String>);

impl Row {
    pub(crate) fn get(&self, title: &str) -> &str {
        self.0.get(title).map_or("", String::as_str)
    }
}

/// The rows by the names of their interfaces.
pub(crate) fn list(netns: &Path, state: Option<&Path>) -> BTreeMap<String, Row> {
    let mut command = kflow(&["capture", "-D", "--netns"]);
    command.arg(netns);
    if let Some(state) = state {
        command.arg("--state").arg(state);
    }
    rows(&mut command)
}

fn rows(command: &mut Command) -> BTreeMap<String, Row> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&String::from_utf8(output.stdout).unwrap())
}

fn parse(table: &str) -> BTreeMap<String, Row> {
    let mut lines = table.lines();
    let titles = lines.next().unwrap();
    let mut begins: Vec<_> = titles.split_whitespace().map(|title| titles.find(title).unwrap()).collect();
    begins.push(usize::MAX);
    let row = |line: &str| {
        let cell =
            |begin: usize, end: usize| line.get(begin..end.min(line.len())).unwrap_or("").trim().to_owned();
        let cells = begins.windows(2).map(|ends| cell(ends[0], ends[1]));
        Row(titles.split_whitespace().map(str::to_owned).zip(cells).collect())
    };
    lines.map(row).map(|row| (row.get("NAME").to_owned(), row)).collect()
}

/// A namespace with interfaces of many kinds.
fn many_kinds() -> Netns {
    let netns = Netns::new();
    for words in [
        "link add br0 type bridge",
        "addr add 10.8.0.1/24 dev br0",
        "addr add fd00:8::1/64 dev br0 nodad",
        "link set br0 up",
        "link add here0 mtu 1400 type veth peer name here1",
        "link set here0 master br0",
        "link set here0 up",
        "link add link br0 name mac0 type macvlan",
        "link add vx0 type vxlan id 4096 dev br0 dstport 4789",
        "tuntap add dev tun0 mode tun",
        "tuntap add dev tap0 mode tap",
        "addr add 10.9.0.1 peer 10.9.0.2 dev tun0",
        "link set tun0 up",
    ] {
        netns.ip(words);
    }
    netns
}

#[test]
fn interfaces_are_told_as_ip_tells_them() {
    let netns = many_kinds();
    let rows = list(&netns.path(), None);
    let links: Value = serde_json::from_str(&netns.ip("-j addr show")).unwrap();
    let links = links.as_array().unwrap();
    assert_eq!(rows.len(), links.len());
    for link in links {
        let row = &rows[link["ifname"].as_str().unwrap()];
        assert_eq!(row.get("INDEX"), link["ifindex"].to_string());
        assert_eq!(row.get("MTU"), link["mtu"].to_string());
        // A tun device has no address of that kind, and ip writes none then.
        assert_eq!(row.get("MAC"), link["address"].as_str().unwrap_or(""));
        let flags = link["flags"].as_array().unwrap();
        let has = |flag: &str| flags.iter().any(|each| each == flag);
        let state = match (has("UP"), has("LOWER_UP")) {
            (false, _) => "down",
            (true, false) => "no-carrier",
            (true, true) => "up",
        };
        assert_eq!(row.get("STATE"), state, "{link}");
        let address = |info: &Value| format!("{}/{}", info["local"].as_str().unwrap(), info["prefixlen"]);
        let addresses: Vec<_> = link["addr_info"].as_array().unwrap().iter().map(address).collect();
        assert_eq!(row.get("ADDRESSES"), addresses.join(", "), "{link}");
    }
}

#[test]
fn kinds_and_what_they_have_to_do_with_one_another() {
    let netns = many_kinds();
    let rows = list(&netns.path(), None);
    let table = [
        ("lo", "loopback", "Ethernet", ""),
        ("br0", "bridge", "Ethernet", ""),
        ("here0", "veth", "Ethernet", "peer here1, port of br0"),
        ("here1", "veth", "Ethernet", "peer here0"),
        ("mac0", "macvlan", "Ethernet", "on br0"),
        ("vx0", "vxlan", "Ethernet", "vni 4096, on br0"),
        ("tun0", "tun", "IP", "route to 10.9.0.2"),
        ("tap0", "tap", "Ethernet", ""),
    ];
    for (name, kind, link, details) in table {
        let row = &rows[name];
        assert_eq!((row.get("KIND"), row.get("LINK"), row.get("DETAILS")), (kind, link, details), "{name}");
    }
    // here0 is up, and its peer is not.
    assert_eq!(rows["here0"].get("STATE"), "no-carrier");
}

#[test]
fn vlan_is_told_with_its_number() {
    let netns = many_kinds();
    match netns.try_ip("link add link br0 name br0.100 type vlan id 100") {
        Err(error) if error.contains("Unknown device type") => {
            eprintln!("skipped: this kernel has no VLAN devices");
        }
        made => {
            made.unwrap();
            let rows = list(&netns.path(), None);
            assert_eq!(rows["br0.100"].get("DETAILS"), "vlan 100, on br0");
        }
    }
}

#[test]
fn listing_needs_no_capability() {
    let netns = many_kinds();
    let expected: Vec<_> = list(&netns.path(), None).into_keys().collect();
    let capabilities = ["sys_admin", "net_admin", "bpf", "perfmon"];
    let output = netns.run(&mut kflow_without(&capabilities, &["capture", "-D"]));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed: Vec<_> = parse(&String::from_utf8(output.stdout).unwrap()).into_keys().collect();
    assert_eq!(listed, expected);
}

#[test]
fn many_addresses_are_cut_short() {
    let netns = many_kinds();
    for last in 1..=7 {
        netns.ip(&format!("addr add 10.20.0.{last}/32 dev mac0"));
    }
    let rows = list(&netns.path(), None);
    let shown = "10.20.0.1/32, 10.20.0.2/32, 10.20.0.3/32, 10.20.0.4/32, 3 more";
    assert_eq!(rows["mac0"].get("ADDRESSES"), shown);
}
